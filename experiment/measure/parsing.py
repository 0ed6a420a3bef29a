"""Fetch a page over a kept connection, then do so much Python work on it that holds the GIL.

The functions are called `passes_0`, `passes_1` and so on, after how often they parse the page; a
crossover has them as clients. The certificates are read when this is imported, before any fork.
"""

import re
import ssl
from collections import Counter
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser

import urllib3

CONNECTIONS = urllib3.PoolManager(maxsize=500, ssl_context=ssl.create_default_context())
"""The connections of all threads of a process; none is open before a fork."""


class Words(HTMLParser):
    """Count the words of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def handle_data(self, data: str) -> None:
        """Count the words of a text."""
        for word in data.split():
            self.counts[word] += 1


def fetch_and_parse(passes: int, url: str) -> bytes:
    """Fetch a page, and parse it so many times."""
    page = CONNECTIONS.request("GET", url).data
    text = page.decode()
    for _ in range(passes):
        words = Words()
        words.feed(text)
        words.close()
    return page


def __getattr__(name: str) -> Callable[[str], bytes]:
    """Return the function that parses a page as often as its name says."""
    if named := re.fullmatch(r"passes_(\d{1,4})", name):
        return partial(fetch_and_parse, int(named[1]))
    raise AttributeError(f"module {__name__} has no attribute {name}")
