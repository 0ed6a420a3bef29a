"""Choose with widgets what is drawn, for notebooks/explore.ipynb."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import Any

import ipywidgets as widgets
import pandas as pd
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiment.analysis import runs, summary
from experiment.analysis.results import RunResults, load
from experiment.errors import UserError
from experiment.report import explored, figures, headline, markup, styles
from experiment.vocabulary import Reuse

DPI = 80
"""Enough for a screen, and a third of the time that a printed figure takes."""

ALL_ROUNDS = "all"

FIGURES: dict[str, Callable[..., Axes]] = {
    "swim lanes": figures.swim_lanes,
    "one fetch": figures.fetch_times,
    "all fetches": figures.total_times,
    "distribution": figures.distribution,
    "single fetches": explored.single_fetches,
    "trials in order": explored.trials_in_order,
    "browser phases": figures.browser_phases,
}

NO_RUN = "none"
"""The choice of no second run."""

KEPT = 16
"""How many choices keep their rows and pictures: another page, or going back, draws nothing."""


@dataclass(frozen=True)
class Choice:
    """What is chosen: of a run's trials of one pool size and reuse, a client, modes and rounds."""

    run: RunResults
    client: str
    modes: tuple[str, ...]
    round: int | None  # None: all
    pool_size: int

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """Return the complete rounds that were chosen."""
        return self._own(self.run.rounds)

    @cached_property
    def results(self) -> RunResults:
        """Return the complete rounds that were chosen, as the results of a run."""
        place = ["mode", "round"]
        complete = pd.MultiIndex.from_frame(self.rounds[place])
        fetches, trials = (
            rows[pd.MultiIndex.from_frame(rows[place]).isin(complete)]
            for rows in map(self._own, (self.run.fetches, self.run.trials))
        )
        return replace(self.run, fetches=fetches, trials=trials)

    def _own(self, rows: pd.DataFrame) -> pd.DataFrame:
        is_own = (rows["client"] == self.client) & rows["mode"].isin(self.modes)
        is_own &= (rows["arm"] == "main") & (rows["round"] == (self.round or rows["round"]))
        return rows[is_own]

    @cached_property
    def round_of_trials(self) -> int:
        """Return the round that is chosen, of all a typical one; 0 where there is none."""
        typical = (summary.typical_round(self.rounds, self.client, mode) for mode in self.modes)
        return self.round or next(filter(None, typical), 0)

    @cached_property
    def trials(self) -> dict[str, pd.DataFrame]:
        """Return the fetches of a trial in each mode, by its name."""
        number = self.round_of_trials
        measured = set(self.rounds.loc[self.rounds["round"] == number, "mode"])
        return {
            f"{mode}, round {number}": figures.fetches_of_trial(self.run, self.client, mode, number)
            for mode in self.modes
            if mode in measured
        }

    def drawn(self, name: str, *, is_narrow: bool = False) -> Figure | None:
        """Return the figure of that name, None where there is nothing to draw."""
        if FIGURES[name].__module__ == explored.__name__:
            has_rows = len(self.results.complete_fetches) > 0
            one = [(self.results, self.client)]
            return figures.panels(FIGURES[name], one, 1, is_narrow=is_narrow) if has_rows else None
        if FIGURES[name] is not figures.swim_lanes:
            return figures.drawn(FIGURES[name], self.results, is_narrow=is_narrow)
        lanes = [(self.run.study, fetches) for fetches in self.trials.values()]
        draw = figures.lanes_of_trial
        return figures.panels(draw, lanes, 2, is_narrow=is_narrow) if lanes else None

    def heading(self, name: str) -> str:
        """Return the run, the rounds, the pool size and reuse that the figure of a name shows."""
        number = self.round_of_trials if FIGURES[name] is figures.swim_lanes else self.round
        rounds = f"round {number}" if number else "all rounds"
        [reuse] = self.run.study.reuse
        return f"{self.run.name}: {rounds}, pools of {self.pool_size}, reuse {reuse}"

    def of_page(self, page: int) -> pd.DataFrame:
        """Return what became of a page in each mode: a column a trial."""
        columns = {}
        for trial, fetches in self.trials.items():
            for fetch in fetches[fetches["page"] == page].to_dict("records"):
                columns[trial] = _described(fetch)
        return pd.DataFrame(columns)


