"""Keep what a client learns of a page, and say what is wrong with it."""

import re
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

SIZE_LIMIT = 64_000_000
"""Bytes of a page that are taken; a longer one is a failed fetch."""

URL_LIMIT = 2_000
"""Characters of the final URL that are kept: a page's script can make it as long as it likes."""


@dataclass
class Response:
    """Keep what a client learnt of the page it fetched; empty where it cannot tell."""

    body: bytes | None = None
    length: int | None = None
    final_url: str | None = None
    status: int | None = None
    origin_ms: float | None = None
    retry_after: str | None = None
    page: int = 0
    """The number of the page in its trial, which is known before."""


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


class Body(bytearray):
    """Collect the body of a page."""

    def add(self, chunk: bytes) -> None:
        """Add a part; raises `FetchError` above the size limit."""
        self += chunk
        if len(self) > SIZE_LIMIT:
            raise FetchError("too large")


def in_a_line(error: BaseException) -> str:
    """Describe an error; a part of its text may be the page's own, of any length."""
    try:
        words = str(error)
    except Exception:  # an exception of a user's own may fail to describe itself
        words = "it has no description"
    line = " ".join(words[:1_000].split())
    return f"{type(error).__name__}: {''.join(filter(str.isprintable, line))}"


def recorded(url: str) -> str:
    """Return a URL as it is recorded: ASCII, and cut where it is too long."""
    return quote(url[:URL_LIMIT], safe=string.punctuation, errors="replace")[:URL_LIMIT]


def complaint(response: Response, url: str, embedded: bool) -> str | None:
    """Return what is wrong with a response; browsers show a page of their own for an error."""
    if re.match("chrome-error:|about:neterror", response.final_url or ""):
        return "connection"
    if not re.match("https?://", response.final_url or ""):
        return "no page"
    if embedded and response.final_url != url:
        return "wrong page"
    return f"http {response.status}" if (response.status or 0) >= 400 else None


def server_timing_ms(header: str) -> float | None:
    """Read the origin's own delay from a `Server-Timing` header such as `origin;dur=231.4`."""
    stated = re.search(r"(?:^|,)\s*origin;dur=(\d{1,9}(?:\.\d*)?)\s*(?:$|[,;])", header)
    return float(stated[1]) if stated else None
