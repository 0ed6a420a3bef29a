"""Write what a connection costs: its parts, and what they add to a fetch in a pool."""

import math

import pandas as pd

from experiment.analysis import connection
from experiment.analysis.connection import MODES, Cost, Quantity
from experiment.analysis.results import RunResults
from experiment.analysis.summary import Estimate, percent
from experiment.report import markup
from experiment.vocabulary import ARTICLE_PAIR, Mode

NOT_MEASURED = "What a connection costs was not measured in this run."
UNCLEAR = "a share not shown to differ from 0"

PARTS = {
    "bundle": "reading the bundle of certificates",
    "handshake": "TLS handshake and encryption",
    "rest": "the rest: TCP, HTTP, Python",
    "whole": "all of requests.get",
}
"""The parts of a cost, in the words of a table."""

NOTE = (
    "CPU is that of the trial, without the origin's. Time is that of a fetch less the origin's "
    "delay; it contains the origin's half of the handshake. Serial trials here have no latency. "
    "Where pools were measured, a second table shows how much more a page takes there than in "
    "serial, by part."
)
"""How to read the tables."""

QUANTITIES: dict[Quantity, str] = {
    "cpu_ms": "CPU of a page (ms)",
    "time_ms": "time of a fetch beyond the origin's delay (ms)",
}


def tables_html(results: RunResults) -> str:
    """Return what a page takes, and how much more in a pool, as HTML; empty without either."""
    words = "What each part takes, in ms"
    return markup.folded_tables(words, NOTE, table(results), table_of_pools(results))


def table(results: RunResults) -> pd.DataFrame:
    """Return the parts of what a page takes, and what reuse saves, by quantity and mode."""
    columns = {
        (words, mode): [
            *(str(getattr(cost, part)) for part in PARTS),
            str(saved) if (saved := connection.saved(results, mode, quantity)).rounds else "-",
        ]
        for quantity, words in QUANTITIES.items()
        for mode in MODES
        if (cost := connection.cost(results, mode, quantity))
    }
    return _table(columns, [*PARTS.values(), "saved by a kept session"])


def table_of_pools(results: RunResults) -> pd.DataFrame:
    """Return how much more a page takes in a pool than in serial, by part, and its share."""
    columns = {
        (words, mode): [_with_share(results, extra, getattr(extra, part)) for part in PARTS]
        for quantity, words in QUANTITIES.items()
        for mode in ARTICLE_PAIR
        if (extra := connection.extra_cost(results, mode, quantity))
    }
    return _table(columns, [*PARTS.values()])


def _table(columns: dict[tuple[str, Mode], list[str]], rows: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns, index=rows) if columns else pd.DataFrame()


def _with_share(results: RunResults, cost: Cost, part: Estimate) -> str:
    if part is cost.whole or not _is_above_0(results, cost.whole):
        return str(part)
    return f"{part}, {percent(cost.share(part))}"


def sentences(results: RunResults) -> str:
    """Say what the bundle costs, and where the extra time of a fetch in a pool goes."""
    said = [_of_serial(results), *(_of_pool(results, mode) for mode in ARTICLE_PAIR)]
    if any(said[1:]):
        said.append(_latency_adds(results))
    return "\n".join(f"- {words}" for words in said if words) or NOT_MEASURED


def _of_serial(results: RunResults) -> str:
    cost = connection.cost(results, "serial", "cpu_ms")
    if cost is None:
        return ""
    library = markup.escape(results.run.machine.openssl or "an unknown version of OpenSSL")
    return f"Of the CPU of a page in serial, {_in_words(results, cost)} ({library})."


def _latency_adds(results: RunResults) -> str:
    """Say how serial with latency differs from the serial that pools are compared with here."""
    names: dict[Quantity, str] = {"cpu_ms": "of CPU", "time_ms": "of time beyond the delay"}
    parts = [
        f"{adds} ms {words}"
        for quantity, words in names.items()
        if _differs(results, adds := connection.latency_adds(results, quantity))
    ]
    if not parts:
        return ""
    return (
        f"With the latency of this study, a page in serial takes {' and '.join(parts)} more than "
        "without. This is part of what it takes more in pools."
    )


def _of_pool(results: RunResults, mode: Mode) -> str:
    extra = connection.extra_cost(results, mode, "time_ms")
    if extra is None:
        return ""
    if not _is_above_0(results, extra.whole):
        return (
            f"A fetch is not shown to take longer in {mode} than in serial: {extra.whole} ms, the "
            "origin's delay left out."
        )
    return (
        f"Of the time by which a fetch takes longer in {mode} than in serial, "
        f"{_in_words(results, extra)}."
    )


def _in_words(results: RunResults, cost: Cost) -> str:
    """Return the parts of a cost, each as its share."""
    bundle, handshake, rest = (
        percent(cost.share(part)) if _differs(results, part) else UNCLEAR
        for part in (cost.bundle, cost.handshake, cost.rest)
    )
    return (
        f"{bundle} goes to reading the bundle of certificates, {handshake} to the TLS handshake "
        f"and encryption, {rest} to the rest"
    )


def _differs(results: RunResults, estimate: Estimate) -> bool:
    low, high = _interval(results, estimate)
    return not low <= 0 <= high


def _is_above_0(results: RunResults, estimate: Estimate) -> bool:
    return _interval(results, estimate)[0] > 0


def _interval(results: RunResults, estimate: Estimate) -> tuple[float, float]:
    """Return the interval that shows a difference; it is unbounded where rounds are too few."""
    found = estimate.interval(results.levels.difference) if estimate.has_enough_rounds else None
    return found or (-math.inf, math.inf)
