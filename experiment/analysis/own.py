"""Answer for a function of the user's: what pools gain, which one to use, what limits them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from experiment.analysis import claims, rules, summary
from experiment.analysis.claims import Comparison
from experiment.analysis.results import RunResults
from experiment.analysis.summary import Estimate, Interval
from experiment.vocabulary import AWAITED, POOLS, Mode, is_function

ALL_BUSY, ONE_BUSY = 0.85, 0.8
"""The share of all cores in use from which on they limit; the cores that one busy thread uses."""

MOSTLY = 0.5
"""The share of a call's time on the CPU from which on it works rather than waits."""

MOST_MEMORY = 0.8
"""The share of the machine's memory from which on a pool counts as limited by it."""

MOST_IDLE = 0.7
"""The utilisation of a pool below which idle workers limit it."""

Limit = Literal[
    "memory", "cores", "GIL", "locks", "event loop", "idle workers", "waiting", "not known"
]


@dataclass(frozen=True)
class PoolResult:
    """What a pool of one mode gains over serial, and what it uses.

    `cores_used` is CPU time / elapsed time while calls are made, `memory_mb` that of the ready
    pool; both are means, NaN where they are not known.
    """

    mode: Mode
    speed_up: Estimate
    cores_used: float
    utilisation: float
    memory_mb: float
    limit: Limit


@dataclass(frozen=True)
class Answer:
    """The answer for one function; `use` is None where the rounds cannot tell."""

    client: str
    pools: tuple[PoolResult, ...]
    difference: Comparison
    use: Mode | None
    call_s: Estimate
    call_cpu_ms: Estimate


def answers(results: RunResults) -> list[Answer]:
    """Return the answer for each function of a run that is no sweep."""
    return [_answer(results, client) for client in results.study.clients if is_function(client)]


def _answer(results: RunResults, client: str) -> Answer:
    difference = claims.difference(results, client)
    serial = (results.rounds, client, "serial")
    cpu, span = (summary.of_cell(*serial, name) for name in ("fetch_cpu_s", "span_s"))
    works = float((cpu / span).mean()) > MOSTLY
    pools = tuple(_pools(results, client, difference, works))
    return Answer(
        client=client,
        pools=pools,
        difference=difference,
        use=_mode_to_use(results, pools, difference),
        call_s=summary.mean(summary.of_cell(*serial, "fetch_mean_s")),
        call_cpu_ms=summary.mean(summary.of_cell(*serial, "fetch_cpu_mean_ms")),
    )


def _pools(
    results: RunResults, client: str, difference: Comparison, works: bool
) -> Iterator[PoolResult]:
    """Yield the result of each pool; `works` is whether a call in serial mostly uses the CPU."""
    for mode in POOLS:
        speed_up = summary.speed_up(results.rounds, client, mode)
        if not speed_up.rounds:
            continue
        cpu, span, busy, memory = (
            summary.of_cell(results.rounds, client, mode, column)
            for column in ("fetch_cpu_s", "span_s", "utilisation", "python_pss_mb")
        )
        used = (float((cpu / span).mean()), float(busy.mean()), float(memory.mean()))
        needs_gil = works or _is_clear(results, difference.estimate, above=rules.ALIKE)
        yield PoolResult(mode, speed_up, *used, _limit(results, mode, needs_gil, *used))


def _limit(
    results: RunResults,
    mode: Mode,
    needs_gil: bool,
    cores_used: float,
    utilisation: float,
    memory_mb: float,
) -> Limit:
    """Return what limits a pool: the first of the limits that its use of the machine shows."""
    machine = results.run.machine
    if machine.memory_gb and memory_mb > MOST_MEMORY * machine.memory_gb * 2**30 / 1e6:
        return "memory"
    if cores_used != cores_used or machine.cores is None:
        return "not known"
    if cores_used > ALL_BUSY * machine.cores:
        return "cores"
    if mode == "threads" and cores_used > ONE_BUSY and needs_gil:
        return "GIL" if machine.gil and cores_used < 1 / ONE_BUSY else "locks"
    if mode in AWAITED and cores_used > ONE_BUSY:
        return "event loop"
    return "idle workers" if utilisation < MOST_IDLE else "waiting"


def _mode_to_use(
    results: RunResults, pools: tuple[PoolResult, ...], difference: Comparison
) -> Mode | None:
    """Return the mode to use: serial without a gain, threads where both pools perform alike."""
    if not any(pool.speed_up.has_enough_rounds for pool in pools):
        return None
    gaining = [pool for pool in pools if _is_clear(results, pool.speed_up, above=1)]
    if not gaining:
        slower = all(_high(results, pool.speed_up) < rules.ALIKE for pool in pools)
        return "serial" if slower else None
    if len(pools) == 1:
        return pools[0].mode
    if difference.ruling.verdict == "holds":
        return "threads"
    if difference.estimate is None or not _differs(results, difference.estimate):
        return None
    return "threads" if difference.estimate.value < 1 else "processes"


def _interval(results: RunResults, ratio: Estimate | None) -> Interval | None:
    if ratio is None or not ratio.has_enough_rounds:
        return None
    return ratio.interval(results.levels.difference)


def _is_clear(results: RunResults, ratio: Estimate | None, above: float) -> bool:
    """Return whether the whole interval of a ratio is above a value."""
    wide = _interval(results, ratio)
    return wide is not None and wide[0] > above


def _high(results: RunResults, ratio: Estimate) -> float:
    wide = _interval(results, ratio)
    return float("inf") if wide is None else wide[1]


def _differs(results: RunResults, ratio: Estimate) -> bool:
    wide = _interval(results, ratio)
    return wide is not None and not wide[0] <= 1 <= wide[1]
