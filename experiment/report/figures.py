"""One function a figure: each takes data (and `ax`), draws, and returns the `ax`.

Colours, lines and hatches are in `styles`. Axes of seconds start at zero.
"""

import functools
import io
import math
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from experiment import records
from experiment.analysis import summary
from experiment.analysis.claims import Comparison, JudgedClaim
from experiment.analysis.rules import ALIKE
from experiment.analysis.summary import Estimate
from experiment.analysis.sweeps import GAIN, Enough, Size
from experiment.errors import writing
from experiment.report import styles
from experiment.vocabulary import MODES, POOLS

if TYPE_CHECKING:
    from IPython.display import Image

STYLE: list[str | Path | dict[str, Any]] = ["default", Path(__file__).with_name("figures.mplstyle")]
"""The library's own defaults and ours on top: a user's matplotlibrc changes nothing."""


def panels(
    draw: Callable[..., Axes],
    choices: Sequence[tuple[Any, ...]],
    columns: int = 2,
    height: float = 3.6,
    title: str = "",
) -> Figure:
    """A figure with a panel for each choice, drawn by `draw(*choice, ax=ax)`; its title above."""
    with style.context(STYLE, after_reset=True):
        rows = max(1, math.ceil(len(choices) / columns))
        figure = Figure(figsize=(10, height * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for ax, choice in zip(axes.flat, choices, strict=False):
            draw(*choice, ax=ax)
        for ax in axes.flat[len(choices) :]:
            ax.remove()
        if title:
            lines = textwrap.fill(title, 105)
            figure.suptitle(lines, x=0.01, ha="left", weight="bold", size="medium")
    return figure


def png(figure: Figure, dpi: int) -> bytes:
    """The figure as a PNG."""
    return _drawn(figure, format="png", dpi=dpi)


def _drawn(figure: Figure, **how: Any) -> bytes:
    target = io.BytesIO()
    with style.context(STYLE, after_reset=True):
        figure.savefig(target, **how)
    return target.getvalue()


def save(figure: Figure, folder: Path, name: str, alt: str) -> "Image":
    """Write the figure as PNG and SVG; returns the picture for a notebook, `alt` its text.

    Raises `UserError` where the folder cannot be written.
    """
    from IPython.display import Image

    drawing = _drawn(figure, format="svg", metadata={"Date": None})
    picture = _drawn(figure, format="png")
    with writing("figures", folder):
        folder.mkdir(parents=True, exist_ok=True)
        records.replace_bytes(folder / f"{name}.svg", drawing)
        records.replace_bytes(folder / f"{name}.png", picture)
    width = int(figure.get_figwidth() * 100)
    return Image(data=picture, width=width, alt=alt)  # type: ignore[no-untyped-call]


def fetch_times(rounds: pd.DataFrame, client: str, *, ax: Axes) -> Axes:
    """Figure 1, the article's first chart: the mean time of one fetch in each mode."""
    ax = _bars(rounds, client, "fetch_mean_s", ax)
    ax.set_ylabel("mean time of a fetch (s)")
    longer = _by_mode(functools.partial(summary.slow_down, rounds, client))
    ax.set_title(_titled(client, "a fetch takes", longer, "times as long in"))
    return ax


def total_times(rounds: pd.DataFrame, client: str, cores: int, *, ax: Axes) -> Axes:
    """Figure 2, the article's second chart: the time until all pages are fetched."""
    ax = _bars(rounds, client, "span_s", ax)
    ax.set_ylabel("total time (s)")
    sooner = _by_mode(functools.partial(summary.speed_up, rounds, client))
    ax.set_title(_titled(client, "all pages come", sooner, "times as fast in"))
    limits = summary.bounds(rounds[rounds["client"] == client], cores)
    means = limits.groupby("mode")[["waiting_s", "cpu_s"]].mean().astype(float)
    for column, colour, words in (
        ("waiting_s", styles.WAITING, "the waiting alone"),
        ("cpu_s", styles.CPU, "the CPU work alone"),
    ):
        for place, mode in enumerate(_modes(rounds, client)):
            height = means[column][mode]
            if not math.isnan(height):
                ends = place - 0.36, place + 0.36
                ax.hlines(height, *ends, color=colour, lw=2, zorder=4, label=words)
                words = "_"  # one entry in the legend
    ax.legend(loc="upper right", fontsize=9, title="least time for", title_fontsize=9)
    return ax


def _by_mode(of: Callable[[str], Estimate]) -> dict[str, str]:
    """A ratio to serial of each parallel mode that has one, in digits."""
    found = {mode: of(mode) for mode in POOLS}
    return {mode: item.shown for mode, item in found.items() if item.rounds}


def _titled(client: str, before: str, values: dict[str, str], between: str) -> str:
    """A title that says what was found: "requests: a fetch takes 1.07 times as long in threads"."""
    parts = [f"{value} in {mode}" for mode, value in values.items()]
    if not parts:
        return client
    parts[0] = parts[0].replace(" in ", f" {between} ")
    return f"{client}: {before}\n{', '.join(parts)}"


def _bars(rounds: pd.DataFrame, client: str, column: str, ax: Axes) -> Axes:
    """Bars from zero with the rounds, their mean and its 95 % interval, and 2018."""
    modes = _modes(rounds, client)
    for place, mode in enumerate(modes):
        values = summary.of_cell(rounds, client, mode, column)
        estimate = summary.mean(values)
        look = styles.of_mode(mode)
        colour = look.colour
        ax.bar(place, estimate.value, 0.72, color=look.light, hatch=look.hatch, edgecolor=colour)
        ax.plot([place - 0.2] * len(values), values, "o", ms=3, color=colour, alpha=0.7)
        if estimate.ci95:
            ax.vlines(place, *estimate.ci95, color=colour, lw=2, zorder=5)
        ax.plot(place, estimate.value, "o", ms=7, color=colour, mec="white", zorder=5)
        then = summary.in_2018(client, mode, _IN_2018[column])
        if then is not None:
            ax.plot(place + 0.28, then, "D", ms=6, mfc="white", mec="black", zorder=6)
            _note(ax, "2018", (place + 0.28, then), (0, 7), fontsize=8)
        top = max(estimate.value, (estimate.ci95 or (0, 0))[1], values.max())
        words = f"{estimate.shown} s"
        _note(ax, words, (place - 0.1, top), (0, 5), weight="bold", color=colour)
    ax.set_xticks(range(len(modes)), modes)
    ax.set_ylim(0, ax.get_ylim()[1] * 1.06)
    ax.grid(axis="y", color="#E5E5E5")
    return ax


def _note(
    ax: Axes, words: str, at: tuple[float, float], offset: tuple[int, int], **look: Any
) -> None:
    """Words beside a point, so many typographic points away."""
    ax.annotate(words, at, offset, textcoords="offset points", **{"ha": "center", **look})


_IN_2018 = {"fetch_mean_s": "mean_s", "span_s": "span_s"}


def distribution(fetches: pd.DataFrame, client: str, *, ax: Axes) -> Axes:
    """Figure 3: the share of the fetches that count that were done within a time."""
    own = fetches[fetches["client"] == client]
    for mode in _modes(own, client):
        seconds, drawn = own.loc[own["mode"] == mode, "fetch_s"], styles.of_mode(mode)
        ax.ecdf(seconds, color=drawn.colour, ls=drawn.line, lw=1.6)
        height, offset, side = drawn.name_at
        look = {"ha": side, "color": drawn.colour, "weight": "bold", "fontsize": 9}
        _note(ax, mode, (float(seconds.quantile(height)), height), (offset, 0), **look)
    ax.set_xscale("log")
    _plain_ticks(ax)
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    halves = {
        mode: own.loc[own["mode"] == mode, "fetch_s"].median() for mode in _modes(own, client)
    }
    shown = {mode: summary.digits(seconds) for mode, seconds in halves.items()}
    ax.set_title(_titled(client, "half of the fetches are done within", shown, "s in"))
    ax.set(xlabel="seconds of a fetch (log scale)", ylabel="fetches done within")
    ax.grid(color="#E5E5E5")
    return ax


def _plain_ticks(ax: Axes, which: Literal["x", "y"] = "x") -> None:
    """Ticks of a log axis as plain numbers, as many as there is room for."""
    axis = {"x": ax.xaxis, "y": ax.yaxis}[which]
    low, high = axis.get_view_interval()
    if high < 3 * low:
        ticks = list(MaxNLocator(7, steps=[1, 2, 5, 10]).tick_values(low, high))
    else:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 1.5, 2, 3, 5, 7) if high < 20 * low else (1, 2, 5)
        ticks = [step * 10.0**power for power in powers for step in steps]
    ticks = [tick for tick in ticks if low <= tick <= high]
    axis.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axis.set_minor_locator(NullLocator())


def swim_lanes(
    fetches: pd.DataFrame,
    client: str,
    mode: str,
    round_number: int,
    repeat: int,
    chunk: int,
    chosen: int | None = None,
    *,
    ax: Axes,
) -> Axes:
    """Figure 4: what each worker did when; shades change with each chunk, idle tails hatched.

    The chosen page, if any, is outlined.
    """
    place = {
        "arm": "main", "client": client, "mode": mode, "round": round_number, "repeat": repeat
    }  # fmt: skip
    rows = fetches[(fetches[list(place)] == pd.Series(place)).all(axis=1)]
    end, workers = max(rows["end_s"].max(), SHORTEST_S), rows["pool_size"].max()
    bound = rows["fetch_s"].sum() / workers
    for worker in range(1, workers + 1):
        lane = rows[rows["worker"] == worker].sort_values("start_s")
        _lane(ax, lane, worker, mode, chunk, end)
    for fetch in rows[rows["page"] == chosen].to_dict("records"):
        bar, lane_at = (fetch["start_s"], fetch["fetch_s"]), (fetch["worker"] - 0.4, 0.8)
        ax.broken_barh([bar], lane_at, facecolor=styles.CHOSEN, edgecolor="black", lw=1.5)
    ax.axvline(bound, color="black", ls=":", lw=1)
    busy = summary.percent(bound / end)
    ax.set_title(f"{client}, {mode}: {summary.digits(end)} s, workers {busy} busy")
    words = f"all busy to the end: {summary.digits(bound)} s"
    _note(ax, words, (bound, workers + 0.55), (-4, 2), ha="right", fontsize=8)
    ax.set(xlabel="seconds since the pool was ready", ylabel="worker", xlim=(0, end * 1.01))
    ax.set_ylim(0.4, workers + 1.2)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


SHORTEST_S = 1e-6
"""What the files of a run can tell from nothing."""


def _lane(ax: Axes, lane: pd.DataFrame, worker: int, mode: str, chunk: int, end: float) -> None:
    """The fetches of one worker, and its idle tail."""
    shade = ((lane["page"] - 1) // chunk).diff().ne(0).cumsum() % 2
    drawn = styles.of_mode(mode)
    colours = [drawn.colour if odd else drawn.light for odd in shade]
    bars = list(zip(lane["start_s"], lane["fetch_s"], strict=True))
    ax.broken_barh(bars, (worker - 0.4, 0.8), facecolors=colours, edgecolor="white", lw=0.5)
    idle = lane["end_s"].max() if len(lane) else 0.0
    tail: dict[str, Any] = {"color": "none", "hatch": "//////", "edgecolor": "#999999", "lw": 0}
    ax.barh(worker, end - idle, 0.8, left=idle, **tail)


def where_it_goes(rounds: pd.DataFrame, cells: Sequence[tuple[str, str]], *, ax: Axes) -> Axes:
    """Figure 5: from the pool size to the measured speed-up, by idle workers and slower fetches."""
    for place, (client, mode) in enumerate(cells):
        size, left, measured = summary.losses(rounds, client, mode)
        step = (
            (size, left, styles.IDLE, "idle"),
            (left, measured, styles.SLOWER, "slower fetches"),
        )
        for track, (start, end, colour, words) in zip((-0.12, 0.12), step, strict=True):
            ax.plot([start, end], [place + track] * 2, color=colour, lw=6, solid_capstyle="butt")
            if place == 0:
                words = "quicker fetches" if words != "idle" and end > start else words
                _note(ax, words, ((start * end) ** 0.5, place - 0.12), (0, 7), fontsize=9)
        ax.plot(
            measured,
            place + 0.12,
            "o",
            ms=9,
            color=styles.of_mode(mode).colour,
            mec="white",
            zorder=5,
        )
        words = f"{summary.digits(measured)} times"
        _note(ax, words, (min(measured, left), place), (-9, 0), ha="right", va="center")
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ax.set_xlim(low / 1.25, high)
    _plain_ticks(ax)
    ax.set_yticks(range(len(cells)), [f"{client}, {mode}" for client, mode in cells])
    ax.set_ylim(len(cells) - 0.5, -0.8)
    ax.set(xlabel="times as fast as serial (log scale)")
    return ax


def against_each_other(lines: Sequence[tuple[str, Estimate, bool]], *, ax: Axes) -> Axes:
    """Figure 7: ratios of totals on the band of 10 %; each has a label, the A/A control is grey.

    Thick: 90 % interval, thin: 95 %; the control has its 99 % interval, too.
    """
    ax.axvspan(1 / ALIKE, ALIKE, color=styles.ZONE, lw=0)
    ax.axvline(1, color="black", lw=1)
    for place, (_, found, is_control) in enumerate(lines):
        colour = styles.CONTROL if is_control else styles.NO_MODE
        if is_control and found.ci99:
            ax.plot(found.ci99, [place] * 2, color=colour, lw=1, ls=":", marker="|")
        _interval(ax, place, found, colour)
        over = {"bbox": {"fc": styles.ZONE, "ec": "none", "pad": 0.5}, "color": colour}
        _note(ax, found.shown, (found.value, place), (0, 8), **over)
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, 0.85), max(high, 1.18))
    _plain_ticks(ax)
    ax.set_yticks(range(len(lines)), [label for label, _, _ in lines])
    ax.set_ylim(len(lines) - 0.5, -0.8)
    ax.set(xlabel="ratio of totals (log scale); shaded: less than 10 % apart")
    return ax


