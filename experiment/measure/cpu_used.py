"""Read the CPU that a trial used while it fetched, and that of the origin which served it."""

import time
from contextlib import suppress
from dataclasses import dataclass

from experiment import process_tree


@dataclass(frozen=True)
class CpuUsed:
    """The CPU (s) of a trial, browsers included, and of its origin; clock before and after."""

    trial_s: float
    origin_s: float | None
    begun_s: float
    ended_s: float

    def until(self, later: "CpuUsed", span_s: float, cores: int) -> "CpuUsed":
        """Return what was used during fetches of that span, between two readings.

        Of the trial it is the least that this can be: all cores may have been busy in the rest of
        the time.
        """
        rest_s = later.ended_s - self.begun_s - span_s
        trial_s = max(0.0, later.trial_s - self.trial_s - cores * rest_s)
        known = self.origin_s is not None and later.origin_s is not None
        origin_s = (later.origin_s or 0.0) - (self.origin_s or 0.0) if known else None
        return CpuUsed(trial_s, origin_s, self.begun_s, later.ended_s)


def read(supervisor: int, origin: int | None) -> CpuUsed:
    """Read what all processes below a supervisor used, which adopts what a browser leaves."""
    import psutil

    begun_s, origin_s = time.perf_counter(), None
    if origin is not None:
        with suppress(psutil.NoSuchProcess):  # the runner notices, too
            origin_s = process_tree.cpu_s(psutil.Process(origin))
    trial_s = process_tree.cpu_below_s(psutil.Process(supervisor))
    return CpuUsed(trial_s, origin_s, begun_s, time.perf_counter())
