"""Do what the control arms measure beside fetching: CPU work, start-up, pickling, interfaces."""

import functools
import inspect
import itertools
import math
import os
import pickle
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.pool import Pool, ThreadPool
from typing import TypeVar

from experiment.measure.modes import WatchedPool, workers
from experiment.vocabulary import ARTICLE_PAIR, Mode

Item = TypeVar("Item")
Result = TypeVar("Result")

STARTUP_WORKERS = 10
"""Workers of a pool in arm `startup`: the article's ten, whatever the study's pool size."""

CPU_MODES: tuple[Mode, ...] = ("serial", *ARTICLE_PAIR)
"""The modes that arm `cpu` sets against each other."""

SQUARES = 2_000_000
"""Numbers squared in a block of arm `cpu`: about a tenth of a second of one core."""

PIECES_A_CORE = 4
BLOCKS = 12
"""Blocks of a mode in a trial of arm `cpu`: each order of the three modes occurs twice."""


@dataclass(frozen=True)
class Block:
    """The span (s) of a block of CPU work, and the CPU time (s) that all workers used in it."""

    span_s: float
    cpu_s: float


def nothing() -> None:
    """Prepare nothing, where the work needs nothing."""


def import_clients() -> None:
    """Import the article's two packages, as a worker does that fetches pages."""
    import requests  # noqa: F401
    from selenium.webdriver.remote.webdriver import WebDriver  # noqa: F401, put off by webdriver


def square(count: int) -> tuple[int, float, float, float]:
    """Keep one core busy with plain Python; return process, start and end by the clock, CPU (s)."""
    start, cpu_s = time.perf_counter(), time.process_time()
    sum(number * number for number in range(count))
    return os.getpid(), start, time.perf_counter(), time.process_time() - cpu_s


def square_all(pool: WatchedPool, cores: int) -> Block:
    """Share the squares out among the workers.

    The CPU time is that of this process with all its threads, and of the work in other processes.
    """
    pieces, cpu_s = PIECES_A_CORE * cores, time.process_time()
    done = pool.map(square, [SQUARES // pieces] * pieces, 1)
    cpu_s = time.process_time() - cpu_s
    cpu_s += sum(used for process, _, _, used in done if process != os.getpid())
    span_s = max(end for _, _, end, _ in done) - min(start for _, start, _, _ in done)
    return Block(span_s, cpu_s)


def interleaved(processes: WatchedPool, cores: int, seed: str) -> dict[Mode, Block]:
    """Have a pool of each mode work in turns, in random order; return each mode's typical block.

    Serial is a pool of one thread, so that it works as threads do. The pool of processes is there
    already: none may be forked from a process that runs threads.
    """
    orders = [*itertools.permutations(CPU_MODES)] * (BLOCKS // math.factorial(len(CPU_MODES)))
    random.Random(seed).shuffle(orders)
    blocks: dict[Mode, list[Block]] = {mode: [] for mode in CPU_MODES}
    with (
        workers("threads", 1, None, nothing) as thread,
        workers("threads", cores, None, nothing) as threads,
    ):
        pools: dict[Mode, WatchedPool]
        pools = {"serial": thread, "threads": threads, "processes": processes}
        for mode in itertools.chain.from_iterable(orders):
            blocks[mode].append(square_all(pools[mode], cores))
    processes.stopped |= thread.stopped or threads.stopped  # whichever has looked
    return {mode: _typical(of_mode) for mode, of_mode in blocks.items()}


def _typical(blocks: Sequence[Block]) -> Block:
    """Return the median span, and the CPU time of the median number of cores used in it."""
    span_s = statistics.median(block.span_s for block in blocks)
    cores_used = statistics.median(block.cpu_s / block.span_s for block in blocks)
    return Block(span_s, span_s * cores_used)


def timed(function: Callable[[Item], Result]) -> Callable[[Item], tuple[float, Result]]:
    """Time a function as the article warns of: the wrapper does not say whom it wraps."""

    def wrapper(item: Item) -> tuple[float, Result]:
        """Call the function and time it."""
        start = time.perf_counter()
        result = function(item)
        return time.perf_counter() - start, result

    return wrapper


def timed_and_wrapped(function: Callable[[Item], Result]) -> Callable[[Item], tuple[float, Result]]:
    """Time a function as the article does, with `functools.wraps`."""
    return functools.wraps(function)(timed(function))


@timed
def without_wraps(number: int) -> int:
    """Return the number; this function cannot be found by its name."""
    return number


@timed_and_wrapped
def with_wraps(number: int) -> int:
    """Return the number; this function can be found by its name."""
    return number


def pickling_error(pool: WatchedPool) -> str | None:
    """Return what the pool says to a function decorated without `functools.wraps`, None if nothing.

    It has taken the same function with `functools.wraps` before, or that error is raised.
    """
    pool.map(with_wraps, [1], None)
    try:
        pool.map(without_wraps, [1], None)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def interfaces() -> dict[str, list[str]]:
    """Return the public methods of both pools, with what they take."""
    return {
        kind.__name__: [
            f"{name}{inspect.signature(method)}"
            for name, method in inspect.getmembers(kind, callable)
            if not name.startswith("_")
        ]
        for kind in (Pool, ThreadPool)
    }
