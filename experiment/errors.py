"""The one kind of error that a user can mend."""


class UserError(Exception):
    """A mistake that its user can mend: one line says what is wrong and what would be right."""
