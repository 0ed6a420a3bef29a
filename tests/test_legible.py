"""Figures stay legible: no text lies over another, over a mark, or outside the figure."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from experiment.analysis import claims
from experiment.analysis.results import RunResults, load
from experiment.report import figures
from experiment.study import Study, sweep_of
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


LEFT_TO_FAULTS = ("two workers", "all modes", "one round", "one worker")


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
    "sizes", ["2 3", pytest.param("5 10 20 50", marks=pytest.mark.faults), "10 100 500"]
)
def test_no_text_of_a_sweep_lies_over_another(tmp_path: Path, sizes: str) -> None:
    study = sweep_of({"pool_sizes": sizes, "clients": "requests chrome", "pages": 30})
    world = World(even(study, processes=0.8), kept=0.5)
    _check_all(made_up.write(tmp_path / "run", study, world), figures.SWEEP)


def _check_all(folder: Path, layouts: tuple[figures.Layout, ...]) -> None:
    results = load(folder)
    judged = claims.judge(results) if results.study.kind == "report" else []
    drawn = [layout.draw for layout in layouts if _check(layout.draw, results, judged)]
    assert drawn


def _check(draw: Callable[..., Axes], results: RunResults, judged: figures.Judged) -> bool:
    """Draw a figure, for phones too, and check its texts; return whether there is one."""
    [layout] = [one for one in itertools.chain(*figures.LAYOUTS) if one.draw is draw]
    drawn = [
        figures.drawn(draw, results, judged, for_phone=for_phone)
        for for_phone in ((False, True) if layout.phones else (False,))
    ]
    for figure in filter(None, drawn):
        _check_texts(draw, figure)
    return any(drawn)


def _check_texts(draw: Callable[..., Axes], figure: Figure) -> None:
    boxes = dict(_boxes(figure))
    for (one, first), (other, second) in itertools.combinations(boxes.items(), 2):
        assert not _overlap(first, second), f"{draw.__name__}: {_said(one)} and {_said(other)}"
    sheet = figure.bbox.expanded(1.004, 1.01)
    for text, box in boxes.items():
        across = sheet.x0 <= box.x0 and box.x1 <= sheet.x1
        assert across and sheet.y0 <= box.y0 and box.y1 <= sheet.y1, (
            f"{draw.__name__}: {_said(text)} is cut"
        )
        for x, y in _marks(figure):
            over = box.x0 < x < box.x1 and box.y0 < y < box.y1
            assert not over, f"{draw.__name__}: {_said(text)} lies over a mark"


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


def _marks(figure: Figure) -> Iterator[tuple[float, float]]:
    """Return where the marks of data are, in pixels."""
    for ax in figure.axes:
        for line in ax.lines:
            if line.get_marker() not in ("None", "", None, "|"):
                points = line.get_transform().transform(line.get_xydata())
                yield from (point for point in points if ax.bbox.contains(*point))


def _said(text: Text) -> str:
    return repr(text.get_text())