class Toggles(widgets.HBox):  # type: ignore[misc]
    """A button for each option; `value` holds those that are pressed, in their order."""

    value = traitlets.Tuple()

    @property
    def options(self) -> tuple[str, ...]:
        """Return the names of the buttons."""
        return tuple(button.description for button in self.children)

    @options.setter
    def options(self, names: Sequence[str]) -> None:
        """Make a button for each name, all pressed."""
        self.children = tuple(widgets.ToggleButton(True, description=name) for name in names)
        for button in self.children:
            button.layout.width, button.layout.flex = "auto", "none"
            button.observe(self._take, "value")
        self._take()

    @traitlets.observe("value")
    def _press(self, _change: Any) -> None:
        pressed = self.value
        with self.hold_trait_notifications():  # one for all buttons
            for button in self.children:
                button.value = button.description in pressed

    def _take(self, _change: Any = None) -> None:
        pressed = [button.description for button in self.children if button.value]
        self.value = tuple(pressed)


class Explorer:
    """The widgets and the figure that they choose; a notebook shows its `view`."""

    def __init__(self, run: str = "reference") -> None:
        """Show a run; raises `UserError` where there is none."""
        names = runs.readable()
        if not names:
            raise UserError("run: there is none yet; make report measures one")
        first = run if run in names else names[0]
        self.run = widgets.Dropdown(options=names, value=first, description="run")
        self.other = widgets.Dropdown(options=[NO_RUN, *names], description="beside it")
        self.client = widgets.Dropdown(description="client")
        self.modes = Toggles()
        self.round = widgets.Dropdown(description="round")
        self.pool_size = widgets.Dropdown(description="workers")
        self.reuse = widgets.Dropdown(description="reuse")
        self.figure = widgets.Dropdown(options=list(FIGURES), description="figure")
        self.page = widgets.IntSlider(1, 1, 1, description="page", continuous_update=False)
        self.page.layout.width = "40em"
        self.picture, self.beside, self.fetch = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._load = cache(load)
        self._of_size = lru_cache(KEPT)(_of_size_and_reuse)
        self._choice = lru_cache(KEPT)(Choice)
        self._pictured = lru_cache(KEPT)(_pictured)
        self._is_offering = False
        self.offer()
        self.run.observe(self.offer, "value")
        for chosen in (*self._of_run, self.modes, self.figure, self.page, self.other):
            chosen.observe(self.draw, "value")

    @property
    def view(self) -> widgets.VBox:
        """Return all widgets in a box, the choices above the figure."""
        wrapped = widgets.Layout(flex_flow="row wrap")
        rows = (
            [self.run, self.other, self.figure],
            [*self._of_run, self.modes],
            [self.picture, self.beside],
        )
        boxes = [widgets.HBox(row, layout=wrapped) for row in rows]
        return widgets.VBox([*boxes, self.page, self.fetch])

    @property
    def _of_run(self) -> tuple[widgets.Dropdown, ...]:
        """Return the choices within a run."""
        return self.client, self.round, self.pool_size, self.reuse

    @property
    def choice(self) -> Choice:
        """Return what the widgets say."""
        return self._choice_in(self._load(runs.DATA / self.run.value))

    def _choice_in(self, run: RunResults) -> Choice:
        """Return what the widgets say in a run, as far as that has it."""
        study = run.study
        modes = tuple(mode for mode in self.modes.value if mode in study.modes)
        client = _or_first(self.client.value, study.clients)
        size = _or_first(self.pool_size.value, study.sizes)
        reuse = _or_first(self.reuse.value, study.reuse)
        of_size = self._of_size(run, size, reuse)
        measured = of_size.rounds.loc[of_size.rounds["client"] == client, "round"]
        number = int(self.round.value) if self.round.value in set(map(str, measured)) else None
        return self._choice(of_size, client, modes, number, size)

    def offer(self, _change: Any = None) -> None:
        """Offer what the chosen run has, or say why it cannot be read."""
        try:
            run = self._load(runs.DATA / self.run.value)
        except UserError as mistake:
            self.picture.value, self.fetch.value, self.beside.value = _told(mistake), "", ""
            return
        study, numbers = run.study, sorted(run.rounds["round"].unique())
        self._is_offering = True  # each of these would draw
        self.client.options = study.clients
        self.modes.options, self.modes.value = study.modes, study.modes
        self.round.options = [ALL_ROUNDS, *map(str, numbers)]
        self.client.value, self.round.value = study.clients[0], ALL_ROUNDS
        for dropdown, values in ((self.pool_size, study.sizes), (self.reuse, study.reuse)):
            dropdown.options, dropdown.value = values, values[0]
            dropdown.layout.display = "none" if len(values) == 1 else ""
        self.page.max = study.pages
        self._is_offering = False
        self.draw()

    def draw(self, _change: Any = None) -> None:
        """Draw what is chosen, and describe the fetches of the chosen page."""
        if self._is_offering:
            return
        choice, has_other = self.choice, self.other.value != NO_RUN
        self.picture.value = self._drawn(choice, is_narrow=has_other)
        self.beside.value = self._drawn_beside() if has_other else ""
        with pd.option_context("display.max_colwidth", None, "display.html.use_mathjax", False):
            self.fetch.value = choice.of_page(self.page.value).to_html(border=0)

    def _drawn_beside(self) -> str:
        """Return the same figure of the other run, or say what is wrong with it."""
        try:
            other = self._choice_in(self._load(runs.DATA / self.other.value))
        except UserError as mistake:
            return _told(mistake)
        return self._drawn(other, is_narrow=True)

    def _drawn(self, choice: Choice, *, is_narrow: bool) -> str:
        """Return the chosen figure of a run as HTML, below what it shows."""
        name = self.figure.value
        heading = f"<b>{markup.escape(choice.heading(name))}</b>"
        figure, picture = self._pictured(choice, name, is_narrow=is_narrow)
        if figure is None:
            return f"{heading}<p>There is nothing to draw here.</p>"
        if FIGURES[name] is figures.swim_lanes:
            picture += explored.blocks(figure, choice.trials.values(), self.page.value)
        width = f"width: {figure.get_figwidth() * 96:.0f}px; max-width: 100%"
        return f'{heading}<div style="position: relative; {width}">{picture}</div>'


