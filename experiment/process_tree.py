"""Adopt, weigh and end the processes that a process started.

As a program, `python -m experiment.process_tree FOLDER` ends all its children and removes the
folder; a trial turns into it when its supervisor is killed. psutil is imported where it is used:
a trial imports this module before its pool is made.
"""

import ctypes
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

PARENT_DEATH_SIGNAL, CHILD_SUBREAPER = 1, 36
"""Options of prctl, from linux/prctl.h."""

CLOCK_OF_ALL_THREADS = 2
"""CPUCLOCK_SCHED, from linux/posix-timers_types.h: which clock of a process is meant."""


def adopt_orphans() -> None:
    """Become the parent of any process below this one that loses its own (Linux)."""
    _prctl(CHILD_SUBREAPER, 1)


def end(pid: int) -> None:
    """Kill a process and all below it.

    Its parent calls this before it waits for the process, so that no other one can have its ID.
    """
    import psutil

    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        _kill([root, *root.children(recursive=True)])


def end_children() -> None:
    """Kill and reap until this process has no child left; new ones may start meanwhile."""
    import psutil

    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        _kill(psutil.Process().children(recursive=True))
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def _kill(processes: "Iterable[psutil.Process]") -> None:
    """Kill processes, parents first: none shall start another one in a child's place."""
    import psutil

    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def pss_below_mb() -> float | None:
    """Return the memory (MB) of this process and all below it."""
    import psutil

    children = psutil.Process().children(recursive=True)
    return pss_mb([os.getpid(), *(child.pid for child in children)])


def pss_mb(pids: Iterable[int]) -> float | None:
    """Return the memory (MB) of processes, shared parts counted once; None where not told."""
    sizes_kb = [_pss_kb(pid) for pid in pids]
    return sum(sizes_kb) * 1024 / 1e6 if any(sizes_kb) else None


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended meanwhile, or this is no Linux
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def cpu_s(process: "psutil.Process") -> float:
    """Return the CPU (s) of a process, and of the children that it has waited for.

    The kernel's clock of a process (Linux) is exact; psutil counts in ticks of 10 ms. The
    children's is rounded down, so that what is counted is never more than was used.
    """
    times = process.cpu_times()
    own = times.user + times.system
    if sys.platform == "linux":
        with suppress(OSError):  # the process has ended meanwhile
            own = time.clock_gettime(~process.pid << 3 | CLOCK_OF_ALL_THREADS)
    return float(own + times.children_user + times.children_system)


def cpu_below_s(process: "psutil.Process") -> float:
    """Return the CPU (s) of all processes below one, and of those that they have waited for.

    Parents come first: a child that is waited for meanwhile is left out, not counted twice.
    """
    import psutil

    total_s = 0.0
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            total_s += cpu_s(child)
    return total_s


def end_with(parent: int, folder: Path) -> None:
    """End this process, its whole tree and its folder when its parent is killed (Linux)."""
    this = os.getpid()

    def become_the_end(number: int, _frame: object) -> None:
        """Turn into another program: this one's threads would go on starting processes."""
        if os.getpid() != this:  # a forked worker
            os._exit(128 + number)
        adopt_orphans()
        os.execv(sys.executable, [sys.executable, "-m", "experiment.process_tree", str(folder)])  # noqa: S606

    signal.signal(signal.SIGTERM, become_the_end)
    _prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(this, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    end_children()
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    sys.exit(128 + signal.SIGTERM)
