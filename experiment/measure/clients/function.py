"""Call a function of the user's with each item; `functions` looks at it beforehand."""

import asyncio
import functools
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from experiment.measure.clients import base, sockets
from experiment.measure.clients.deadline import STUCK, STUCK_WORDS

PROJECT = Path(__file__).resolve().parents[3]

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""The variables in which requests, curl, httpx and OpenSSL look for certificates to trust."""

GIVE_UP_S = 10.0
"""How long after its timeout a call that cannot be interrupted may still end by itself."""


class _Calls:
    """Keep what the calls of this process share."""

    interruptible = False
    """Whether the main thread is within a call, so that its signal handler may raise."""
    loop: asyncio.Runner | None = None
    """The event loop that awaits the calls of mode serial, one after another."""


@functools.cache
def load(where: str) -> Callable[[str], Any]:
    """Import the function `module:function`, from the current folder or this project, too."""
    for folder in (os.getcwd(), str(PROJECT)):  # noqa: PTH109
        if folder not in sys.path:
            sys.path.append(folder)
    module, _, name = where.partition(":")
    function: Callable[[str], Any] = getattr(import_module(module), name)
    return function


def forget(where: str) -> None:
    """Have the module of a function imported anew, where a process outlives a trial."""
    load.cache_clear()
    sys.modules.pop(where.partition(":")[0], None)


def is_async(function: Callable[[str], Any]) -> bool:
    """Return whether a function is an `async def`, also behind `functools.partial`."""
    inner = function.func if isinstance(function, functools.partial) else function
    call = getattr(inner, "__call__", None)  # noqa: B004, an object may be called as a function
    return asyncio.iscoroutinefunction(inner) or asyncio.iscoroutinefunction(call)


@functools.cache
def of(where: str) -> type["Client"]:
    """Return the class of the client that calls a function."""
    return type("Client", (Client,), {"where": where, "__doc__": Client.__doc__})


def _again(where: str, *settings: Any) -> "Client":
    return of(where)(*settings)


@dataclass
class Client(base.Client):
    """Call a function; to workers it travels as a name, so it need not be pickled."""

    where: ClassVar[str]
    suits_any_page = False
    can_reuse = False

    def __reduce__(self) -> Any:
        """Travel as what makes it again: a class made by `of` has no name to be found by."""
        return _again, (self.where, self.timeout_s, self.settings)

    def prepare(self) -> None:
        """Import the function, have it trust the embedded origin, make calls interruptible."""
        if self.settings.bundle:
            os.environ |= dict.fromkeys(BUNDLES, self.settings.bundle)
        load(self.where)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGALRM, _interrupt)

    def get(
        self, url: str, phases: base.Phases, deadline: base.Deadline, response: base.Response
    ) -> None:
        """Call the function with an item, which pages of the study call a URL."""
        function, thread = load(self.where), threading.current_thread()
        with sockets.opened_here() as opened, phases.timed("load"):
            deadline.stop = functools.partial(_stop, opened, thread, deadline.due + GIVE_UP_S)
            result = self._await(function, url) if is_async(function) else _called(function, url)
        _note(result, phases, response)

    def _await(self, function: Callable[[str], Any], url: str) -> Any:
        async def limited() -> Any:
            """Await the call for as long as it may take."""
            try:
                async with asyncio.timeout(self.timeout_s) as limit:
                    return await function(url)
            except TimeoutError:
                raise (base.FetchError("timeout") if limit.expired() else TimeoutError) from None

        _Calls.loop = _Calls.loop or asyncio.Runner()
        return _Calls.loop.run(limited())

    async def get_async(self, url: str, phases: base.Phases, response: base.Response) -> None:
        """Await the function, which is an `async def`, with an item."""
        with phases.timed("load"):
            result = await load(self.where)(url)
        _note(result, phases, response)

    def end(self) -> None:
        """Close the event loop of mode serial."""
        if _Calls.loop is not None:
            _Calls.loop.close()

    def complaint(self, response: base.Response, url: str) -> str | None:  # noqa: ARG002
        """Return nothing: a call that returns has succeeded."""
        return None

    def reason(self, error: BaseException) -> str | None:
        """Return that the function raised an exception, with its type."""
        return f"raised {type(error).__name__}"


def _called(function: Callable[[str], Any], url: str) -> Any:
    """Call a function, in a main thread so that a signal can interrupt it."""
    if threading.current_thread() is not threading.main_thread():
        return function(url)
    _Calls.interruptible = True
    try:
        return function(url)
    finally:
        _Calls.interruptible = False


def _note(result: Any, phases: base.Phases, response: base.Response) -> None:
    """Keep length and digest of bytes and text; nothing else is looked at or sent anywhere."""
    with phases.timed("check"):
        if isinstance(result, str):
            result = result.encode(errors="surrogatepass")
        if isinstance(result, bytes | bytearray | memoryview):
            response.body = bytes(result)
            response.length = len(response.body)


def _stop(opened: Sequence[socket.socket], thread: threading.Thread, give_up_at: float) -> None:
    """Interrupt a call that is late: shut its sockets, and raise an exception in a main thread.

    Serial and processes call in a main thread. A call in another thread that does not wait on a
    socket cannot be interrupted; that ends the process, and the trial fails.
    """
    if time.monotonic() > give_up_at:
        print(STUCK_WORDS, file=sys.stderr, flush=True)
        os._exit(STUCK)
    sockets.shut(opened)
    if thread is threading.main_thread():
        signal.pthread_kill(thread.ident or 0, signal.SIGALRM)


def _interrupt(number: int, frame: object) -> None:  # noqa: ARG001
    if _Calls.interruptible:
        raise TimeoutError("the call took too long")
