"""What a pool and its workers share: how a worker begins and ends, and that one has died."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.pool import Pool
from multiprocessing.synchronize import Semaphore
from typing import Any

ALONE = "THREADS_OR_PROCESSES_ALONE"
"""The variable that says that a trial has a network of its own."""

Ready = threading.Semaphore | Semaphore


@dataclass(frozen=True)
class Begin:
    """Prepare a worker, and say that it is ready."""

    prepare: Callable[[], object]
    ready: Ready

    def __call__(self) -> None:
        self.prepare()
        self.ready.release()


class WorkerDied(Exception):
    """Raised where a worker died; a pool that waits for its work would wait for ever.

    `retried` is how many of its tasks another worker was given, where a pool does that.
    """

    def __init__(self, words: str, retried: int | None = None) -> None:
        super().__init__(words)
        self.retried = retried


class ProcessPool(Pool):
    """Make a pool of processes; where not all of them can start, kill the others.

    The library asks them to end (SIGTERM). One that has just been forked loses that signal while
    Python resets its own handling of signals, and the library would wait for it for ever.
    """

    @staticmethod
    def Process(ctx: Any, *args: Any, **kwds: Any) -> Any:  # noqa: N802, the library's name
        """Make a worker whose `terminate` kills."""
        process = ctx.Process(*args, **kwds)
        process.terminate = process.kill
        return process
