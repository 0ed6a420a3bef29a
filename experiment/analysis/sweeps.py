"""Compare the pool sizes of a sweep, and say which is the smallest that is enough."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from experiment.analysis import claims, rules, summary, ways
from experiment.analysis.results import RunResults
from experiment.analysis.rules import Levels, Ruling
from experiment.analysis.summary import Estimate
from experiment.vocabulary import ARTICLE_PAIR, AWAITED, BROWSERS, POOLS

WORTHWHILE_GAIN = 1.05
"""How many times as fast a larger pool must be to be worth its workers."""

FULL_USE, LOW_USE, NEAR_CEILING = 0.85, 0.5, 0.90
"""Use of the cores that counts as full, as little; share of the ceiling that counts as near."""


@dataclass(frozen=True)
class SizeResult:
    """The estimates of one pool size, for one way to fetch.

    `ceiling` is the speed-up if fetches took as long as in serial; `over_schedule` how much longer
    than its own fetches need, if each page goes to the first free worker at once (0.03: 3 %);
    `beyond_delay_ms` the mean of a fetch less the origin's delay; `cores` the number of cores
    that the trial itself kept busy, `origin_cores` those that the embedded origin did (NaN if not
    known), `machine_cpu` the share of all cores that anything kept busy. `limit` is what keeps the
    pool from being faster, `limit_without_origin` what would if the origin ran elsewhere.
    """

    client: str
    mode: str
    reuse: str
    size: int
    total: Estimate
    speed_up: Estimate
    slow_down: Estimate
    ceiling: Estimate
    over_schedule: Estimate
    beyond_delay_ms: Estimate
    cores: float
    origin_cores: float
    machine_cpu: float
    limit: str = ""
    limit_without_origin: str = ""

    @property
    def way(self) -> "Cell":
        """Return client, mode and reuse."""
        return self.client, self.mode, self.reuse

    @property
    def words(self) -> str:
        """Return the way in words: "requests, threads, kept connections"."""
        return ways.in_words(*self.way)


@dataclass(frozen=True)
class Gain:
    """How many times as fast a larger pool is, judged by one-sided bounds.

    `larger_sizes` is the number of sizes of which one that gains enough would do: they share the
    error of the lower bound (Bonferroni).
    """

    larger: int
    estimate: Estimate
    levels: Levels
    larger_sizes: int

    @property
    def low(self) -> float:
        """Return the lower bound; 0 without enough rounds."""
        level = 1 - (1 - self.levels.equivalence) / self.larger_sizes
        interval = self.estimate.interval(level)
        return interval[0] if interval and self.estimate.has_enough_rounds else 0.0

    @property
    def high(self) -> float:
        """Return the upper bound; infinity without enough rounds."""
        interval = self.estimate.interval(self.levels.equivalence)
        return interval[1] if interval and self.estimate.has_enough_rounds else math.inf

    @property
    def is_worthwhile(self) -> bool:
        """Return whether the larger pool is shown to be worth its workers."""
        return self.low > WORTHWHILE_GAIN

    @property
    def is_negligible(self) -> bool:
        """Return whether the larger pool is shown not to be worth its workers."""
        return self.high <= WORTHWHILE_GAIN

    def rounds_to_decide(self) -> int:
        """Return the rounds that would probably show one or the other, or one beyond the most."""
        needed = rules.rounds_to_decide(self.estimate, self._judge, self.levels)
        return needed or rules.MOST_ROUNDS + 1

    def _judge(self, estimate: Estimate, levels: Levels) -> Ruling:
        gain = replace(self, estimate=estimate, levels=levels)
        decided = gain.is_worthwhile or gain.is_negligible
        return Ruling("holds" if decided else "inconclusive")


@dataclass(frozen=True)
class EnoughWorkers:
    """The range that holds the smallest size that is enough, and the gains that show it.

    A size is enough if no larger one is more than 5 % faster. `gains` has for each size but the
    largest, in ascending order, how many times as fast each larger one is.

    That a size is enough takes every larger one to gain too little, each shown with the whole
    error: an intersection-union test (R. L. Berger, Technometrics 24, 1982,
    doi:10.1080/00401706.1982.10487790). That it is too few takes one that gains enough.
    """

    sizes: tuple[int, ...]
    gains: Mapping[int, Sequence[Gain]]

    @property
    def too_few(self) -> dict[int, Gain]:
        """Return the sizes shown to be too few, each with the gain that shows it best."""
        most = {size: max(own, key=lambda gain: gain.low) for size, own in self.gains.items()}
        return {size: gain for size, gain in most.items() if gain.is_worthwhile}

    @property
    def enough(self) -> dict[int, Gain]:
        """Return the sizes shown to be enough, each with the gain that has the largest bound."""
        return {size: gain for size, gain in self._most.items() if gain.is_negligible}

    @property
    def undecided(self) -> dict[int, Gain]:
        """Return the other sizes but the largest, each with the gain of the largest bound."""
        decided = {*self.too_few, *self.enough}
        return {size: gain for size, gain in self._most.items() if size not in decided}

    @property
    def _most(self) -> dict[int, Gain]:
        return {size: max(own, key=lambda gain: gain.high) for size, own in self.gains.items()}

    @property
    def low(self) -> int:
        """Return the smallest size that is not shown to be too few."""
        too_few = self.too_few
        return next(size for size in self.sizes if size not in too_few)

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

    def rounds_to_settle(self) -> int | None:
        """Return the rounds after which one size would probably be left, or one beyond the most.

        Each size up to the first that seems enough is then decided with 80 % power, if gains and
        scatter are as estimated. None if it is not needed or not known.
        """
        needed = []
        undecided = self.undecided
        for size, own in self.gains.items():
            faster = [gain for gain in own if gain.estimate.value > WORTHWHILE_GAIN]
            if size in undecided:
                if not all(gain.estimate.has_enough_rounds for gain in own):
                    return None
                open_gains = [
                    gain.rounds_to_decide() for gain in faster or own if not gain.is_negligible
                ]
                needed.append(min(open_gains) if faster else max(open_gains))
            if not faster:
                break
        return max(needed, default=None)


def compare_sizes(results: RunResults) -> list[SizeResult]:
    """Return the pool sizes of each way to fetch that have complete rounds and serial ones."""
    sizes = [_compare_size(results, *cell) for cell in wanted(results)]
    return [item for item in sizes if item.speed_up.rounds]


def wanted(results: RunResults) -> list[tuple[str, str, str, int]]:
    """Return the client, mode, reuse and size of each pool of the study."""
    trials = results.trials[results.trials["arm"] == "main"]
    tried = set(trials[["client", "mode", "reuse"]].itertuples(index=False, name=None))
    ways = itertools.product(results.study.clients, POOLS, results.study.reuse)
    return [(*way, size) for way in ways if way in tried for size in results.study.sizes]


def _compare_size(results: RunResults, client: str, mode: str, reuse: str, size: int) -> SizeResult:
    own = _of_way(results.ways, client, mode, reuse, size)
    base = ways.base_of(results, client)
    serial = _of_way(results.ways, base, "serial", results.study.reuse[0], 1)
    used = (own["cpu_s"] - own["startup_cpu_s"]) / own["span_s"]
    fetches = _of_way(results.fetches_of_ways, client, mode, reuse, size)
    result = SizeResult(
        client=client,
        mode=mode,
        reuse=reuse,
        size=size,
        total=summary.mean(own["span_s"]),
        speed_up=summary.ratio(serial["span_s"], own["span_s"]),
        slow_down=summary.ratio(own["fetch_mean_s"], serial["fetch_mean_s"]),
        ceiling=_ceiling(results, base, reuse, size),
        over_schedule=summary.mean(own["span_s"] / summary.makespans(fetches, size) - 1),
        beyond_delay_ms=summary.mean(own["beyond_mean_ms"]),
        cores=float(used.mean()),
        origin_cores=summary.origin_cores(own),
        machine_cpu=float(own["machine_cpu"].mean()),
    )
    elsewhere = result.machine_cpu - result.origin_cores / (results.cores or math.nan)
    without = replace(result, machine_cpu=elsewhere)
    return replace(
        result, limit=_limit(results, result), limit_without_origin=_limit(results, without)
    )


def _of_way(rows: pd.DataFrame, client: str, mode: str, reuse: str, size: int) -> pd.DataFrame:
    """Return the rows of a way to fetch, indexed by round."""
    cell = [client, mode, size, reuse]
    return rows[(rows[summary.CELL] == cell).all(axis=1)].set_index("round")


def _ceiling(results: RunResults, base: str, reuse: str, size: int) -> Estimate:
    """Return the speed-up of a schedule without a loss, if fetches took as long as in serial.

    With reuse, a fetch is shorter than those in serial: it takes its delay, at least.
    """
    serial = _of_way(results.fetches_of_ways, base, "serial", results.study.reuse[0], 1)
    took = serial["fetch_s"].groupby("round").sum()
    kept = reuse != results.study.reuse[0] and serial["planned_ms"].notna().all()
    shortest = serial.assign(fetch_s=serial["planned_ms"] / 1000) if kept else serial
    chunk = results.study.pages_in_a_chunk()
    return summary.ratio(took, summary.makespans(shortest, size, chunk))


def _limit(results: RunResults, result: SizeResult) -> str:
    """Return what keeps a pool from being faster."""
    cores = results.cores or math.nan  # no number is more or less than that
    if claims.paced(results.study):
        return "the pace"
    if math.isnan(result.cores) and math.isnan(result.machine_cpu):
        return "not known here, since its workers are elsewhere"
    if _is_gil(results, result):
        return "the GIL"
    if result.machine_cpu >= FULL_USE or result.cores >= FULL_USE * cores:
        return "the cores"
    if result.speed_up.value >= NEAR_CEILING * result.ceiling.value:
        return "waiting"
    if result.mode in AWAITED and result.cores >= FULL_USE:
        return "the one core of an event loop"
    if result.machine_cpu < LOW_USE and result.cores < LOW_USE * cores:
        return "slower answers, though cores are free"
    return "waiting and the CPU both"


def _is_gil(results: RunResults, result: SizeResult) -> bool:
    """Return whether threads keep a core busy while as many processes are faster on the cores."""
    threads = result.client not in BROWSERS and result.mode == "threads"
    totals = (
        _of_way(results.ways, result.client, mode, result.reuse, result.size)["span_s"]
        for mode in ARTICLE_PAIR
    )
    gain = summary.ratio(*totals)
    interval = gain.interval(results.levels.difference) if gain.has_enough_rounds else None
    clear = interval is not None and interval[0] > WORTHWHILE_GAIN
    return threads and result.cores >= FULL_USE and clear and results.run.machine.gil


Cell = tuple[str, str, str]
"""A client, a mode and a reuse."""


def enough_workers(results: RunResults, sizes: Sequence[SizeResult]) -> dict[Cell, EnoughWorkers]:
    """Return which size is enough for each way; nothing where fetches are paced."""
    spans: dict[Cell, dict[int, pd.Series[float]]] = {}
    for item in () if claims.paced(results.study) else sizes:
        own = _of_way(results.ways, *item.way, item.size)["span_s"].astype(float)
        spans.setdefault(item.way, {})[item.size] = own
    return {cell: judge_sizes(own, results.levels) for cell, own in spans.items()}


def gain_of(results: RunResults, one: SizeResult, other: SizeResult) -> Estimate:
    """Return how many times as fast one pool is as another, in the same rounds."""
    spans = (_of_way(results.ways, *it.way, it.size)["span_s"] for it in (other, one))
    return summary.ratio(*spans)


def judge_sizes(spans: Mapping[int, "pd.Series[float]"], levels: Levels) -> EnoughWorkers:
    """Return which size is enough, from the spans of each size, indexed by round."""
    sizes = tuple(sorted(spans))
    gains = {}
    for place, size in enumerate(sizes[:-1], start=1):
        ratios = {larger: summary.ratio(spans[size], spans[larger]) for larger in sizes[place:]}
        gains[size] = [Gain(larger, it, levels, len(ratios)) for larger, it in ratios.items()]
    return EnoughWorkers(sizes, gains)
