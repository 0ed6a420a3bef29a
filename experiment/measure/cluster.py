"""Run work on workers of Dask, behind the interface of a pool; each of their threads is a worker.

Dask's own variable `DASK_SCHEDULER_ADDRESS` names a scheduler that is there; without it, a trial
makes a cluster on this machine. Monotonic clocks of two machines have nothing in common, so the
offset of each worker's clock is measured, and fetches are placed on the clock of the study.
"""

import multiprocessing
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

import dask
import distributed

from experiment.errors import UserError
from experiment.fetches import Fetch
from experiment.measure import machine, provenance
from experiment.measure.clients import base
from experiment.measure.serial import Item, Result
from experiment.measure.worker import Begin, WorkerDied
from experiment.records import Machine
from experiment.values import as_words

if TYPE_CHECKING:
    from experiment.study import Study

POLL_S = 0.5
"""How often Dask is asked whether its workers live while a trial waits for them."""

CLOCK_READINGS = 7
"""How often a worker's clock is read; the reading with the shortest round trip counts."""

CONNECT_S, START_S = 10, 60
"""How long a scheduler may take to answer, and workers made here to start."""

PROJECT_NAME = "threads-or-processes"

THREAD_BITS = 22
"""The bits of a thread's number on Linux, above which a worker's own number is written."""


def shape(size: int, cores: int) -> tuple[int, int]:
    """Return the processes, at most one a core, and the threads of each, for a pool of that size.

    >>> shape(10, 2)
    (2, 5)
    >>> shape(7, 2)
    (1, 7)
    """
    processes = max(n for n in range(1, min(size, cores) + 1) if size % n == 0)
    return processes, size // processes


def chosen(threads: Mapping[str, int], size: int) -> list[str]:
    """Return workers, by address, that have `size` threads together; empty where none have.

    Workers with most threads come first, and each is used whole.
    """
    taken, left = [], size
    for address, own in sorted(threads.items(), key=lambda item: (-item[1], item[0])):
        if own <= left:
            taken.append(address)
            left -= own
    return [] if left else taken


class Cluster:
    """Hand out one item a task to workers of Dask that have `size` threads together."""

    def __init__(self, size: int, begin: Begin) -> None:
        address = dask.config.get("scheduler-address", None)
        self._own = None if address else _local(*shape(size, machine.cores()))
        self._client = distributed.Client(self._own or address, timeout=CONNECT_S)
        if self._own:
            self._client.wait_for_workers(len(self._own.workers), timeout=START_S)
        self._workers = chosen(threads_of(self._client), size)
        if not self._workers:
            raise WorkerDied(f"Dask has no workers with {size} threads together")
        self.offsets_s, self.clock_error_s = self._clocks() if address else ({}, 0.0)
        self.everywhere(begin.prepare)
        begin.ready.release()

    def facts(self) -> dict[str, Any]:
        """Return how many processes run the tasks, and the error of their clocks (s)."""
        return {
            "dask_processes": len(self._workers),
            "clock_error_s": self.clock_error_s,
            "retried": 0,
        }

    def map_async(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        chunksize: int | None = None,  # noqa: ARG002, a task is one item
    ) -> "Tasks[Result]":
        """Start a task for each item."""
        run = partial(_run_here, function)
        all_of_them = len(self._workers) == len(threads_of(self._client))
        workers = None if all_of_them else self._workers  # Dask queues best where it may choose
        futures = self._client.map(run, list(items), pure=False, workers=workers)
        return Tasks(self, futures)

    def everywhere(self, function: Callable[[], Result]) -> dict[str, Result]:
        """Call a function once in each process of the workers; return its results by address."""
        result: dict[str, Result] = self._client.run(function, workers=self._workers)
        return result

    def check(self) -> None:
        """Raise `WorkerDied` where a worker or the scheduler is gone."""
        if self._client.status != "running":
            raise WorkerDied("the scheduler of Dask ended")
        for address in {*self._workers} - {*threads_of(self._client)}:
            retried = _handed_out_again(self._client)
            raise WorkerDied(
                f"a worker of Dask ended ({address}), and {retried} fetches were given to others",
                retried,
            )

    def placed(self, address: str, result: Any) -> Any:
        """Return a fetch with its times on the clock of the study, its worker's number its own."""
        if not isinstance(result, Fetch):
            return result
        offset_s = self.offsets_s.get(address, 0.0)
        number = self._workers.index(address) << THREAD_BITS
        start_s = max(0.0, result.start_s - offset_s)
        end_s = start_s + result.end_s - result.start_s
        return replace(result, start_s=start_s, end_s=end_s, worker=number + result.worker)

    def close(self) -> None:
        """End the client, and the cluster that was made here."""
        self.everywhere(_remove_placed)
        self._client.close()
        if self._own:
            self._own.close()

    def join(self) -> None:
        """Do nothing: a closed cluster has ended."""

    def _clocks(self) -> tuple[dict[str, float], float]:
        """Return by how much the clock of each worker is ahead (s), and the largest error (s).

        The clock is read between a request and its answer, so half the round trip is the error
        (F. Cristian, Distributed Computing 3, 1989, doi:10.1007/BF01784024).
        """
        readings = {one: min(map(self._reading, [one] * CLOCK_READINGS)) for one in self._workers}
        offsets_s = {address: offset_s for address, (_, offset_s) in readings.items()}
        return offsets_s, max(error_s for error_s, _ in readings.values())

    def _reading(self, address: str) -> tuple[float, float]:
        before = time.perf_counter()
        there = self._client.run(time.perf_counter, workers=[address])[address]
        after = time.perf_counter()
        return (after - before) / 2, there - (before + after) / 2


