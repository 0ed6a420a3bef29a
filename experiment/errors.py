"""The one kind of error that a user can mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """A mistake that its user can mend: one line says what is wrong and what would be right."""


@contextmanager
def writing(what: str, place: Path) -> Iterator[None]:
    """Let a disk that is full or a folder that is locked be a `UserError` that names the place."""
    try:
        yield
    except OSError as error:
        words = f"{what}: {place} cannot be written: {error.strerror or error}"
        raise UserError(words) from error
