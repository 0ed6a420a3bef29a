"""From rows to rounds, and from rounds to ratios with their intervals.

The unit is the round, never the fetch: fetches of one trial share its moment, so they do not
count as independent. Intervals of ratios are Student's t on logarithms over rounds.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from experiment.study import PROJECT

CELL = ["client", "mode", "pool_size"]
TRIAL = [*CELL, "round", "repeat"]
ENOUGH_ROUNDS = 3
"""Complete rounds below which a ratio's interval says too little to be judged."""


@dataclass(frozen=True)
class Estimate:
    """A mean or ratio with its intervals; those are None for fewer than two rounds."""

    value: float
    ci95: tuple[float, float] | None
    ci90: tuple[float, float] | None
    rounds: int

    @property
    def enough(self) -> bool:
        """Whether there are rounds enough to judge by."""
        return self.rounds >= ENOUGH_ROUNDS

    @property
    def beside(self) -> str:
        """What stands beside the value: its interval, and whether its rounds are too few."""
        few = "" if self.enough or not self.rounds else "(too few rounds)"
        return "".join(f" {words}" for words in (brackets(self.ci95), few) if words)

    def __str__(self) -> str:
        return f"{digits(self.value)}{self.beside}"


def digits(value: float) -> str:
    """A number with three significant digits, but at most three after the point."""
    if not np.isfinite(value):
        return "-"
    decimals = max(0, 2 - int(np.floor(np.log10(abs(value))))) if value else 0
    return f"{value:,.{min(decimals, 3)}f}"


def brackets(interval: tuple[float, float] | None) -> str:
    """An interval as readers know it: [low, high]."""
    return f"[{digits(interval[0])},\u00a0{digits(interval[1])}]" if interval else ""


def mean(values: "pd.Series[float]") -> Estimate:
    """The mean over rounds, with t intervals."""
    known = values.dropna().to_numpy(dtype=float)
    if len(known) == 0:
        return Estimate(float("nan"), None, None, 0)
    ci95, ci90 = (_interval(known, level) for level in (0.95, 0.90))
    return Estimate(float(known.mean()), ci95, ci90, len(known))


def ratio(above: "pd.Series[float]", below: "pd.Series[float]") -> Estimate:
    """The ratio of two quantities, each indexed by round; rounds that lack one do not count.

    x = ln(above / below) per round; the estimate is exp(mean x), its intervals t with R - 1
    degrees of freedom on x, then exp.
    """
    logs = mean((above / below).transform(np.log))
    ci95, ci90 = (_exp(interval) for interval in (logs.ci95, logs.ci90))
    return Estimate(float(np.exp(logs.value)), ci95, ci90, logs.rounds)


def _interval(values: "np.ndarray", level: float) -> tuple[float, float] | None:
    if len(values) < 2:
        return None
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    low, high = stats.ttest_1samp(values, 0).confidence_interval(level)
    return float(low), float(high)


