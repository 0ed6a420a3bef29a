"""Draw the figures of the reports, one function for each.

A figure function takes the results of a run, then what one panel shows, and draws it on `ax`.
`REPORT` and `SWEEP` list the figures in the order in which the notebooks show them; a figure's
number is its place there. Colours, lines and hatches are in `styles`. Axes of seconds start at
zero.
"""

import base64
import io
import itertools
import math
import re
import textwrap
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from experiment import records
from experiment.analysis import article, many_runs, runs, summary, sweeps, ways
from experiment.analysis.claims import Comparison, JudgedClaim, cells_of, paced
from experiment.analysis.crossover import Crossover, crossovers
from experiment.analysis.engine import Cost, costs
from experiment.analysis.many_runs import ManyRuns
from experiment.analysis.results import RunResults
from experiment.analysis.rules import ALIKE, ONE_LOOK, Levels, Verdict
from experiment.analysis.summary import Estimate, digits, percent_of
from experiment.analysis.sweeps import EnoughWorkers, SizeResult
from experiment.errors import writing
from experiment.report import headline, sentences, styles
from experiment.study import PROJECT, Study
from experiment.vocabulary import ARTICLE_PAIR, BROWSERS, MODES, POOLS

if TYPE_CHECKING:
    from IPython.display import Image

STYLE: list[str | Path | dict[str, Any]] = ["default", Path(__file__).with_name("figures.mplstyle")]
"""The library's own defaults and ours on top: a user's matplotlibrc changes nothing."""

IDEAL, GREY = "#999999", "#595959"

WIDE, NARROW = 10.0, 5.0
"""The widths of a figure (inches), and of one for phones, whose panels are below each other."""

PRINT_DPI = 200
"""Dots per inch of a saved figure, which is sharp in print."""

PHONE_DPI = 140
"""Dots per inch of a figure for phones, which show its width in 360 points or so."""

LINE = 104
"""Characters of a title that a figure is wide."""

NARROW_TITLE, NARROW_LABEL, NARROW_LINE = 48, 22, 34
"""Characters of a title, of a row's label, and of the title and x label of rows, for phones."""

LINE_HEIGHT = 0.15
"""Inches for each line of a label after the first."""

LONG_LABEL = 75
"""Characters of a row's label above which it has several lines."""

MOST_OF_2018 = 1.6
"""How far above what was measured a value of 2018 may stretch the axis of seconds."""

BEHIND = {"fc": "white", "ec": "none", "pad": 1, "alpha": 0.8}
"""What keeps a curve from crossing out a word."""

LANE = 0.8
"""The height of a worker's lane, where workers are 1 apart."""

MANY_LANES = 60
"""Workers above which the fetches of a timeline have no edges, which would hide them."""

CLAIMS_SHOWN, CLAIMS_LIMITS = (0.5, 5.0), (0.1, 20.0)
"""The least and the greatest range of the axis of claims.

Values outside it are written beside the verdict; intervals are cut.
"""

Judged = Sequence[JudgedClaim]
Point = tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """How a figure is laid out; `alt` says what it shows, for readers who cannot see it.

    `panels` returns the arguments of `draw`, panel by panel; a panel is `height` inches high.
    """

    draw: Callable[..., Axes]
    alt: str
    panels: Callable[[Any, Judged], Sequence[tuple[Any, ...]]]
    columns: int = 2
    height: float = 3.6


def show(
    draw: Callable[..., Axes], results: RunResults | ManyRuns, judged: Judged = ()
) -> "Image | None":
    """Draw a figure of `LAYOUTS`, and save it as PNG and SVG in figures/<run>/.

    Returns the picture for a notebook, with one for phones in its metadata, which the page shows
    there; None where the run has nothing to draw. Raises `UserError` where the folder cannot be
    written.
    """
    from IPython.display import Image

    number, layout = _layout(draw)
    figure, narrow = (drawn(draw, results, judged, is_narrow=it) for it in (False, True))
    if figure is None or narrow is None:
        return None
    folder, name = PROJECT / "figures" / results.name, draw.__name__.replace("_", "-")
    drawing, picture = _svg(figure), png(figure, PRINT_DPI)
    with writing("figures", folder):
        folder.mkdir(parents=True, exist_ok=True)
        for numbered in folder.glob(f"[0-9]*-{name}.*"):  # by another version
            if numbered.name.partition("-")[0] != str(number):
                numbered.unlink(missing_ok=True)
        records.replace_bytes(folder / f"{number}-{name}.svg", drawing)
        records.replace_bytes(folder / f"{number}-{name}.png", picture)
    width, alt = int(figure.get_figwidth() * 100), f"Figure {number}: {layout.alt}"
    for_phones = {"narrow": base64.b64encode(png(narrow, PHONE_DPI)).decode()}
    return Image(data=picture, width=width, alt=alt, metadata=for_phones)  # type: ignore[no-untyped-call]


def drawn(
    draw: Callable[..., Axes],
    results: RunResults | ManyRuns,
    judged: Judged = (),
    *,
    is_narrow: bool = False,
) -> Figure | None:
    """Return a figure of `LAYOUTS`; None where the run has nothing to draw."""
    _, layout = _layout(draw)
    choices = layout.panels(results, judged)
    if not choices:
        return None
    return panels(draw, choices, layout.columns, layout.height, is_narrow=is_narrow)


def _layout(draw: Callable[..., Axes]) -> tuple[int, Layout]:
    numbered = itertools.chain(*(enumerate(layouts, 1) for layouts in LAYOUTS))
    return next((number, layout) for number, layout in numbered if layout.draw is draw)


def panels(
    draw: Callable[..., Axes],
    choices: Sequence[tuple[Any, ...]],
    columns: int,
    height: float = 3.6,
    *,
    is_narrow: bool = False,
) -> Figure:
    """Return a figure with a panel for each choice, drawn by `draw(*choice, ax=ax)`.

    A narrow figure, for phones or beside another, is half as wide and has one column.
    """
    columns = 1 if is_narrow else min(columns, len(choices))
    with style.context(STYLE, after_reset=True):
        rows = math.ceil(len(choices) / columns)
        size = (NARROW if is_narrow else WIDE, height * rows)
        figure = Figure(figsize=size, layout="constrained")
        for place, choice in enumerate(choices, 1):
            ax = figure.add_subplot(rows, columns, place)
            draw(*choice, ax=ax)
            _wrap(ax, columns)
    return figure