def _interval(ax: Axes, place: float, found: Estimate, colour: str, over: float = 1) -> None:
    """An estimate with its 90 % (thick) and 95 % (thin) interval, divided by `over`."""
    for interval, width in ((found.ci95, 1.5), (found.ci90, 4)):
        if interval:
            ends = [end / over for end in interval]
            ax.plot(ends, [place] * 2, color=colour, lw=width, solid_capstyle="butt")
    ax.plot(found.value / over, place, "o", ms=7, color=colour, mec="white", zorder=5)


def claims(judged: Sequence[JudgedClaim], *, ax: Axes) -> Axes:
    """Figure 8: what was measured / what is claimed, on the zone in which the claim holds."""
    cells = [cell for claim in judged for cell in claim.cells if is_drawn(cell)]
    for place, cell in enumerate(cells):
        _claim(ax, place, cell)
    ax.axvline(1, color="black", lw=1)
    ax.set_xscale("log")
    ax.set_xlim(*CLAIMS_SHOWN)
    _plain_ticks(ax)
    labels = [f"{cell.words} ({cell.zone.words})" for cell in cells if cell.zone]
    ax.set_yticks(range(len(cells)), labels)
    ax.set_ylim(len(cells) - 0.4, -0.6)
    ax.set(xlabel="measured / claimed (log scale)")
    return ax


