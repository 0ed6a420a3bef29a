"""Fetch one page and time it: what every client shares.

A client is a small object that travels to the workers. `fetch` never raises: a failed fetch is
a row with its reason, and an exception that left a pool's worker would hang the pool.
"""

import hashlib
import re
import string
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import ClassVar
from urllib.parse import quote

from experiment.fetches import Fetch, Page
from experiment.measure.clients.deadline import Deadline as Deadline
from experiment.measure.rate_limit import REFUSALS, RateLimiter, wait_s
from experiment.redaction import redacted_text

UNKNOWN_STATUS = "http ?"
"""The failure of a page whose server answered with an error that the client cannot number."""

SIZE_LIMIT = 64_000_000
"""Bytes of a page that are taken; a longer one is a failed fetch."""

URL_LIMIT = 2_000
"""Characters of the final URL that are kept: a page's script can make it as long as it likes."""


@dataclass(frozen=True)
class ClientSettings:
    """Tell a client what it has to know of the source."""

    bundle: str | None = None
    """The file with its certificates."""
    embedded: bool = False
    user_agent: str | None = None
    """The User-Agent header, if the source requires one."""
    network: int | None = None
    """The process that holds the network in which it is alone with its clients."""


@dataclass
class Response:
    """Keep what a client learnt of the page it fetched; empty where it cannot tell."""

    body: bytes | None = None
    length: int | None = None
    final_url: str | None = None
    status: int | None = None
    origin_ms: float | None = None
    retry_after: str | None = None


@dataclass
class Phases:
    """Keep the seconds of a fetch by phase; a phase that a client does not have stays empty."""

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
    """Raised where a fetch failed for a reason of the vocabulary in data/README.md."""


@dataclass
class Client:
    """Fetch pages. A client has `get` and `reason`; the rest suits clients that are no browsers."""

    timeout_s: float
    settings: ClientSettings

    packages: ClassVar[tuple[str, ...]] = ()
    """The packages that it uses, whose versions a run records."""
    suits_any_page: ClassVar[bool] = True
    """Whether a study of pages of others may use it without being told to."""
    typical_fetch_s: ClassVar[float] = 0.23
    """A rough guess, for the progress bar only."""
    origin_connections: ClassVar[int] = 1
    """Connections to the embedded origin that it has at once, at most."""
    own_files: ClassVar[int] = 0
    """File descriptors that one of its own processes needs."""
    own_mb: ClassVar[float] = 0
    """Memory (MB) of its own processes beside others, at least."""

    @classmethod
    def check_installed(cls) -> None:
        """Raise `UserError` if a program outside Python that it needs is not installed."""

    @classmethod
    def version(cls) -> str | None:
        """Return the version of a program outside Python; raises `UserError` if it cannot run."""
        return None

    @classmethod
    def memory_mb(cls) -> float:
        """Return the memory (MB) of its own processes for one worker."""
        return cls.own_mb

    @classmethod
    def check_allowed(cls) -> None:
        """Raise `UserError` if the system forbids it to run; asked where it failed to start."""

    def prepare(self) -> None:
        """Import what the client needs; a worker does it before its first fetch."""

    def get(self, url: str, phases: Phases, deadline: Deadline, response: Response) -> None:
        """Fetch the page, timing each phase; what is learnt stays in `response`, come what may."""
        raise NotImplementedError

    def reason(self, error: BaseException) -> str | None:
        """Return why the fetch failed, in the vocabulary; None for an error of its own code."""
        raise NotImplementedError


def begin(client: Client, limiter: RateLimiter | None) -> None:
    """Prepare a worker for its first fetch."""
    RateLimiter.here = limiter
    client.prepare()


def fetch(client: Client, zero: float, page: Page) -> Fetch:
    """Fetch one page and time it; `zero` is the clock when the pool was ready.

    Whatever goes wrong is the row's `error`.
    """
    limiter = RateLimiter.here
    if limiter is None:
        return _timed(client, zero, page)[0]
    due = None if limiter.wait_s else limiter.turn()
    if due is None or limiter.wait_s:
        return _left_out(page, time.perf_counter() - zero)
    row, response = _timed(client, zero, page)
    if response.status in REFUSALS or row.error == UNKNOWN_STATUS:
        limiter.stop(wait_s(response.retry_after))
    if row.final_url not in (None, page.url):
        limiter.skip()  # a redirect was a request, too
    return replace(row, intended_start_s=due - zero)


def _timed(client: Client, zero: float, page: Page) -> tuple[Fetch, Response]:
    phases, response, error, failure = Phases(), Response(), None, None
    start = time.perf_counter()
    with Deadline(client.timeout_s) as deadline:
        try:
            client.get(page.url, phases, deadline, response)
            error = _complaint(client, page, response)
        except BaseException as raised:
            failure = raised
            known = str(raised) if isinstance(raised, FetchError) else client.reason(raised)
            error = known or f"unexpected {type(raised).__name__}"
    end = time.perf_counter()
    if failure is not None:
        print(redacted_text(f"{page.url}: {_in_a_line(failure)}", page.url), file=sys.stderr)
    seconds = {f"{item.name}_s": getattr(phases, item.name) for item in fields(phases)}
    row = Fetch(
        page=page.number,
        url=page.url,
        final_url=response.final_url and _recorded(response.final_url),
        worker=threading.get_native_id(),
        start_s=start - zero,
        end_s=end - zero,
        fetch_s=end - start,
        planned_ms=page.planned_ms,
        origin_ms=response.origin_ms if client.settings.embedded else None,
        status=response.status,
        length=response.length,
        sha256=None if response.body is None else hashlib.sha256(response.body).hexdigest(),
        error="timeout" if deadline.passed else error,
        **seconds,
    )
    return row, response


def _in_a_line(error: BaseException) -> str:
    """Describe an error; a part of its text may be the page's own, of any length."""
    line = " ".join(str(error)[:1_000].split())
    return f"{type(error).__name__}: {''.join(filter(str.isprintable, line))}"


def _recorded(url: str) -> str:
    """Return a URL as it is recorded: ASCII, and cut where it is too long."""
    return quote(url[:URL_LIMIT], safe=string.punctuation, errors="replace")[:URL_LIMIT]


def _left_out(page: Page, now_s: float) -> Fetch:
    """Return the row of a page that is not asked for any more; its trial fails as a whole."""
    return Fetch(
        page=page.number,
        url=page.url,
        worker=threading.get_native_id(),
        start_s=now_s,
        end_s=now_s,
        fetch_s=0.0,
        error="refused",
    )


def _complaint(client: Client, page: Page, response: Response) -> str | None:
    """Return what is wrong with a response; browsers show a page of their own for an error."""
    if re.match("chrome-error:|about:neterror", response.final_url or ""):
        return "connection"
    if not re.match("https?://", response.final_url or ""):
        return "no page"
    if client.settings.embedded and response.final_url != page.url:
        return "wrong page"
    return f"http {response.status}" if (response.status or 0) >= 400 else None


def server_timing_ms(header: str) -> float | None:
    """Read the origin's own delay from a `Server-Timing` header such as `origin;dur=231.4`."""
    stated = re.search(r"(?:^|,)\s*origin;dur=(\d{1,9}(?:\.\d*)?)\s*(?:$|[,;])", header)
    return float(stated[1]) if stated else None
