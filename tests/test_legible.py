"""Figures stay legible: no text lies over another, a mark or a line, or outside the figure."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path as Outline
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from experiment.analysis import claims
from experiment.analysis.results import RunResults, load
from experiment.report import figures
from experiment.study import PROJECT, Study, sweep_of
from tests import made_up
from tests.made_up import World, even

LONG = "a_package_of_mine.with_modules:and_a_function_with_a_long_name"
FAR_APART = {"threads": 3.0, "processes": 1.0}
GRID: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "two workers": ({"pool_size": 2, "clients": "requests phantomjs"}, {}),
    "ten workers": ({"clients": "requests phantomjs chrome"}, {}),
    "500 workers": ({"pool_size": 500, "clients": "requests"}, {}),
    "four clients": ({"clients": "requests phantomjs chrome firefox"}, FAR_APART),
    "all modes": ({"clients": "requests httpx2", "modes": "serial threads processes dask"}, {}),
    "one round": ({"rounds": 1, "clients": "requests chrome"}, {}),
    "slower than serial": ({"clients": "requests phantomjs"}, {"threads": 20.0}),
    "an own function": ({"clients": LONG}, {}),
    "one worker": ({"pool_size": 1, "clients": "requests chrome"}, {}),
}
"""Parameters of studies, and the factors of the fetch times by mode."""


STROKE = 3
"""Pixels of the short side of a mark that is a line."""

LEFT_TO_FAULTS = (
    "two workers", "all modes", "one round", "one worker", "four clients", "slower than serial",
)  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.faults if name in LEFT_TO_FAULTS else [])
        for name in GRID
    ],
)
def test_no_text_of_a_report_lies_over_another(tmp_path: Path, name: str) -> None:
    parameters, factors = GRID[name]
    study = Study.of({"pages": 40, "rounds": 3, **parameters})
    world = World(even(study, **factors), noise=0.1, today=name == "ten workers")
    _check_all(made_up.write(tmp_path / "run", study, world), figures.REPORT)


@pytest.mark.parametrize(
    "sizes",
    [pytest.param(sizes, marks=pytest.mark.faults) for sizes in ("2 3", "5 10 20 50")]
    + ["10 100 500"],
)
def test_no_text_of_a_sweep_lies_over_another(tmp_path: Path, sizes: str) -> None:
    study = sweep_of({"pool_sizes": sizes, "clients": "requests chrome", "pages": 30})
    world = World(even(study, processes=0.8), kept=0.5)
    _check_all(made_up.write(tmp_path / "run", study, world), figures.SWEEP)


@pytest.mark.parametrize("times", [0.02, 3.8, 5.0])
def test_no_text_lies_over_an_interval_near_the_edge_of_the_claims(
    tmp_path: Path, times: float
) -> None:
    study = Study.of({"pages": 40, "rounds": 3, "clients": "requests phantomjs"})
    factors = {cell: times if "phantomjs" in cell else 1.0 for cell in even(study)}
    world = World(factors, noise=0.1)
    results, judged = made_up.judged(made_up.write(tmp_path / "run", study, world))
    assert _check(figures.claims, results, list(judged.values()))


def test_no_text_lies_over_an_interval_near_the_edge_of_the_speed_ups(tmp_path: Path) -> None:
    study = Study.of({"pages": 40, "rounds": 3, "clients": "requests phantomjs"})
    world = World(even(study, threads=3.2, processes=3.0), noise=0.1)
    results, judged = made_up.judged(made_up.write(tmp_path / "run", study, world))
    assert _check(figures.speed_ups, results, list(judged.values()))


@pytest.mark.parametrize("name", ["reference", "reference-dask"])
def test_the_first_figures_of_a_committed_run_are_legible(name: str) -> None:
    _check_all(PROJECT / "data" / name, figures.REPORT[:2])


def test_the_figure_of_the_committed_crossover_is_legible() -> None:
    _check_all(PROJECT / "data" / "reference-crossover", figures.CROSSOVER)


def _check_all(folder: Path, layouts: tuple[figures.Layout, ...]) -> None:
    results = load(folder)
    judged = claims.judge(results) if results.study.kind == "report" else []
    drawn = [layout.draw for layout in layouts if _check(layout.draw, results, judged)]
    assert drawn


def _check(draw: Callable[..., Axes], results: RunResults, judged: figures.Judged) -> bool:
    """Draw a figure, for phones too, and check its texts; return whether there is one."""
    drawn = [
        figures.drawn(draw, results, judged, is_narrow=is_narrow) for is_narrow in (False, True)
    ]
    for figure in filter(None, drawn):
        _check_texts(draw, figure)
    return any(drawn)


def _check_texts(draw: Callable[..., Axes], figure: Figure) -> None:
    boxes = dict(_boxes(figure))
    for (one, first), (other, second) in itertools.combinations(boxes.items(), 2):
        assert not _overlap(first, second), f"{draw.__name__}: {_said(one)} and {_said(other)}"
    sheet = figure.bbox.expanded(1.004, 1.01)
    marks, lines = list(_marks(figure)), list(_lines(figure))
    for text, box in boxes.items():
        words = f"{draw.__name__}: {_said(text)}"
        across = sheet.x0 <= box.x0 and box.x1 <= sheet.x1
        assert across and sheet.y0 <= box.y0 and box.y1 <= sheet.y1, f"{words} is cut"
        assert not any(_overlap(box, mark) for mark in marks), f"{words} lies over a mark"
        if not text.get_bbox_patch():  # a text with a ground of its own hides the line below it
            assert not any(line.crosses(box) for line in lines), f"{words} lies over a line"


def _boxes(figure: Figure) -> Iterator[tuple[Text, Bbox]]:
    """Return the texts that are seen, with their boxes in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    figure.draw_without_rendering()
    for text in figure.findobj(Text):
        if isinstance(text, Text) and text.get_visible() and text.get_text().strip():
            box = text.get_window_extent(renderer)
            if box.width and _is_in_view(figure, text, box):
                yield text, box


