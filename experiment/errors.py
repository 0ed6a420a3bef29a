"""The one kind of error that a user can mend."""

from experiment.redaction import redacted_text


class UserError(Exception):
    """A mistake that its user can mend: one line says what is wrong and what would be right.

    URLs in it are redacted, since it is printed and may be kept in a notebook or a log.
    """

    def __init__(self, words: str) -> None:
        super().__init__(redacted_text(words))
