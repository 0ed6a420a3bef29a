"""Keep the secrets of URLs out of what is written: files, names of folders, messages.

User names and passwords are cut. The values of a query and a fragment are replaced by a digest:
equal values stay equal, so pages can be compared, also between runs. A short value can be guessed
from its digest by trying. Paths and the names of a query's parameters stay.
"""

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import unquote

PARTS = re.compile(
    r"(?P<start>(?:[a-z][a-z0-9+.-]*:(?=[/\\]))?[/\\]*)"
    # A password with a raw / ? or # makes no valid URL; what is said of it must not show it.
    r"(?P<user>[^/\\?#]*@|[^/\\?#@:\[]*:(?!\d*(?:[/\\?#]|$)).*@)?"
    r"(?P<place>[^?#]*)"
    r"(?P<query>\?[^#]*)?"
    r"(?P<fragment>#.*)?",
    re.DOTALL | re.IGNORECASE,
)
"""The parts of a URL, also of one that is not valid; matches any text."""

DIGEST = re.compile(r"sha256-[0-9a-f]{12}\W*")
"""What stands for a value; in a message punctuation may follow."""

SHORTEST_SECRET = 4
"""The fewest characters of a user name or password that are cut from a message."""


def redacted(url: str, keep_query: bool = False) -> str:
    """Return a URL without its user information, its query values and fragment as digests.

    With `keep_query` query and fragment stay. A redacted URL is not changed by redacting it again.
    """
    start, place, query, fragment = _parts(url).group("start", "place", "query", "fragment")
    query, fragment = query or "", fragment or ""
    if not keep_query:
        query = query[:1] + "".join(map(_parameter, re.split("([&;])", query[1:])))
        fragment = fragment[:1] + _digest(fragment[1:])
    return f"{start}{place}{query}{fragment}"


def redacted_item(item: str, keep_query: bool = False) -> str:
    """Return a URL redacted; what is no URL, such as a key or the name of a file, as it is."""
    return redacted(item, keep_query) if "://" in item else item


def is_redacted(url: str) -> bool:
    """Return whether a URL has a digest in place of a value, so that it cannot be requested."""
    return re.search(rf"[?&;=#]{DIGEST.pattern}(?:[&;#]|$)", url) is not None


def count_users(urls: Iterable[str]) -> int:
    """Return how many URLs name a user."""
    return sum(_parts(url)["user"] is not None for url in urls)


def redacted_text(text: str, url: str = "") -> str:
    """Return a message with every URL in it redacted; it may quote `url` in pieces, too."""
    if url:
        text = text.replace(url, redacted(url))
    for word in _user_words(url):
        text = text.replace(word, "...")
    text = re.sub(r"(?<=:)//\S+", lambda match: redacted(match[0]), text)
    return re.sub(r"(?<=[^\s(])\?[^\s'\")]\S*", lambda match: redacted(match[0]), text)


def _parts(url: str) -> re.Match[str]:
    parts = PARTS.match(url)
    assert parts is not None  # all of them may be empty
    return parts


def _parameter(text: str) -> str:
    """Redact a parameter of a query; a text without a value is redacted as a value."""
    if text in ("&", ";"):
        return text
    name, _, value = text.partition("=")
    return f"{name}={_digest(value)}" if value.strip("=") else _digest(text)


def _digest(value: str) -> str:
    if not value or DIGEST.fullmatch(value):
        return value
    return f"sha256-{hashlib.sha256(value.encode(errors='surrogatepass')).hexdigest()[:12]}"


def _user_words(url: str) -> list[str]:
    """Return user name and password, quoted and unquoted, the longest first."""
    user = (_parts(url)["user"] or "").removesuffix("@")
    words = {user, *user.split(":", 1)}
    words |= set(map(unquote, words))
    return sorted((word for word in words if len(word) >= SHORTEST_SECRET), key=len, reverse=True)
