"""The tree of processes that a trial starts: adopt its orphans, weigh it, end it whole.

As a program, `python -m experiment.process_tree FOLDER` ends all its children and removes the
folder; a trial turns into it when its supervisor is killed.
"""

import ctypes
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

PARENT_DEATH_SIGNAL, CHILD_SUBREAPER = 1, 36
"""Options of prctl, from linux/prctl.h."""


def adopt_orphans() -> None:
    """Processes below this one that lose their parent become its children (Linux)."""
    _prctl(CHILD_SUBREAPER, 1)


def end() -> None:
    """Kill and reap until no child of any kind is left; new ones may start meanwhile."""
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        for process in psutil.Process().children(recursive=True):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


def pss_mb(processes: Iterable[psutil.Process]) -> float | None:
    """Memory (MB) of processes, what they share counted once; None where it is not told."""
    seen = [_pss_kb(process.pid) for process in processes]
    return sum(seen) * 1024 / 1e6 if any(seen) else None


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended meanwhile, or this is no Linux
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def end_with(parent: int, folder: Path) -> None:
    """End this process, its whole tree and its folder when its parent is killed (Linux).

    It then becomes another program, since its own threads would go on starting processes.
    """
    this = os.getpid()

    def become_the_end(number: int, _frame: object) -> None:
        """Only for the process itself: a forked worker just goes."""
        if os.getpid() != this:
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
    end()
    shutil.rmtree(sys.argv[1], ignore_errors=True)
