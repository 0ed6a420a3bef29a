"""Check before a study that its machine has what it needs: descriptors, memory, 127.0.0.1."""

import math
import multiprocessing
import resource
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from experiment.errors import UserError
from experiment.measure import clients, functions, grid, modes
from experiment.study import Study
from experiment.values import as_words
from experiment.vocabulary import BROWSERS, CLIENTS, CLUSTERED, ClientName, Mode

OPEN_MAX = 10_240
"""The most file descriptors that macOS gives a process whose limit is unlimited."""

TRIAL_FILES, FILES_A_WORKER = 16, 3
"""File descriptors of a trial, at most. Seen with 50 workers: 117 in threads (a worker's socket,
its duplicate, now and then the bundle), 111 in processes (two pipes each); with 20 browsers 45."""

THREAD_MB = 1
PROCESS_MB: dict[str, float] = {"fork": 9, "spawn": 25, "forkserver": 25}
"""Memory of a worker that fetches, for processes by start method. Seen: 46 MB for 50 threads,
4.6 GB for 500 forked processes, 0.86 GB for 30 spawned ones."""


def check(study: Study) -> None:
    """Raise `UserError` where the machine cannot hold the study, with the pool size that it can.

    The limit of file descriptors of this process, and of those it starts, is raised before.
    """
    _raise_descriptors()
    _check_loopback(study)
    _check_origin_host(study)
    functions.check(study)
    if study.grid:
        grid.check(study)
    _check_modes(study)
    for client in (name for name in study.clients if name not in study.at_grid):
        _check_descriptors(study, client)
        for mode in (it for it in study.modes if it in functions.modes_of(client)):
            _check_memory(study, client, mode)


def _check_modes(study: Study) -> None:
    """Raise `UserError` for a client that can do no mode of the study, or a mode without client."""
    able = {name: functions.modes_of(name) for name in study.clients}
    for name, own in able.items():
        if not {*own} & {*study.modes} and study.clients != study.default("clients"):
            raise UserError(
                f"clients: {name} does {as_words(own)}, and modes is {as_words(study.modes)}"
            )
    if {*CLUSTERED} & {*study.modes}:
        _check_cluster(study)
    for mode in study.modes:
        if study.modes == study.default("modes"):
            return
        if not any(mode in own for own in able.values()):
            named = [name for name in CLIENTS if mode in clients.of(name).modes]
            raise UserError(
                f"modes: {mode} cannot be done by {as_words(study.clients)}; it goes with "
                f"{' or '.join(named)}"
            )


def _check_cluster(study: Study) -> None:
    """Raise `UserError` where Dask is not installed, or a scheduler cannot be used."""
    try:
        from experiment.measure import cluster  # the other modes need no Dask
    except ModuleNotFoundError:
        raise UserError(
            "modes: dask needs Dask, which is not installed; pip install -e '.[cluster]'"
        ) from None
    cluster.check(study)


def _raise_descriptors() -> None:
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
    start_method = study.start_method or multiprocessing.get_context().get_start_method()
    worker_mb = PROCESS_MB[start_method] if modes.has_processes(mode) else THREAD_MB
    each_mb = worker_mb + clients.of(client).memory_mb()
    free = _free_mb()
    if size * each_mb > free:
        raise _too_large(
            study,
            f"{size} workers of {client} in {mode} need about {size * each_mb / 1000:.1f} GB of "
            f"memory at once, and {free / 1000:.1f} GB are free here",
            int(free / each_mb),
        )


def _too_large(study: Study, words: str, fitting: int) -> UserError:
    name = study.size_parameter
    return UserError(f"{name}: {words}; {f'at most {fitting} fit' if fitting > 0 else 'none fits'}")


def _free_mb() -> float:
    """Return the memory (MB) that is free: of the machine, and within the limits of a container."""
    groups = [_free_in(folder) for folder in _memory_groups()]
    return min(psutil.virtual_memory().available, *groups) / 1e6


def _memory_groups() -> Iterator[Path]:
    """Yield the control groups (Linux, either version) whose limits hold for this process."""
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
    """Return the number in a file of a control group; infinite where it is absent or "max"."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return math.inf


def _check_loopback(study: Study) -> None:
    """Raise `UserError` where 127.0.0.1, on which origin and drivers listen, cannot be reached."""
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


def _check_origin_host(study: Study) -> None:
    """Raise `UserError` where the embedded origin cannot listen."""
    try:
        with socket.socket() as probe:
            probe.bind((study.origin_host, 0))
    except OSError as error:
        raise UserError(
            f"origin_host: {study.origin_host} is no address on which this machine can listen "
            f"({error.strerror or error})"
        ) from None
