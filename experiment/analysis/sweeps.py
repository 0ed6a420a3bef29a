"""Compare the pool sizes of a sweep, and say which is the smallest that is enough."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from experiment.analysis import claims, summary
from experiment.analysis.results import RunResults
from experiment.analysis.summary import Estimate, Interval
from experiment.vocabulary import ARTICLE_PAIR, BROWSERS, POOLS

WORTHWHILE_GAIN = 1.05
"""How many times as fast a larger pool must be to be worth its workers."""

ERROR, POWER = 0.05, 0.8
"""How often a one-sided bound may miss the truth, and how often a test is to find a difference."""

MOST_ROUNDS = 100
"""The rounds beyond which it is not worked out how many more would settle the answer."""

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
class Gain:
    """How many times as fast a larger pool is, and the one-sided bounds that judge it.

    Without enough rounds the bounds are 0 and infinity.
    """

    larger: int
    estimate: Estimate
    low: float = 0.0
    high: float = math.inf

    @property
    def is_worthwhile(self) -> bool:
        """Return whether the larger pool is shown to be worth its workers."""
        return self.low > WORTHWHILE_GAIN

    @property
    def is_negligible(self) -> bool:
        """Return whether the larger pool is shown not to be worth its workers."""
        return self.high <= WORTHWHILE_GAIN


@dataclass(frozen=True)
class EnoughWorkers:
    """The range that holds the smallest size that is enough, and the gains that show it.

    A size is enough if no larger one is more than 5 % faster. `too_few` has the sizes that are
    shown not to be enough, `enough` those shown to be, `undecided` the others, each with the gain
    that matters most. The largest size is in none of them. `rounds_to_settle` is the number of
    rounds after which one size would probably be left; None if it is not known or not needed.
    """

    sizes: tuple[int, ...]
    too_few: dict[int, Gain]
    enough: dict[int, Gain]
    undecided: dict[int, Gain]
    rounds_to_settle: int | None

    @property
    def low(self) -> int:
        """Return the smallest size that is not shown to be too few."""
        return next(size for size in self.sizes if size not in self.too_few)

    @property
    def high(self) -> int:
        """Return the smallest size that is shown to be enough, or else the largest."""
        return min(self.enough, default=self.sizes[-1])

    @property
    def words(self) -> str:
        """Return the range; "or more" and "or fewer" mean sizes that were not measured, too."""
        is_smallest = self.low == self.sizes[0]
        if not self.enough:
            return "undecided" if is_smallest else f"{self.low} or more"
        if is_smallest and self.high > 1:
            return f"{self.high} or fewer"
        return f"{self.high}" if self.low == self.high else f"between {self.low} and {self.high}"


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
    clear = gain.has_enough_rounds and gain.ci95 is not None and gain.ci95[0] > WORTHWHILE_GAIN
    return threads and result.cores >= FULL_USE and clear and results.run.machine.gil


def enough_workers(
    results: RunResults, sizes: Sequence[SizeResult]
) -> dict[tuple[str, str], EnoughWorkers]:
    """Return which size is enough for each client and mode; nothing where fetches are paced."""
    spans: dict[tuple[str, str], dict[int, pd.Series[float]]] = {}
    for item in () if claims.paced(results.study) else sizes:
        rounds = summary.of_size(results.rounds, item.size)
        own = summary.of_cell(rounds, item.client, item.mode, "span_s")
        spans.setdefault((item.client, item.mode), {})[item.size] = own
    return {cell: judge_sizes(own) for cell, own in spans.items()}


def judge_sizes(spans: Mapping[int, "pd.Series[float]"], error: float = ERROR) -> EnoughWorkers:
    """Return which size is enough, from the spans of each size, indexed by round.

    To be enough, every larger size must be shown to gain too little, each with the whole error: an
    intersection-union test (R. L. Berger, Technometrics 24, 1982,
    doi:10.1080/00401706.1982.10487790). To be too few, one larger size must be shown to gain
    enough, so they share the error (Bonferroni).
    """
    sizes = tuple(sorted(spans))
    gains = {
        size: [
            _gain(larger, summary.ratio(spans[size], spans[larger]), error, len(sizes) - place)
            for larger in sizes[place:]
        ]
        for place, size in enumerate(sizes[:-1], start=1)
    }
    too_few = {
        size: max(own, key=lambda gain: gain.low)
        for size, own in gains.items()
        if any(gain.is_worthwhile for gain in own)
    }
    most = {size: max(own, key=lambda gain: gain.high) for size, own in gains.items()}
    rest = {size: gain for size, gain in most.items() if size not in too_few}
    enough = {size: gain for size, gain in rest.items() if gain.is_negligible}
    undecided = {size: gain for size, gain in rest.items() if not gain.is_negligible}
    return EnoughWorkers(
        sizes, too_few, enough, undecided, _rounds_to_settle(gains.values(), error)
    )


def _gain(larger: int, estimate: Estimate, error: float, tests: int) -> Gain:
    if not estimate.has_enough_rounds:
        return Gain(larger, estimate)
    low, _ = _interval(estimate, 1 - 2 * error / tests)
    _, high = _interval(estimate, 1 - 2 * error)
    return Gain(larger, estimate, low, high)


def _interval(estimate: Estimate, level: float) -> Interval:
    middle, degrees = math.log(estimate.value), estimate.rounds - 1
    half = _standard_error(estimate) * stats.t.isf((1 - level) / 2, degrees)
    return math.exp(middle - half), math.exp(middle + half)


def _standard_error(estimate: Estimate) -> float:
    """Return the standard error of the logarithm of a ratio."""
    assert estimate.ci95 is not None
    low, high = estimate.ci95
    return math.log(high / low) / 2 / float(stats.t.isf(0.025, estimate.rounds - 1))


def _rounds_to_settle(gains: Iterable[Sequence[Gain]], error: float) -> int | None:
    """Return the rounds after which one size would be left, if gains and spread are as estimated.

    Each size up to the first that seems enough is then decided with a probability of `POWER`.
    """
    needed = []
    for own in gains:
        if any(gain.is_worthwhile for gain in own):
            continue
        if not all(gain.estimate.has_enough_rounds for gain in own):
            return None
        faster = [gain.estimate for gain in own if gain.estimate.value > WORTHWHILE_GAIN]
        if not faster:
            rest = [gain.estimate for gain in own if not gain.is_negligible]
            needed += [_rounds_to_decide(estimate, error) for estimate in rest]
            break
        needed.append(min(_rounds_to_decide(estimate, error / len(own)) for estimate in faster))
    return max(needed, default=None)


def _rounds_to_decide(estimate: Estimate, error: float) -> int:
    """Return the rounds of a one-sided t test that tells a gain from 5 %, or one beyond the most.

    The power is that of the noncentral t distribution.
    """
    rounds = np.arange(estimate.rounds + 1, MOST_ROUNDS + 1)
    spread = _standard_error(estimate) * math.sqrt(estimate.rounds)
    effect = abs(math.log(estimate.value / WORTHWHILE_GAIN)) / spread * np.sqrt(rounds)
    critical = stats.t.isf(error, rounds - 1)
    powerful = rounds[stats.nct.sf(critical, rounds - 1, effect) >= POWER]
    return int(powerful[0]) if len(powerful) else MOST_ROUNDS + 1
