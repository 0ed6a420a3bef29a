"""Let another thread shut the sockets that a client of the same process waits on."""

import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

KEPT = 10
"""Handles that are kept from fetch to fetch, as many as a session has connections to hosts."""

_of_thread = threading.local()


@contextmanager
def opened_here() -> Iterator[list[socket.socket]]:
    """Collect second handles of the sockets that this thread connects in the block."""
    opened: list[socket.socket] = []
    with added_to(opened):
        try:
            yield opened
        finally:
            close(opened)


@contextmanager
def added_to(opened: list[socket.socket]) -> Iterator[None]:
    """Add second handles of the sockets that this thread connects in the block to a list.

    Python's own audit event tells of each; libraries do not hand theirs out while they wait.
    Handles of connections that are kept stay in the list, the latest ones.
    """
    _add_hook()
    _of_thread.opened = opened
    try:
        yield
    finally:
        del _of_thread.opened
        close(opened, KEPT)


def close(opened: list[socket.socket], keeping: int = 0) -> None:
    """Close all handles but the last ones."""
    while len(opened) > keeping:
        opened.pop(0).close()


def shut(opened: Sequence[socket.socket]) -> None:
    """End connections, whatever is waiting on them."""
    for item in list(opened):
        with suppress(OSError):
            item.shutdown(socket.SHUT_RDWR)


@cache
def _add_hook() -> None:
    """Add the audit hook once: none can be removed."""
    sys.addaudithook(_note_connection)


def _note_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and hasattr(_of_thread, "opened"):
        # A second handle stays good when TLS takes the first one over.
        _of_thread.opened.append(arguments[0].dup())
