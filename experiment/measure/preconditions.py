"""Check what a study needs of its machine, and say in a line what has run out.

These are file descriptors, memory, processes and threads, room for temporary files, and 127.0.0.1.
"""

import errno
import math
import multiprocessing
import re
import resource
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from experiment.errors import UserError
from experiment.measure import clients, modes
from experiment.study import Study
from experiment.vocabulary import BROWSERS, ClientName, Mode

OPEN_MAX = 10_240
"""The most file descriptors that macOS gives a process whose limit is unlimited."""

TRIAL_FILES, FILES_A_WORKER = 16, 3
"""File descriptors of a trial, at most. Seen with 50 workers: 117 in threads (a worker's socket,
its duplicate, now and then the bundle), 111 in processes (two pipes each); with 20 browsers 45."""

FULL = (errno.ENOSPC, errno.EDQUOT)
BLOCK = 65_536
"""Bytes that a folder which is not full takes."""

THREAD_MB = 1
PROCESS_MB: dict[str, float] = {"fork": 9, "spawn": 25, "forkserver": 25}
"""Memory of a worker that fetches, for processes by start method. Seen: 46 MB for 50 threads,
4.6 GB for 500 forked processes, 0.86 GB for 30 spawned ones."""


def check(study: Study) -> None:
    """Raise `UserError` where the machine cannot hold the study, with the pool size that it can.

    The limit of file descriptors of this process, and of those it starts, is raised before.
    """
    raise_descriptors()
    _check_loopback(study)
    for client in study.clients:
        _check_descriptors(study, client)
        for mode in study.modes:
            _check_memory(study, client, mode)


def raise_descriptors() -> None:
    """Raise the soft limit of file descriptors to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (hard, max(soft, min(hard, OPEN_MAX))):
        with suppress(ValueError, OSError):  # macOS does not grant what it calls unlimited
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            return


def _check_descriptors(study: Study, client: ClientName) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    kind = clients.of(client)
    each = max(FILES_A_WORKER, kind.origin_connections if study.source == "embedded" else 0)
    size = 1 if study.modes == ("serial",) else max(study.sizes)
    needed = max(TRIAL_FILES + size * each, kind.own_files)
    if limit == resource.RLIM_INFINITY or needed <= limit:
        return
    raise _too_large(
        study,
        f"{size} workers of {client} need {needed} file descriptors in a process, and the limit "
        f"is {limit} (ulimit -Hn)",
        (limit - TRIAL_FILES) // each if limit >= kind.own_files else 0,
    )


def _check_memory(study: Study, client: ClientName, mode: Mode) -> None:
    size = 1 if mode == "serial" else max(study.sizes)
    each_mb = _worker_mb(study, mode) + clients.of(client).memory_mb()
    free = free_mb()
    if size * each_mb > free:
        raise _too_large(
            study,
            f"{size} workers of {client} in {mode} need about {size * each_mb / 1000:.1f} GB of "
            f"memory at once, and {free / 1000:.1f} GB are free here",
            int(free / each_mb),
        )


def _worker_mb(study: Study, mode: Mode) -> float:
    if not modes.has_processes(mode):
        return THREAD_MB
    return PROCESS_MB[study.start_method or multiprocessing.get_context().get_start_method()]


def _too_large(study: Study, words: str, fitting: int) -> UserError:
    name = study.size_parameter
    return UserError(f"{name}: {words}; {f'at most {fitting} fit' if fitting > 0 else 'none fits'}")


def free_mb() -> float:
    """Return the memory (MB) that is free on the machine and within a container's limits."""
    groups = [_free_in(folder) for folder in _memory_groups()]
    return min(psutil.virtual_memory().available, *groups) / 1e6


def _memory_groups() -> Iterator[Path]:
    """Yield the control groups (Linux, either version) that limit this process's memory."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory"):
                group = Path("/sys/fs/cgroup", controllers, path.lstrip("/"))
                yield from (group, *group.parents)


def _free_in(group: Path) -> float:
    """Return the bytes that a control group still allows; infinite where it has no limit."""
    limits = ("memory.max", "memory.high", "memory.limit_in_bytes")
    allowed = min(_bytes(group / name) for name in limits)
    if allowed == math.inf:
        return math.inf
    used = min(_bytes(group / "memory.current"), _bytes(group / "memory.usage_in_bytes"))
    stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    cached = (stat.get(f"total_{name}") or stat[name] for name in ("active_file", "inactive_file"))
    return allowed - used + sum(map(int, cached))


def _bytes(file: Path) -> float:
    """Return the number in a file of a control group; infinite where it is absent or says "max"."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return math.inf