def _figure_of(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def _is_narrow(ax: Axes) -> bool:
    return _figure_of(ax).get_figwidth() == NARROW


def _wrap(ax: Axes, columns: int) -> None:
    """Wrap the title of a panel; for phones also the words below it, with room for their lines."""
    title = ax.get_title(loc="left")
    if not _is_narrow(ax):
        ax.set_title(_wrapped(title, LINE // columns))
        return
    ax.set_title(_wrapped(title, NARROW_TITLE))
    ax.set_xlabel(_wrapped(ax.get_xlabel(), NARROW_LINE))
    _add_lines(ax, ax.get_xlabel().count("\n"))


def _label_rows(
    ax: Axes, labels: Sequence[str], places: Sequence[float] | range | None = None
) -> None:
    """Label the rows of a panel; for phones with room for the lines of their labels."""
    is_narrow = _is_narrow(ax)
    wrapped = [_wrapped(label, NARROW_LABEL if is_narrow else LONG_LABEL) for label in labels]
    ax.set_yticks(range(len(labels)) if places is None else places, wrapped)
    if is_narrow:
        _add_lines(ax, len(labels) * max(label.count("\n") for label in wrapped))


def _add_lines(ax: Axes, count: int) -> None:
    """Make the figure of a panel higher by so many lines."""
    figure = _figure_of(ax)
    figure.set_figheight(figure.get_figheight() + LINE_HEIGHT * count)


def _wrapped(title: str, width: int) -> str:
    """Break the lines of a title that are longer than its panel is wide."""
    return "\n".join(
        textwrap.fill(line, width, break_on_hyphens=False) for line in title.splitlines()
    )


def png(figure: Figure, dpi: int) -> bytes:
    """Return a figure as a PNG, drawn once; `savefig` draws it twice to lay it out."""
    figure.set_dpi(dpi)
    target = io.BytesIO()
    with style.context(STYLE, after_reset=True):
        FigureCanvasAgg(figure).print_png(target)  # type: ignore[no-untyped-call]
    return target.getvalue()


def _svg(figure: Figure) -> bytes:
    """Return a figure as an SVG, the same on every machine.

    Identifiers are numbered: they are hashes of floats, which differ between machines.
    """
    target = io.BytesIO()
    with style.context(STYLE, after_reset=True):
        figure.savefig(target, format="svg", metadata={"Date": None})
    numbers: defaultdict[bytes, int] = defaultdict(itertools.count(1).__next__)
    identifiers, drawing = rb'(id="|#)([A-Za-z][0-9a-f]{10})\b', target.getvalue()
    return re.sub(identifiers, lambda found: b"%bn%d" % (found[1], numbers[found[2]]), drawing)


def speed_ups(results: RunResults, judged: Judged = (), *, ax: Axes) -> Axes:
    """Draw how many times as fast as serial each client is in each mode, beside 2018."""
    cells = sentences.compared(results)
    clients = list(dict.fromkeys(client for client, _ in cells))
    places = [row + 0.5 * clients.index(client) for row, (client, _) in enumerate(cells)]
    ratios = {cell: summary.speed_up(results.rounds, *cell) for cell in cells}
    end = _end_of_speed_ups(results, list(ratios.values()))
    for place, (cell, ratio) in zip(places, ratios.items(), strict=True):
        _interval(ax, place, ratio, styles.of_mode(cell[1]).colour, levels=results.levels)
        then = _speed_up_2018(results, cell)
        beyond = _beyond("2018: ", f"{digits(then)}x", then, (0, end)) if then else ""
        interval = ratio.interval(results.levels.difference)
        _beside(ax, place, summary.brackets(interval), beyond)
        if then:
            _diamond(ax, then, place - 0.3)
    for value, words in {results.study.pool_size: "ideal: {}x", 1: "serial"}.items():
        if value <= end:
            ax.axvline(value, color=IDEAL, lw=1, zorder=0)
            _note(ax, words.format(value), (value, -0.75), (0, 0), color=GREY, va="bottom", size=9)
    ax.set(xlim=(0, end), ylim=(places[-1] + 0.6, -0.75))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.xaxis.set_major_formatter("{x:g}x")
    has_2018 = any(_speed_up_2018(results, cell) for cell in cells)
    ax.set_xlabel(f"speed-up over a serial loop ({_lines(results.levels)}{_key_of_2018(has_2018)})")
    labels = [f"{', '.join(cell)}: {ratio.shown}x" for cell, ratio in ratios.items()]
    title = _against_title(judged) if judged else ""
    return _in_rows(ax, labels, 1.2 + 0.34 * (places[-1] + 1), title, places)


def _end_of_speed_ups(results: RunResults, ratios: Sequence[Estimate]) -> float:
    """Return where the axis ends: beyond all intervals, and the ideal where it is not far off."""
    wide, ideal = results.levels.difference, results.study.pool_size
    most = max(1.0, *(max(it.value, *(it.interval(wide) or (0,))) for it in ratios))
    return 1.06 * max(most, ideal if ideal <= 3 * most else 0.0)


def _key_of_2018(has_2018: bool) -> str:
    return "; ◇ the article, 2018" if has_2018 else ""


def _beside(ax: Axes, place: float, words: str, beyond: str) -> None:
    """Write beside a row; below that, smaller, the values beyond the axis."""
    at, right = (1.01, place), ("axes fraction", "data")
    ax.annotate(words, at, xycoords=right, va="baseline" if beyond else "center")
    if beyond:
        below: dict[str, Any] = {"textcoords": "offset points", "va": "top", "size": 8}
        ax.annotate(beyond, at, (0, -3), xycoords=right, **below)


def _diamond(ax: Axes, x: float, y: float, size: int = 5) -> None:
    """Mark a value of 2018."""
    ax.plot(x, y, "D", ms=size, mfc="white", mec="black", zorder=6)


def _speed_up_2018(results: RunResults, cell: tuple[str, str]) -> float | None:
    own = article.is_article(results.study)
    return None if own else article.measured(*cell, "speed_up")


def claims(results: RunResults, judged: Judged, *, ax: Axes) -> Axes:
    """Draw what was measured / what is claimed, on the zone in which each claim holds."""
    cells = _claims_drawn(judged)
    shown = _claims_range(cells, results.levels)
    for place, cell in enumerate(cells):
        _claim(ax, place, cell, results.levels, shown)
    ax.axvline(1, color="black", lw=1)
    key = _key_of_2018(any(cell.article_2018 is not None for cell in cells))
    words = f"measured / claimed (log scale)\n{_lines(results.levels)}{key}"
    ax.set(xscale="log", xlim=shown, xlabel=words)
    gap = "\n" if _is_narrow(ax) else " "
    labels = [f"{cell.words}{gap}({cell.zone.words})" for cell in cells if cell.zone]
    ax.set_ylim(len(cells) - 0.4, -0.6)
    return _in_rows(ax, labels, 1.5 + 0.3 * len(cells), headline.tally(judged))


def _in_rows(
    ax: Axes,
    labels: Sequence[str],
    height: float,
    title: str,
    places: Sequence[float] | None = None,
) -> Axes:
    """Label the rows of a figure of one panel; give the figure its height (inches) and title."""
    if ax.get_xscale() == "log":
        _plain_ticks(ax.xaxis)
    figure = _figure_of(ax)
    figure.set_figheight(height)
    _label_rows(ax, labels, places)
    line = NARROW_TITLE if _is_narrow(ax) else LINE
    figure.suptitle(_wrapped(title, line), x=0.01, ha="left", weight="bold", size="medium")
    return ax


def _claims_drawn(judged: Judged) -> list[Comparison]:
    return [cell for claim in judged for cell in claim.cells if cell.zone and cell.estimate]


def _claims_range(cells: Sequence[Comparison], levels: Levels) -> Point:
    """Return the range of the axis of claims: what is drawn, within the limits."""
    values = [value for cell in cells for value in _values_of(cell, levels) if value > 0]
    (low, high), (lowest, highest) = CLAIMS_SHOWN, CLAIMS_LIMITS
    low = min([low, *(value / 1.1 for value in values)])
    high = max([high, *(value * 1.1 for value in values)])
    return max(low, lowest), min(high, highest)


def _values_of(cell: Comparison, levels: Levels) -> list[float]:
    """Return the values of a row of claims, with the ends of its interval, over the claimed one."""
    assert cell.zone is not None
    assert cell.estimate is not None
    interval = cell.estimate.interval(levels.difference) or ()
    then = [] if cell.article_2018 is None else [cell.article_2018]
    return [value / cell.zone.claimed for value in (cell.estimate.value, *interval, *then)]


def _claim(ax: Axes, place: int, cell: Comparison, levels: Levels, shown: Point) -> None:
    assert cell.zone is not None
    assert cell.estimate is not None
    over, (low, high) = cell.zone.claimed, shown
    start, end = max(cell.zone.low / over, low), min(cell.zone.high / over, high)
    ax.barh(place, end - start, 0.8, left=start, color=styles.ZONE, lw=0)
    colour = styles.of_mode(cell.mode).colour if cell.mode else styles.NO_MODE
    _interval(ax, place, cell.estimate, colour, over, levels)
    measured = cell.estimate.value / over
    beyond = [_beyond("", cell.estimate.shown if over == 1 else digits(measured), measured, shown)]
    if cell.article_2018 is not None:
        then = cell.article_2018 / over
        beyond.append(_beyond("2018: ", digits(then), then, shown))
        _diamond(ax, then, place - 0.25)
    _beside(ax, place, cell.ruling.verdict, "  ".join(filter(None, beyond)))


def _beyond(words: str, number: str, value: float, shown: Point) -> str:
    """Return what stands beside an axis for a value that it does not show."""
    low, high = shown
    if value > high:
        return f"{words}{number} ▶"
    return f"◀ {words}{number}" if value < low else ""


def fetch_times(results: RunResults, client: str, *, ax: Axes) -> Axes:
    """Draw the article's first chart: the mean time of one fetch in each mode."""
    _bars(results, client, "fetch_mean_s", ax)
    longer = _to_serial(summary.slow_down, results, client)
    ax.set_title(_titled(client, "a fetch takes", longer, "times as long in"))
    ax.set_ylabel("mean time of a fetch (s)")
    return ax


def distribution(results: RunResults, client: str, *, ax: Axes) -> Axes:
    """Draw the share of fetches that were done within a time, for each mode."""
    fetches, medians = results.complete_fetches, {}
    for mode in _modes(results, client):
        seconds = summary.fetch_times(fetches, client, mode)
        medians[mode] = digits(seconds.median())
        look = styles.of_mode(mode)
        ax.ecdf(seconds, color=look.colour, ls=look.line, lw=1.6)
        height, offset, side = look.name_at
        at = (float(seconds.quantile(height)), height)
        words = {"color": look.colour, "weight": "bold", "fontsize": 9, "bbox": BEHIND}
        _note(ax, mode, at, (offset, 0), ha=side, **words)
    ax.set_xscale("log")
    _plain_ticks(ax.xaxis)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set(xlabel="seconds of a fetch (log scale)", ylabel="fetches done within")
    ax.set_title(_titled(client, "half of the fetches are done within", medians, "s in"))
    ax.grid(color="#E5E5E5")
    return ax


def total_times(results: RunResults, client: str, *, ax: Axes) -> Axes:
    """Draw the article's second chart, the time until all pages are fetched, with lower bounds."""
    _bars(results, client, "span_s", ax)
    ax.set_ylabel("total time (s)")
    sooner = _to_serial(summary.speed_up, results, client)
    ax.set_title(_titled(client, "all pages come", sooner, "times as fast in"))
    limits = summary.bounds(results.rounds[results.rounds["client"] == client], results.cores)
    means = limits.groupby("mode")[["waiting_s", "cpu_s"]].mean().astype(float)
    bounds = means.loc[_modes(results, client)].reset_index(drop=True)
    looks = {"waiting_s": ("-", "waiting"), "cpu_s": (":", "CPU work")}
    for column, (line, words) in looks.items():
        heights = bounds[column].dropna()
        if len(heights):
            starts, ends = heights.index - 0.36, heights.index + 0.36
            label = f"lower bound: {words}"
            ax.hlines(heights, starts, ends, color="black", ls=line, lw=2, zorder=4, label=label)
    if bounds.notna().any(axis=None):
        ax.legend(loc="upper left", bbox_to_anchor=(0, -0.1), ncols=2, fontsize=9)
    return ax


def engine_cost(results: RunResults, one: Cost, *, ax: Axes) -> Axes:
    """Draw totals of the engine and of the pools, without and with the start of their workers."""
    rounds = summary.of_size(results.rounds, one.pool_size)
    modes = [mode for mode in POOLS if mode in set(rounds["mode"])]
    for place, mode in enumerate(modes):
        colour = styles.of_mode(mode).colour
        for column, face, shift in (("span_s", colour, -0.12), ("wall_s", "white", 0.12)):
            total = summary.mean(summary.of_cell(rounds, one.client, mode, column))
            ax.plot(total.value, place + shift, "o", mec=colour, mfc=face, color=colour, zorder=3)
            if total.ci95:
                ax.hlines(place + shift, *total.ci95, color=colour, lw=2)
    ax.set_yticks(range(len(modes)), modes)
    ax.invert_yaxis()
    ax.set(xlabel="time (s), with 95 % intervals", xlim=(0, None))
    ax.set_title(
        f"{one.client}, {one.pool_size} workers: dots are totals,\nrings include start and end"
    )
    return ax


def _to_serial(ratio: Callable[..., Estimate], results: RunResults, client: str) -> dict[str, str]:
    """Return a ratio to serial of each pool that has one, in digits."""
    estimates = {mode: ratio(results.rounds, client, mode) for mode in POOLS}
    return {mode: estimate.shown for mode, estimate in estimates.items() if estimate.rounds}


def _titled(client: str, before: str, values: dict[str, str], between: str) -> str:
    """Return a title such as "requests: a fetch takes 1.07 times as long in threads"."""
    parts = [f"{value} in {mode}" for mode, value in values.items()]
    if not parts:
        return client
    parts[0] = parts[0].replace(" in ", f" {between} ")
    return f"{client}: {before}\n{', '.join(parts)}"


def _bars(results: RunResults, client: str, column: article.Quantity, ax: Axes) -> None:
    """Draw bars from zero with the rounds, their mean and its 95 % interval, and 2018."""
    modes, far_off = _modes(results, client), False
    most = max(summary.of_cell(results.rounds, client, mode, column).max() for mode in modes)
    for place, mode in enumerate(modes):
        values = summary.of_cell(results.rounds, client, mode, column)
        estimate, look = summary.mean(values), styles.of_mode(mode)
        colour, height = look.colour, estimate.value
        ax.bar(place, height, 0.72, color=look.light, hatch=look.hatch, edgecolor=colour)
        ax.plot([place - 0.2] * len(values), values, "o", ms=3, color=colour, alpha=0.7)
        if estimate.ci95:
            ax.vlines(place, *estimate.ci95, color=colour, lw=2, zorder=5)
            ax.plot([place] * 2, estimate.ci95, "_", color=colour, ms=10, zorder=5)
        ax.plot(place, height, "o", ms=6, color=colour, mec="white", zorder=5)
        then = article.measured(client, mode, column)
        if then is not None:
            far_off |= then > MOST_OF_2018 * most
            _mark_2018(ax, place + 0.28, then, MOST_OF_2018 * most)
        top = max(height, (estimate.ci95 or (0, 0))[1], values.max())
        words, at = f"{estimate.shown} s", (place + 0.12, top)
        _note(ax, words, at, (0, 5), ha="right", weight="bold", color=colour)
    ax.set_xticks(range(len(modes)), modes)
    ax.set_ylim(0, ax.get_ylim()[1] * (1.25 if far_off else 1.08))
    ax.grid(axis="y", color="#E5E5E5")


def _mark_2018(ax: Axes, place: float, value: float, most: float) -> None:
    """Mark a value of 2018; one far above what was measured is written at the edge instead."""
    if value <= most:
        _diamond(ax, place, value, 6)
        _note(ax, "2018", (place, value), (0, 7), fontsize=8, bbox=BEHIND, zorder=7)
    else:
        at: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "ha": "center", "va": "top"}
        ax.text(place, 1, f"2018 ▲\n{digits(value)} s", fontsize=8, **at)


def _note(ax: Axes, words: str, at: Point, offset: tuple[int, int], **look: Any) -> None:
    """Write beside a point, `offset` typographic points away."""
    ax.annotate(words, at, offset, textcoords="offset points", **{"ha": "center", **look})


def _plain_ticks(axis: Axis) -> None:
    """Label a log axis with plain numbers, as many as there is room for."""
    low, high = axis.get_view_interval()
    is_narrow = _is_narrow(axis.axes)
    if high < 3 * low:
        ticks = list(MaxNLocator(4 if is_narrow else 7, steps=[1, 2, 5, 10]).tick_values(low, high))
    else:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 1.5, 2, 3, 5, 7) if high < 20 * low and not is_narrow else (1, 2, 5)
        ticks = [step * 10.0**power for power in powers for step in steps]
    ticks = [tick for tick in ticks if low <= tick <= high]
    axis.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axis.set_minor_locator(NullLocator())


def where_it_goes(results: RunResults, *, ax: Axes) -> Axes:
    """Draw how idle workers and slower fetches reduce the pool size to the measured speed-up."""
    cells = sentences.compared(results)
    losses = [summary.losses(results.rounds, *cell) for cell in cells]
    for place, ((_, mode), (size, left, measured)) in enumerate(zip(cells, losses, strict=True)):
        bar: dict[str, Any] = {"lw": 6, "solid_capstyle": "butt"}
        ax.plot([size, left], [place - 0.12] * 2, color=styles.IDLE, **bar)
        ax.plot([left, measured], [place + 0.12] * 2, color=styles.SLOWER, **bar)
        colour = styles.of_mode(mode).colour
        ax.plot(measured, place + 0.12, "o", ms=9, color=colour, mec="white", zorder=5)
        at = (min(measured, left), place)
        _note(ax, f"{digits(measured)}x", at, (-9, 0), ha="right", va="center")
        _note(ax, f"{digits(left)}x", (left, place - 0.12), (0, 5), color=GREY, fontsize=8)
    ax.set(xscale="log", xlabel="speed-up (log scale)", ylim=(len(cells) - 0.5, -0.5))
    low, high = ax.get_xlim()
    ax.set_xlim(low / (1.8 if _is_narrow(ax) else 1.25), high)  # room for the words on the left
    shares = {"idle workers": styles.IDLE, "slower or faster fetches": styles.SLOWER}
    keys = [Line2D([], [], color=colour, lw=6, label=words) for words, colour in shares.items()]
    columns = 1 if _is_narrow(ax) else 2
    ax.legend(handles=keys, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, fontsize=9)
    labels = [f"{client}, {mode}: {_busy(results, client, mode)}" for client, mode in cells]
    return _in_rows(ax, labels, 1.5 + 0.45 * len(cells), _losses_title(losses))


def _busy(results: RunResults, client: str, mode: str) -> str:
    """Return how busy workers are, such as "86 % busy", with spaces that do not break."""
    utilisation = summary.of_cell(results.rounds, client, mode, "utilisation")
    return f"{summary.percent(summary.mean(utilisation).value)} busy".replace(" ", "\N{NBSP}")


def _losses_title(losses: Sequence[tuple[float, float, float]]) -> str:
    sizes, left, measured = zip(*losses, strict=True)
    fetches = "slower fetches" if all(map(float.__lt__, measured, left)) else "fetch times"
    cut = f"idle workers cut it to {_range(left)}, {fetches} to {_range(measured)}"
    return f"Ideal {max(sizes):.0f}x; {cut}"


def _range(values: Sequence[float]) -> str:
    ends = dict.fromkeys(map(digits, (min(values), max(values))))
    return f"{'–'.join(ends)}x"  # noqa: RUF001


def swim_lanes(results: RunResults, client: str, mode: str, *, ax: Axes) -> Axes:
    """Draw what each worker did when, in the round with the median total.

    The panels of a client share the scale of their times.
    """
    modes = [name for name in _modes(results, client) if name != "serial"]
    trials = {name: _typical_trial(results, client, name) for name in modes}
    lanes_of_trial(results.study, trials[mode], ax=ax)
    ax.set_xlim(0, 1.01 * max(trial["end_s"].max() for trial in trials.values() if len(trial)))
    return ax


def _typical_trial(results: RunResults, client: str, mode: str) -> pd.DataFrame:
    """Return the fetches of the round with the median total; none without rounds."""
    number = summary.typical_round(results.rounds, client, mode)
    if number is None:
        return results.complete_fetches.head(0)
    return fetches_of_trial(results, client, mode, number)


def fetches_of_trial(results: RunResults, client: str, mode: str, number: int) -> pd.DataFrame:
    """Return the fetches of a trial of a round: of several repeats, that nearest their mean."""
    mean_s = summary.of_cell(results.rounds, client, mode, "span_s")[number]
    repeats, fetches = (
        rows[(rows["client"] == client) & (rows["mode"] == mode) & (rows["round"] == number)]
        for rows in (results.main_trials, results.complete_fetches)
    )
    repeat = (repeats.set_index("repeat")["span_s"] - mean_s).abs().idxmin()
    return fetches[fetches["repeat"] == repeat]


def lanes_of_trial(study: Study, fetches: pd.DataFrame, *, ax: Axes) -> Axes:
    """Draw what each worker did in one trial: shades change with each chunk, idle tails hatched."""
    [client], [mode], [workers] = (
        fetches[name].unique() for name in ("client", "mode", "pool_size")
    )
    end = max(fetches["end_s"].max(), 1e-6)  # the resolution of times in a run's files
    bound = fetches["fetch_s"].sum() / workers
    _fetches_in_lanes(ax, fetches, styles.of_mode(mode), study.pages_in_a_chunk())
    lanes = range(1, workers + 1)
    idle = fetches.groupby("worker")["end_s"].max().reindex(lanes, fill_value=0.0)
    tail: dict[str, Any] = {"color": "none", "hatch": "//////", "edgecolor": "#999999", "lw": 0}
    ax.barh(lanes, end - idle, LANE, left=idle, **tail)
    ax.axvline(bound, color="black", ls=":", lw=1)
    words = f"no idle workers: {digits(bound)} s"
    side = "right" if bound > end / 2 else "left"
    _note(ax, words, (bound, workers + 0.5), (-4 if side == "right" else 4, 2), ha=side, fontsize=8)
    title = f"{client}, {mode}: {digits(end)} s, workers {summary.percent(bound / end)} busy"
    ax.set(title=title, xlabel="seconds since the pool was ready", ylabel="worker")
    ax.set(xlim=(0, end * 1.01), ylim=(0.4, workers + 0.5 + max(0.7, 0.08 * workers)))
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=end > 3, prune="upper"))
    places = MaxNLocator(steps=[1, 2, 5, 10], integer=True).tick_values(1, workers)
    ax.set_yticks([place for place in places if 1 <= place <= workers])
    return ax


