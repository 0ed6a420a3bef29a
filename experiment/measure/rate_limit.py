"""Space out the starts of fetches, as a site with rules for robots asks."""

import multiprocessing
import time
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

from experiment.fetches import UNKNOWN_STATUS, Fetch, Page
from experiment.vocabulary import StartMethod

REFUSALS = (429, 503)
"""The statuses with which a site refuses."""

WAIT_S = 5.0, 600.0
"""The least and the most seconds to wait after a refusal."""


class RateLimiter:
    """Space starts evenly over all the workers of a pool; a site that refuses stops them.

    Made before the pool; its values reach worker processes as they start.
    """

    here: ClassVar["RateLimiter | None"] = None

    def __init__(self, starts_a_second: float, start_method: StartMethod | None) -> None:
        context = multiprocessing.get_context(start_method)
        self._gap_s = 1 / starts_a_second
        self._next = context.Value("d", 0.0)
        self._wait_s = context.Value("d", 0.0)

    def turn(self) -> float | None:
        """Wait for the caller's turn; return the clock at which that was due, None if stopped."""
        if self.wait_s:
            return None
        with self._next.get_lock():
            due = max(float(self._next.value), time.perf_counter())
            self._next.value = due + self._gap_s
        time.sleep(max(0.0, due - time.perf_counter()))
        return None if self.wait_s else due

    def noted(self, intended_start_s: float, row: Fetch, retry_after: str | None) -> Fetch:
        """Note what became of a fetch, and return its row with the start that was intended."""
        if row.status in REFUSALS or row.error == UNKNOWN_STATUS:
            self.stop(wait_s(retry_after))
        if row.final_url not in (None, row.url):  # a redirect was a request, too
            with self._next.get_lock():
                self._next.value += self._gap_s
        return replace(row, intended_start_s=intended_start_s)

    def stop(self, wait_s: float) -> None:
        """Stop all fetches: the site has refused, and told to wait."""
        with self._wait_s.get_lock():
            self._wait_s.value = max(self._wait_s.value, wait_s)

    @property
    def wait_s(self) -> float:
        """Return how long the site has told to wait (s); 0 as long as it has not refused."""
        return float(self._wait_s.value)


def wait_s(told: str | None) -> float:
    """Return the seconds to wait after a refusal, by its `Retry-After` (seconds or a date)."""
    from urllib3 import Retry
    from urllib3.exceptions import InvalidHeader

    seconds = 0.0
    with suppress(InvalidHeader, ValueError, OverflowError):
        seconds = Retry().parse_retry_after(told or "")
    return min(max(seconds, WAIT_S[0]), WAIT_S[1])


def left_out(page: Page, zero: float, worker: int) -> Fetch:
    """Return the row of a page that is not asked for any more; its trial fails as a whole."""
    now_s = time.perf_counter() - zero
    return Fetch(
        page=page.number,
        url=page.url,
        worker=worker,
        start_s=now_s,
        end_s=now_s,
        fetch_s=0.0,
        error="refused",
    )
