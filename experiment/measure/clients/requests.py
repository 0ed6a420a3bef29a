"""The article's `requests.get`: a new connection for every page."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

from experiment.measure.clients import base
from experiment.measure.clients.base import (
    SIZE_LIMIT,
    Deadline,
    FetchError,
    Phases,
    Response,
    server_timing_ms,
)


class Client(base.Client):
    """Fetch as the article does, with `requests.get`."""

    packages = ("requests",)

    def prepare(self) -> None:
        """Import requests."""
        import requests  # noqa: F401

    def get(self, url: str, phases: Phases, deadline: Deadline, response: Response) -> None:
        """Fetch the page; `load` is the article's call, `check` reads what came."""
        import requests

        with Sockets.opened_here() as sockets:
            deadline.stop = sockets.shut
            with (
                phases.timed("load"),
                requests.get(
                    url,
                    timeout=self.timeout_s,
                    stream=True,
                    verify=self.settings.bundle or True,
                    headers=self._headers(),
                    hooks={"response": _read_redirect},
                ) as received,
            ):
                response.status = received.status_code
                response.retry_after = received.headers.get("Retry-After")
                body = _read(received)
        with phases.timed("check"):
            response.body, response.length = body, len(body)
            response.final_url = received.url
            response.origin_ms = server_timing_ms(received.headers.get("Server-Timing", ""))

    def _headers(self) -> dict[str, str] | None:
        """Return the User-Agent header, if the source requires one."""
        if self.settings.user_agent is None:
            return None
        from requests.utils import default_user_agent

        return {"User-Agent": f"{self.settings.user_agent} {default_user_agent()}"}

    def reason(self, error: BaseException) -> str | None:
        """Return the vocabulary's word for an exception of requests."""
        from requests import exceptions

        if isinstance(error, FetchError):
            return str(error)
        words: dict[type[BaseException], str] = {
            exceptions.SSLError: "tls",
            exceptions.Timeout: "timeout",
            exceptions.TooManyRedirects: "redirects",
            exceptions.ContentDecodingError: "encoding",
            exceptions.RequestException: "connection",
        }
        return next((word for kind, word in words.items() if isinstance(error, kind)), None)


def _read(response: Any) -> bytes:
    """Return the body of a response; raises `FetchError` above the size limit."""
    body = bytearray()
    for chunk in response.iter_content(65536):
        body += chunk
        if len(body) > SIZE_LIMIT:
            raise FetchError("too large")
    return bytes(body)


def _read_redirect(response: Any, **_: object) -> None:
    """Read the body of a redirect, which requests itself would read whatever its length."""
    if response.is_redirect:
        _read(response)


class Sockets:
    """The sockets that a thread connects, so that another thread can shut them.

    Python's own audit event tells of each; libraries do not hand theirs out while they wait.
    """

    _of_thread = threading.local()
    _hooked = False

    def __init__(self) -> None:
        self._open: list[socket.socket] = []

    @classmethod
    @contextmanager
    def opened_here(cls) -> Iterator[Self]:
        """Collect the sockets that this thread connects in the block."""
        if not Sockets._hooked:
            Sockets._hooked = True
            sys.addaudithook(_note_connection)
        cls._of_thread.sockets = sockets = cls()
        try:
            yield sockets
        finally:
            del cls._of_thread.sockets
            sockets.close()

    def add(self, connecting: socket.socket) -> None:
        """Keep a second handle, which stays good when TLS takes the first one over."""
        self._open.append(connecting.dup())

    def shut(self) -> None:
        """End the connections, whatever is waiting on them."""
        for item in list(self._open):
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the handles back."""
        for item in self._open:
            item.close()


def _note_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        sockets = getattr(Sockets._of_thread, "sockets", None)
        if sockets is not None:
            sockets.add(arguments[0])