CLAIMS_SHOWN = 0.5, 5.0


def is_drawn(cell: Comparison) -> bool:
    """Whether figure 8 has a place for a cell: it was measured, as a ratio or share."""
    return bool(cell.zone and cell.found)


def _claim(ax: Axes, place: int, cell: Comparison) -> None:
    assert cell.zone is not None
    assert cell.estimate is not None
    over, (low, high) = cell.zone.claimed, CLAIMS_SHOWN
    start, end = max(cell.zone.low / over, low), min(cell.zone.high / over, high)
    ax.barh(place, end - start, 0.8, left=start, color=styles.ZONE, lw=0)
    colour = styles.of_mode(cell.mode).colour if cell.mode else styles.NO_MODE
    _interval(ax, place, cell.estimate, colour, over)
    measured = cell.estimate.value / over
    number = summary.digits(measured)
    if measured > high:
        _note(ax, f"{number} ▶", (high, place), (0, 5), ha="right", va="center", size=9)
    elif measured < low:
        _note(ax, f"◀ {number}", (low, place), (0, 5), ha="left", va="center", size=9)
    if cell.article_2018 is not None:
        then = cell.article_2018 / over
        if then > high:
            _note(ax, f"2018: {summary.digits(then)} ▶", (high, place), (0, -7), ha="right", size=8)
        ax.plot(then, place - 0.25, "D", ms=5, mfc="white", mec="black", zorder=6)
    at = (1.01, place)
    ax.annotate(cell.ruling.verdict, at, xycoords=("axes fraction", "data"), va="center")


