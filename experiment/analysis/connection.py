"""Split what a fetch with `requests.get` takes beyond the origin's delay into its parts.

Arms of a round differ by one part each: `tls_context` does not read the bundle of certificates for
each page, `no_tls` also makes no TLS handshake and does not encrypt. The differences are the parts.
"""

from dataclasses import dataclass

import pandas as pd

from experiment.analysis import summary
from experiment.analysis.results import RunResults
from experiment.analysis.summary import Estimate
from experiment.vocabulary import ARTICLE_PAIR, Mode

Quantity = str
QUANTITIES = ("cpu_ms", "time_ms")
"""What a page takes: CPU of all processes; time of its fetch beyond the origin's delay."""

MODES: tuple[Mode, ...] = ("serial", *ARTICLE_PAIR)


@dataclass(frozen=True)
class Cost:
    """The parts of what a page takes (ms); `whole` is their sum.

    `saved` is what a kept connection saves; it has no rounds where that was not measured.
    """

    bundle: Estimate
    handshake: Estimate
    rest: Estimate
    whole: Estimate
    saved: Estimate


def cost(results: RunResults, mode: Mode, quantity: str) -> Cost | None:
    """Return what a page takes in a mode; None if that was not measured."""
    parts = _parts(results, mode, quantity)
    return None if parts.empty else _cost(parts)


def extra_cost(results: RunResults, mode: Mode, quantity: str) -> Cost | None:
    """Return how much more a page takes in a pool than in serial; None if not measured."""
    parts = _parts(results, mode, quantity) - _parts(results, "serial", quantity)
    parts = parts.dropna(subset=["whole"])
    return None if parts.empty else _cost(parts)


def _cost(parts: pd.DataFrame) -> Cost:
    return Cost(**{str(name): summary.mean(parts[name]) for name in parts})


def _parts(results: RunResults, mode: Mode, quantity: str) -> pd.DataFrame:
    """Return the parts by round. Serial is without latency: all of its arms are alike in that."""
    arms = {"get": results.no_latency if mode == "serial" else results.rounds}
    arms |= {"context": results.arm("tls_context"), "plain": results.arm("no_tls")}
    ways = results.ways
    arms["kept"] = ways[ways["reuse"] == "on"]
    found = pd.DataFrame({name: _of(rounds, mode, quantity) for name, rounds in arms.items()})
    found = found.dropna(subset=["get", "context", "plain"])
    return pd.DataFrame(
        {
            "bundle": found["get"] - found["context"],
            "handshake": found["context"] - found["plain"],
            "rest": found["plain"],
            "whole": found["get"],
            "saved": found["get"] - found["kept"],
        }
    )


def _of(rounds: pd.DataFrame, mode: Mode, quantity: str) -> "pd.Series[float]":
    column = {"cpu_ms": "fetch_cpu_mean_ms", "time_ms": "beyond_mean_ms"}[quantity]
    return summary.of_cell(rounds, "requests", mode, column)
