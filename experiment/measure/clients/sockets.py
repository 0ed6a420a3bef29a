"""Let another thread shut the sockets that a client of the same process waits on."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Self


class Sockets:
    """Collect the sockets that a thread connects.

    Python's own audit event tells of each; libraries do not hand theirs out while they wait.
    """

    _of_thread = threading.local()

    def __init__(self) -> None:
        self._open: list[socket.socket] = []

    @classmethod
    @contextmanager
    def opened_here(cls) -> Iterator[Self]:
        """Collect the sockets that this thread connects in the block."""
        _add_hook()
        cls._of_thread.sockets = sockets = cls()
        try:
            yield sockets
        finally:
            del cls._of_thread.sockets
            for item in sockets._open:
                item.close()

    def add(self, connecting: socket.socket) -> None:
        """Keep a second handle, which stays good when TLS takes the first one over."""
        self._open.append(connecting.dup())

    def shut(self) -> None:
        """End the connections, whatever is waiting on them."""
        for item in list(self._open):
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)


@cache
def _add_hook() -> None:
    """Add the audit hook once: none can be removed."""
    sys.addaudithook(_note_connection)


def _note_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        sockets = getattr(Sockets._of_thread, "sockets", None)
        if sockets is not None:
            sockets.add(arguments[0])
