"""The measurements to play with: widgets that choose what is drawn, for notebooks/explore.ipynb."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as widgets
import pandas as pd
from matplotlib.figure import Figure

from experiment.analysis import runs, summary
from experiment.analysis.results import RunResults, load
from experiment.errors import UserError
from experiment.report import figures, markup, styles
from experiment.vocabulary import BROWSERS

DPI = 80
"""Enough for a screen, and a third of the time that a printed figure takes."""

ALL_ROUNDS = "all"
WIDE = {"width": "40em"}
PHASES = tuple(f"{phase}_s" for phase in styles.PHASES)


@dataclass(frozen=True)
class Choice:
    """What is to be seen: a run's client in some modes, in one round or in all."""

    results: RunResults
    client: str
    modes: tuple[str, ...]
    round: int | None
    page: int

    @property
    def rounds(self) -> pd.DataFrame:
        """The rounds that were chosen; one row a mode and round."""
        return self._of(self.results.rounds)

    @property
    def fetches(self) -> pd.DataFrame:
        """The fetches that were chosen, of the trials that count."""
        return self._of(self.results.complete_fetches)

    def _of(self, rows: pd.DataFrame) -> pd.DataFrame:
        chosen = (rows["client"] == self.client) & rows["mode"].isin(self.modes)
        return rows[chosen & (rows["round"] == (self.round or rows["round"]))]

    def lanes(self) -> list[tuple[str, int, int]]:
        """Mode, round and repeat of the trials to look into; of all rounds a typical one."""
        typical = (summary.typical_round(self.rounds, self.client, mode) for mode in self.modes)
        number = self.round or next(filter(None, typical), None)
        found = []
        for mode in self.modes:
            repeats = summary.of_cell(self.rounds, self.client, mode, "repeat")
            if number is not None and number in repeats.index:
                found.append((mode, number, int(repeats[number])))
        return found


def _fetch_times(choice: Choice) -> Figure:
    return figures.panels(figures.fetch_times, [(choice.rounds, choice.client)], 1, 4)


def _total_times(choice: Choice) -> Figure:
    cores = choice.results.cores
    return figures.panels(figures.total_times, [(choice.rounds, choice.client, cores)], 1, 4)


def _distribution(choice: Choice) -> Figure:
    return figures.panels(figures.distribution, [(choice.fetches, choice.client)], 1, 4)


def _phases(choice: Choice) -> Figure:
    return figures.panels(figures.phases, [(choice.rounds, choice.client)], 1, 2.8)


def _swim_lanes(choice: Choice) -> Figure:
    chunk = choice.results.study.pages_in_a_chunk()
    lanes = [
        (choice.results.complete_fetches, choice.client, mode, number, repeat, chunk, choice.page)
        for mode, number, repeat in choice.lanes()
    ]
    return figures.panels(figures.swim_lanes, lanes, min(2, len(lanes) or 1))


FIGURES: dict[str, Callable[[Choice], Figure]] = {
    "swim lanes": _swim_lanes,
    "one fetch": _fetch_times,
    "all fetches": _total_times,
    "distribution": _distribution,
    "browser phases": _phases,
}