PLACED: set[Path] = set()
"""The bundles of certificates that were written here for studies of other machines."""


def begins_elsewhere(client: base.Client) -> "partial[None]":
    """Return what prepares a worker that may be on another machine: it also needs the bundle."""
    bundle = client.settings.bundle
    return partial(_begin_here, client, Path(bundle).read_bytes() if bundle else b"")


def _begin_here(client: base.Client, bundle: bytes) -> None:
    path = Path(client.settings.bundle or "")
    if bundle and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bundle)
        PLACED.add(path)
    base.begin(client, None)


def _remove_placed() -> None:
    while PLACED:
        shutil.rmtree(PLACED.pop().parent, ignore_errors=True)


class Tasks(Generic[Result]):
    """Wait for the tasks of a cluster as for the result of a pool."""

    def __init__(self, cluster: Cluster, futures: Sequence["distributed.Future[Any]"]) -> None:
        self._cluster = cluster
        self._futures = futures

    def get(self, timeout: float) -> list[Result]:
        """Return the results; raises `TimeoutError` of multiprocessing until all are there."""
        try:
            distributed.wait(self._futures, timeout=max(timeout, POLL_S))
        except (OSError, distributed.CancelledError):  # a TimeoutError is one, too
            self._cluster.check()
            raise multiprocessing.TimeoutError from None
        self._cluster.check()
        return [self._cluster.placed(*it) for it in self._cluster._client.gather(self._futures)]


def threads_of(client: "distributed.Client") -> dict[str, int]:
    """Return the threads of each worker that a scheduler has, by address."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return {address: worker["nthreads"] for address, worker in workers.items()}


def check(study: "Study") -> None:
    """Raise `UserError` where a scheduler cannot be used for a study.

    Its workers must have this project and the packages of the study, in the same versions, and as
    many threads as a pool has.
    """
    if study.scheduler is None:
        return
    try:
        client = distributed.Client(study.scheduler, timeout=CONNECT_S)
    except OSError:
        raise UserError(
            f"scheduler: nothing answers at {study.scheduler}; start it with `dask scheduler`, and "
            "its workers with `dask worker`"
        ) from None
    with client:
        _check_threads(study, threads_of(client))
        _check_versions(client, study.scheduler, machine.describe(study))


def _check_threads(study: "Study", threads: Mapping[str, int]) -> None:
    for size in (one for one in study.sizes if not chosen(threads, one)):
        own = as_words(sorted(threads.values(), reverse=True)) if threads else "none"
        raise UserError(
            f"{study.size_parameter}: {size} threads cannot be had from whole workers at "
            f"{study.scheduler}, which have these threads each: {own}"
        )


def _check_versions(client: "distributed.Client", address: str, here: Machine) -> None:
    """Raise `UserError` for the first difference; only the standard library is called there."""
    ours = {"python": here.python, **here.packages, PROJECT_NAME: version(PROJECT_NAME)}
    for name, own in ours.items():
        ask = platform.python_version if name == "python" else partial(version, name)
        theirs = client.run(ask, on_error="return")
        for worker, found in theirs.items():
            if found != own:
                there = "none" if isinstance(found, BaseException) else found
                raise UserError(
                    f"scheduler: the worker {worker} at {address} has {name} {there}, and this "
                    f"machine has {own}; install the same on both"
                )
    for worker, digest in client.run(provenance.code).items():
        if digest != provenance.code():
            raise UserError(
                f"scheduler: the worker {worker} at {address} has other code of this project; "
                "install the same commit on both"
            )


def _run_here(function: Callable[[Item], Result], item: Item) -> tuple[str, Result]:
    """Run a task in a worker; return also the worker's address."""
    return distributed.get_worker().address, function(item)


def _local(processes: int, threads: int) -> "distributed.LocalCluster":
    return distributed.LocalCluster(
        n_workers=processes,
        threads_per_worker=threads,
        host="127.0.0.1",
        dashboard_address=None,
        memory_limit=0,
        silence_logs="ERROR",
    )


def _handed_out_again(client: "distributed.Client") -> int:
    """Return how many tasks of this client were at workers when these ended."""
    events = [event for _, event in client.get_events("all") if event["action"] == "remove-worker"]
    return sum(len(event.get("processing-tasks", ())) for event in events)
