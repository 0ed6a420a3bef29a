"""Read the values of parameters as users write them, and write them back."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, TypeVar

from pydantic import HttpUrl, TypeAdapter
from pydantic.fields import FieldInfo

Item = TypeVar("Item")


@dataclass(frozen=True)
class Expected:
    """The words that complete "is not ..." in the message about an invalid value."""

    words: str


def none_if_empty(value: Any) -> Any:
    """Return a value, or None where it is empty text or "none"."""
    return None if isinstance(value, str) and value.strip().lower() in ("", "none") else value


def as_list(value: Any) -> Any:
    """Return a list, written in Python, in JSON, or as words split by spaces or commas."""
    if not isinstance(value, Iterable):
        return [value]
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value.replace("'", '"'))
    return re.split(r"[\s,]+", value.strip(" ,\n\t"))


def each_once(value: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return the values; raises `ValueError` where one is there twice."""
    if len(set(value)) < len(value):
        raise ValueError("named twice")
    return value


def listed(value: Any) -> list[str] | None:
    """Return names however they were written: a list, JSON, or words; None for none."""
    return None if none_if_empty(value) is None else list(as_list(value))


def web_url(value: str) -> str:
    """Return the URL as it is; raises `ValueError` for one that is not http or https."""
    if not re.match(r"(?i)https?://[^/\\]", value) or re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError("browsers mend such a URL, each in its way")
    TypeAdapter(HttpUrl).validate_python(value)
    return value


def as_share(value: Any) -> float:
    """Return 5% as 0.05; raises `ValueError` where it is no more than 0, or more than half."""
    words = str(value).strip()
    share = float(words.removesuffix("%")) / (100 if words.endswith("%") else 1)
    if not 0 < share <= 0.5:
        raise ValueError("too small or too large")
    return share


def known_source(value: str) -> str:
    """Return a source, a file by its whole path; raises `ValueError` where it cannot be one."""
    value = value.strip()
    if value in ("embedded", "wikipedia"):
        return value
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", value):
        return web_url(value)
    try:
        return str(Path(value).expanduser().resolve())
    except RuntimeError as error:  # ~name of nobody
        raise ValueError(str(error)) from None


def an_address(host: str) -> str:
    """Check an IPv4 address that others can connect to."""
    address = IPv4Address(host)
    if address.is_unspecified or address.is_multicast:
        raise ValueError("nobody can connect to it")
    return str(address)


def as_words(value: Any) -> str:
    """Return a parameter's value as a user writes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple | list):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def as_folder_name(value: Any) -> str:
    """Return a value as part of a folder's name; a digest stands for what a name cannot hold."""
    words = as_words(value).replace(" ", "-")
    if ":" in words and "/" not in words:  # functions
        words = words.replace(":", ".").replace("_", "-")
    if re.fullmatch(r"[A-Za-z0-9.-]{1,40}", words):
        return words
    place = words.partition("://")[2].partition("?")[0] or Path(words).stem
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", place)[:24].strip("-")
    return f"{readable}-{short_digest(words)}"


def short_digest(text: str) -> str:
    """Return eight hexadecimal digits that tell one text from another."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def expected(field: FieldInfo) -> str:
    """Return the words that say what would be right for a parameter."""
    for own in (item for item in field.metadata if isinstance(item, Expected)):
        return own.words
    low = next(item.ge for item in field.metadata if hasattr(item, "ge"))
    high = next(item.le for item in field.metadata if hasattr(item, "le"))
    kind = "whole number" if field.annotation is int else "number"
    return f"a {kind} from {low} to {high:,}"