def phases(rounds: pd.DataFrame, client: str, *, ax: Axes) -> Axes:
    """Figure 6: where a browser's fetch spends its time, in each mode."""
    modes = _modes(rounds, client)
    narrow = 0.1 * rounds.loc[rounds["client"] == client, "fetch_mean_s"].max()
    for place, mode in enumerate(modes):
        left, aside = 0.0, []
        for phase, look in styles.PHASES.items():
            width = summary.mean(summary.of_cell(rounds, client, mode, f"{phase}_mean_s")).value
            words = f"{look.words} {summary.digits(width)} s"
            ax.barh(place, width, 0.6, left=left, color=look.colour, edgecolor="white", lw=0.5)
            if width > narrow:
                ax.text(left + width / 2, place, words, ha="center", va="center", fontsize=9)
            else:
                aside.append(words)
            left += width
        _note(ax, ", ".join(aside), (left, place), (5, 0), ha="left", va="center", fontsize=9)
    ax.set_yticks(range(len(modes)), modes)
    ax.invert_yaxis()
    starts = {
        mode: summary.digits(
            summary.mean(summary.of_cell(rounds, client, mode, "browser_start_mean_s")).value
        )
        for mode in modes
    }
    ax.set_title(_titled(client, "the start of the browser takes", starts, "s in"))
    ax.set(xlabel="seconds of a fetch, by phase (mean of the rounds)")
    ax.set_xlim(0, ax.get_xlim()[1] * 1.2)
    return ax


