"""Reduce rows to rounds, and rounds to ratios with their intervals.

The unit is the round (the block, in the words of experimental design), never the fetch: fetches
of one trial share its moment, so they are not independent. Intervals of ratios are Student's t
intervals of log ratios over rounds, a paired t interval on the log scale (J. M. Bland and D. G.
Altman, "The use of transformation when comparing two means", BMJ 312, 1996,
doi:10.1136/bmj.312.7039.1153).
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats

from experiment.vocabulary import BROWSERS, Arm, is_function

Interval = tuple[float, float]

CELL = ["client", "mode", "pool_size", "reuse"]
TRIAL = [*CELL, "round", "repeat"]
ENOUGH_ROUNDS = 3
"""Complete rounds below which a ratio's interval says too little to be judged."""


@dataclass(frozen=True)
class Estimate:
    """A mean over rounds with Student's t intervals; of a ratio, the mean of its logarithms.

    `standard_error` is that of the mean, on the scale on which it was taken. `skewed` says that
    the rounds are not symmetric about their mean, so that an interval may be too narrow.
    """

    value: float
    rounds: int
    standard_error: float = math.nan
    is_ratio: bool = False
    skewed: bool = False

    def interval(self, level: float) -> Interval | None:
        """Return the interval of a level such as 0.95; None for fewer than two rounds."""
        if self.rounds < 2:
            return None
        half = _t((1 + level) / 2, self.rounds - 1) * self.standard_error
        if not self.is_ratio:
            return self.value - half, self.value + half
        factor = math.exp(min(half, MOST_LOG))
        return self.value / factor, self.value * factor

    @property
    def ci99(self) -> Interval | None:
        """Return the 99 % interval."""
        return self.interval(0.99)

    @property
    def ci95(self) -> Interval | None:
        """Return the 95 % interval."""
        return self.interval(0.95)

    @property
    def ci90(self) -> Interval | None:
        """Return the 90 % interval."""
        return self.interval(0.90)

    @property
    def has_enough_rounds(self) -> bool:
        """Return whether there are enough rounds to judge by."""
        return self.rounds >= ENOUGH_ROUNDS

    @property
    def shown(self) -> str:
        """Return the value with no more digits than its 95 % interval supports."""
        return digits(self.value, self.ci95)

    @property
    def beside(self) -> str:
        """Return the interval, and a note if there are too few rounds, to print after the value."""
        few = "" if self.has_enough_rounds or not self.rounds else "(too few rounds)"
        return "".join(f" {words}" for words in (brackets(self.ci95), few) if words)

    def __str__(self) -> str:
        return f"{self.shown}{self.beside}"


BEYOND = 1e9
"""The number from which on only its order of magnitude is shown."""


def digits(value: float | None, interval: Interval | None = None) -> str:
    """Format a number with three significant digits, at most three after the point.

    Fewer where its interval is wide: two digits of half its width are enough.
    """
    if value is None or not np.isfinite(value):
        return "-"
    if abs(value) >= BEYOND:
        return f"{value:.0e}"
    decimals = min(3, _decimals(value, 3))
    if interval and (width := np.ptp(interval)) > 0:
        decimals = min(decimals, _decimals(width / 2, 2))
    return f"{value:,.{decimals}f}"


def _decimals(value: float, significant: int) -> int:
    return max(0, significant - 1 - int(np.floor(np.log10(abs(value))))) if value else 0


def percent(share: float) -> str:
    """Format a share as a percentage: 75 %."""
    return f"{100 * share:.0f} %" if np.isfinite(share) else "-"


def percent_of(share: float) -> str:
    """Format a share as a percentage with the digits that it has: 98.3 %."""
    return f"{100 * share:.3g} %" if np.isfinite(share) else "-"


def brackets(interval: Interval | None) -> str:
    """Format an interval as [low, high]; an end near 1 keeps the digits that show its side."""
    if interval is None:
        return ""
    shown = [digits(end, interval) for end in interval]
    low, high = (
        f"{end:.3f}" if words in ("1", "1.0", "1.00") else words
        for end, words in zip(interval, shown, strict=True)
    )
    return f"[{low},\u00a0{high}]"


@cache
def _t(probability: float, degrees: int) -> float:
    """Return a quantile of Student's t."""
    return float(stats.t.ppf(probability, degrees))


def mean(values: "pd.Series[float]") -> Estimate:
    """Return the mean over rounds; rounds without a finite value do not count."""
    known = values[np.isfinite(values)].to_numpy(dtype=float)
    if len(known) < 2:
        return Estimate(float(known[0]) if len(known) else math.nan, len(known))
    error = float(known.std(ddof=1)) / math.sqrt(len(known))
    return Estimate(float(known.mean()), len(known), error, skewed=_is_skewed(known))