def _check_loopback(study: Study) -> None:
    """Check 127.0.0.1, on which the embedded origin and the drivers of browsers listen."""
    if study.source != "embedded" and not set(study.clients) & set(BROWSERS):
        return
    try:
        with socket.socket(type=socket.SOCK_DGRAM) as probe:  # which nobody can connect to
            probe.bind(("127.0.0.1", 0))
            probe.connect(probe.getsockname())
            probe.settimeout(10)
            probe.send(b"here?")
            probe.recv(5)
    except OSError as error:
        raise UserError(
            f"network: 127.0.0.1 cannot be reached here ({error.strerror or error}), and the "
            "embedded origin and the drivers of browsers need it; bring the loopback interface up "
            "with an IPv4 address"
        ) from None


@contextmanager
def shortage_said() -> Iterator[None]:
    """Turn an error of the block that a limit of the system caused into a `UserError`."""
    try:
        yield
    except (OSError, MemoryError, RuntimeError, ImportError) as error:
        words = shortage(error)
        if words is None:
            raise
        raise UserError(words) from error


def shortage(error: BaseException | None) -> str | None:
    """Return what has run out, in a line, where an error or one behind it tells of that.

    Only its last line counts, in which an error that holds a program's log has the program's own.
    """
    while error is not None:
        last = f"{type(error).__name__}: {error}".rstrip().splitlines()[-1]
        for pattern, words in SHORTAGES.items():
            if found := re.search(pattern, last):
                return words(found[0])
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def room_for_temporary_files() -> Iterator[None]:
    """Turn the error of a full disk into a `UserError`; the block writes temporary files only."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise no_room() from error


def no_room() -> UserError:
    """Return the error of a folder for temporary files that is full."""
    return UserError(
        f"TMPDIR: {tempfile.gettempdir()} is full or too small; set TMPDIR to a folder with more "
        "room"
    )


def nothing_left(said: str) -> UserError:
    """Return the error of a program that ended for want of memory or threads, not saying which."""
    limits = f"ulimit -v is {_limit(resource.RLIMIT_AS)}, ulimit -u {_limit(resource.RLIMIT_NPROC)}"
    return UserError(
        f"memory: no memory or no thread is left for this study ({said}); raise the limit "
        f"({limits}), or end other programs"
    )


def is_full(folder: Path) -> bool:
    """Tell whether no more can be written into a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(BLOCK))
    except OSError as error:
        return error.errno in FULL
    return False


def _processes(said: str) -> str:
    limit = _limit(resource.RLIMIT_NPROC)
    return (
        f"processes: no further process or thread can be started here ({said}); raise the limit "
        f"(ulimit -u is {limit}), or end other programs"
    )


def _memory(said: str) -> str:
    limit = _limit(resource.RLIMIT_AS)
    return (
        f"memory: none is left for this study ({said}); raise the limit (ulimit -v is {limit}), "
        "or end other programs"
    )


def _descriptors(said: str) -> str:
    limit = _limit(resource.RLIMIT_NOFILE)
    return f"files: {said}; raise the limit (ulimit -n is {limit}), or choose a smaller pool"


def _limit(kind: int) -> str:
    """Return a limit of this process as the shell says it: memory in kB."""
    limit = resource.getrlimit(kind)[0]
    if limit == resource.RLIM_INFINITY:
        return "unlimited"
    return str(limit // 1024 if kind == resource.RLIMIT_AS else limit)


SHORTAGES: dict[str, Callable[[str], str]] = {
    "can't start new thread|Resource temporarily unavailable|pthread_create": _processes,
    "MemoryError|[Cc]annot allocate memory|failed to map segment|bad_alloc": _memory,
    "Too many open files": _descriptors,
}
"""What the system says where something has run out, and how that is told."""