def _is_in_view(figure: Figure, text: Text, box: Bbox) -> bool:
    """Return whether a label of a tick is in the range of its axis, where alone it is drawn."""
    for ax in figure.axes:
        if text in [tick.label1 for tick in ax.xaxis.majorTicks]:
            return bool(ax.bbox.x0 - 1 <= (box.x0 + box.x1) / 2 <= ax.bbox.x1 + 1)
        if text in [tick.label1 for tick in ax.yaxis.majorTicks]:
            return bool(ax.bbox.y0 - 1 <= (box.y0 + box.y1) / 2 <= ax.bbox.y1 + 1)
    return True


def _overlap(one: Bbox, other: Bbox) -> bool:
    """Return whether two boxes share more than a pixel."""
    shared = Bbox.intersection(one, other)
    return shared is not None and shared.width > 1 and shared.height > 1


def _marks(figure: Figure) -> Iterator[Bbox]:
    """Return the boxes of the marks of data, and of the ends of intervals, in pixels."""
    for ax in figure.axes:
        for line in ax.lines:
            if line.get_marker() not in ("None", "", None):
                yield from _marks_of(line, ax)


def _marks_of(line: Line2D, ax: Axes) -> Iterator[Bbox]:
    size = line.get_markersize() * ax.figure.dpi / 72
    width = STROKE if line.get_marker() == "|" else size
    height = STROKE if line.get_marker() == "_" else size
    for x, y in line.get_transform().transform(line.get_xydata()):
        if ax.bbox.contains(x, y):
            yield Bbox.from_bounds(x - width / 2, y - height / 2, width, height)


@dataclass(frozen=True)
class Line:
    """A line of data, its width, and where it is seen, in pixels."""

    outline: Outline
    width: float
    seen: Bbox

    def crosses(self, box: Bbox) -> bool:
        """Return whether the line shares more than a pixel with a box."""
        near = Bbox.intersection(box.padded(self.width / 2 - 1), self.seen)
        return near is not None and self.outline.intersects_bbox(near, filled=False)


def _lines(figure: Figure) -> Iterator[Line]:
    pixels = figure.dpi / 72
    for ax in figure.axes:
        for line in ax.lines:
            if line.get_linestyle() != "None":
                outline = line.get_transform().transform_path(line.get_path())
                yield Line(outline, line.get_linewidth() * pixels, ax.bbox)
        for group in ax.collections:
            if isinstance(group, LineCollection):
                for path in group.get_paths():
                    outline = group.get_transform().transform_path(path)
                    yield Line(outline, float(np.max(group.get_linewidth())) * pixels, ax.bbox)


def _said(text: Text) -> str:
    return repr(text.get_text())
