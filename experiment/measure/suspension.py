"""Notice that the machine or a process was suspended: fetches stood still, their clock went on."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LATE_S = 1.0
"""A heartbeat that is later than this was held up by more than a busy machine."""

THROUGH_SLEEP = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The clock that goes on while the machine sleeps and that nobody sets: what Linux calls BOOTTIME
is MONOTONIC on macOS. `time.monotonic` stands still meanwhile on both."""


class Heartbeat:
    """Time a loop that waits for a known time: where it comes late, something was suspended."""

    def __init__(self) -> None:
        self.late_s = 0.0
        """How late it was in all, with the time that the machine slept."""
        self.held_s = 0.0
        """How much of that `time.monotonic` has counted."""
        self._asleep_s = _asleep_s()

    @contextmanager
    def due_in(self, seconds: float) -> Iterator[None]:
        """Time a block that waits for so long at most; the machine may sleep between two."""
        begun = time.monotonic()
        yield
        late_s = time.monotonic() - begun - seconds
        slept_s, self._asleep_s = _asleep_s() - self._asleep_s, _asleep_s()
        self.late_s += sum(late for late in (late_s, slept_s) if late > LATE_S)
        self.held_s += late_s if late_s > LATE_S else 0.0


def _asleep_s() -> float:
    """Return how long the machine has slept (s), give or take a constant."""
    return time.clock_gettime(THROUGH_SLEEP) - time.monotonic()


def was_stopped(child: int | None = None) -> bool:
    """Return whether a signal stopped or continued this child, or any, since last asked.

    None is reaped. Python tells it on macOS from 3.13 on only.
    """
    if not hasattr(os, "waitid"):
        return False
    kind = os.P_ALL if child is None else os.P_PID
    happened = False
    with suppress(ChildProcessError):  # there is none, or it has ended
        while os.waitid(kind, child or 0, os.WSTOPPED | os.WCONTINUED | os.WNOHANG):
            happened = True
    return happened
