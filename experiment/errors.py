"""The one kind of error that a user can mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiment.redaction import redacted_text


class UserError(Exception):
    """A mistake that its user can mend: one line says what is wrong and what would be right.

    URLs in it are redacted, since it is printed and may be kept in a notebook or a log.
    """

    def __init__(self, words: str) -> None:
        super().__init__(redacted_text(words))


@contextmanager
def writing(what: str, place: Path) -> Iterator[None]:
    """Let a disk that is full or a folder that is locked be a `UserError` that names the place."""
    try:
        yield
    except OSError as error:
        words = f"{what}: {place} cannot be written: {error.strerror or error}"
        raise UserError(words) from error
