"""Write words and tables for a terminal: folded to its width, coloured where it shows colours."""

import html
import os
import re
import shutil
import sys
from collections.abc import Sequence
from itertools import zip_longest
from textwrap import wrap
from unicodedata import category

LEAST_WIDTH, MOST_WIDTH = 60, 100
GAP, NO_BREAK = "  ", "\N{NO-BREAK SPACE}"
BLUE, ORANGE = 32, 166
"""Colours of the 256, told apart by the colour-blind, and read on white and on black."""

Row = Sequence[str]


def width() -> int:
    """Return the columns to fill: those of the terminal, 100 at most or where there is none."""
    columns = shutil.get_terminal_size((MOST_WIDTH, 24)).columns
    return max(LEAST_WIDTH, min(MOST_WIDTH, columns))


def is_styled() -> bool:
    """Return whether colours and signs can be shown: on a terminal, unless NO_COLOR is set."""
    shows_signs = "utf" in (sys.stdout.encoding or "").lower()
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return sys.stdout.isatty() and shows_signs and wanted


def painted(text: str, colour: int | None) -> str:
    """Return text in a colour of the 256; as it is without one, or where there are only spaces."""
    return f"\x1b[38;5;{colour}m{text}\x1b[0m" if colour and text.strip() else text


def aligned(rows: Sequence[Row]) -> str:
    """Return the whole table: a line for each row, columns aligned."""
    widths = fitting(rows, sys.maxsize)
    return "\n".join(line for row in rows for line in lines(row, widths))


def fitting(rows: Sequence[Row], total: int) -> list[int]:
    """Return the widths of columns that fit a total, so that few cells are folded.

    Words are broken only where nothing else helps, those of the widest column first.
    """
    columns = [[printable(cell) for cell in column] for column in zip(*rows, strict=True)]
    widths = [max(map(len, cells)) for cells in columns]
    least = [max(map(_longest_word, cells)) for cells in columns]
    room = max(len(widths), total - len(GAP) * (len(widths) - 1))
    while sum(widths) > room:
        foldable = [n for n, wide in enumerate(widths) if wide > least[n]]
        folds = {n: sum(len(cell) >= widths[n] for cell in columns[n]) for n in foldable}
        chosen = min(folds, key=lambda n: (folds[n], -widths[n]), default=widths.index(max(widths)))
        widths[chosen] -= 1
    return widths


def _longest_word(cell: str) -> int:
    """Return the columns that a cell needs if no word of it is broken."""
    indent = len(cell) - len(cell.lstrip())
    return indent + max(map(len, cell.strip().split(" ")))


def lines(row: Row, widths: Sequence[int]) -> list[str]:
    """Return the lines of a row whose cells are folded to the widths of their columns."""
    cells = (folded(cell, wide) for cell, wide in zip(row, widths, strict=True))
    return [
        GAP.join(map(str.ljust, parts, widths)).rstrip()
        for parts in zip_longest(*cells, fillvalue="")
    ]


def folded(text: str, wide: int, hanging: str = "") -> list[str]:
    """Fold text to a width; the lines that follow have its indent, and `hanging` beyond it."""
    shown = printable(text)
    indent = shown[: len(shown) - len(shown.lstrip())] + hanging
    parts = wrap(shown, max(1, wide), subsequent_indent=indent, break_on_hyphens=False)
    return [part.replace(NO_BREAK, " ") for part in parts] or [""]


def prose(markdown: str, wide: int) -> str:
    """Return the Markdown of a report as plain words, folded to a width."""
    bare = re.sub(r"\*\*|`|</?(span|code)\b[^>]*>", "", markdown)
    words = (html.unescape(line) for line in bare.splitlines())
    return "\n".join(
        line for text in words for line in folded(text, wide, "  " if text[:2] == "- " else "")
    )


def printable(text: str) -> str:
    """Escape control characters and changes of direction, by their categories in Unicode."""
    steering = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return "".join(repr(c)[1:-1] if category(c) in steering else c for c in text)
