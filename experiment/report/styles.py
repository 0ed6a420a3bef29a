"""Say how each mode and each phase of a fetch is drawn.

The colours are from the palette of Okabe and Ito, which colour-blind readers can tell apart;
lines and hatches tell the modes apart in grey print too.
"""

from dataclasses import dataclass
from typing import Literal

from experiment.vocabulary import MODES


@dataclass(frozen=True)
class ModeStyle:
    """How one mode is drawn.

    `name_at` says where its name stands in the distribution: height, points aside from the curve,
    alignment. In a sweep `shift` multiplies its pool sizes, so that intervals do not overlap, and
    `name_offset` are the points between its last mark and its name.
    """

    colour: str
    light: str
    line: str
    hatch: str
    name_at: tuple[float, int, Literal["left", "right"]]
    shift: float = 1.0
    name_offset: tuple[int, int] = (-14, 10)


KNOWN: dict[str, ModeStyle] = {
    "serial": ModeStyle("#595959", "#A6A6A6", "-", "", (0.6, -6, "right")),
    "threads": ModeStyle("#0072B2", "#56B4E9", "-", "", (0.45, 14, "left"), 0.98, (-6, -14)),
    "processes": ModeStyle("#D55E00", "#F0A36B", "--", "////", (0.2, 14, "left"), 1.02),
    "asyncio": ModeStyle("#009E73", "#80CFB9", "-.", "....", (0.75, 14, "left"), 0.95, (-6, -26)),
    "dask": ModeStyle("#CC79A7", "#E6BCD3", ":", "\\\\\\\\", (0.85, -6, "right"), 1.05, (-6, 22)),
}

OTHERS = (
    ModeStyle("#E69F00", "#F3CF80", "-.", "xxxx", (0.3, -6, "right"), 0.92, (-6, -38)),
    ModeStyle("#000000", "#808080", ":", "++++", (0.9, 14, "left"), 1.08, (-6, 34)),
)
"""How modes that are not in `KNOWN` are drawn, in their order in the vocabulary."""

PHASES = {
    "queue": "#BBBBBB",
    "browser_start": "#E69F00",
    "load": "#56B4E9",
    "check": "#009E73",
    "close": "#CC79A7",
}

IDLE, SLOWER = "#E69F00", "#CC79A7"
ZONE = "#BFE3D3"
CHOSEN = "#F0E442"
NO_MODE = "black"
CONTROL = KNOWN["serial"].colour


RUNS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The colours of runs, in their order."""

MARKS = {"threads": "o", "processes": "s", "asyncio": "^", "dask": "D"}
"""The marks of modes where colours tell runs apart."""


def of_run(place: int) -> str:
    """Return the colour of a run."""
    return RUNS[place % len(RUNS)]


def mark(mode: str) -> str:
    """Return the mark of a mode."""
    return MARKS.get(mode, "D")


def of_mode(mode: str) -> ModeStyle:
    """Return the style of a mode; one that is new to `KNOWN` gets colours of its own."""
    if mode in KNOWN:
        return KNOWN[mode]
    new: list[str] = [name for name in MODES if name not in KNOWN]
    return OTHERS[new.index(mode) % len(OTHERS)]
