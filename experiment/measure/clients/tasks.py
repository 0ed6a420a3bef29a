"""Fetch pages in the tasks of an event loop: what `base` does, awaited.

A module of its own, since the workers of other modes need no asyncio.
"""

import asyncio

from experiment.fetches import Fetch, Page
from experiment.measure.clients import base
from experiment.measure.rate_limit import RateLimiter, left_out


async def fetch(client: base.Client, zero: float, page: Page) -> Fetch:
    """Fetch one page and time it, in a task named after the number of its worker."""
    limiter = RateLimiter.here
    if limiter is None:
        return (await _timed(client, zero, page)).row
    due = await asyncio.to_thread(limiter.turn)
    if due is None:
        return left_out(page, zero, _worker())
    attempt = await _timed(client, zero, page)
    return limiter.noted(due - zero, attempt.row, attempt.response.retry_after)


async def _timed(client: base.Client, zero: float, page: Page) -> base.Attempt:
    with base.Attempt(client, zero, page, _worker()) as attempt:
        async with asyncio.timeout(client.timeout_s) as deadline:
            attempt.is_late = deadline.expired
            await client.get_async(page.url, attempt.phases, attempt.response)
    return attempt


def _worker() -> int:
    task = asyncio.current_task()
    assert task is not None
    return int(task.get_name())


async def end(client: base.Client, _: object) -> None:
    """End what a client keeps, in the event loop in which it was made."""
    await client.end_async()
