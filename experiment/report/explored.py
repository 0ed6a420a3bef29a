"""Draw what only the explorer has: single fetches, rounds in order of time, words on hover."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiment.analysis.results import RunResults
from experiment.report import figures, styles
from experiment.vocabulary import MODES

WIDTH = 0.7
"""The width of a mode's strip, where modes are 1 apart."""

OUTLINE = (
    f' fill="{styles.CHOSEN}" stroke="black" stroke-width="2" vector-effect="non-scaling-stroke"'
)
"""How the block of the chosen page looks, at every width of the figure."""


def single_fetches(results: RunResults, client: str, *, ax: Axes) -> Axes:
    """Draw each fetch of a client as a dot, a strip for each mode, in order of their starts."""
    fetches = results.complete_fetches
    own = fetches[fetches["client"] == client]
    modes = [mode for mode in MODES if mode in set(own["mode"])]
    for place, mode in enumerate(modes):
        strip = own[own["mode"] == mode]
        order = strip.groupby(["round", "repeat"])["start_s"].rank(pct=True)
        across = place + WIDTH * (order - 0.5)
        ax.plot(across, strip["fetch_s"], ".", color=styles.of_mode(mode).colour, ms=4, alpha=0.4)
    ax.set_xticks(range(len(modes)), modes)
    ax.set(ylim=(0, None), ylabel="time of a fetch (s)")
    ax.set(title=f"{client}: every fetch", xlabel="in a strip: from the first fetch to the last")
    return ax


def trials_in_order(results: RunResults, client: str, *, ax: Axes) -> Axes:
    """Draw the total of each trial against the time of its start, to show whether it drifts."""
    trials = results.main_trials
    own = trials[(trials["client"] == client) & trials["span_s"].notna()]
    for mode in (mode for mode in MODES if mode in set(own["mode"])):
        of_mode = own[own["mode"] == mode].sort_values("started_at")
        look = styles.of_mode(mode)
        ax.plot(_minutes(results, of_mode), of_mode["span_s"] / of_mode["span_s"].mean(),
                marker="o", ms=4, color=look.colour, ls=look.line, label=mode)  # fmt: skip
    ax.axhline(1, color="black", lw=1)
    ax.set(xlabel="minutes since the run began", ylabel="total / mean of its mode")
    ax.set_title(f"{client}: trials in order of time")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=9)
    return ax


def blocks(figure: Figure, trials: Iterable[pd.DataFrame], page: int) -> str:
    """Return an SVG to lay over a figure of swim lanes: each block tells its fetch on hover.

    The fetches of `page` are outlined. `trials` are the fetches of each panel. The figure has
    been drawn, so its layout is final.
    """
    shown = "".join(
        _block(fetch, place, is_chosen=bool(fetch.page == page))
        for ax, fetches in zip(figure.axes, trials, strict=True)
        for fetch, place in zip(fetches.itertuples(), _places(ax, fetches, figure), strict=True)
    )
    shape = 'viewBox="0 0 1 1" preserveAspectRatio="none" fill="transparent" aria-hidden="true"'
    style = "position: absolute; inset: 0; width: 100%; height: 100%"
    return f'<svg {shape} style="{style}">{shown}</svg>'


def _places(ax: Axes, fetches: pd.DataFrame, figure: Figure) -> Iterable[tuple[float, ...]]:
    """Return x, y, width and height of each block, in shares of the figure from its top left."""
    to_figure = ax.transData + figure.transFigure.inverted()
    workers = fetches["worker"].to_numpy(float)
    left, top = to_figure.transform(np.c_[fetches["start_s"], workers + figures.LANE / 2]).T
    right, bottom = to_figure.transform(np.c_[fetches["end_s"], workers - figures.LANE / 2]).T
    return zip(left, 1 - top, right - left, top - bottom, strict=True)


def _block(fetch: Any, place: tuple[float, ...], *, is_chosen: bool) -> str:
    x, y, width, height = (f"{share:.5f}" for share in place)
    words = f"page {fetch.page}: {fetch.fetch_s:.3f} s, from {fetch.start_s:.3f} s on"
    shape = f'x="{x}" y="{y}" width="{width}" height="{height}"{OUTLINE if is_chosen else ""}'
    return f"<rect {shape}><title>{words}</title></rect>"


def _minutes(results: RunResults, trials: pd.DataFrame) -> "pd.Series[float]":
    return (trials["started_at"] - results.run.started_at).dt.total_seconds() / 60
