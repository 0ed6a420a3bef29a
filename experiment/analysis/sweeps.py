"""Compare the pool sizes of a sweep, and recommend the smallest that is enough."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from experiment.analysis import claims, summary
from experiment.analysis.results import RunResults
from experiment.analysis.summary import Estimate
from experiment.vocabulary import ARTICLE_PAIR, BROWSERS, POOLS

WORTHWHILE_GAIN = 1.05
"""How many times as fast a larger pool must be to be worth its workers."""

FULL_USE, LOW_USE, NEAR_CEILING = 0.85, 0.5, 0.90
"""Use of the cores that counts as full, as little; share of the ceiling that counts as near."""


@dataclass(frozen=True)
class SizeResult:
    """The estimates of one pool size, for one client in one mode.

    `ceiling` is the speed-up if fetches took as long as in serial, `cores` the number of cores
    that the trial itself kept busy, `machine_cpu` the share of all cores that anything kept busy,
    `limit` what keeps the pool from being faster.
    """

    client: str
    mode: str
    size: int
    total: Estimate
    speed_up: Estimate
    slow_down: Estimate
    ceiling: Estimate
    cores: float
    machine_cpu: float
    limit: str = ""


@dataclass(frozen=True)
class Recommendation:
    """The smallest size that no larger one beats by more than 5 %, and the best of the larger."""

    at: SizeResult
    best: SizeResult | None = None
    gain: Estimate | None = None

    @property
    def words(self) -> str:
        """Return the size; the largest that was measured may not be enough."""
        return f"{self.at.size}" if self.best else f"{self.at.size} or more"


def compare_sizes(results: RunResults) -> list[SizeResult]:
    """Return the pool sizes of each client and mode that have complete rounds and serial ones."""
    sizes = [_compare_size(results, *cell) for cell in wanted(results)]
    return [item for item in sizes if item.speed_up.rounds]


def wanted(results: RunResults) -> list[tuple[str, str, int]]:
    """Return the client, mode and size of each pool of the study."""
    study = results.study
    modes = [mode for mode in POOLS if mode in study.modes]
    return list(itertools.product(study.clients, modes, study.sizes))


def _compare_size(results: RunResults, client: str, mode: str, size: int) -> SizeResult:
    rounds = summary.of_size(results.rounds, size)
    own = rounds[(rounds["client"] == client) & (rounds["mode"] == mode)]
    used = (own["cpu_s"] - own["startup_cpu_s"]) / own["span_s"]
    chunk = results.study.pages_in_a_chunk()
    result = SizeResult(
        client=client,
        mode=mode,
        size=size,
        total=summary.mean(summary.of_cell(rounds, client, mode, "span_s")),
        speed_up=summary.speed_up(rounds, client, mode),
        slow_down=summary.slow_down(rounds, client, mode),
        ceiling=summary.ceiling(results.complete_fetches, client, size, chunk),
        cores=float(used.mean()),
        machine_cpu=float(own["machine_cpu"].mean()),
    )
    return replace(result, limit=_limit(results, result, rounds))


def _limit(results: RunResults, result: SizeResult, rounds: pd.DataFrame) -> str:
    """Return what keeps a pool from being faster."""
    cores = results.cores or math.nan  # no number is more or less than that
    if claims.paced(results.study):
        return "the pace"
    if _is_gil(results, result, rounds):
        return "the GIL"
    if result.machine_cpu >= FULL_USE or result.cores >= FULL_USE * cores:
        return "the cores"
    if result.speed_up.value >= NEAR_CEILING * result.ceiling.value:
        return "waiting"
    if result.machine_cpu < LOW_USE and result.cores < LOW_USE * cores:
        return "slower answers, though cores are free"
    return "waiting and the CPU both"


def _is_gil(results: RunResults, result: SizeResult, rounds: pd.DataFrame) -> bool:
    """Return whether threads keep a core busy while as many processes are faster on the cores."""
    threads = result.client not in BROWSERS and result.mode == "threads"
    totals = (summary.of_cell(rounds, result.client, mode, "span_s") for mode in ARTICLE_PAIR)
    gain = summary.ratio(*totals)
    clear = gain.value > WORTHWHILE_GAIN and gain.ci95 is not None and gain.ci95[0] > 1
    return threads and result.cores >= FULL_USE and clear and results.run.machine.gil


def recommend(results: RunResults, sizes: Sequence[SizeResult]) -> list[Recommendation]:
    """Return the smallest size that is enough, for each client and mode."""
    by_cell: dict[tuple[str, str], list[SizeResult]] = {}
    for item in sizes:
        by_cell.setdefault((item.client, item.mode), []).append(item)
    return [_recommend_size(results, own) for own in by_cell.values()]


def _recommend_size(results: RunResults, own: Sequence[SizeResult]) -> Recommendation:
    for place, item in enumerate(own):
        gains = [(larger, _gain(results, item, larger)) for larger in own[place + 1 :]]
        known = [(larger, gain) for larger, gain in gains if gain.rounds]
        if known and all(gain.value <= WORTHWHILE_GAIN for _, gain in known):
            return Recommendation(item, *max(known, key=lambda pair: pair[1].value))
    return Recommendation(own[-1])


def _gain(results: RunResults, small: SizeResult, large: SizeResult) -> Estimate:
    """Return how many times as fast the larger pool is, round by round."""
    rounds = results.rounds
    spans = (
        summary.of_cell(rounds[rounds["pool_size"] == item.size], item.client, item.mode, "span_s")
        for item in (small, large)
    )
    return summary.ratio(*spans)