def _or_first(value: Any, values: Sequence[Any]) -> Any:
    """Return a value that is one of some, else the first of them."""
    return value if value in values else values[0]


def _of_size_and_reuse(run: RunResults, pool_size: int, reuse: Reuse) -> RunResults:
    """Return the trials of a sweep that have one pool size and reuse, as the results of a run."""
    if len(run.study.sizes) == len(run.study.reuse) == 1:
        return run
    study = run.study.model_copy(update={"reuse": (reuse,)})
    fetches, trials = (summary.of_size(rows, pool_size) for rows in (run.fetches, run.trials))
    record = run.run.model_copy(update={"study": study})
    return replace(run, run=record, fetches=fetches, trials=trials)


def _pictured(choice: Choice, name: str, *, is_narrow: bool) -> tuple[Figure | None, str]:
    """Return a figure, laid out, and an image element that holds it; None and "" if it is empty."""
    figure = choice.drawn(name, is_narrow=is_narrow)
    if figure is None:
        return None, ""
    alt = f"{name}, {choice.client}, {headline.joined(choice.modes)}"
    return figure, markup.image(figures.png(figure, DPI), alt, "display: block; width: 100%")


def _told(mistake: UserError) -> str:
    return f"<p>{markup.escape(str(mistake))}</p>"


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
