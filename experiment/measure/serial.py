"""Run work in a plain loop."""

from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Serial:
    """Run the plain loop behind the interface of a pool: the caller is its only worker."""

    def __init__(self, initializer: Callable[[], object]) -> None:
        initializer()

    def map_async(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        chunksize: int | None = None,  # noqa: ARG002
    ) -> "Done[Result]":
        """Apply the function to each item, now."""
        return Done([function(item) for item in items])

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def join(self) -> None:
        """Do nothing: there is nobody to wait for."""


class Done(list[Result]):
    """Hold results that are there already."""

    def get(self, timeout: float | None = None) -> list[Result]:  # noqa: ARG002
        """Return the results."""
        return self
