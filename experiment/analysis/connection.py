"""Split what a fetch with `requests.get` takes beyond the origin's delay into its parts.

Arms of a round differ by one part each: `tls_context` does not read the bundle of certificates for
each page, `no_tls` also makes no TLS handshake and does not encrypt. The differences are the parts.
"""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from experiment.analysis import summary
from experiment.analysis.results import RunResults
from experiment.analysis.summary import Estimate
from experiment.vocabulary import ARTICLE_PAIR, Mode

Quantity = Literal["cpu_ms", "time_ms"]
"""What a page takes: CPU of all processes; time of its fetch beyond the origin's delay."""

COLUMNS: dict[Quantity, str] = {"cpu_ms": "fetch_cpu_mean_ms", "time_ms": "beyond_mean_ms"}
MODES: tuple[Mode, ...] = ("serial", *ARTICLE_PAIR)


@dataclass(frozen=True)
class Cost:
    """The parts of what a page takes (ms), means over the same rounds; `whole` is their sum."""

    bundle: Estimate
    handshake: Estimate
    rest: Estimate
    whole: Estimate

    def share(self, part: Estimate) -> float:
        """Return the share of the whole that a part has."""
        return part.value / self.whole.value


def cost(results: RunResults, mode: Mode, quantity: Quantity) -> Cost | None:
    """Return what a page takes in a mode; None if that was not measured."""
    return _cost(_parts(results, mode, quantity))


def extra_cost(results: RunResults, mode: Mode, quantity: Quantity) -> Cost | None:
    """Return how much more a page takes in a pool than in serial; None if not measured."""
    return _cost(_parts(results, mode, quantity) - _parts(results, "serial", quantity))


def saved(results: RunResults, mode: Mode, quantity: Quantity) -> Estimate:
    """Return how much less a page takes with a kept session; no rounds if not measured."""
    kept = results.ways[results.ways["reuse"] == "on"]
    get, less = (_of(rounds, mode, quantity) for rounds in (results.rounds, kept))
    return summary.mean(get - less)


def latency_adds(results: RunResults, quantity: Quantity) -> Estimate:
    """Return how much more a page takes in serial with the study's latency than without.

    The serial trials that are split have no latency, but pools have: this is in their extra cost.
    """
    with_latency, without = (
        _of(rounds, "serial", quantity) for rounds in (results.rounds, results.no_latency)
    )
    return summary.mean(with_latency - without)


def _cost(parts: pd.DataFrame) -> Cost | None:
    complete = parts.dropna()
    if complete.empty:
        return None
    return Cost(**{str(name): summary.mean(complete[name]) for name in complete})


def _parts(results: RunResults, mode: Mode, quantity: Quantity) -> pd.DataFrame:
    """Return the parts by round. Serial is without latency: all of its arms are alike in that."""
    quick = mode == "serial" and results.study.latency > 0
    arms = (results.no_latency if quick else results.rounds, results.tls_context, results.no_tls)
    get, one_context, plain = (_of(rounds, mode, quantity) for rounds in arms)
    parts = {"bundle": get - one_context, "handshake": one_context - plain}
    return pd.DataFrame({**parts, "rest": plain, "whole": get})


def _of(rounds: pd.DataFrame, mode: Mode, quantity: Quantity) -> "pd.Series[float]":
    return summary.of_cell(rounds, "requests", mode, COLUMNS[quantity])
