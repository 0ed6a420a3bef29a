"""Define the errors that a user can fix."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiment.redaction import redacted_text

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a full disk, an exhausted quota and a file that is too large."""


class UserError(Exception):
    """An error that the user can fix: one line says what is wrong and what would be right.

    URLs in it are redacted, since it is printed and may be kept in a notebook or a log.
    """

    def __init__(self, words: str) -> None:
        super().__init__(redacted_text(words))


@contextmanager
def writing(what: str, place: Path) -> Iterator[None]:
    """Turn an error of writing, such as a full disk, into a `UserError` that names the place."""
    try:
        yield
    except OSError as error:
        words = f"{what}: {place} cannot be written: {error.strerror or error}"
        raise UserError(words) from error