def _exp(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return (float(np.exp(interval[0])), float(np.exp(interval[1]))) if interval else None


def per_trial(fetches: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """The main trials with what their fetches add up to, one row each.

    Adds `total_s` (the span), means of the fetches' times and phases, `utilisation`,
    `planned_sum_ms` and `planned_max_ms`, and `complete`: no fetch and no worker failed.
    """
    main = fetches[fetches["arm"] == "main"].assign(
        without_start_s=lambda rows: rows["fetch_s"] - rows["browser_start_s"].fillna(0)
    )
    sums = main.groupby(TRIAL).agg(
        fetch_mean_s=("fetch_s", "mean"),
        fetch_sum_s=("fetch_s", "sum"),
        browser_start_mean_s=("browser_start_s", "mean"),
        load_mean_s=("load_s", "mean"),
        check_mean_s=("check_s", "mean"),
        close_mean_s=("close_s", "mean"),
        without_start_mean_s=("without_start_s", "mean"),
        planned_sum_ms=("planned_ms", lambda values: values.sum(min_count=1)),
        planned_max_ms=("planned_ms", "max"),
    )
    rows = trials[trials["arm"] == "main"].join(sums, on=TRIAL)
    return rows.assign(
        total_s=rows["span_s"],
        utilisation=rows["fetch_sum_s"] / (rows["pool_size"] * rows["span_s"]),
        complete=(rows["state"] == "ok") & (rows["failed"] == 0),
    )


def per_round(trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell and round: the repeat with the median total stands for its round.

    A round in which a repeat is not complete does not count for that cell.
    """
    whole = trials.groupby([*CELL, "round"])["complete"].transform("all")
    ranked = trials[whole].sort_values([*CELL, "round", "total_s"])
    groups = ranked.groupby([*CELL, "round"])
    middle = groups.cumcount() == (groups["round"].transform("size") - 1) // 2
    return ranked[middle].reset_index(drop=True)


def of_cell(rounds: pd.DataFrame, client: str, mode: str, column: str) -> "pd.Series[float]":
    """A quantity of a client in a mode, indexed by round; empty where it was not measured."""
    rows = rounds[(rounds["client"] == client) & (rounds["mode"] == mode)]
    return rows.set_index("round")[column].astype(float)


def speed_up(rounds: pd.DataFrame, client: str, mode: str) -> Estimate:
    """Serial total / parallel total, same round."""
    return ratio(
        of_cell(rounds, client, "serial", "total_s"), of_cell(rounds, client, mode, "total_s")
    )


def slow_down(rounds: pd.DataFrame, client: str, mode: str) -> Estimate:
    """Mean fetch time in a parallel mode / in serial, same round."""
    return ratio(
        of_cell(rounds, client, mode, "fetch_mean_s"),
        of_cell(rounds, client, "serial", "fetch_mean_s"),
    )


def speed_up_without_start(rounds: pd.DataFrame, client: str, mode: str) -> Estimate:
    """The speed-up that would be if starting a browser took no time.

    Pool size x utilisation ratio x serial / parallel mean of `fetch_s - browser_start_s`.
    """
    serial, parallel = (
        of_cell(rounds, client, which, "utilisation")
        / of_cell(rounds, client, which, "without_start_mean_s")
        * of_cell(rounds, client, which, "pool_size")
        for which in ("serial", mode)
    )
    return ratio(parallel, serial)


def bounds(rounds: pd.DataFrame, cores: int) -> pd.DataFrame:
    """Two lower bounds (s) of each total: `waiting_s` for the delays, `cpu_s` for the cores.

    Waiting is the larger of the planned delays' sum / pool size and the longest one; CPU is what
    the trial used after its pool was ready, on all cores at once.
    """
    shared = rounds["planned_sum_ms"] / rounds["pool_size"]
    return rounds[CELL].assign(
        waiting_s=np.maximum(shared, rounds["planned_max_ms"]) / 1000,
        cpu_s=(rounds["cpu_s"] - rounds["startup_cpu_s"]) / cores,
    )


def typical_round(rounds: pd.DataFrame, client: str, mode: str) -> int | None:
    """The round whose total is nearest the median of a client in a mode."""
    totals = of_cell(rounds, client, mode, "total_s")
    if totals.empty:
        return None
    nearest = int((totals - totals.median()).abs().argmin())
    return int(totals.index[nearest])


def delay_error(fetches: pd.DataFrame) -> pd.DataFrame:
    """The instrument's own error (ms), by client and mode; for the embedded origin.

    `origin_ms` less `planned_ms` is how late the origin was; the fetch less `origin_ms` is what
    client and harness took.
    """
    told = fetches.dropna(subset=["origin_ms", "planned_ms"])
    late = told["origin_ms"] - told["planned_ms"]
    above = told["fetch_s"] * 1000 - told["origin_ms"]
    groups = told.assign(late=late, above=above).groupby(["client", "mode"])
    return groups.agg(
        late_median_ms=("late", "median"),
        late_p99_ms=("late", lambda values: values.quantile(0.99)),
        above_median_ms=("above", "median"),
        above_p99_ms=("above", lambda values: values.quantile(0.99)),
    )


def in_2018(client: str, mode: str, column: str) -> float:
    """What the article measured; its selenium drove PhantomJS and stands beside every browser.

    Columns, from its raw timings: data/README.md.
    """
    article = pd.read_csv(PROJECT / "data" / "article-2018.csv", index_col=["client", "mode"])
    name = "requests" if client == "requests" else "selenium"
    return float(article[column].to_dict()[(name, mode)])