def _fetches_in_lanes(ax: Axes, fetches: pd.DataFrame, look: styles.ModeStyle, chunk: int) -> None:
    """Draw each fetch as a block in the lane of its worker, in one collection for speed."""
    ordered = fetches.sort_values(["worker", "start_s"])
    left, right, worker = ordered[["start_s", "end_s", "worker"]].to_numpy(float).T
    low, high = worker - LANE / 2, worker + LANE / 2
    corners = np.stack([[left, low], [right, low], [right, high], [left, high]]).transpose(2, 0, 1)
    worker_of = ordered["worker"]
    is_new_chunk = ((ordered["page"] - 1) // chunk).groupby(worker_of).diff().ne(0)
    shade = is_new_chunk.groupby(worker_of).cumsum() % 2
    colours = [look.colour if odd else look.light for odd in shade]
    edge = 0.5 if ordered["pool_size"].max() <= MANY_LANES else 0
    look_of_blocks: dict[str, Any] = {"facecolors": colours, "edgecolors": "white", "lw": edge}
    ax.add_collection(PolyCollection(list(corners), **look_of_blocks))


def threads_against_processes(results: RunResults, judged: Judged = (), *, ax: Axes) -> Axes:
    """Draw ratios of totals on the band of 10 %, the A/A control in grey.

    The control has its 99 % interval, too.
    """
    ax.axvspan(1 / ALIKE, ALIKE, color=styles.ZONE, lw=0)
    ax.axvline(1, color="black", lw=1)
    ratios = _total_ratios(results)
    for place, (_, estimate, is_control) in enumerate(ratios):
        colour = styles.CONTROL if is_control else styles.NO_MODE
        if is_control and estimate.ci99:
            ax.plot(estimate.ci99, [place] * 2, color=colour, lw=1, ls=":", marker="|")
        _interval(ax, place, estimate, colour, levels=results.levels)
        over = {"bbox": {"fc": styles.ZONE, "ec": "none", "pad": 0.5}, "color": colour}
        _note(ax, estimate.shown, (estimate.value, place), (0, 8), **over)
    words = f"ratio of totals (log scale); shaded: less than 10 % apart\n{_lines(results.levels)}"
    is_dotted = any(is_control and estimate.ci99 for _, estimate, is_control in ratios)
    ax.set(xscale="log", xlabel=f"{words}{', dotted 99 %' if is_dotted else ''}")
    low, high = ax.get_xlim()
    ax.set(xlim=(min(low, 0.85), max(high, 1.18)), ylim=(len(ratios) - 0.5, -0.8))
    labels = [label for label, _, _ in ratios]
    return _in_rows(ax, labels, 1.5 + 0.45 * len(ratios), _against_title(judged) if judged else "")


def _total_ratios(results: RunResults) -> list[tuple[str, Estimate, bool]]:
    """Return a label, a ratio and whether it is the A/A control, for each line."""
    ratios: list[tuple[str, Estimate, bool]] = []
    for client in results.study.clients:
        totals = (summary.of_cell(results.rounds, client, mode, "span_s") for mode in ARTICLE_PAIR)
        alike = summary.aa_control(results.main_trials, client)
        middle = ", means of repeats" if alike.rounds else ""
        ratios += [
            (f"{client}: threads / processes{middle}", summary.ratio(*totals), False),
            (f"{client}: threads / threads, first / last", alike, True),
        ]
    return [line for line in ratios if line[1].rounds]


NO_ANSWER: tuple[Verdict, ...] = ("not applicable", "not measured")


def _against_title(judged: Judged) -> str:
    words = {"holds": "the same within 10 %", "does not hold": "not the same"}
    clients: dict[str, list[str]] = {}
    for cell in cells_of(judged, "no-difference"):
        if cell.estimate and cell.client and cell.ruling.verdict not in NO_ANSWER:
            verdict = words.get(cell.ruling.verdict, cell.ruling.verdict)
            clients.setdefault(verdict, []).append(cell.client)
    parts = [f"{verdict} ({', '.join(names)})" for verdict, names in clients.items()]
    return f"Threads and processes: {', '.join(parts)}" if parts else ""


def _lines(levels: Levels) -> str:
    """Return what thick and thin lines show."""
    wide, narrow = map(percent_of, astuple(levels))
    return f"intervals: thick {narrow}, thin {wide}"


def _interval(
    ax: Axes,
    place: float,
    estimate: Estimate,
    colour: str,
    over: float = 1,
    levels: Levels = ONE_LOOK,
    *,
    hollow: bool = False,
) -> None:
    """Draw an estimate with its intervals (wide thin, narrow thick), divided by `over`."""
    for level, width in zip(astuple(levels), (1.5, 4), strict=True):
        if interval := estimate.interval(level):
            ends = [end / over for end in interval]
            caps: dict[str, Any] = {"marker": "|", "ms": 12 - width, "mew": 1.2}
            ax.plot(ends, [place] * 2, color=colour, lw=width, solid_capstyle="butt", **caps)
    inside, edge = ("white", colour) if hollow else (colour, "white")
    ax.plot(estimate.value / over, place, "o", ms=6, mfc=inside, mec=edge, zorder=5)


def ways_today(results: RunResults, name: str, *, ax: Axes) -> Axes:
    """Draw the total of each way to fetch, fastest first, with how many times as fast it is."""
    own = ways.of_today(results)[name]
    for place, way in enumerate(own):
        colour = styles.of_mode(way.mode).colour
        is_new = way.reuse == "off"
        _interval(ax, place, way.total, colour, levels=results.levels, hollow=is_new)
        _note(ax, f"{way.speed_up.shown}x", (way.total.value, place), (0, 7), color=colour)
    base = name or ways.base_of(results, own[0].client)
    ax.set(xscale="log", ylim=(len(own) - 0.5, -0.8))
    ax.set_xlabel(f"seconds for {results.study.pages} pages (log scale)")
    _label_rows(ax, [way.words for way in own])
    _plain_ticks(ax.xaxis)
    title = f"{own[0].words}: {own[0].speed_up.shown} times as fast as the serial loop of {base}"
    ax.set_title(_wrapped(title, NARROW_LINE) if _is_narrow(ax) else title)
    return ax


def _today(results: RunResults, _judged: Judged) -> list[tuple[Any, ...]]:
    return [(results, name) for name in ways.of_today(results)]


def browser_phases(results: RunResults, client: str, *, ax: Axes) -> Axes:
    """Draw where a browser's fetch spends its time, in each mode."""
    modes = _modes(results, client)
    phases = {mode: _phases(results, client, mode) for mode in modes}
    for place, seconds in enumerate(phases.values()):
        ends = np.cumsum(list(seconds.values()))
        for (phase, width), end in zip(seconds.items(), ends, strict=True):
            look: dict[str, Any] = {"color": styles.PHASES[phase], "edgecolor": "white", "lw": 0.5}
            ax.barh(place, width, 0.6, left=end - width, **look)
    ax.set_yticks(range(len(modes)), modes)
    ax.set_ylim(len(modes) - 0.3, -0.5)
    narrow = 0.1 * max(sum(seconds.values()) for seconds in phases.values())
    for place, seconds in enumerate(phases.values()):
        _name_phases(ax, place, seconds, narrow)
    begun = {mode: seconds.get("browser_start") for mode, seconds in phases.items()}
    starts = {mode: digits(seconds) for mode, seconds in begun.items() if seconds is not None}
    ax.set_title(_titled(client, "the start of the browser takes", starts, "s in"))
    ax.set(xlabel="seconds of a fetch, by phase (mean of the rounds)")
    if not _is_narrow(ax):
        ax.set_xlim(0, ax.get_xlim()[1] * 1.2)
    return ax


def _phases(results: RunResults, client: str, mode: str) -> dict[str, float]:
    """Return the mean seconds of each phase; only requests to a Grid have to queue."""
    means = {
        phase: summary.mean(summary.of_cell(results.rounds, client, mode, f"{phase}_mean_s")).value
        for phase in styles.PHASES
    }
    return {phase: seconds for phase, seconds in means.items() if not np.isnan(seconds)}


def _name_phases(ax: Axes, place: int, phases: dict[str, float], narrow: float) -> None:
    """Name the phases on their bars, those of narrow bars after the last; for phones all below."""
    words = {
        phase: f"{phase.removeprefix('browser_')} {digits(seconds)} s"
        for phase, seconds in phases.items()
    }
    if _is_narrow(ax):
        _note(ax, ", ".join(words.values()), (0, place + 0.3), (2, -2), ha="left", va="top", size=8)
        return
    left, aside = 0.0, []
    for phase, seconds in phases.items():
        if seconds > narrow:
            ax.text(left + seconds / 2, place, words[phase], ha="center", va="center", fontsize=9)
        else:
            aside.append(words[phase])
        left += seconds
    _note(ax, ", ".join(aside), (left, place), (5, 0), ha="left", va="center", fontsize=9)


def speed_up_by_pool_size(results: RunResults, client: str, *, ax: Axes) -> Axes:
    """Draw speed-up against pool size, with the ideal, the schedule's ceiling, and the answer."""
    sizes = [item for item in sweeps.compare_sizes(results) if _group(item.client) == client]
    workers = sorted({item.size for item in sizes})
    ends = _limit_lines(ax, sizes)
    answers = sweeps.enough_workers(results, sizes)
    clients = list(dict.fromkeys(item.client for item in sizes))
    for way in dict.fromkeys(item.way for item in sizes):
        own = [item for item in sizes if item.way == way]
        _sweep_line(ax, own)
        name = own[0].words.removeprefix(f"{clients[0]}, " if len(clients) == 1 else "")
        if way in answers:
            _range_line(ax, own, answers[way])
            name = f"{name}: {answers[way].words}"
        ends[name] = (own[-1].speed_up.value, styles.of_mode(own[0].mode).colour)
    ax.set(xscale="log", xlabel="workers (log scale)")
    ax.set(yscale="log", ylabel="times as fast as serial (log scale)")
    _plain_ticks(ax.yaxis)
    ax.set_xticks(workers, [str(size) for size in workers])
    ax.xaxis.set_minor_locator(NullLocator())
    gain = summary.percent(sweeps.WORTHWHILE_GAIN - 1)
    words = f": workers that no larger\npool beats by more than {gain}"
    ax.set_title(f"{', '.join(clients)}{words if answers else ''}")
    _name_ends(ax, ends)
    ax.grid(color="#E5E5E5")
    return ax


def _limit_lines(ax: Axes, sizes: Sequence[SizeResult]) -> dict[str, tuple[float, str]]:
    """Draw the ideal and the limits of the schedule; return their right ends and colours."""
    workers = sorted({item.size for item in sizes})
    ax.plot(workers, workers, color=IDEAL, lw=1, marker=".")
    ends = {"ideal": (float(workers[-1]), IDEAL)}
    kinds = dict.fromkeys(item.reuse for item in sizes)
    for reuse in kinds:
        limits = {item.size: item.ceiling.value for item in sizes if item.reuse == reuse}
        ax.plot(workers, [limits[n] for n in workers], color="black", lw=1, ls=":", marker=".")
        kept = f", {ways.reuse_words(sizes[0].client, reuse)}" if len(kinds) > 1 else ""
        ends[f"schedule limit{kept}"] = (limits[workers[-1]], "black")
    return ends


def _group(client: str) -> str:
    """Return the panel of a client: a browser's own, or that of all others."""
    return client if client in BROWSERS else ""


def _name_ends(ax: Axes, ends: dict[str, tuple[float, str]]) -> None:
    """Name lines at their right ends, one below the other where they end close together."""
    low, high = ax.get_ylim()
    top = 1.02
    for name, (value, colour) in sorted(ends.items(), key=lambda item: -item[1][0]):
        height = math.log(value / low) / math.log(high / low)
        top = min(height, top - 0.05)
        at: dict[str, Any] = {"xycoords": "axes fraction", "ha": "left", "va": "center"}
        _note(ax, name, (1, top), (6, 0), color=colour, size=9, **at)


def _sweep_line(ax: Axes, own: Sequence[SizeResult]) -> None:
    """Draw the speed-ups of one way with their 95 % intervals; hollow marks open anew."""
    look = styles.of_mode(own[0].mode)
    places = [item.size * look.shift for item in own]
    values = [item.speed_up.value for item in own]
    fill = look.colour if own[0].reuse == "on" else "white"
    ax.plot(places, values, color=look.colour, ls=look.line, marker="o", ms=5, mfc=fill)
    for place, item in zip(places, own, strict=True):
        if item.speed_up.ci95:
            ax.plot([place] * 2, item.speed_up.ci95, color=look.colour, lw=1.5)


def work_after_a_fetch(results: RunResults, one: Crossover, *, ax: Axes) -> Axes:
    """Draw threads / processes against the CPU of a fetch, beside the prediction of the law."""
    cpu = [level.cpu_ms.value for level in one.levels]
    same = 1 / ALIKE, ALIKE
    ax.axhspan(*same, color=styles.ZONE, lw=0)
    ax.axhline(1, color="black", lw=1)
    places = np.linspace(0, max(cpu), 500)
    ax.plot(places, [one.law_at(place) for place in places], color="black", lw=1, ls="--")
    colour = styles.of_mode("threads").colour
    ax.plot(cpu, [level.ratio.value for level in one.levels], "o", color=colour, ms=5)
    for place, level in zip(cpu, one.levels, strict=True):
        if interval := level.ratio.interval(results.levels.equivalence):
            ax.plot([place] * 2, interval, color=colour, lw=2.5, solid_capstyle="butt")
    ax.set(yscale="log", xlim=(0, None))
    ax.set(
        xlabel="CPU of a fetch and its Python work (ms)", ylabel="threads / processes (log scale)"
    )
    _plain_ticks(ax.yaxis)
    ax.set_title(_crossover_title(one))
    ax.text(0.97, 0.05, "- - -  the simple law", transform=ax.transAxes, ha="right", size=9)
    return ax


def _crossover_title(one: Crossover) -> str:
    if one.processes_ms is None:
        return f"{one.pool_size} workers:\nno level shows that processes win"
    return f"{one.pool_size} workers: processes win\nfrom {digits(one.processes_ms)} ms on"


def speed_up_by_run_and_size(many: ManyRuns, client: str, *, ax: Axes) -> Axes:
    """Draw speed-up against pool size, a colour for each run, a mark for each mode."""
    found = many_runs.points(many)
    points = [point for point in found if point.client == client]
    sizes = sorted({point.pool_size for point in found})
    for place, name in enumerate(many.runs):
        for mode in MODES:
            own = [point for point in points if (point.run, point.mode) == (name, mode)]
            _run_line(ax, own, styles.of_run(place), 1 + 0.05 * (place - len(many.runs) // 2))
    ax.set(xscale="log", xlabel="workers (log scale)", title=client)
    ax.set(yscale="log", ylabel="times as fast as serial (log)")
    ax.set_ylim(min(0.9, *(point.speed_up.value for point in points)))
    _plain_ticks(ax.yaxis)
    ax.set_xlim(sizes[0] / 1.4, sizes[-1] * 1.5)
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.grid(color="#E5E5E5")
    runs_drawn = [name for name in many.runs if name in {point.run for point in points}]
    keys = [(name, styles.of_run([*many.runs].index(name)), "s") for name in runs_drawn]
    keys += [(mode, "black", styles.mark(mode)) for mode in MODES if mode in _modes_of(points)]
    handles = [Line2D([], [], ls="", marker=mark, color=it, label=name) for name, it, mark in keys]
    ax.legend(handles=handles, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def _modes_of(points: Sequence[many_runs.Point]) -> set[str]:
    return {point.mode for point in points}


def _run_line(ax: Axes, own: Sequence[many_runs.Point], colour: str, shift: float) -> None:
    """Draw a mode of a run with its 95 % intervals; `shift` keeps runs apart."""
    if not own:
        return
    look = styles.of_mode(own[0].mode)
    places = [point.pool_size * shift * look.shift for point in own]
    values = [point.speed_up.value for point in own]
    ax.plot(places, values, color=colour, ls=look.line, marker=styles.mark(own[0].mode), ms=6)
    for place, point in zip(places, own, strict=True):
        if point.speed_up.ci95:
            ax.plot([place] * 2, point.speed_up.ci95, color=colour, lw=1.5)


def speed_ups_by_run(found: dict[str, RunResults], client: str, *, ax: Axes) -> Axes:
    """Draw a client's speed-ups in each of several runs, the first of which is this one."""
    labels = [f"{name} (this run)" if place == 0 else name for place, name in enumerate(found)]
    ratios = {
        mode: [summary.speed_up(results.rounds, client, mode) for results in found.values()]
        for mode in POOLS
        if any(mode in results.study.modes for results in found.values())
    }
    if len(found) >= runs.ENOUGH_RUNS and not runs.first_difference(found):
        labels.append(f"all {len(found)} runs, each one value")
        ratios = {mode: [*own, summary.over_runs(own)] for mode, own in ratios.items()}
    levels = next(iter(found.values())).levels
    for shift, (mode, own) in enumerate(ratios.items()):
        colour = styles.of_mode(mode).colour
        for place, ratio in enumerate(own):
            if ratio.rounds:
                _interval(ax, place + 0.3 * shift - 0.15, ratio, colour, levels=levels)
        if own[0].rounds:
            above = (0, 7) if shift == 0 else (0, -15)
            _note(ax, mode, (own[0].value, 0.3 * shift - 0.15), above, color=colour)
    ax.set_yticks(range(len(labels)), labels)
    ax.set(ylim=(len(labels) - 0.4, -0.8), xlabel="times as fast as serial")
    ax.set_title(client)
    return ax


def _by_run(results: RunResults, _judged: Judged) -> list[tuple[Any, ...]]:
    others = runs.like(results)
    found = {results.name: results, **others}
    return [(found, client) for client in results.study.clients] if others else []


def _range_line(ax: Axes, own: Sequence[SizeResult], enough: EnoughWorkers) -> None:
    """Draw a broad line under the sizes of which the smallest that is enough is one."""
    within = [item for item in own if enough.low <= item.size <= enough.high]
    look = styles.of_mode(own[0].mode)
    places = [item.size * look.shift for item in within]
    values = [item.speed_up.value for item in within]
    form = "o" if len(within) == 1 else "-"
    [line] = ax.plot(places, values, form, color=look.colour, alpha=0.3, lw=11, ms=11, mew=0)
    line.set_solid_capstyle("round")


def _modes(results: RunResults, client: str) -> list[str]:
    rounds = results.rounds
    measured = set(rounds.loc[rounds["client"] == client, "mode"])
    return [mode for mode in MODES if mode in measured]


def _panels_of_many(many: Any) -> list[tuple[Any, ...]]:
    clients = dict.fromkeys(point.client for point in many_runs.points(many))
    return [(many, client) for client in clients]


def _has_speed_ups(results: RunResults) -> bool:
    """Return whether a run has speed-ups that say something of its pools."""
    return bool(sentences.compared(results)) and not paced(results.study)


def _clients(results: RunResults, _judged: Judged) -> list[tuple[Any, ...]]:
    return [(results, client) for client in results.study.clients if _modes(results, client)]


def _timed_browsers(results: RunResults, _judged: Judged) -> list[tuple[Any, ...]]:
    clients = results.study.clients
    return [(results, client) for client in clients if summary.has_phases(results.rounds, client)]


def _lanes(results: RunResults, _judged: Judged) -> list[tuple[Any, ...]]:
    cells = itertools.product(results.study.clients, POOLS)
    return [(results, *cell) for cell in cells if cell[1] in _modes(results, cell[0])]


def _swept(results: RunResults, _judged: Judged) -> list[tuple[Any, ...]]:
    clients = dict.fromkeys(_group(item.client) for item in sweeps.compare_sizes(results))
    return [(results, client) for client in clients]


REPORT = (
    Layout(
        speed_ups,
        "speed-up of each client in each mode over serial, beside 2018",
        lambda results, judged: [(results, judged)] if _has_speed_ups(results) else [],
    ),
    Layout(
        claims,
        "measured / claimed for every claim, with the zones in which the claims hold",
        lambda results, judged: [(results, judged)] if _claims_drawn(judged) else [],
    ),
    Layout(fetch_times, "mean time of one fetch by client and mode, beside 2018", _clients),
    Layout(distribution, "share of the fetches done within a time, by client and mode", _clients),
    Layout(total_times, "total time by client and mode, with lower bounds and 2018", _clients),
    Layout(
        where_it_goes,
        "from the pool size to the measured speed-up, by idle workers and slower fetches",
        lambda results, _: [(results,)] if sentences.compared(results) else [],
    ),
    Layout(swim_lanes, "what each worker did when, by client and mode", _lanes),
    Layout(
        threads_against_processes,
        "total of threads / total of processes, with the A/A control where there is one",
        lambda results, judged: [(results, judged)] if _total_ratios(results) else [],
    ),
    Layout(
        browser_phases,
        "phases of a browser's fetch by mode",
        _timed_browsers,
        columns=1,
        height=2.5,
    ),
    Layout(
        ways_today,
        "total time of each way to fetch, fastest first, with new and with kept connections",
        _today,
        1,
        3.2,
    ),
    Layout(
        engine_cost,
        "total of Dask and of the pools, without and with the start of their workers",
        lambda results, _: [(results, one) for one in costs(results)],
        height=2.8,
    ),
    Layout(speed_ups_by_run, "speed-ups in this run and in others that are alike", _by_run, 1, 2.5),
)
"""The figures of the report, in its order."""

SWEEP_ALT = "speed-up against pool size, by client and mode, with the ideal and the ceiling"
SWEEP = (Layout(speed_up_by_pool_size, SWEEP_ALT, _swept, height=5.2),)
"""The figures of the report on a sweep, in its order."""

CROSSOVER_ALT = "total of threads / total of processes against the CPU of a fetch, by pool size"
CROSSOVER = (
    Layout(
        work_after_a_fetch,
        CROSSOVER_ALT,
        lambda results, _: [(results, one) for one in crossovers(results)],
        height=4.2,
    ),
)
"""The figures of the report on a crossover, in its order."""

MANY_RUNS = (
    Layout(
        speed_up_by_run_and_size,
        "speed-up against pool size, by run and mode",
        lambda many, _: _panels_of_many(many),
        1,
        3.4,
    ),
)
"""The figure of the page on several runs."""

LAYOUTS = (REPORT, SWEEP, CROSSOVER, MANY_RUNS)
"""The figures of all pages, numbered from 1 in each."""
