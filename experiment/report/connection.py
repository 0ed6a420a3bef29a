"""Write what a connection costs: a table of its parts, and what they add in a pool."""

import pandas as pd

from experiment.analysis import connection
from experiment.analysis.connection import MODES, Cost
from experiment.analysis.results import RunResults
from experiment.analysis.summary import Estimate
from experiment.report import markup
from experiment.vocabulary import ARTICLE_PAIR, Mode

NOT_MEASURED = "This run did not measure what a connection costs."

PARTS = {
    "bundle": "reading the bundle of certificates",
    "handshake": "TLS handshake and encryption",
    "rest": "the rest: TCP, HTTP, Python",
    "whole": "all of requests.get",
    "saved": "saved by a kept session",
}
"""The parts of a cost, in the words of the table."""

QUANTITIES = {"cpu_ms": "CPU of a page (ms)", "time_ms": "time of a fetch beyond the delay (ms)"}


def table(results: RunResults) -> pd.DataFrame:
    """Return the parts of what a page takes, by quantity and mode."""
    columns = {
        (words, mode): [_cell(cost, part) for part in PARTS]
        for quantity, words in QUANTITIES.items()
        for mode in MODES
        if (cost := connection.cost(results, mode, quantity))
    }
    return pd.DataFrame(columns, index=list(PARTS.values())) if columns else pd.DataFrame()


def _cell(cost: Cost, part: str) -> str:
    estimate: Estimate = getattr(cost, part)
    return str(estimate) if estimate.rounds else "-"


def sentences(results: RunResults) -> str:
    """Say what the bundle costs, and where the extra time of a fetch in a pool goes."""
    said = [_serial(results), *(_pool(results, mode) for mode in ARTICLE_PAIR)]
    return "\n".join(f"- {words}" for words in said if words) or NOT_MEASURED


def _serial(results: RunResults) -> str:
    cost = connection.cost(results, "serial", "cpu_ms")
    if cost is None:
        return ""
    library = markup.escape(results.run.machine.openssl or "OpenSSL")
    return (
        f"In serial, reading the bundle takes {cost.bundle} of the {cost.whole.shown} ms of CPU of "
        f"a page, the handshake and encryption {cost.handshake} ({library})."
    )


def _pool(results: RunResults, mode: Mode) -> str:
    extra = connection.extra_cost(results, mode, "time_ms")
    if extra is None:
        return ""
    parts = (
        f"{getattr(extra, name)} ms for {words}{_unclear(getattr(extra, name))}"
        for name, words in list(PARTS.items())[:3]
    )
    return (
        f"A fetch takes {extra.whole} ms longer in {mode} than in serial, the origin's delay left "
        f"out: {'; '.join(parts)}."
    )


def _unclear(estimate: Estimate) -> str:
    wide = estimate.ci95
    return " (not shown to differ from 0)" if wide and wide[0] <= 0 <= wide[1] else ""
