"""Run fetches as the tasks of an event loop."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from experiment.fetches import library_chunk_size
from experiment.measure.serial import Done, Item, Result, Serial


class EventLoop(Serial):
    """Run fetches as tasks of an event loop behind the interface of a pool, in this thread."""

    def __init__(self, initializer: Callable[[], object], size: int) -> None:
        super().__init__(initializer)
        self._size = size
        self._runner = asyncio.Runner()

    def map_async(  # type: ignore[override]
        self,
        function: Callable[[Item], Coroutine[Any, Any, Result]],
        items: Iterable[Item],
        chunksize: int | None = None,
    ) -> Done[Result]:
        """Await the coroutine of each item, now; a task takes a chunk at a time, as a worker."""
        items = list(items)
        size = chunksize or library_chunk_size(len(items), self._size)
        return Done(self._runner.run(self._await_all(function, items, size)))

    async def _await_all(
        self,
        function: Callable[[Item], Coroutine[Any, Any, Result]],
        items: Sequence[Item],
        chunk_size: int,
    ) -> list[Result]:
        results: dict[int, Result] = {}
        firsts = iter(range(0, len(items), chunk_size))

        async def work() -> None:
            """Await chunk after chunk, as long as there are any."""
            for first in firsts:
                for place in range(first, min(first + chunk_size, len(items))):
                    results[place] = await function(items[place])

        async with asyncio.TaskGroup() as tasks:
            for number in range(1, self._size + 1):
                tasks.create_task(work(), name=str(number))
        return [results[place] for place in range(len(items))]

    def close(self) -> None:
        """Close the event loop."""
        self._runner.close()
