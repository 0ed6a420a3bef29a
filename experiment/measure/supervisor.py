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
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from experiment import process_tree
from experiment.measure import grid, network
from experiment.measure.shortages import is_full
from experiment.measure.suspension import Heartbeat, was_stopped

TICK_S = 0.05
SAMPLE_EVERY_S = 2.0
SAMPLE_SHARE = 0.005
"""A sample of the browsers' memory costs CPU; no more than this share of the time is spent."""


@dataclass(frozen=True)
class Report:
    """What became of a trial."""

    code: int | None
    """Its exit status, or the negative signal that ended it; None if its supervisor ended it."""
    timed_out: bool
    full: bool
    """Whether no more could be written into its folder."""
    suspended: str | None
    """What was suspended while it ran, in words that complete "round 1: "."""
    cpu_s: float
    browser_pss_mb: float | None
    queued_s: dict[int, float] | None = None
    """How long requests for browsers waited in the queue of a Grid, by page."""


def main() -> None:
    """Run as a program (FOLDER LIMIT_S NETWORK): print a report of the trial, in JSON."""
    network.enter(sys.argv[3])
    folder, limit_s = Path(sys.argv[1]), float(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    process_tree.adopt_orphans()
    watch = Watch(limit_s)
    at_grid = grid.of_trial(folder)
    queue = grid.QueueSampler(*at_grid) if at_grid else None
    trial = _start(folder)
    try:
        watch.until_it_ends(trial)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        code, full = trial.returncode, is_full(folder)
        with suppress(ProcessLookupError):  # all there is where orphans cannot be adopted
            os.killpg(trial.pid, signal.SIGKILL)
        process_tree.end_children()
        queued_s = queue.end() if queue else None
        if at_grid:
            grid.end_sessions(*at_grid, code == 0)
        shutil.rmtree(folder / "tmp", ignore_errors=True)
        if _runner_is_gone():
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(asdict(_report(code, full, watch, queued_s))))


def _report(
    code: int | None, full: bool, watch: "Watch", queued_s: dict[int, float] | None
) -> Report:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Report(
        code=code,
        timed_out=watch.timed_out,
        full=full,
        suspended=watch.suspended,
        cpu_s=used.ru_utime + used.ru_stime,
        browser_pss_mb=watch.memory.most_mb,
        queued_s=queued_s,
    )


def _start(folder: Path) -> "subprocess.Popen[bytes]":
    """Start the trial, with a HOME of its own only where the user has none to write to.

    Firefox needs one, and without the caches of the user's own a browser would cost more.
    """
    temporary = folder / "tmp"
    temporary.mkdir()
    own = {"TMPDIR": str(temporary)}
    if not os.access(os.environ.get("HOME", ""), os.W_OK | os.X_OK):
        own["HOME"] = str(temporary)
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "experiment.measure.trial", str(folder), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **own},
            start_new_session=True,
        )


class Watch:
    """Watch a trial while it runs."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.timed_out = False
        self.memory = Memory()
        self._heartbeat = Heartbeat()
        self._stopped = False

    def until_it_ends(self, trial: "subprocess.Popen[bytes]") -> None:
        """Wait for the trial's end, its time limit, or the end of the runner."""
        begun = time.monotonic()
        while trial.poll() is None and not self.timed_out:
            with self._heartbeat.due_in(TICK_S):
                gone = _runner_is_gone(wait_s=TICK_S)
            if gone:
                return
            self.timed_out = time.monotonic() > begun + self.limit_s + self._heartbeat.held_s
            self.memory.sample()
            self._stopped |= was_stopped()

    @property
    def suspended(self) -> str | None:
        """Return what was suspended while the trial ran."""
        if self._heartbeat.late_s:
            return f"the machine was suspended for {self._heartbeat.late_s:.1f} s"
        if self._stopped:
            return "the trial was stopped by a signal"
        return "a process of the trial was stopped" if self.memory.saw_stopped else None


class Memory:
    """Sample the memory of the trial's browsers, sparingly, and keep the most.

    It also notices a process that was stopped, even one that is no child of its worker.
    """

    def __init__(self) -> None:
        self.most_mb: float | None = None
        self.saw_stopped = False
        self._next = time.monotonic() + SAMPLE_EVERY_S

    def sample(self) -> None:
        """Look, if it is time to."""
        begun = time.monotonic()
        if begun < self._next:
            return
        ours = Path(sys.executable).resolve()
        browsers = []
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # it has ended meanwhile
                self.saw_stopped |= process.status() == psutil.STATUS_STOPPED
                if Path(process.exe()) != ours:
                    browsers.append(process.pid)
        if browsers:
            seen_mb = process_tree.pss_mb(browsers)
            self.most_mb = seen_mb and max(self.most_mb or 0.0, seen_mb)
        cost = time.monotonic() - begun
        self._next = begun + max(SAMPLE_EVERY_S, cost / SAMPLE_SHARE)


def _runner_is_gone(wait_s: float = 0.0) -> bool:
    """Return whether standard input has ended; the runner never writes to it."""
    return bool(select.select([sys.stdin], [], [], wait_s)[0])


def _stop(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
