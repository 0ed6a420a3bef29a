"""Limit the total time of a fetch."""

import threading
from collections.abc import Callable
from typing import Self


class Deadline:
    """Limit the total time of a fetch: then call `stop` until the fetch gives up.

    Libraries bound the wait for each byte, not for all of them, so a server that drips its
    response would hold a fetch for ever.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.passed = False
        self.stop: Callable[[], object] = lambda: None
        self._done = threading.Event()

    def __enter__(self) -> Self:
        self._watch = threading.Thread(target=self._run, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._watch.join()

    def _run(self) -> None:
        if not self._done.wait(self.timeout_s):
            self.passed = True
        while not self._done.is_set():
            self.stop()
            self._done.wait(0.1)
