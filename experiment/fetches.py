"""Define what travels to the workers and back: pages, and their fetches.

Each worker imports this module before it is ready, so it imports next to nothing.
"""

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

Seconds = Annotated[float, Ge(0), Le(1e12)]
Count = Annotated[int, Ge(0), Le(10**15)]


UNKNOWN_STATUS = "http ?"
"""The failure of a page whose server answered with an error that the client cannot number."""


@dataclass(frozen=True)
class Page:
    """One URL to fetch; `planned_ms` is its delay if the source is the embedded origin."""

    number: int
    url: str
    planned_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """One page fetched once, as its worker reports it; seconds count from pool ready."""

    page: Count
    url: str
    final_url: str | None = None
    worker: Count
    intended_start_s: Seconds | None = None
    start_s: Seconds
    end_s: Seconds
    fetch_s: Seconds
    queue_s: Seconds | None = None
    browser_start_s: Seconds | None = None
    load_s: Seconds | None = None
    check_s: Seconds | None = None
    close_s: Seconds | None = None
    planned_ms: Seconds | None = None
    origin_ms: Seconds | None = None
    status: Count | None = None
    length: Count | None = None
    sha256: str | None = None
    error: str | None = None


def library_chunk_size(pages: int, workers: int) -> int:
    """Return the pages that multiprocessing's `map` hands out at a time: a quarter of a share."""
    return math.ceil(pages / (4 * workers))
