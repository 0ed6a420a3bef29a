"""Do what the control arms measure beside fetching: CPU work, start-up, pickling, interfaces."""

import functools
import inspect
import pickle
import time
from collections.abc import Callable
from multiprocessing.pool import Pool, ThreadPool
from typing import TypeVar

from experiment.measure.modes import WatchedPool

Item = TypeVar("Item")
Result = TypeVar("Result")

STARTUP_WORKERS = 10
"""Workers of a pool in arm `startup`: the article's ten, whatever the study's pool size."""

SQUARES = 30_000_000
"""Numbers squared in a trial of arm `cpu`: about a second of one core."""

PIECES_A_CORE = 4


def nothing() -> None:
    """Prepare nothing, where the work needs nothing."""


def import_clients() -> None:
    """Import the article's two packages, as a worker does that fetches pages."""
    import requests  # noqa: F401
    from selenium.webdriver.remote.webdriver import WebDriver  # noqa: F401, put off by webdriver


def square(count: int) -> tuple[float, float]:
    """Keep one core busy with plain Python; return start and end by the clock."""
    start = time.perf_counter()
    sum(number * number for number in range(count))
    return start, time.perf_counter()


def square_all(pool: WatchedPool, cores: int) -> float:
    """Share the squares out among the workers; return the span (s)."""
    pieces = PIECES_A_CORE * cores
    times = pool.map(square, [SQUARES // pieces] * pieces, None)
    return max(end for _, end in times) - min(start for start, _ in times)


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
