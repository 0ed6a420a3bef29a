"""Fetch each item, a URL, with one client of httpx2 for the whole process."""

import functools

import httpx2

client = functools.cache(httpx2.Client)


def fetch(url: str) -> bytes:
    """Return the page; the threads of a process share the client's connections."""
    return client().get(url, timeout=30).raise_for_status().content
