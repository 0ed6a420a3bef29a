"""Find how much Python work a fetch may contain before processes are faster than threads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from experiment.analysis import rules, summary
from experiment.analysis.results import RunResults
from experiment.analysis.rules import Verdict
from experiment.analysis.summary import Estimate


@dataclass(frozen=True)
class Level:
    """Threads against processes where each fetch is followed by the same Python work.

    `cpu_ms` is the CPU time of a fetch with its work, in processes, where no thread waits for the
    GIL; `waiting_ms` the mean delay of the origin; `law` the ratio that the simple law predicts.
    """

    client: str
    pool_size: int
    cpu_ms: Estimate
    waiting_ms: float
    threads_s: Estimate
    processes_s: Estimate
    ratio: Estimate
    law: float
    verdict: Verdict

    @property
    def passes(self) -> int:
        """Return how often a page is parsed after its fetch."""
        return int(self.client.rpartition("_")[2])


@dataclass(frozen=True)
class Crossover:
    """What the levels of a pool size tell; None where no level tells it.

    Up to `alike_ms` of CPU a fetch both pools perform the same; from `processes_ms` on processes
    are more than 10 % faster.
    """

    pool_size: int
    levels: Sequence[Level]
    alike_ms: float | None
    processes_ms: float | None
    waiting_ms: float
    cores: int
    law_error: float
    """The mean of |predicted / measured - 1| over the levels."""
    worst_law_error: float

    @property
    def law_ms(self) -> float | None:
        """Return the CPU of a fetch from which on the law has processes more than 10 % faster.

        None on one core, which processes share as threads do.
        """
        if self.cores == 1:
            return None
        return rules.ALIKE * self.waiting_ms / self.pool_size

    def law_at(self, cpu_ms: float) -> float:
        """Return the ratio that the law predicts for so much CPU of a fetch."""
        return law(self.waiting_ms, cpu_ms, self.pool_size, self.cores)


def law(waiting_ms: float, cpu_ms: float, workers: int, cores: int) -> float:
    """Return the total of threads / that of processes that the simple law predicts.

    A pool takes, for each fetch, its waiting / workers or its CPU, whichever is longer; threads
    have one core for Python, processes have all of them.
    """
    shared_ms = waiting_ms / workers
    return max(shared_ms, cpu_ms) / max(shared_ms, cpu_ms / cores)


def levels(results: RunResults) -> list[Level]:
    """Return the levels that have complete rounds of both pools, by pool size and CPU."""
    cells = [
        _level(results, client, size)
        for size in results.study.sizes
        for client in results.study.clients
    ]
    measured = [level for level in cells if level.ratio.rounds]
    return sorted(measured, key=lambda level: (level.pool_size, level.cpu_ms.value))


def _level(results: RunResults, client: str, size: int) -> Level:
    rounds = summary.of_size(results.rounds, size)
    threads, processes = (
        summary.of_cell(rounds, client, mode, "span_s") for mode in ("threads", "processes")
    )
    cpu = summary.mean(summary.of_cell(rounds, client, "processes", "fetch_cpu_mean_ms"))
    own = rounds[rounds["client"] == client]
    waiting_ms = float((own["planned_sum_ms"] / own["pages"]).mean())
    ratio = summary.ratio(threads, processes)
    ruling = rules.NO_DIFFERENCE.judge(ratio, results.levels) if ratio.has_enough_rounds else None
    return Level(
        client=client,
        pool_size=size,
        cpu_ms=cpu,
        waiting_ms=waiting_ms,
        threads_s=summary.mean(threads),
        processes_s=summary.mean(processes),
        ratio=ratio,
        law=law(waiting_ms, cpu.value, size, results.cores or 1),
        verdict=ruling.verdict if ruling else "too few rounds",
    )


def crossovers(results: RunResults) -> list[Crossover]:
    """Return the crossover of each pool size that has levels."""
    return list(_crossovers(levels(results), results.cores or 1))


def _crossovers(found: Sequence[Level], cores: int) -> Iterator[Crossover]:
    for size in dict.fromkeys(level.pool_size for level in found):
        own = [level for level in found if level.pool_size == size]
        alike_ms, processes_ms = _bracket(own)
        errors = [abs(level.law / level.ratio.value - 1) for level in own]
        yield Crossover(
            pool_size=size,
            levels=own,
            alike_ms=alike_ms,
            processes_ms=processes_ms,
            waiting_ms=float(np.mean([level.waiting_ms for level in own])),
            cores=cores,
            law_error=float(np.mean(errors)),
            worst_law_error=max(errors),
        )


def _bracket(own: Sequence[Level]) -> tuple[float | None, float | None]:
    """Return the CPU up to which the pools are alike, and that from which on processes win."""
    winning = [level.verdict == "does not hold" and level.ratio.value > 1 for level in own]
    first = len(own) - next((n for n, wins in enumerate(winning[::-1]) if not wins), len(own))
    alike = list(takewhile(lambda level: level.verdict == "holds", own))
    return (
        alike[-1].cpu_ms.value if alike else None,
        own[first].cpu_ms.value if first < len(own) else None,
    )
