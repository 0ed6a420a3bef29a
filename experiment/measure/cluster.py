"""Run work on workers of Dask, behind the interface of a pool; each of their threads is a worker.

Dask's own variable `DASK_SCHEDULER_ADDRESS` names a scheduler that is there; without it, a trial
makes a cluster on this machine. Monotonic clocks of two machines have nothing in common, so the
offset of each worker's clock is measured, and fetches are placed on the clock of the study.
"""

import hashlib
import multiprocessing
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

import distributed

from experiment.errors import UserError
from experiment.fetches import Fetch
from experiment.measure import functions, machine, provenance
from experiment.measure.clients import base, function
from experiment.measure.serial import Item, Result
from experiment.measure.worker import ALONE, Begin, WorkerDied
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

    Each is used whole; those with most threads are preferred.
    """
    found: dict[int, list[str]] = {0: []}  # by the threads that they have together
    for address, own in sorted(threads.items(), key=lambda item: (-item[1], item[0])):
        for together, taken in list(found.items()):
            found.setdefault(together + own, [*taken, address])
    return found.get(size, [])


class Cluster:
    """Hand out one item a task to workers of Dask that have `size` threads together."""

    def __init__(self, size: int, begin: Begin) -> None:
        address = os.environ.get("DASK_SCHEDULER_ADDRESS")
        self._own = None if address else _local(*shape(size, machine.cores()))
        self._client = distributed.Client(self._own or address, timeout=CONNECT_S)
        if self._own:
            self._client.wait_for_workers(len(self._own.workers), timeout=START_S)
        self._workers = chosen(threads_of(self._client), size)
        if not self._workers:
            raise WorkerDied(f"Dask has no workers with {size} threads together")
        self._keys: set[object] = set()
        self.offsets_s: dict[str, float] = {}
        self.clock_error_s = 0.0
        if address:
            self._wait_until_idle()
            self.offsets_s, self.clock_error_s = self._clocks()
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
        workers = None if self._own else self._workers  # others may join a scheduler meanwhile
        futures = self._client.map(run, list(items), pure=False, workers=workers)
        self._keys = {future.key for future in futures}
        return Tasks(self, futures)

    def everywhere(self, function: Callable[[], Result]) -> dict[str, Result]:
        """Call a function once in each process of the workers; return its results by address."""
        result: dict[str, Result] = self._client.run(function, workers=self._workers)
        return result

    def check(self) -> None:
        """Raise `WorkerDied` where a worker or the scheduler is gone."""
        try:
            there = threads_of(self._client)
        except OSError:
            raise WorkerDied("the scheduler of Dask ended") from None
        for address in {*self._workers} - {*there}:
            retried = self._handed_out_again()
            raise WorkerDied(
                f"a worker of Dask ended ({address}), and {retried} fetches were given to others",
                retried,
            )

    def placed(self, address: str, result: Any) -> Any:
        """Return a fetch with its times on the clock of the study, its worker's number its own."""
        if not isinstance(result, Fetch):
            return result
        if address not in self._workers:
            raise WorkerDied(f"another worker of Dask took a fetch ({address})", 1)
        offset_s = self.offsets_s.get(address, 0.0)
        number = self._workers.index(address) << THREAD_BITS
        start_s = max(0.0, result.start_s - offset_s)
        end_s = start_s + result.end_s - result.start_s
        return replace(result, start_s=start_s, end_s=end_s, worker=number + result.worker)

    def close(self) -> None:
        """End the client, and the cluster that was made here."""
        if not self._own:
            again_s, error_s = self._clocks()
            drift_s = max(abs(again_s[one] - before) for one, before in self.offsets_s.items())
            self.clock_error_s = max(self.clock_error_s, error_s) + drift_s
            self.everywhere(_leave)
        self._client.close()
        if self._own:
            self._own.close()

    def join(self) -> None:
        """Do nothing: a closed cluster has ended."""

    def _wait_until_idle(self) -> None:
        """Wait for the tasks of a trial that was cut off: Dask cannot interrupt them."""
        until = time.monotonic() + START_S
        while any(self._client.processing(self._workers).values()):
            if time.monotonic() > until:
                raise WorkerDied("the workers of Dask are busy with other tasks")
            time.sleep(POLL_S)

    def _handed_out_again(self) -> int:
        """Return how many tasks of this trial were at workers when these ended."""
        events = (event for _, event in self._client.get_events("all"))
        gone = (event for event in events if event["action"] == "remove-worker")
        return sum(len(self._keys & {*event.get("processing-tasks", ())}) for event in gone)

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
"""The bundles of certificates that were written here for a study of another machine."""

