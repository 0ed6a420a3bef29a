"""Keep a session or a browser for each worker of a process."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

from experiment.measure.clients import sockets
from experiment.measure.clients.deadline import Deadline

Thing = TypeVar("Thing")


class Kept(Generic[Thing]):
    """Keep one thing for each thread; no two threads share one, and a fork inherits none."""

    def __init__(self, end: Callable[[Thing], object]) -> None:
        self._end = end
        self._of_thread: dict[int, Thing] = {}
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._of_thread.clear)

    def get(self, make: Callable[[], Thing]) -> Thing:
        """Return this thread's thing, made if there is none."""
        thread = threading.get_ident()
        if thread not in self._of_thread:
            self._of_thread[thread] = make()
        return self._of_thread[thread]

    def drop(self) -> None:
        """End this thread's thing, if there is one."""
        thing = self._of_thread.pop(threading.get_ident(), None)
        if thing is not None:
            self._end(thing)

    def end(self) -> None:
        """End the things of all threads; none of them may be in use."""
        while self._of_thread:
            self._end(self._of_thread.popitem()[1])


class Closable(Protocol):
    """Anything that has connections of its own."""

    def close(self) -> object:
        """Close the connections."""


class Connections(Kept["tuple[Closable, list[socket.socket]]"]):
    """Keep for each thread what has its connections, such as a session, and handles of these."""

    def __init__(self) -> None:
        super().__init__(_close)

    @contextmanager
    def in_use(self, make: Callable[[], Closable], deadline: Deadline) -> Iterator[Any]:
        """Yield this thread's, made if there is none; if the block fails, it is not kept."""
        owner, opened = self.get(lambda: (make(), []))
        deadline.stop = lambda: sockets.shut(opened)
        try:
            with sockets.added_to(opened):
                yield owner
        except BaseException:
            self.drop()
            raise


def _close(connections: "tuple[Closable, list[socket.socket]]") -> None:
    owner, opened = connections
    owner.close()
    sockets.close(opened)
