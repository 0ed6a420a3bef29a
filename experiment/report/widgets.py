"""Choose with widgets what is drawn, for notebooks/explore.ipynb."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import ipywidgets as widgets
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiment.analysis import runs, summary
from experiment.analysis.results import RunResults, load
from experiment.errors import UserError
from experiment.report import figures, markup, styles

DPI = 80
"""Enough for a screen, and a third of the time that a printed figure takes."""

ALL_ROUNDS = "all"

FIGURES: dict[str, Callable[..., Axes]] = {
    "swim lanes": figures.swim_lanes,
    "one fetch": figures.fetch_times,
    "all fetches": figures.total_times,
    "distribution": figures.distribution,
    "browser phases": figures.browser_phases,
}


@dataclass(frozen=True)
class Choice:
    """What is chosen: a run, a client, modes, one round or all, and a page."""

    run: RunResults
    client: str
    modes: tuple[str, ...]
    round: int | None
    page: int

    @cached_property
    def results(self) -> RunResults:
        """Return the complete rounds that were chosen, as the results of a run."""
        cell = ["client", "mode", "round"]
        rounds = self.run.rounds
        chosen = (rounds["client"] == self.client) & rounds["mode"].isin(self.modes)
        chosen &= rounds["round"] == (self.round or rounds["round"])
        keys = pd.MultiIndex.from_frame(rounds.loc[chosen, cell])
        fetches, trials = (
            rows[(rows["arm"] == "main") & pd.MultiIndex.from_frame(rows[cell]).isin(keys)]
            for rows in (self.run.fetches, self.run.trials)
        )
        return replace(self.run, fetches=fetches, trials=trials)

    @cached_property
    def trials(self) -> dict[str, pd.DataFrame]:
        """Return the fetches of a trial in each mode, by its name; of all rounds a typical one."""
        results, client = self.results, self.client
        typical = (summary.typical_round(results.rounds, client, mode) for mode in self.modes)
        number = self.round or next(filter(None, typical), 0)
        measured = set(results.rounds.loc[results.rounds["round"] == number, "mode"])
        return {
            f"{mode}, round {number}": figures.fetches_of_trial(results, client, mode, number)
            for mode in self.modes
            if mode in measured
        }

    def drawn(self, name: str) -> Figure | None:
        """Return the figure of that name, None where there is nothing to draw."""
        if FIGURES[name] is not figures.swim_lanes:
            return figures.drawn(FIGURES[name], self.results)
        lanes = [(self.run.study, fetches, self.page) for fetches in self.trials.values()]
        return figures.panels(figures.lanes_of_trial, lanes, min(2, len(lanes))) if lanes else None

    def of_page(self) -> pd.DataFrame:
        """Return what became of the chosen page in each mode: a column a trial."""
        columns = {}
        for trial, fetches in self.trials.items():
            for fetch in fetches[fetches["page"] == self.page].to_dict("records"):
                columns[trial] = _described(fetch)
        return pd.DataFrame(columns)


class Explorer:
    """The widgets and the figure that they choose; a notebook shows its `view`."""

    def __init__(self, run: str = "reference") -> None:
        """Show a run; raises `UserError` where there is none."""
        names = runs.studies()
        if not names:
            raise UserError("run: there is none yet; make report measures one")
        first = run if run in names else names[0]
        self.run = widgets.Dropdown(options=names, value=first, description="run")
        self.client = widgets.Dropdown(description="client")
        self.modes = widgets.SelectMultiple(description="modes", rows=3)
        self.round = widgets.Dropdown(description="round")
        self.figure = widgets.Dropdown(options=list(FIGURES), description="figure")
        self.page = widgets.IntSlider(1, 1, 1, description="page", continuous_update=False)
        self.page.layout.width = "40em"
        self.picture, self.fetch = widgets.HTML(), widgets.HTML()
        self._load = cache(load)
        self._is_offering = False
        self.offer()
        self.run.observe(self.offer, "value")
        for chosen in (self.client, self.modes, self.round, self.figure, self.page):
            chosen.observe(self.draw, "value")

    @property
    def view(self) -> widgets.VBox:
        """Return all widgets in a box, the choices above the figure."""
        choices = widgets.HBox([self.run, self.client, self.round, self.figure])
        return widgets.VBox([choices, self.modes, self.picture, self.page, self.fetch])

    @property
    def choice(self) -> Choice:
        """Return what the widgets say."""
        number = None if self.round.value == ALL_ROUNDS else int(self.round.value)
        run, page = self._load(runs.DATA / self.run.value), int(self.page.value)
        return Choice(run, self.client.value, self.modes.value, number, page)

    def offer(self, _change: Any = None) -> None:
        """Offer what the chosen run has, or say why it cannot be read."""
        try:
            run = self._load(runs.DATA / self.run.value)
        except UserError as mistake:
            self.picture.value, self.fetch.value = f"<p>{markup.escape(str(mistake))}</p>", ""
            return
        study, numbers = run.study, sorted(run.rounds["round"].unique())
        self._is_offering = True  # each of these would draw
        self.client.options = study.clients
        self.modes.options, self.modes.value = study.modes, study.modes
        self.round.options = [ALL_ROUNDS, *map(str, numbers)]
        self.client.value, self.round.value = study.clients[0], ALL_ROUNDS
        self.page.max = study.pages
        self._is_offering = False
        self.draw()

    def draw(self, _change: Any = None) -> None:
        """Draw what is chosen, and describe the fetches of the chosen page."""
        if self._is_offering:
            return
        choice = self.choice
        figure = choice.drawn(self.figure.value)
        name = f"{self.figure.value}, {choice.client}, {' and '.join(choice.modes)}"
        nothing = "<p>There is nothing to draw for this choice.</p>"
        self.picture.value = _picture(figure, name) if figure else nothing
        with pd.option_context("display.max_colwidth", None, "display.html.use_mathjax", False):
            self.fetch.value = choice.of_page().to_html(border=0)


def _picture(figure: Figure, alt: str) -> str:
    """Return a figure as an image element that holds its data."""
    encoded = base64.b64encode(figures.png(figure, DPI)).decode()
    style = f"width: {figure.get_figwidth() * 96:.0f}px; max-width: 100%"
    return f'<img alt="{alt}" style="{style}" src="data:image/png;base64,{encoded}">'


def _described(fetch: dict[Any, Any]) -> dict[str, str]:
    times = ("start_s", "end_s", "fetch_s", *(f"{phase}_s" for phase in styles.PHASES))
    told = {name: f"{fetch[name]:.3f}" for name in times if pd.notna(fetch[name])}
    response = {name: _shown(fetch[name]) for name in ("origin_ms", "status", "length", "error")}
    worker = f"{fetch['worker']} of {fetch['pool_size']}"
    place = {"page": f"{fetch['page']}", "url": str(fetch["url"]), "worker": worker}
    return {**place, **told, **response}


def _shown(value: Any) -> str:
    if pd.isna(value):
        return "-"
    return f"{value:,.0f}" if isinstance(value, float) and value.is_integer() else f"{value}"