def ratio(above: "pd.Series[float]", below: "pd.Series[float]") -> Estimate:
    """Return the ratio of two quantities, each indexed by round.

    Rounds that lack a quantity, or in which one is not above 0, do not count. The mean of the
    logarithms of the rounds' ratios, and its interval, are turned back into ratios by exp.
    """
    logs = mean((above[above > 0] / below[below > 0]).transform(np.log))
    return replace(logs, value=float(np.exp(logs.value)), is_ratio=True)


def over_runs(ratios: Sequence[Estimate]) -> Estimate:
    """Return the ratio over several runs: each run counts as one value, whatever its rounds.

    A run has a speed of the host in common, which its own rounds cannot show.
    """
    values = pd.Series([ratio.value for ratio in ratios if ratio.rounds], dtype=float)
    return ratio(values, pd.Series(1.0, values.index))


SKEW_LEVEL = 0.002
"""The level of the test for skew: of 20 reports with 27 comparisons, one sees it in vain."""


def _is_skewed(values: "np.ndarray") -> bool:
    """Test normality (S. S. Shapiro and M. B. Wilk, Biometrika 52, 1965, doi:10.2307/2333709)."""
    enough = len(values) >= ENOUGH_ROUNDS and np.ptp(values) > 1e-9 * np.abs(values).max()
    return bool(enough and stats.shapiro(values).pvalue < SKEW_LEVEL)


MOST_LOG = 50.0
"""The logarithm of the ratio that stands for any larger one."""


MEANS = {
    "fetch_s": "fetch_mean_s",
    "queue_s": "queue_mean_s",
    "browser_start_s": "browser_start_mean_s",
    "load_s": "load_mean_s",
    "check_s": "check_mean_s",
    "close_s": "close_mean_s",
    "without_start_s": "without_start_mean_s",
    "beyond_ms": "beyond_mean_ms",
}
"""The quantities of fetches whose means a trial has, each with the name of its mean."""


def per_trial(fetches: pd.DataFrame, trials: pd.DataFrame, arm: Arm = "main") -> pd.DataFrame:
    """Return the trials of an arm with totals of their fetches, one row each.

    Adds means of the fetches' times and phases, of their time beyond the origin's delay and of
    their CPU, `pages`, `utilisation`, `planned_sum_ms` and
    `planned_max_ms`, and `complete`: no fetch and no worker failed, and every mode had the same
    pages in that round. The client of a trial without one is "".
    """
    own = fetches[fetches["arm"] == arm]
    own = own.assign(
        without_start_s=own["fetch_s"] - own[["queue_s", "browser_start_s"]].sum(axis=1),
        beyond_ms=own["fetch_s"] * 1000 - own["origin_ms"],
    )
    groups = own.groupby(TRIAL)
    means = groups[[*MEANS]].mean().rename(columns=MEANS)
    sums = means.assign(
        fetch_sum_s=groups["fetch_s"].sum(),
        planned_sum_ms=groups["planned_ms"].sum(min_count=1),
        planned_max_ms=groups["planned_ms"].max(),
        pages=groups.size(),
    )
    rows = trials[trials["arm"] == arm].fillna({"client": ""}).join(sums, on=TRIAL)
    refused = pd.MultiIndex.from_frame(different_pages(own)[["client", "round"]])
    same = ~pd.MultiIndex.from_frame(rows[["client", "round"]]).isin(refused)
    return rows.assign(
        fetch_cpu_mean_ms=rows["fetch_cpu_s"] * 1000 / rows["pages"],
        utilisation=rows["fetch_sum_s"] / (rows["pool_size"] * rows["span_s"]),
        complete=(rows["state"] == "ok") & (rows["failed"] == 0) & same,
    )


EMBEDDED = r"^https?://[\d.]+:\d+(?=/\d+/\d+$)"
"""The address of an embedded origin; a study has several, which have the same pages."""


def different_pages(fetches: pd.DataFrame) -> pd.DataFrame:
    """Return the pages (`arm, client, round, page`) that differ between the modes of a round.

    Each trial must have asked for the same URLs; where the embedded origin planned the answer,
    clients that read its bytes must have got the same, too. A function may return anything.
    """
    place = ["arm", "client", "round"]
    other = fetches["client"].isin(BROWSERS) | fetches["client"].map(is_function).astype(bool)
    known = ~other & fetches["planned_ms"].notna()
    trials = fetches.drop_duplicates(["arm", *TRIAL]).groupby(place).size().rename("trials")
    paths = fetches["url"].str.replace(EMBEDDED, "", regex=True)
    pages = fetches.assign(url=paths, body=fetches["sha256"].where(known)).groupby([*place, "page"])
    asked = pages.agg(
        fetched=("url", "size"), urls=("url", "nunique"), bodies=("body", "nunique")
    ).join(trials, on=place)
    differ = (asked["fetched"] != asked["trials"]) | (asked["urls"] > 1) | (asked["bodies"] > 1)
    return asked[differ].reset_index()[[*place, "page"]]