@dataclass
class Explorer:
    """The widgets, and the figure that they choose; `view` is what a notebook shows."""

    run: widgets.Dropdown
    client: widgets.Dropdown
    modes: widgets.SelectMultiple
    round: widgets.Dropdown
    figure: widgets.Dropdown
    page: widgets.IntSlider
    picture: widgets.HTML
    fetch: widgets.HTML
    _kept: dict[str, RunResults] = field(default_factory=dict)
    _offering: bool = False

    @property
    def view(self) -> widgets.VBox:
        """All of it, the choices above the figure."""
        choices = widgets.HBox([self.run, self.client, self.round, self.figure])
        return widgets.VBox([choices, self.modes, self.picture, self.page, self.fetch])

    @property
    def choice(self) -> Choice:
        """What the widgets say."""
        number = None if self.round.value == ALL_ROUNDS else int(self.round.value)
        return Choice(
            self._results(), self.client.value, self.modes.value, number, int(self.page.value)
        )

    def _results(self) -> RunResults:
        name = self.run.value
        if name not in self._kept:
            self._kept[name] = load(runs.DATA / name)
        return self._kept[name]

    def offer(self, _change: Any = None) -> None:
        """Offer what the chosen run has, or say why it cannot be read."""
        try:
            results = self._results()
        except UserError as mistake:
            self.picture.value, self.fetch.value = f"<p>{markup.escape(str(mistake))}</p>", ""
            return
        study, numbers = results.study, sorted(results.rounds["round"].unique())
        self._offering = True  # each of these would draw
        self.client.options = study.clients
        self.modes.options, self.modes.value = study.modes, study.modes
        self.round.options = [ALL_ROUNDS, *map(str, numbers)]
        self.client.value, self.round.value = study.clients[0], ALL_ROUNDS
        self.page.max = study.pages
        self._offering = False
        self.draw()

    def draw(self, _change: Any = None) -> None:
        """Draw what is chosen, and tell of the chosen page."""
        if self._offering:
            return
        choice = self.choice
        if not choice.lanes() or (self.figure.value == "browser phases" and _plain(choice)):
            self.picture.value = "<p>There is nothing to draw for this choice.</p>"
        else:
            name = f"{self.figure.value}, {choice.client}, {' and '.join(choice.modes)}"
            self.picture.value = _picture(FIGURES[self.figure.value](choice), name)
        with pd.option_context("display.max_colwidth", None, "display.html.use_mathjax", False):
            self.fetch.value = of_page(choice).to_html(border=0)


def _plain(choice: Choice) -> bool:
    return choice.client not in BROWSERS


def _picture(figure: Figure, alt: str) -> str:
    """The figure as an image that stands in the page itself."""
    encoded = base64.b64encode(figures.png(figure, DPI)).decode()
    width = int(figure.get_figwidth() * 96)
    style = f"width: {width}px; max-width: 100%"
    return f'<img alt="{alt}" style="{style}" src="data:image/png;base64,{encoded}">'


def of_page(choice: Choice) -> pd.DataFrame:
    """What became of the chosen page in each mode: a column a trial."""
    columns = {}
    for mode, number, repeat in choice.lanes():
        rows = choice.results.complete_fetches
        place = {"client": choice.client, "mode": mode, "round": number, "repeat": repeat}
        own = rows[(rows[list(place)] == pd.Series(place)).all(axis=1)]
        [fetch] = own[own["page"] == choice.page].to_dict("records") or [{}]
        if fetch:
            columns[f"{mode}, round {number}"] = _described(fetch)
    return pd.DataFrame(columns)


def _described(fetch: dict[Any, Any]) -> dict[str, str]:
    """A fetch in words: page, worker, times (s) and phases, what came."""
    times = ("start_s", "end_s", "fetch_s", *PHASES)
    told = {name: f"{fetch[name]:.3f}" for name in times if pd.notna(fetch[name])}
    came = {name: _word(fetch[name]) for name in ("origin_ms", "status", "length", "error")}
    return {
        "page": f"{fetch['page']}",
        "url": str(fetch["url"]),
        "worker": f"{fetch['worker']} of {fetch['pool_size']}",
        **told,
        **came,
    }


def _word(value: Any) -> str:
    if pd.isna(value):
        return "-"
    return f"{value:,.0f}" if isinstance(value, float) and value.is_integer() else f"{value}"


def explorer(run: str = "reference") -> Explorer:
    """The widgets, showing a run."""
    names = runs.studies()
    if not names:
        raise UserError("run: there is none yet; make report measures one")
    first = run if run in names else names[0]
    made = Explorer(
        run=widgets.Dropdown(options=names, value=first, description="run"),
        client=widgets.Dropdown(description="client"),
        modes=widgets.SelectMultiple(description="modes", rows=3),
        round=widgets.Dropdown(description="round"),
        figure=widgets.Dropdown(options=list(FIGURES), description="figure"),
        page=widgets.IntSlider(1, 1, 1, description="page", continuous_update=False, layout=WIDE),
        picture=widgets.HTML(),
        fetch=widgets.HTML(),
    )
    made.offer()
    made.run.observe(made.offer, "value")
    for chosen in (made.client, made.modes, made.round, made.figure, made.page):
        chosen.observe(made.draw, "value")
    return made
