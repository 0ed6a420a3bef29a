"""Run work in a mode: serial or a pool, one interface; a pool is a line in `POOLS`."""

import multiprocessing
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from multiprocessing.pool import AsyncResult, Pool, ThreadPool
from typing import TYPE_CHECKING, Any, NamedTuple

from experiment.measure.clients.deadline import words_of_end
from experiment.measure.serial import Done, Item, Result, Serial
from experiment.measure.suspension import was_stopped
from experiment.measure.worker import Begin, ProcessPool, Ready, WorkerDied
from experiment.vocabulary import Mode, StartMethod

if TYPE_CHECKING:
    from experiment.measure.cluster import Cluster, Tasks

POLL_S = 0.05
"""How often a waiting pool is asked whether all its workers live."""


class WatchedPool:
    """Watch the workers of a pool of any mode: a death raises `WorkerDied`.

    `stopped` is whether a signal stopped one meanwhile, or a driver that this process started.
    """

    def __init__(self, pool: "Serial | Pool | Cluster", processes: int) -> None:
        self.stopped = False
        self._pool = pool
        self._processes = multiprocessing.active_children() if processes else []
        self._expected = processes

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], chunk_size: int | None
    ) -> list[Result]:
        """Return the function's result for each item, in the order of the items."""
        result: AsyncResult[list[Result]] | Done[Result] | Tasks[Result]
        result = self._pool.map_async(function, items, chunk_size)
        while True:
            try:
                return result.get(POLL_S)
            except multiprocessing.TimeoutError:
                self._check()

    def wait_until_ready(self, ready: Ready, size: int) -> None:
        """Wait until `size` workers have released `ready`."""
        for _ in range(size):
            while not ready.acquire(True, POLL_S):
                self._check()

    def end_everywhere(self, end: Callable[[], object]) -> None:
        """End what the processes of a cluster keep; those of other pools do so when they exit."""
        if everywhere := getattr(self._pool, "everywhere", None):
            everywhere(end)

    def facts(self) -> dict[str, Any]:
        """Return what the pool says of itself, by the names of `Outcome`; most say nothing."""
        facts: Callable[[], dict[str, Any]] = getattr(self._pool, "facts", dict)
        return facts()

    def close(self) -> None:
        """Let the workers finish and wait for their end."""
        self.stopped |= was_stopped()
        self._pool.close()
        while living := [process for process in self._processes if process.exitcode is None]:
            living[0].join(POLL_S)
            self._check(may_end=True)
        self._check(may_end=True)  # they may all have ended before the first look
        self._pool.join()

    def _check(self, may_end: bool = False) -> None:
        """Look at the first workers only: the pool replaces a dead one, but not its work."""
        self.stopped |= was_stopped()
        fine = (None, 0) if may_end else (None,)
        if len(self._processes) < self._expected:
            raise WorkerDied("a worker process ended at once")
        for process in self._processes:
            if process.exitcode not in fine:
                raise WorkerDied(words_of_end(process.exitcode))


class PoolKind(NamedTuple):
    """Make a pool from a size, an initializer and a context; say what its workers are."""

    make: Callable[[int, Begin, BaseContext], "Serial | Pool | Cluster"]
    has_processes: bool = False
    prepares_itself: bool = False
    """Whether the pool itself prepares its workers, once for all that share a thread or process."""


def _event_loop(size: int, begin: Begin, _: BaseContext) -> Serial:
    from experiment.measure.event_loop import EventLoop  # the other modes need no asyncio

    return EventLoop(begin, size)


def _cluster(size: int, begin: Begin, _: BaseContext) -> "Cluster":
    from experiment.measure.cluster import Cluster  # the other modes need no Dask

    return Cluster(size, begin)


POOLS: dict[Mode, PoolKind] = {
    "serial": PoolKind(lambda _size, begin, _: Serial(begin), prepares_itself=True),
    "threads": PoolKind(lambda size, begin, _: ThreadPool(size, begin)),
    "processes": PoolKind(lambda size, begin, ctx: ProcessPool(size, begin, context=ctx), True),
    "asyncio": PoolKind(_event_loop, prepares_itself=True),
    "dask": PoolKind(_cluster, prepares_itself=True),
}
"""The pools of all modes; a new mode is a new line."""


def has_processes(mode: Mode) -> bool:
    """Tell whether the workers of a mode are processes."""
    return POOLS[mode].has_processes


@contextmanager
def workers(
    mode: Mode, size: int, start_method: StartMethod | None, prepare: Callable[[], object]
) -> Iterator[WatchedPool]:
    """Yield the pool of a mode once each worker has called `prepare`; wait for their end.

    Raises `WorkerDied`; the broken pool is then left alone, since closing it could wait for ever.
    """
    context = multiprocessing.get_context(start_method)
    ready: Ready = context.Semaphore(0) if has_processes(mode) else threading.Semaphore(0)
    pool = POOLS[mode].make(size, Begin(prepare, ready), context)
    group = WatchedPool(pool, size if has_processes(mode) else 0)
    group.wait_until_ready(ready, 1 if POOLS[mode].prepares_itself else size)
    yield group
    group.close()