def per_round(trials: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each cell and round: the geometric mean of each quantity over its repeats.

    The mean is arithmetic where a repeat's quantity is not above 0. A round in which a repeat is
    not complete does not count for that cell.
    """
    whole = trials[trials.groupby([*CELL, "round"])["complete"].transform("all")]
    names = [name for name in whole.select_dtypes("number") if name not in TRIAL]
    values = whole[names].astype(float)
    groups = [whole[name] for name in (*CELL, "round")]
    geometric = values[values > 0].transform(np.log).groupby(groups).mean().transform(np.exp)
    by_round = values.groupby(groups)
    means = geometric.where(by_round.min() > 0, by_round.mean())
    firsts = whole.drop(columns=names).groupby([*CELL, "round"]).first()
    return firsts.join(means).reset_index()


def of_cell(rounds: pd.DataFrame, client: str, mode: str, column: str) -> "pd.Series[float]":
    """Return a quantity of a client in a mode, indexed by round; empty if it was not measured.

    Raises `ValueError` where a sweep has several pool sizes; select one with `of_size`.
    """
    rows = rounds[(rounds["client"] == client) & (rounds["mode"] == mode)]
    if rows["round"].duplicated().any():
        raise ValueError(f"{client}, {mode}: several pool sizes in a round; select one")
    return rows.set_index("round")[column].astype(float)


def of_size(rounds: pd.DataFrame, size: int) -> pd.DataFrame:
    """Return the rounds of serial and of pools of one size."""
    return rounds[(rounds["mode"] == "serial") | (rounds["pool_size"] == size)]


def speed_up(rounds: pd.DataFrame, client: str, mode: str) -> Estimate:
    """Return the serial span / the parallel span, round by round."""
    spans = (of_cell(rounds, client, which, "span_s") for which in ("serial", mode))
    return ratio(*spans)


def slow_down(rounds: pd.DataFrame, client: str, mode: str) -> Estimate:
    """Return the mean fetch time in a parallel mode / in serial, round by round."""
    means = (of_cell(rounds, client, which, "fetch_mean_s") for which in (mode, "serial"))
    return ratio(*means)


def cores_used(rounds: pd.DataFrame, client: str, mode: str) -> Estimate:
    """Return the CPU time after the pool was ready / the span, round by round."""
    cpu, startup = (of_cell(rounds, client, mode, name) for name in ("cpu_s", "startup_cpu_s"))
    return ratio(cpu - startup, of_cell(rounds, client, mode, "span_s"))


def origin_cores(rounds: pd.DataFrame) -> float:
    """Return the cores that the embedded origin kept busy, a mean; NaN where it is not known."""
    return float((rounds["origin_cpu_s"].astype(float) / rounds["span_s"].astype(float)).mean())


def has_phases(rounds: pd.DataFrame, client: str) -> bool:
    """Return whether the start of a browser was timed, as part of a client's fetches."""
    return bool(rounds.loc[rounds["client"] == client, "browser_start_mean_s"].notna().any())


def start_share(rounds: pd.DataFrame, client: str, mode: str) -> Estimate:
    """Return the share of a fetch's extra time in a mode that the start of the browser takes."""
    start, fetch = (
        of_cell(rounds, client, mode, column) - of_cell(rounds, client, "serial", column)
        for column in ("browser_start_mean_s", "fetch_mean_s")
    )
    return mean(start / fetch)


def speed_up_without_start(rounds: pd.DataFrame, client: str, mode: str) -> Estimate:
    """Return the speed-up without the time that browsers are waited for and take to start.

    Pool size x utilisation ratio x serial / parallel mean of `without_start_s`.
    """
    serial, parallel = (
        of_cell(rounds, client, which, "utilisation")
        / of_cell(rounds, client, which, "without_start_mean_s")
        * of_cell(rounds, client, which, "pool_size")
        for which in ("serial", mode)
    )
    return ratio(parallel, serial)


def fetch_times(fetches: pd.DataFrame, client: str, mode: str) -> "pd.Series[float]":
    """Return the times (s) of the fetches of a client in a mode."""
    return fetches.loc[(fetches["client"] == client) & (fetches["mode"] == mode), "fetch_s"]


def losses(rounds: pd.DataFrame, client: str, mode: str) -> tuple[float, float, float]:
    """Return the pool size, the speed-up left by idle workers, and the measured speed-up.

    Speed-up = pool size x (utilisation / serial utilisation) / slow-down, exactly; means over
    rounds are geometric, so that they multiply, too.
    """
    busy, busy_serial = (of_cell(rounds, client, it, "utilisation") for it in (mode, "serial"))
    size = of_cell(rounds, client, mode, "pool_size")
    left = ratio(size * busy, busy_serial)
    return float(size.max()), left.value, speed_up(rounds, client, mode).value


def bounds(rounds: pd.DataFrame, cores: int | None) -> pd.DataFrame:
    """Return two lower bounds (s) of each span: `waiting_s` by the delays, `cpu_s` by the cores.

    Waiting is the larger of the planned delays' sum / pool size and the longest one; CPU is what
    the trial used at least while it fetched, on all cores at once; NaN where it is not known.
    """
    shared = rounds["planned_sum_ms"] / rounds["pool_size"]
    return rounds[CELL].assign(
        waiting_s=np.maximum(shared, rounds["planned_max_ms"]) / 1000,
        cpu_s=rounds["fetch_cpu_s"] / (cores or np.nan),
    )


def aa_control(trials: pd.DataFrame, client: str) -> Estimate:
    """Return the A/A control: span of the first / of the last trial of threads in each round.

    They are alike, so that it should be 1. It is empty where threads were not repeated.
    """
    alike = trials["complete"] & (trials["client"] == client) & (trials["mode"] == "threads")
    rounds = trials[alike].sort_values("position").groupby("round")["span_s"]
    first, last = (spans[rounds.size() > 1] for spans in (rounds.first(), rounds.last()))
    return ratio(first, last)


def of_complete_trials(fetches: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Return the fetches of complete trials; `trials` comes from `per_trial`."""
    key = ["arm", *TRIAL]
    complete = pd.MultiIndex.from_frame(trials.loc[trials["complete"], key])
    return fetches[pd.MultiIndex.from_frame(fetches[key]).isin(complete)]


def makespans(fetches: pd.DataFrame, workers: int, chunk: int = 1) -> "pd.Series[float]":
    """Return the time (s) of each round if its pages went to the first free worker at once.

    The fetches, indexed by round, are handed out in order, `chunk` at a time: list scheduling
    (R. L. Graham, "Bounds on Multiprocessing Timing Anomalies", SIAM J. Appl. Math. 17, 1969,
    doi:10.1137/0117039). Where a round has several trials, these are averaged.
    """
    ordered = fetches.reset_index().sort_values(["round", "repeat", "page"])
    trial = [ordered["round"], ordered["repeat"]]
    place = ordered.groupby(trial).cumcount() // chunk
    chunks = ordered["fetch_s"].groupby([*trial, place.rename("chunk")]).sum()
    return chunks.groupby(["round", "repeat"]).agg(_last_end, workers).groupby("round").mean()


def ceiling(fetches: pd.DataFrame, client: str, pool_size: int, chunk: int) -> Estimate:
    """Return the speed-up of a pool whose fetches take as long as in serial."""
    place = (fetches["client"] == client) & (fetches["mode"] == "serial")
    serial = fetches[place].set_index("round")
    return ratio(serial["fetch_s"].groupby("round").sum(), makespans(serial, pool_size, chunk))


def _last_end(chunks: "pd.Series[float]", workers: int) -> float:
    free = [0.0] * workers
    for seconds in chunks:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def cpu_scatter(rounds: pd.DataFrame, client: str) -> float:
    """Return how much the CPU time of the same serial work varied from round to round.

    It is the standard deviation of logarithms, as a share: how steady the host was.
    """
    used = of_cell(rounds, client, "serial", "cpu_s")
    return math.expm1(float(used[used > 0].transform(np.log).std(ddof=1)))


def typical_round(rounds: pd.DataFrame, client: str, mode: str) -> int | None:
    """Return the round with the median span of a client in a mode.

    With an even number of rounds that is the lower of the two in the middle.
    """
    totals = of_cell(rounds, client, mode, "span_s").sort_values(kind="stable")
    return int(totals.index[(len(totals) - 1) // 2]) if len(totals) else None


def delay_error(fetches: pd.DataFrame) -> pd.DataFrame:
    """Return medians and 99th percentiles (ms) of the instrument's error by client and mode.

    Of the embedded origin: `origin_ms` less `planned_ms` is how late it was, the fetch less
    `origin_ms` is what client and harness took.
    """
    timed = fetches.dropna(subset=["origin_ms", "planned_ms"])
    late = timed["origin_ms"] - timed["planned_ms"]
    above = timed["fetch_s"] * 1000 - timed["origin_ms"]
    errors = timed.assign(late=late, above=above).groupby(["client", "mode"])[["late", "above"]]
    medians, p99 = errors.median(), errors.quantile(0.99)
    return medians.add_suffix("_median_ms").join(p99.add_suffix("_p99_ms"))