def sweep(client: str, sizes: Sequence[Size], enough: Sequence[Enough], *, ax: Axes) -> Axes:
    """Figure 9: speed-up against pool size, with the ideal, the schedule's ceiling, and enough."""
    workers = sorted({item.size for item in sizes})
    most = {item.size: item.ceiling.value for item in sizes}
    ceilings = [most[size] for size in workers]
    ax.plot(workers, workers, color="#999999", lw=1, marker=".")
    ax.plot(workers, ceilings, color="black", lw=1, ls=":", marker=".")
    _note(ax, "ideal", (workers[-1], workers[-1]), (-4, 2), ha="right", fontsize=9)
    _note(ax, "these pages allow", (workers[-1], ceilings[-1]), (8, -34), ha="right", fontsize=9)
    for mode in POOLS:
        own = [item for item in sizes if item.mode == mode]
        _sweep_line(ax, own, mode)
    for item in (found.at for found in enough):
        at, colour = (item.size, item.speed_up.value), styles.of_mode(item.mode).colour
        ax.plot(*at, "o", ms=15, mfc="none", mec=colour, mew=1.5)
    ax.set(xscale="log", yscale="log", xlabel="workers (log scale)")
    ax.set_ylabel("times as fast as serial (log scale)")
    _plain_ticks(ax, "y")
    ax.set_xticks(workers, [str(size) for size in workers])
    ax.xaxis.set_minor_locator(NullLocator())
    shown = {item.at.mode: item.words for item in enough}
    words = f"workers that no larger pool beats by more than {summary.percent(GAIN - 1)}:"
    ax.set_title(_titled(client, words, shown, "in"))
    ax.grid(color="#E5E5E5")
    return ax


def _sweep_line(ax: Axes, own: Sequence[Size], mode: str) -> None:
    """The speed-ups of one mode with their 95 % intervals; set aside a little from the other's."""
    drawn = styles.of_mode(mode)
    places = [item.size * drawn.shift for item in own]
    values = [item.speed_up.value for item in own]
    ax.plot(places, values, color=drawn.colour, ls=drawn.line, marker="o", ms=5, mec="white")
    for place, item in zip(places, own, strict=True):
        if item.speed_up.ci95:
            ax.plot([place] * 2, item.speed_up.ci95, color=drawn.colour, lw=1.5)
    if own:
        look = {"ha": "right", "color": drawn.colour, "weight": "bold", "fontsize": 9}
        _note(ax, mode, (places[-1], values[-1]), drawn.name_offset, **look)


def _modes(rounds: pd.DataFrame, client: str) -> list[str]:
    there = set(rounds.loc[rounds["client"] == client, "mode"])
    return [mode for mode in MODES if mode in there]
