"""Limit the total time of a fetch; one thread of a process watches all its fetches."""

import math
import os
import threading
import time
import traceback
from collections.abc import Callable
from typing import Self

STOP_EVERY_S = 0.1
"""How often a fetch that is too late is stopped: it may just be about to connect again."""


STUCK = 79
"""The exit status of a process that ended itself, since a call in it could not be stopped."""

STUCK_WORDS = "a call did not end in its time, and could not be interrupted"


def words_of_end(code: int | None) -> str:
    """Say how a worker process ended."""
    return STUCK_WORDS if code == STUCK else f"a worker process ended with exit code {code}"


class Deadline:
    """Limit the total time of a fetch: then call `stop` until the fetch gives up.

    Libraries bound the wait for each byte, not for all of them, so a server that drips its
    response would hold a fetch for ever.
    """

    def __init__(self, timeout_s: float) -> None:
        self.due = time.monotonic() + timeout_s
        self.passed = False
        self.stop: Callable[[], object] = lambda: None
        self._is_over = False
        self._stopping = threading.Lock()

    def __enter__(self) -> Self:
        self._watchdog = Watchdog.of_this_process()
        self._watchdog.watch(self)
        return self

    def __exit__(self, *error: object) -> None:
        self._watchdog.forget(self)
        with self._stopping:  # `stop` neither runs nor starts any more
            self._is_over = True

    def expire(self) -> None:
        """Stop the fetch, unless it is over; do so again later."""
        with self._stopping:
            if self._is_over:
                return
            self.passed = True
            self.due = time.monotonic() + STOP_EVERY_S
            try:
                self.stop()
            except Exception:  # the other fetches need their watchdog
                traceback.print_exc()


class Watchdog:
    """Watch the deadlines of the running fetches of a process, in one thread.

    It sleeps until the earliest deadline that it knows. A fetch that ends does not wake it, nor
    does one that begins, unless its deadline is earlier; so watching costs a fetch next to nothing.
    """

    _here: "Watchdog | None" = None
    _making = threading.Lock()

    def __init__(self) -> None:
        self._running: set[Deadline] = set()
        self._wakes_at = math.inf
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    @classmethod
    def of_this_process(cls) -> "Watchdog":
        """Return the watchdog of this process; it is made for the first fetch, after any fork."""
        with cls._making:
            if cls._here is None:
                cls._here = cls()
            return cls._here

    @classmethod
    def forget_parent(cls) -> None:
        """Forget the watchdog of the process that was forked: its thread does not run here."""
        cls._here, cls._making = None, threading.Lock()

    def watch(self, deadline: Deadline) -> None:
        """Expire a deadline once it is due, until it is forgotten."""
        with self._changed:
            self._running.add(deadline)
            if deadline.due < self._wakes_at:
                self._changed.notify()

    def forget(self, deadline: Deadline) -> None:
        """Watch a deadline no more."""
        with self._changed:
            self._running.discard(deadline)

    def _run(self) -> None:
        while True:
            for deadline in self._wait_for_due():
                deadline.expire()

    def _wait_for_due(self) -> list[Deadline]:
        """Wait for the earliest deadline or an earlier one, and return those that are due."""
        with self._changed:
            self._wakes_at = min((item.due for item in self._running), default=math.inf)
            left_s = self._wakes_at - time.monotonic()
            self._changed.wait(None if math.isinf(left_s) else max(0.0, left_s))
            now = time.monotonic()
            return [item for item in self._running if item.due <= now]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Watchdog.forget_parent)
