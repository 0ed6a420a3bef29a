"""Find what an engine for many machines costs on this one, and from how many pages on it pays."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from experiment.analysis import summary
from experiment.analysis.results import RunResults
from experiment.analysis.summary import TRIAL, Estimate

ENGINE, POOL = "dask", "processes"
"""The mode of the engine, and that of the pool with which it is compared."""

BUSY = 0.85
"""The share of all cores in use from which on they are the limit."""

MACHINES = 2
"""The machines with which the engine has to pay."""


@dataclass(frozen=True)
class Cost:
    """What the engine costs a client at a pool size, beside a pool of as many processes.

    `ratio` is the total of the engine / that of the pool; `gap_ms` the median time between two
    fetches of a worker; `cpu_ms` the CPU that a fetch takes more with the engine, and
    `pool_cpu_ms` that of a fetch in the pool. Where its workers are elsewhere, no CPU is known.
    """

    client: str
    pool_size: int
    ratio: Estimate
    totals_s: dict[str, Estimate]
    startups_s: dict[str, Estimate]
    gaps_ms: dict[str, Estimate]
    pool_cpu_ms: Estimate
    cpu_ms: Estimate
    busy: float

    @property
    def cores_limit(self) -> bool:
        """Return whether the cores limit the pool, so that those of another machine would help."""
        return self.busy > BUSY

    def pages_to_pay(self, cores: int) -> float:
        """Return from how many pages on two machines with the engine beat one with the pool.

        Where the cores are the limit, a page takes its CPU / all cores. The end of the engine's
        workers counts as a cost of the pages, so that this is on the safe side. Infinite where a
        page costs more with the engine than another machine saves.
        """
        pool_s = self.pool_cpu_ms.value / cores / 1000
        engine_s = (self.pool_cpu_ms.value + self.cpu_ms.value) / (cores * MACHINES) / 1000
        start_s = self.startups_s[ENGINE].value - self.startups_s[POOL].value
        return start_s / (pool_s - engine_s) if pool_s > engine_s else float("inf")


def costs(results: RunResults) -> list[Cost]:
    """Return the cost of the engine for each client and pool size that measured both."""
    if ENGINE not in set(results.rounds["mode"]):
        return []
    return list(_costs(results, results.rounds.merge(_gaps(results), "left", [*TRIAL[:-1]])))


def _costs(results: RunResults, rounds: pd.DataFrame) -> Iterator[Cost]:
    for client in results.study.clients:
        for size in results.study.sizes:
            own = summary.of_size(rounds, size)
            totals = [summary.of_cell(own, client, mode, "span_s") for mode in (ENGINE, POOL)]
            if (ratio := summary.ratio(*totals)).rounds:
                yield _cost(own, client, size, ratio)


def _cost(rounds: pd.DataFrame, client: str, size: int, ratio: Estimate) -> Cost:
    cpu, pool_cpu = (_cpu_ms(rounds, client, mode) for mode in (ENGINE, POOL))
    return Cost(
        client=client,
        pool_size=size,
        ratio=ratio,
        totals_s=_means(rounds, client, "span_s"),
        startups_s=_means(rounds, client, "startup_s"),
        gaps_ms=_means(rounds, client, "gap_ms"),
        pool_cpu_ms=summary.mean(pool_cpu),
        cpu_ms=summary.mean((cpu - pool_cpu).dropna()),
        busy=float(summary.of_cell(rounds, client, POOL, "machine_cpu").mean()),
    )


def _cpu_ms(rounds: pd.DataFrame, client: str, mode: str) -> "pd.Series[float]":
    """Return the CPU (ms) of a fetch, the handing out of tasks and the end of workers included."""
    cpu, startup, pages = (
        summary.of_cell(rounds, client, mode, column)
        for column in ("cpu_s", "startup_cpu_s", "pages")
    )
    return (cpu - startup) * 1000 / pages


def _means(rounds: pd.DataFrame, client: str, column: str) -> dict[str, Estimate]:
    return {
        mode: summary.mean(summary.of_cell(rounds, client, mode, column)) for mode in (POOL, ENGINE)
    }


def _gaps(results: RunResults) -> pd.DataFrame:
    """Return the median time (ms) between two fetches of a worker, by cell and round."""
    fetches = results.complete_fetches.sort_values("start_s")
    ended = fetches.groupby([*TRIAL, "worker"])["end_s"].shift()
    gaps = fetches.assign(gap_ms=(fetches["start_s"] - ended) * 1000)
    return gaps.groupby([*TRIAL[:-1]])["gap_ms"].median().reset_index()
