"""Compare the ways to fetch pages: each client in each mode, with new or kept connections."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from experiment.analysis import summary
from experiment.analysis.results import RunResults
from experiment.analysis.summary import Estimate
from experiment.vocabulary import BROWSERS, is_function


@dataclass(frozen=True)
class Way:
    """One way to fetch the pages of a round, and what it takes.

    `speed_up` is how many times as fast it is as the serial loop without reuse, in the same rounds;
    `cpu_ms` the CPU of a page while pages are fetched; `memory_mb` that of Python and browsers.
    """

    client: str
    mode: str
    pool_size: int
    reuse: str
    total: Estimate
    speed_up: Estimate
    cpu_ms: Estimate
    memory_mb: float

    @property
    def words(self) -> str:
        """Return the way in words: "requests, threads, kept connections"."""
        return in_words(self.client, self.mode, self.reuse)


def in_words(client: str, mode: str, reuse: str) -> str:
    """Return a way in words: "requests, threads, kept connections"; of a function, what is known.

    A function of the user's may open or keep what it likes.
    """
    opened = [] if is_function(client) else [reuse_words(client, reuse)]
    return ", ".join([client, mode, *opened])


def reuse_words(client: str, reuse: str) -> str:
    """Return what a client opens for each page, or keeps."""
    thing = "browsers" if client in BROWSERS else "connections"
    return f"{'kept' if reuse == 'on' else 'new'} {thing}"


def groups(results: RunResults) -> dict[str, list[Way]]:
    """Return the ways of a run, fastest first, by what a page is read with.

    Clients that read a page's bytes are one group, called "". Each browser is a group of its own:
    it also loads what belongs to a page and runs its scripts.
    """
    found: dict[str, list[Way]] = {}
    for way in _ways(results):
        found.setdefault(way.client if way.client in BROWSERS else "", []).append(way)
    return {name: sorted(own, key=lambda way: way.total.value) for name, own in found.items()}


def of_today(results: RunResults) -> dict[str, list[Way]]:
    """Return the groups that have a way with reuse or asyncio beside the article's ways."""
    return {
        name: own
        for name, own in groups(results).items()
        if len({(way.reuse, way.mode == "asyncio") for way in own}) > 1
    }


def base_of(results: RunResults, client: str) -> str:
    """Return the client whose serial loop a client is compared with.

    That is a browser itself, and for others `requests`, or else the first that has one.
    """
    if client in BROWSERS:
        return client
    rounds = results.ways
    serial = rounds[(rounds["mode"] == "serial") & ~rounds["client"].isin(BROWSERS)]
    names = [name for name in results.study.clients if name in set(serial["client"])]
    return "requests" if "requests" in names else next(iter(names), client)


def _ways(results: RunResults) -> Iterator[Way]:
    rounds = results.ways
    for cell, own in rounds.groupby(summary.CELL, sort=False):
        client, mode, size, reuse = map(str, cell)
        base = base_of(results, client)
        serial = rounds[(rounds["client"] == base) & (rounds["mode"] == "serial")]
        spans = _by_round(serial[serial["reuse"] == results.study.reuse[0]])
        total = _by_round(own)
        yield Way(
            client=client,
            mode=mode,
            pool_size=int(size),
            reuse=reuse,
            total=summary.mean(total),
            speed_up=summary.ratio(spans, total),
            cpu_ms=summary.mean(_by_round(own, "fetch_cpu_mean_ms")),
            memory_mb=float(own[["python_pss_mb", "browser_pss_mb"]].mean().sum(min_count=1)),
        )


def _by_round(rows: pd.DataFrame, column: str = "span_s") -> "pd.Series[float]":
    return rows.set_index("round")[column].astype(float)


def ratio(results: RunResults, one: Way, other: Way) -> Estimate:
    """Return how many times as long one way takes as another, in the same rounds."""
    spans = []
    for way in (one, other):
        cell = [way.client, way.mode, way.pool_size, way.reuse]
        own = (results.ways[summary.CELL] == cell).all(axis=1)
        spans.append(_by_round(results.ways[own]))
    return summary.ratio(*spans)
