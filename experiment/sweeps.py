"""How many workers? The pool sizes of a sweep compared, and the smallest that is enough."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from experiment import summary
from experiment.claims import PARALLEL, Evidence
from experiment.summary import Estimate, digits, percent

GAIN = 1.05
"""How much faster a larger pool must be to be worth its workers."""

BUSY, NEAR = 0.85, 0.90
"""Use of the cores, or of one, that counts as full; share of the ceiling that counts as near."""


@dataclass(frozen=True)
class Size:
    """What one pool size came to, for one client in one mode; means of the rounds.

    `ceiling` is the speed-up of workers whose fetches take as long as in serial, `cores` how many
    cores the trial itself kept busy while it fetched, `machine_cpu` the share of all of them that
    anything did.
    """

    client: str
    mode: str
    size: int
    total: Estimate
    speed_up: Estimate
    slow_down: Estimate
    ceiling: float
    cores: float
    machine_cpu: float
    limit: str


@dataclass(frozen=True)
class Enough:
    """The smallest size that no larger one beats by more than 5 %, and the best of the larger."""

    at: Size
    best: Size | None
    gain: Estimate | None


def sizes(seen: Evidence) -> list[Size]:
    """Every client, mode and pool size that has complete rounds to compare with serial."""
    wanted = (
        (client, mode, size)
        for client in seen.study.clients
        for mode in PARALLEL
        for size in sorted(seen.study.sizes)
    )
    return [found for cell in wanted if (found := _size(seen, *cell)).speed_up.rounds]


def _size(seen: Evidence, client: str, mode: str, size: int) -> Size:
    rounds = summary.of_size(seen.main, size)
    own = rounds[(rounds["client"] == client) & (rounds["mode"] == mode)]
    used = (own["cpu_s"] - own["startup_cpu_s"]) / own["total_s"]
    gain = summary.speed_up(rounds, client, mode)
    most = summary.ceiling(seen.fetches, client, size, seen.study.pages_in_a_chunk()).value
    cores, busy = float(used.mean()), float(own["machine_cpu"].mean())
    return Size(
        client=client,
        mode=mode,
        size=size,
        total=summary.mean(summary.of_cell(rounds, client, mode, "total_s")),
        speed_up=gain,
        slow_down=summary.slow_down(rounds, client, mode),
        ceiling=most,
        cores=cores,
        machine_cpu=busy,
        limit=_limit(seen, client, mode, gain.value / most, cores, busy),
    )


def _limit(
    seen: Evidence, client: str, mode: str, of_ceiling: float, cores: float, busy: float
) -> str:
    """What keeps the pool from being faster."""
    if busy >= BUSY:
        return "the cores"
    alone = client == "requests" and mode == "threads" and seen.run.machine.gil
    if alone and seen.run.machine.cores > 1 and cores >= BUSY:
        return "the GIL"
    return "waiting" if of_ceiling >= NEAR else "waiting and the CPU both"


def enough(seen: Evidence, found: Sequence[Size]) -> list[Enough]:
    """For each client and mode the smallest size that is enough."""
    cells = dict.fromkeys((item.client, item.mode) for item in found)
    return [
        _enough(seen, [item for item in found if (item.client, item.mode) == cell])
        for cell in cells
    ]


def _enough(seen: Evidence, own: Sequence[Size]) -> Enough:
    for place, item in enumerate(own):
        gains = [(larger, _gain(seen, item, larger)) for larger in own[place + 1 :]]
        if all(gain.value <= GAIN for _, gain in gains):
            best, gain = max(gains, key=lambda pair: pair[1].value, default=(None, None))
            return Enough(item, best, gain)
    raise AssertionError("the largest has no larger one")


def _gain(seen: Evidence, small: Size, large: Size) -> Estimate:
    """How many times as fast the larger pool is, round by round."""
    totals = (
        summary.of_cell(
            seen.main[seen.main["pool_size"] == item.size], item.client, item.mode, "total_s"
        )
        for item in (small, large)
    )
    return summary.ratio(*totals)


def answer(seen: Evidence, found: Sequence[Size]) -> str:
    """The plain answer, a line for each client and mode."""
    if not found:
        return "No round was complete, so there is no answer."
    return "\n".join(f"- {_answer(item)}" for item in enough(seen, found))


def _answer(item: Enough) -> str:
    at = item.at
    said = (
        f"**{at.client}, {at.mode}: {at.size} workers**, {digits(at.speed_up.value)} times as fast "
        f"as serial{at.speed_up.beside};"
    )
    if item.best is None or item.gain is None:
        return f"{said} no larger pool was measured, so a larger one may be faster still."
    best = f"the best of them, {item.best.size}, is {digits(item.gain.value)} times as fast"
    return (
        f"{said} no larger pool measured here is more than {percent(GAIN - 1)} faster "
        f"({best}{item.gain.beside}). With {at.size} workers the limit is {at.limit}: the machine "
        f"was {percent(at.machine_cpu)} busy, the trial itself used {digits(at.cores)} cores."
    )


def table(seen: Evidence, found: Sequence[Size]) -> pd.DataFrame:
    """A row for each client, mode and pool size."""
    return pd.DataFrame([_row(item, seen.run.machine.cores) for item in found])


def _row(item: Size, cores: int) -> dict[str, str]:
    return {
        "client": item.client,
        "mode": item.mode,
        "workers": str(item.size),
        "total (s)": digits(item.total.value),
        "speed-up [95 %]": str(item.speed_up),
        "at most": digits(item.ceiling),
        "slow-down [95 %]": str(item.slow_down),
        f"cores used, of {cores}": digits(item.cores),
        "machine busy": percent(item.machine_cpu),
        "limit": item.limit,
    }


def panels(seen: Evidence, found: Sequence[Size]) -> list[tuple[str, list[Size], list[Size]]]:
    """What figure 9 draws for each client: its name, its sizes, those that are enough."""
    best = [item.at for item in enough(seen, found)]
    return [
        (client, _of_client(found, client), _of_client(best, client))
        for client in dict.fromkeys(item.client for item in found)
    ]


def _of_client(found: Sequence[Size], client: str) -> list[Size]:
    return [item for item in found if item.client == client]
