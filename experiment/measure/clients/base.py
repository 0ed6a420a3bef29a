"""Fetch one page and time it: what every client shares, and `requests` itself.

A client is a small object that travels to the workers. `fetch` never raises: a failed fetch is
a row with its reason, and an exception that left a pool's worker would hang the pool.
"""

import hashlib
import multiprocessing
import re
import socket
import string
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Protocol, Self
from urllib.parse import quote

from experiment.measure import wikipedia
from experiment.records import Fetch, Page
from experiment.redaction import redacted_text
from experiment.study import ClientName, StartMethod

UNKNOWN_STATUS = "http ?"
"""The failure of a page whose server answered with an error that the client cannot number."""

SIZE_LIMIT = 64_000_000
"""Bytes of a page that are taken; a longer one is a failed fetch."""

URL_LIMIT = 2_000
"""Characters of the final URL that are kept: a page's script can make it as long as it likes."""


@dataclass(frozen=True)
class Terms:
    """What a client has to know of the source.

    Its certificates, whether it is embedded, for a site with rules who asks, and the process that
    holds the network in which it is alone with its clients.
    """

    bundle: str | None = None
    embedded: bool = False
    user_agent: str | None = None
    network: int | None = None


@dataclass
class Answer:
    """What a client learnt of the page it fetched; empty where it cannot tell."""

    body: bytes | None = None
    length: int | None = None
    final_url: str | None = None
    status: int | None = None
    origin_ms: float | None = None
    retry_after: str | None = None


class Pace:
    """Even starts, at most so many a second over all the workers of a pool, whatever its mode.

    Made before the pool; its values reach worker processes as they start. A site that refuses
    stops it, and nothing is fetched any more.
    """

    here: ClassVar["Pace | None"] = None

    def __init__(self, starts_a_second: float, start_method: StartMethod | None) -> None:
        context = multiprocessing.get_context(start_method)
        self._gap_s = 1 / starts_a_second
        self._next = context.Value("d", 0.0)
        self._wait_s = context.Value("d", 0.0)

    def turn(self) -> float:
        """Wait for the caller's turn; returns the clock at which that was due."""
        with self._next.get_lock():
            due = max(float(self._next.value), time.perf_counter())
            self._next.value = due + self._gap_s
        time.sleep(max(0.0, due - time.perf_counter()))
        return due

    def skip(self) -> None:
        """Leave a turn out, for a request that was made between two."""
        with self._next.get_lock():
            self._next.value += self._gap_s

    def stop(self, wait_s: float) -> None:
        """The site has refused, and told to wait."""
        with self._wait_s.get_lock():
            self._wait_s.value = max(self._wait_s.value, wait_s)

    @property
    def wait_s(self) -> float:
        """How long the site has told to wait; 0 as long as it has not refused."""
        return float(self._wait_s.value)


def begin(client: "Client", pace: Pace | None) -> None:
    """What a worker does before its first fetch."""
    Pace.here = pace
    client.prepare()


@dataclass
class Phases:
    """Seconds of a fetch by phase; a phase that a client does not have stays empty."""

    browser_start: float | None = None
    load: float | None = None
    check: float | None = None
    close: float | None = None

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time the block as part of the named phase, also when it raises."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - begun
            setattr(self, name, (getattr(self, name) or 0.0) + seconds)


class FetchError(Exception):
    """A fetch that failed for a reason of the vocabulary in data/README.md."""


class Client(Protocol):
    """What fetches a page."""

    timeout_s: float
    terms: Terms

    def prepare(self) -> None:
        """Import what the client needs; a worker does it before its first fetch."""

    def get(self, url: str, phases: Phases, deadline: "Deadline", answer: Answer) -> None:
        """Fetch the page, timing each phase; what is learnt stays in `answer`, come what may."""

    def reason(self, error: BaseException) -> str | None:
        """Why the fetch failed, in the vocabulary; None for an error of the client's own code."""


def make(name: ClientName, timeout_s: float, terms: Terms) -> Client:
    """The client of that name; Selenium is imported only for a browser."""
    if name == "requests":
        return Requests(timeout_s, terms)
    from experiment.measure.clients import browser

    return browser.BROWSERS[name](timeout_s, terms)