BEFORE: dict[str, str | None] = {}
"""The variables of this process that name bundles, as they were before a trial."""


def begins_elsewhere(client: base.Client) -> "partial[None]":
    """Return what prepares a worker that may be on another machine: it also needs the bundle."""
    bundle = client.settings.bundle
    return partial(_begin_here, client, Path(bundle).read_bytes() if bundle else b"")


def _begin_here(client: base.Client, bundle: bytes) -> None:
    """Begin a trial in this worker, which may still have what one that was cut off has left."""
    client.end()
    _leave()
    BEFORE.update({name: os.environ.get(name) for name in function.BUNDLES})
    path = Path(client.settings.bundle or "")
    if bundle and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bundle)
        PLACED.add(path)
    if isinstance(client, function.Client):
        function.forget(client.where)
    base.begin(client, None)


def _leave() -> None:
    """Undo what a trial has changed in this worker."""
    while PLACED:
        shutil.rmtree(PLACED.pop().parent, ignore_errors=True)
    for name in list(BEFORE):
        os.environ.pop(name, None)
        if (value := BEFORE.pop(name)) is not None:
            os.environ[name] = value


def _digest_here(where: str) -> str:
    """Return the digest of a function's file, as this worker imports it."""
    function.forget(where)
    function.load(where)
    file = sys.modules[where.partition(":")[0]].__file__
    return hashlib.sha256(Path(file or "").read_bytes()).hexdigest()


class Tasks(Generic[Result]):
    """Wait for the tasks of a cluster as for the result of a pool."""

    def __init__(self, cluster: Cluster, futures: Sequence["distributed.Future[Any]"]) -> None:
        self._cluster = cluster
        self._futures = futures

    def get(self, timeout: float) -> list[Result]:
        """Return the results; raises `TimeoutError` of multiprocessing until all are there."""
        try:
            distributed.wait(self._futures, timeout=max(timeout, POLL_S))
        except distributed.CancelledError:
            self._cluster.check()
            raise WorkerDied("the scheduler of Dask lost the tasks") from None
        except OSError:  # a TimeoutError is one, too
            self._cluster.check()
            raise multiprocessing.TimeoutError from None
        self._cluster.check()
        return [self._cluster.placed(*it) for it in self._cluster._client.gather(self._futures)]


def threads_of(client: "distributed.Client") -> dict[str, int]:
    """Return the threads of each worker that a scheduler has, by address."""
    scheduler = client.scheduler
    assert scheduler is not None
    workers = client.sync(scheduler.identity, n_workers=-1)["workers"]
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
        _check_functions(client, study)


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
    for worker, files in client.run(provenance.code).items():
        if files != provenance.code():
            raise UserError(
                f"scheduler: the worker {worker} at {address} has other code of this project; "
                "install the same commit on both"
            )


def _check_functions(client: "distributed.Client", study: "Study") -> None:
    """Raise `UserError` where a worker has another function of the user's, or none."""
    for where, file in functions.files_of(study).items():
        found = client.run(partial(_digest_here, where), on_error="return")
        for worker, digest in found.items():
            if digest != file.sha256:
                words = "cannot import it" if isinstance(digest, BaseException) else "differs"
                raise UserError(
                    f"clients: {where} of the worker {worker} at {study.scheduler} {words}; the "
                    f"same {file.file} must be there"
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
        # without a network of its own, any user of this machine could run code here
        security=None if ALONE in os.environ else True,
    )
