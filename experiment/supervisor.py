"""Run one trial and leave nothing behind: no process, no temporary file, whatever happens.

A program of its own. Orphans of the trial come to it instead of to init (Linux), so the CPU of
the whole tree, browsers included, is in its own accounts once everything has ended. It ends when
its standard input does, that is, when the runner does.
"""

import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from experiment import network, tree

TICK_S = 0.05
SAMPLE_EVERY_S = 2.0
SAMPLE_SHARE = 0.005
"""A sample of the browsers' memory costs CPU; no more than this share of the time is spent."""


def main() -> None:
    """`python -m experiment.supervisor FOLDER LIMIT_S NETWORK`: print what became of the trial."""
    network.enter(sys.argv[3])
    folder, limit_s = Path(sys.argv[1]), float(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    tree.adopt_orphans()
    memory = Memory()
    trial = _start(folder)
    try:
        reason = _watch(trial, limit_s, memory)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with suppress(ProcessLookupError):  # all there is where orphans cannot be adopted
            os.killpg(trial.pid, signal.SIGKILL)
        tree.end()
        shutil.rmtree(folder / "tmp", ignore_errors=True)
        if _runner_is_gone():
            shutil.rmtree(folder, ignore_errors=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = {"cpu_s": used.ru_utime + used.ru_stime, "browser_pss_mb": memory.most_mb}
    print(json.dumps({"reason": reason, **report}))


def _start(folder: Path) -> "subprocess.Popen[bytes]":
    temporary = folder / "tmp"
    temporary.mkdir()
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "experiment.trial", str(folder), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "TMPDIR": str(temporary)},
            start_new_session=True,
        )


def _watch(trial: "subprocess.Popen[bytes]", limit_s: float, memory: "Memory") -> str | None:
    """Wait for the trial's end; why it was no good one, or None."""
    limit = time.monotonic() + limit_s
    while trial.poll() is None:
        if _runner_is_gone(wait_s=TICK_S):
            return "the runner ended"
        if time.monotonic() > limit:
            return f"it took longer than {limit_s:.0f} s"
        memory.sample()
    if trial.returncode < 0:
        return f"it was ended by {signal.Signals(-trial.returncode).name}"
    return f"it ended with status {trial.returncode}" if trial.returncode else None


class Memory:
    """The most memory that the browsers of the trial were seen to use, sampled sparingly."""

    def __init__(self) -> None:
        self.most_mb: float | None = None
        self._next = time.monotonic() + SAMPLE_EVERY_S

    def sample(self) -> None:
        """Look, if it is time to."""
        begun = time.monotonic()
        if begun < self._next:
            return
        ours = Path(sys.executable).resolve()
        below = psutil.Process().children(recursive=True)
        browsers = [process for process in below if _program(process) not in (ours, None)]
        if browsers:
            seen_mb = tree.pss_mb(browsers)
            self.most_mb = seen_mb and max(self.most_mb or 0.0, seen_mb)
        cost = time.monotonic() - begun
        self._next = begun + max(SAMPLE_EVERY_S, cost / SAMPLE_SHARE)


def _program(process: psutil.Process) -> Path | None:
    try:
        return Path(process.exe())
    except psutil.Error:
        return None


def _runner_is_gone(wait_s: float = 0.0) -> bool:
    """Whether standard input has ended; the runner never writes to it."""
    return bool(select.select([sys.stdin], [], [], wait_s)[0])


def _stop(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