class Deadline:
    """The total time of a fetch: once it has passed, `stop` is called until the fetch gives up.

    Libraries bound the wait for each byte, not for all of them, so a server that drips its
    answer would hold a fetch for ever.
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


def fetch(client: Client, zero: float, page: Page) -> Fetch:
    """Fetch one page and time it; `zero` is the clock when the pool was ready.

    Whatever goes wrong is the row's `error`.
    """
    pace = Pace.here
    if pace is None:
        return _timed(client, zero, page)[0]
    due = None if pace.wait_s else pace.turn()
    if due is None or pace.wait_s:
        return _left_out(page, time.perf_counter() - zero)
    row, answer = _timed(client, zero, page)
    if answer.status in wikipedia.REFUSALS or row.error == UNKNOWN_STATUS:
        pace.stop(wikipedia.wait_s(answer.retry_after))
    if row.final_url not in (None, page.url):
        pace.skip()  # a redirect was a request, too
    return replace(row, intended_start_s=due - zero)


def _timed(client: Client, zero: float, page: Page) -> tuple[Fetch, Answer]:
    phases, answer, error, failure = Phases(), Answer(), None, None
    start = time.perf_counter()
    with Deadline(client.timeout_s) as deadline:
        try:
            client.get(page.url, phases, deadline, answer)
            error = _complaint(client, page, answer)
        except BaseException as raised:
            failure = raised
            error = client.reason(raised) or f"unexpected {type(raised).__name__}"
    end = time.perf_counter()
    if failure is not None:
        print(redacted_text(f"{page.url}: {_in_a_line(failure)}", page.url), file=sys.stderr)
    seconds = {f"{item.name}_s": getattr(phases, item.name) for item in fields(phases)}
    row = Fetch(
        page=page.number,
        url=page.url,
        final_url=answer.final_url and _recorded(answer.final_url),
        worker=threading.get_native_id(),
        start_s=start - zero,
        end_s=end - zero,
        fetch_s=end - start,
        planned_ms=page.planned_ms,
        origin_ms=answer.origin_ms if client.terms.embedded else None,
        status=answer.status,
        length=answer.length,
        sha256=None if answer.body is None else hashlib.sha256(answer.body).hexdigest(),
        error="timeout" if deadline.passed else error,
        **seconds,
    )
    return row, answer


def _in_a_line(error: BaseException) -> str:
    """Describe an error; a part of its text may be the page's own, of any length."""
    line = " ".join(str(error)[:1_000].split())
    return f"{type(error).__name__}: {''.join(filter(str.isprintable, line))}"


def _recorded(url: str) -> str:
    """Return a URL as it is recorded: ASCII, and cut where it is too long."""
    return quote(url[:URL_LIMIT], safe=string.punctuation, errors="replace")[:URL_LIMIT]


def _left_out(page: Page, now_s: float) -> Fetch:
    """A page that is not asked for any more; its trial fails as a whole."""
    return Fetch(
        page=page.number,
        url=page.url,
        worker=threading.get_native_id(),
        start_s=now_s,
        end_s=now_s,
        fetch_s=0.0,
        error="refused",
    )


def _complaint(client: Client, page: Page, answer: Answer) -> str | None:
    """What is wrong with an answer that came; browsers show a page of their own for an error."""
    if re.match("chrome-error:|about:neterror", answer.final_url or ""):
        return "connection"
    if not re.match("https?://", answer.final_url or ""):
        return "no page"
    if client.terms.embedded and answer.final_url != page.url:
        return "wrong page"
    return f"http {answer.status}" if (answer.status or 0) >= 400 else None


def server_timing_ms(header: str) -> float | None:
    """The origin's own delay from a `Server-Timing` header such as `origin;dur=231.4`."""
    found = re.search(r"(?:^|,)\s*origin;dur=(\d{1,9}(?:\.\d*)?)\s*(?:$|[,;])", header)
    return float(found[1]) if found else None


@dataclass
class Requests:
    """The article's `requests.get`: a new connection for every page."""

    timeout_s: float
    terms: Terms

    def prepare(self) -> None:
        """Import requests."""
        import requests  # noqa: F401

    def get(self, url: str, phases: Phases, deadline: Deadline, answer: Answer) -> None:
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
                    verify=self.terms.bundle or True,
                    headers=self._headers(),
                    hooks={"response": _read_redirect},
                ) as response,
            ):
                answer.status = response.status_code
                answer.retry_after = response.headers.get("Retry-After")
                body = _read(response)
        with phases.timed("check"):
            answer.body, answer.length = body, len(body)
            answer.final_url = response.url
            answer.origin_ms = server_timing_ms(response.headers.get("Server-Timing", ""))

    def _headers(self) -> dict[str, str] | None:
        """Who asks, where the source wants to know."""
        if self.terms.user_agent is None:
            return None
        from requests.utils import default_user_agent

        return {"User-Agent": f"{self.terms.user_agent} {default_user_agent()}"}

    def reason(self, error: BaseException) -> str | None:
        """The vocabulary's word for an exception of requests."""
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
    """The body of a response, up to the size limit."""
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
