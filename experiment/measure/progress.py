"""Say what is measured and about how long is left: with a bar on a terminal, else in lines."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Never, Self

from tqdm import tqdm

from experiment.measure import clients
from experiment.records import TrialKey
from experiment.study import Study

TYPICAL_SPEED_UP = 7
TYPICAL_OVERHEAD_S, TYPICAL_CONNECTION_S = 0.8, 0.02
"""Rough figures for the first guess of the time left; nothing else depends on them."""


BAR = "{percentage:3.0f}% |{bar:20}| {desc}"


class Progress:
    """How far a study is: a bar on a terminal, elsewhere a line for each finished round.

    `total_s` is roughly how long it takes; what is measured corrects it.
    """

    def __init__(self, rounds: int, total_s: float) -> None:
        """Begin to measure so many rounds."""
        self.rounds, self.total_s, self.done_s = rounds, total_s, 0.0
        self._begun = time.monotonic()
        self._bar: tqdm[Never] = tqdm(total=total_s, bar_format=BAR, disable=None, leave=False)

    def __enter__(self) -> Self:
        """Return the progress, whose bar is removed at the end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        self._bar.close()

    @property
    def left(self) -> str:
        """Return in words how long is left, if it goes on as it went so far."""
        elapsed_s = time.monotonic() - self._begun
        pace = elapsed_s / self.done_s if self.done_s else 1.0
        return f"{duration(pace * max(0.0, self.total_s - self.done_s))} left"

    def begin(self, number: int, keys: Sequence[TrialKey]) -> None:
        """Show which trials of which round are measured now."""
        words = f"round {number} of {self.rounds}, {self.left}: {label(keys)}"
        self._bar.set_description_str(words)

    def move_to(self, done_s: float) -> None:
        """Note how much is done, of `total_s`."""
        self.done_s = self._bar.n = done_s
        self._bar.refresh()

    def finish_round(self, number: int, kept_in: str = "") -> None:
        """Say that a round is finished, where no bar shows it; after the last, where all are."""
        if self._bar.disable:
            then = f"; the run is in {kept_in}" if kept_in else f", {self.left}"
            print(f"round {number} of {self.rounds} done{then}", file=sys.stderr)


def duration(seconds: float) -> str:
    """Return about how long something takes, in words."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 120:
        return f"about {minutes} minute{'s' if minutes > 1 else ''}"
    return f"about {round(minutes / 60)} hours"


def label(keys: Sequence[TrialKey]) -> str:
    """Return the trials of a launch in words, for the progress bar."""
    arm = None if keys[0].arm == "main" else keys[0].arm.replace("_", " ")
    modes = (f"{key.mode} ({key.pool_size})" if key.pool_size > 1 else key.mode for key in keys)
    reuse = "reuse" if keys[0].reuse == "on" else None
    return ", ".join(filter(None, [arm, keys[0].client, *modes, reuse]))


def typical_s(study: Study, key: TrialKey) -> float:
    """Return roughly how long a trial takes (s), for the progress bar."""
    if key.client is None:
        return TYPICAL_OVERHEAD_S
    if key.arm == "no_latency" or (key.arm in ("tls_context", "no_tls") and key.mode == "serial"):
        return TYPICAL_OVERHEAD_S + study.pages * TYPICAL_CONNECTION_S
    fetches_s = study.pages * clients.of(key.client).typical_fetch_s
    return TYPICAL_OVERHEAD_S + fetches_s / min(key.pool_size, TYPICAL_SPEED_UP)
