"""How many workers? The pool sizes of a sweep compared, and the smallest that is enough."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from experiment.analysis import claims, summary
from experiment.analysis.results import RunResults
from experiment.analysis.summary import Estimate, digits, percent
from experiment.vocabulary import ARTICLE_PAIR, BROWSERS, POOLS

WORTHWHILE_GAIN = 1.05
"""How many times as fast a larger pool must be to be worth its workers."""

FULL_USE, LOW_USE, NEAR_CEILING = 0.85, 0.5, 0.90
"""Use of the cores that counts as full, as little; share of the ceiling that counts as near."""


@dataclass(frozen=True)
class SizeResult:
    """What one pool size came to, for one client in one mode, over the rounds.

    `ceiling` is the speed-up of workers whose fetches take as long as in serial, `cores` how many
    cores the trial itself kept busy while it fetched, `machine_cpu` the share of all of them that
    anything did, `limit` what keeps the pool from being faster.
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
        """The size; the largest that was measured may not be enough."""
        return f"{self.at.size}" if self.best else f"{self.at.size} or more"


def compare_sizes(results: RunResults) -> list[SizeResult]:
    """Every client, mode and pool size that has complete rounds to compare with serial."""
    return [
        found
        for cell in _wanted(results)
        if (found := _compare_size(results, *cell)).speed_up.rounds
    ]


def _wanted(results: RunResults) -> list[tuple[str, str, int]]:
    study = results.study
    modes = [mode for mode in POOLS if mode in study.modes]
    return list(itertools.product(study.clients, modes, study.sizes))


def _compare_size(results: RunResults, client: str, mode: str, size: int) -> SizeResult:
    rounds = summary.of_size(results.rounds, size)
    own = rounds[(rounds["client"] == client) & (rounds["mode"] == mode)]
    used = (own["cpu_s"] - own["startup_cpu_s"]) / own["span_s"]
    found = SizeResult(
        client=client,
        mode=mode,
        size=size,
        total=summary.mean(summary.of_cell(rounds, client, mode, "span_s")),
        speed_up=summary.speed_up(rounds, client, mode),
        slow_down=summary.slow_down(rounds, client, mode),
        ceiling=summary.ceiling(
            results.complete_fetches, client, size, results.study.pages_in_a_chunk()
        ),
        cores=float(used.mean()),
        machine_cpu=float(own["machine_cpu"].mean()),
    )
    return replace(found, limit=_limit(results, found, rounds))


def _limit(results: RunResults, found: SizeResult, rounds: pd.DataFrame) -> str:
    """What keeps a pool from being faster."""
    cores = results.cores or math.nan  # no number is more or less than that
    if claims.paced(results.study):
        return "the pace"
    if _is_gil(results, found, rounds):
        return "the GIL"
    if found.machine_cpu >= FULL_USE or found.cores >= FULL_USE * cores:
        return "the cores"
    if found.speed_up.value >= NEAR_CEILING * found.ceiling.value:
        return "waiting"
    if found.machine_cpu < LOW_USE and found.cores < LOW_USE * cores:
        return "slower answers, though cores are free"
    return "waiting and the CPU both"


def _is_gil(results: RunResults, found: SizeResult, rounds: pd.DataFrame) -> bool:
    """Whether threads keep a core busy while as many processes are faster on the same cores."""
    fitting = found.client not in BROWSERS and found.mode == "threads" and found.cores >= FULL_USE
    totals = (summary.of_cell(rounds, found.client, mode, "span_s") for mode in ARTICLE_PAIR)
    apart = summary.ratio(*totals)
    clear = apart.value > WORTHWHILE_GAIN and apart.ci95 is not None and apart.ci95[0] > 1
    return fitting and clear and results.run.machine.gil


def recommend(results: RunResults, found: Sequence[SizeResult]) -> list[Recommendation]:
    """For each client and mode the smallest size that is enough."""
    cells = dict.fromkeys((item.client, item.mode) for item in found)
    return [
        _recommend_size(results, [item for item in found if (item.client, item.mode) == cell])
        for cell in cells
    ]


def _recommend_size(results: RunResults, own: Sequence[SizeResult]) -> Recommendation:
    for place, item in enumerate(own):
        gains = [(larger, _gain(results, item, larger)) for larger in own[place + 1 :]]
        known = [(larger, gain) for larger, gain in gains if gain.rounds]
        if known and all(gain.value <= WORTHWHILE_GAIN for _, gain in known):
            return Recommendation(item, *max(known, key=lambda pair: pair[1].value))
    return Recommendation(own[-1])


def _gain(results: RunResults, small: SizeResult, large: SizeResult) -> Estimate:
    """How many times as fast the larger pool is, round by round."""
    rounds = results.rounds
    small_s, large_s = (
        summary.of_cell(rounds[rounds["pool_size"] == item.size], item.client, item.mode, "span_s")
        for item in (small, large)
    )
    return summary.ratio(small_s, large_s)


def answer(results: RunResults, found: Sequence[SizeResult]) -> str:
    """The plain answer, a line for each client and mode."""
    if claims.paced(results.study):
        return f"Not applicable: {claims.paced(results.study)}, not what a pool can do."
    lines = [_recommendation_in_words(item) for item in recommend(results, found)]
    there = [(item.client, item.mode, item.size) for item in found]
    gone = [cell for cell in _wanted(results) if cell not in there]
    lines += [
        f"{client}, {mode}: {size} workers have no complete round and do not count."
        for client, mode, size in gone
    ]
    return "\n".join(f"- {line}" for line in lines)


def _recommendation_in_words(item: Recommendation) -> str:
    at = item.at
    workers = "worker" if at.size == 1 else "workers"
    return (
        f"**{at.client}, {at.mode}: {item.words} {workers}**, {at.speed_up.shown} times as fast as "
        f"serial{at.speed_up.beside}; {_larger(item)}. With {at.size} the limit is {at.limit}: the "
        f"machine was {percent(at.machine_cpu)} busy, the trial itself used {digits(at.cores)} "
        "cores."
    )


def _larger(item: Recommendation) -> str:
    if item.best is None or item.gain is None:
        return "it is the largest measured here that gains, and a larger one may be faster still"
    return (
        f"no larger pool measured here is more than {percent(WORTHWHILE_GAIN - 1)} faster (the "
        f"best of them, {item.best.size}, is {item.gain.shown} times as fast{item.gain.beside})"
    )


def table(results: RunResults, found: Sequence[SizeResult]) -> pd.DataFrame:
    """A row for each client, mode and pool size."""
    return pd.DataFrame([_row(item, results.cores) for item in found])


def _row(item: SizeResult, cores: int | None) -> dict[str, str]:
    return {
        "client": item.client,
        "mode": item.mode,
        "workers": str(item.size),
        "total (s)": item.total.shown,
        "speed-up [95 %]": str(item.speed_up),
        "at most": item.ceiling.shown,
        "slow-down [95 %]": str(item.slow_down),
        f"cores used{f', of {cores}' if cores else ''}": digits(item.cores),
        "machine busy": percent(item.machine_cpu),
        "limit": item.limit,
    }
