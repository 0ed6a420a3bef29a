"""Fetch one page and time it: what every client shares.

A client is a small object that travels to the workers. `fetch` never raises: a failed fetch is
a row with its reason, and an exception that left a pool's worker would hang the pool.
"""

import hashlib
import multiprocessing.util
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import ClassVar, Self

from experiment.fetches import Fetch, Page
from experiment.measure.clients.deadline import Deadline
from experiment.measure.clients.response import (
    SIZE_LIMIT,
    Body,
    FetchError,
    Phases,
    Response,
    complaint,
    in_a_line,
    recorded,
    server_timing_ms,
)
from experiment.measure.clients.settings import ClientSettings
from experiment.measure.rate_limit import RateLimiter, left_out
from experiment.redaction import redacted_text
from experiment.vocabulary import AWAITED, MODES, Mode

__all__ = [
    "SIZE_LIMIT", "Attempt", "Body", "Client", "ClientSettings", "Deadline", "FetchError",
    "Phases", "Response", "begin", "fetch", "server_timing_ms",
]  # fmt: skip


@dataclass
class Client:
    """Fetch pages. A client has `get` and `reason`; the rest suits clients that are no browsers."""

    timeout_s: float
    settings: ClientSettings

    modes: ClassVar[tuple[Mode, ...]] = tuple(mode for mode in MODES if mode not in AWAITED)
    """The modes that it can do."""
    packages: ClassVar[tuple[str, ...]] = ()
    """The packages that it uses, whose versions a run records."""
    can_reuse: ClassVar[bool] = True
    """Whether it can keep a connection or a browser, or not, as it is told."""
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

    async def get_async(self, url: str, phases: Phases, response: Response) -> None:
        """Do the same in a task of an event loop; for clients of mode asyncio."""
        raise NotImplementedError

    def end(self) -> None:
        """End what this process keeps from fetch to fetch; called once, after its last one."""

    async def end_async(self) -> None:
        """Do the same in the event loop of mode asyncio."""

    def complaint(self, response: Response, url: str) -> str | None:
        """Return what is wrong with a response, in the vocabulary; None for a page that came."""
        return complaint(response, url, self.settings.embedded)

    def reason(self, error: BaseException) -> str | None:
        """Return why the fetch failed, in the vocabulary; None for an error of its own code."""
        raise NotImplementedError


def begin(client: Client, limiter: RateLimiter | None) -> None:
    """Prepare a worker for its first fetch; a process ends what it keeps when it exits."""
    RateLimiter.here = limiter
    client.prepare()
    if multiprocessing.parent_process() is not None:
        multiprocessing.util.Finalize(None, client.end, exitpriority=10)


def fetch(client: Client, zero: float, page: Page) -> Fetch:
    """Fetch one page and time it; `zero` is the clock when the pool was ready.

    Whatever goes wrong is the row's `error`.
    """
    limiter = RateLimiter.here
    if limiter is None:
        return _timed(client, zero, page).row
    due = limiter.turn()
    if due is None:
        return left_out(page, zero, threading.get_native_id())
    attempt = _timed(client, zero, page)
    return limiter.noted(due - zero, attempt.row, attempt.response.retry_after)


def _timed(client: Client, zero: float, page: Page) -> "Attempt":
    worker = threading.get_native_id()
    with Attempt(client, zero, page, worker) as attempt, Deadline(client.timeout_s) as deadline:
        attempt.is_late = lambda: deadline.passed
        client.get(page.url, attempt.phases, deadline, attempt.response)
    return attempt


@dataclass
class Attempt:
    """Time one fetch and keep what is learnt, whatever goes wrong; no error leaves it."""

    client: Client
    zero: float
    page: Page
    worker: int
    phases: Phases = field(default_factory=Phases)
    response: Response = field(init=False)
    is_late: Callable[[], bool] = lambda: False
    row: Fetch = field(init=False)

    def __post_init__(self) -> None:
        self.response = Response(page=self.page.number)

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(self, kind: object, failure: BaseException | None, trace: object) -> bool:
        end = time.perf_counter()
        error = self._error(failure)
        if failure is not None:
            words = redacted_text(f"{self.page.url}: {in_a_line(failure)}", self.page.url)
            print(words, file=sys.stderr)
        self.row = self._row(end, "timeout" if self.is_late() else error)
        return True

    def _error(self, failure: BaseException | None) -> str | None:
        if failure is None:
            return self.client.complaint(self.response, self.page.url)
        known = str(failure) if isinstance(failure, FetchError) else self.client.reason(failure)
        return known or f"unexpected {type(failure).__name__}"

    def _row(self, end: float, error: str | None) -> Fetch:
        page, response, body = self.page, self.response, self.response.body
        seconds = {f"{item.name}_s": getattr(self.phases, item.name) for item in fields(Phases)}
        return Fetch(
            page=page.number,
            url=page.url,
            final_url=response.final_url and recorded(response.final_url),
            worker=self.worker,
            start_s=self._start - self.zero,
            end_s=end - self.zero,
            fetch_s=end - self._start,
            planned_ms=page.planned_ms,
            origin_ms=response.origin_ms if self.client.settings.embedded else None,
            status=response.status,
            length=response.length,
            sha256=None if body is None else hashlib.sha256(body).hexdigest(),
            error=error,
            **seconds,
        )
