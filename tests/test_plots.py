"""Figures are drawn from the data, and saved as PNG and SVG with a text that says the same."""

import re
from pathlib import Path
from typing import get_args

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes

from experiment import records
from experiment.analysis import claims, summary
from experiment.analysis.results import RunResults
from experiment.analysis.rules import Verdict
from experiment.report import answers, figures
from experiment.study import PROJECT, Study
from tests import made_up
from tests.made_up import World, even

STUDY = Study(clients=("requests", "phantomjs"), rounds=3, pages=30)


@pytest.fixture
def results(tmp_path: Path) -> RunResults:
    """The results of a made-up run."""
    return made_up.judged(made_up.write(tmp_path / "run", STUDY, World(even(STUDY))))[0]


@pytest.fixture
def ax() -> Axes:
    """Axes to draw on."""
    return plt.figure().add_subplot()


def test_bars_stand_on_zero_at_the_means(results: RunResults, ax: Axes) -> None:
    figures.total_times(results, "requests", ax=ax)
    heights = [bar.get_height() for bar in ax.patches]  # type: ignore[attr-defined]
    means = [
        summary.of_cell(results.rounds, "requests", mode, "span_s").mean() for mode in STUDY.modes
    ]
    assert heights == pytest.approx(means)
    assert ax.get_ylim()[0] == 0
    words = {text.get_text() for text in ax.texts}
    assert {f"{summary.digits(mean)} s" for mean in means} <= words
    assert "2018" in words


def test_lanes_hold_every_fetch_of_their_trial(results: RunResults, ax: Axes) -> None:
    figures.swim_lanes(results, "requests", "threads", ax=ax)
    assert sum(len(item.get_paths()) for item in ax.collections) == STUDY.pages


def test_a_distribution_rises_to_all_fetches(results: RunResults, ax: Axes) -> None:
    figures.distribution(results, "requests", ax=ax)
    fetches = results.fetches
    main = fetches[(fetches["arm"] == "main") & (fetches["client"] == "requests")]
    assert len(ax.lines) == 3
    for line, mode in zip(ax.lines, STUDY.modes, strict=True):
        seconds, shares = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        own = main.loc[main["mode"] == mode, "fetch_s"]
        assert shares.max() == 1
        assert seconds.max() == pytest.approx(own.max())
        assert len(seconds) >= len(own)
    assert ax.get_xscale() == "log"


@pytest.mark.parametrize(("workers", "last"), [(1, 1), (4, 4), (75, 70)])
def test_the_lanes_are_numbered_from_one_to_the_workers(
    tmp_path: Path, ax: Axes, workers: int, last: int
) -> None:
    study = Study.of({"clients": "requests", "pages": 80, "rounds": 3, "pool_size": workers})
    results, _ = made_up.judged(made_up.write(tmp_path / "run", study, World(even(study))))
    figures.swim_lanes(results, "requests", "threads", ax=ax)
    ticks = ax.get_yticks().tolist()
    assert ticks[-1] == last
    assert ticks[0] >= 1
    assert all(tick.is_integer() for tick in ticks)


@pytest.mark.parametrize("times", [1.3, 0.8])
def test_the_losses_lead_from_the_pool_size_to_the_speed_up(
    tmp_path: Path, ax: Axes, times: float
) -> None:
    study = Study.of({"clients": "requests", "modes": "serial threads", "rounds": 3, "pages": 30})
    world = World(even(study, threads=times))
    results, _ = made_up.judged(made_up.write(tmp_path / "run", study, world))
    figures.where_it_goes(results, ax=ax)
    idle, slower, measured = ax.lines
    assert idle.get_xdata()[0] == STUDY.pool_size  # type: ignore[index]
    assert idle.get_xdata()[1] == slower.get_xdata()[0]  # type: ignore[index]
    speed_up = summary.speed_up(results.rounds, "requests", "threads").value
    assert slower.get_xdata()[1] == measured.get_xdata()[0] == pytest.approx(speed_up)  # type: ignore[index]


def test_the_claims_stand_where_they_were_measured(tmp_path: Path, ax: Axes) -> None:
    world = World(even(STUDY, threads=1.3))
    results, by_name = made_up.judged(made_up.write(tmp_path / "run", STUDY, world))
    judged = list(by_name.values())
    cells = [cell for claim in judged for cell in claim.cells if cell.zone and cell.estimate]
    assert len(cells) == 18
    figures.claims(results, judged, ax=ax)
    dots = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]  # type: ignore[index]
    expected = [
        cell.estimate.value / cell.zone.claimed for cell in cells if cell.estimate and cell.zone
    ]
    assert dots == pytest.approx(expected)
    said = [text.get_text() for text in ax.texts]
    assert [words for words in said if words in get_args(Verdict)] == [
        cell.ruling.verdict for cell in cells
    ]
    low, high = ax.get_xlim()
    assert all(low < value < high for value in expected)
    marks = [line for line in ax.lines if line.get_marker() == "D"]
    diamonds = [float(np.asarray(mark.get_xdata())[0]) for mark in marks]
    in_2018 = [cell for cell in cells if cell.article_2018]
    assert len(diamonds) == len(in_2018) > 0
    assert all(low < value < high for value in diamonds)


@pytest.mark.parametrize(("times", "words"), [(10.0, "50.0 ▶"), (0.01, "◀ 0.050"), (3.0, "15.0")])
def test_a_claim_beyond_the_axis_stands_beside_its_verdict(
    tmp_path: Path, ax: Axes, times: float, words: str
) -> None:
    factors = {cell: times if "phantomjs" in cell else 1.0 for cell in even(STUDY)}
    world = World(factors, noise=0.001)
    results, by_name = made_up.judged(made_up.write(tmp_path / "run", STUDY, world))
    figures.claims(results, list(by_name.values()), ax=ax)
    low, high = ax.get_xlim()
    assert 0.1 <= low < 1 < high <= 20
    beyond = [text.get_text() for text in ax.texts if set(text.get_text()) & {"▶", "◀"}]
    assert (words in beyond) == (times != 3.0)


def test_a_speed_up_of_2018_beyond_the_axis_stands_beside_its_row(tmp_path: Path, ax: Axes) -> None:
    world = World(even(STUDY, threads=8.0, processes=8.0))
    results, judged = made_up.judged(made_up.write(tmp_path / "run", STUDY, world))
    figures.speed_ups(results, list(judged.values()), ax=ax)
    beyond = [text.get_text() for text in ax.texts if "▶" in text.get_text()]
    assert beyond == ["2018: 7.54x ▶", "2018: 8.24x ▶", "2018: 3.93x ▶", "2018: 3.78x ▶"]


def test_figures_draw_the_intervals_that_judge_and_name_their_levels(
    tmp_path: Path, ax: Axes
) -> None:
    folder = made_up.write(tmp_path / "run", STUDY, World(even(STUDY, threads=1.3)))
    run = records.read_run(folder).model_copy(update={"looks": [3]})
    results = RunResults(run, *records.load(folder))
    judged = claims.judge(results)
    figures.claims(results, judged, ax=ax)
    assert "intervals: thick 96.4 %, thin 98.3 %" in ax.get_xlabel()
    [estimate] = [cell.estimate for cell in judged[0].cells]
    assert estimate is not None
    drawn = [list(line.get_xdata()) for line in ax.lines[:2]]  # type: ignore[arg-type]
    for ends, level in zip(drawn, (0.983, 0.964), strict=True):
        assert ends == pytest.approx([end / 8 for end in estimate.interval(level) or ()])
    other = ax.figure.add_subplot()
    figures.threads_against_processes(results, judged, ax=other)
    assert "intervals: thick 96.4 %, thin 98.3 %, dotted 99 %" in other.get_xlabel()


def test_the_band_and_the_control_are_drawn(tmp_path: Path, ax: Axes) -> None:
    study = STUDY.model_copy(update={"repeats": 3})
    results, _ = made_up.judged(made_up.write(tmp_path / "run", study, World(even(study))))
    figures.threads_against_processes(results, ax=ax)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert len(labels) == 4
    assert [label for label in labels if "threads / threads" in label] == labels[1::2]
    controls = [summary.aa_control(results.main_trials, client) for client in study.clients]
    dotted = [tuple(line.get_xdata()) for line in ax.lines if line.get_linestyle() == ":"]  # type: ignore[arg-type]
    assert dotted == [control.ci99 for control in controls]


def test_a_figure_is_saved_twice_with_its_number_and_its_text(
    results: RunResults, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(figures, "PROJECT", tmp_path)
    picture = figures.show(figures.browser_phases, results)
    folder = tmp_path / "figures" / "run"
    assert (folder / "9-browser-phases.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (folder / "9-browser-phases.svg").read_text()
    assert picture is not None
    assert picture.alt.startswith("Figure 9: phases")


def test_a_drawing_is_the_same_whatever_its_identifiers_were(
    results: RunResults, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(figures, "PROJECT", tmp_path)
    drawing = tmp_path / "figures" / "run" / "4-distribution.svg"
    figures.show(figures.distribution, results)
    before = drawing.read_text()
    monkeypatch.setattr(figures, "STYLE", [*figures.STYLE, {"svg.hashsalt": "another"}])
    figures.show(figures.distribution, results)
    assert drawing.read_text() == before
    named, used = (set(re.findall(words, before)) for words in (r' id="(n\d+)"', r"#(n\d+)"))
    assert named == used != set()


def test_nothing_is_saved_where_there_is_nothing_to_draw(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(figures, "PROJECT", tmp_path)
    study = Study.of({"clients": "requests", "modes": "serial", "rounds": 1, "pages": 3})
    results, judged = made_up.judged(made_up.write(tmp_path / "run", study, World(even(study))))
    for layout in figures.REPORT:
        figures.show(layout.draw, results, list(judged.values()))
    drawn = sorted(path.name for path in (tmp_path / "figures" / "run").glob("*.png"))
    assert drawn == ["3-fetch-times.png", "4-distribution.png", "5-total-times.png"]


@pytest.mark.parametrize("name", ["report", "sweep"])
def test_figures_are_numbered_in_the_order_of_the_notebook(name: str) -> None:
    text = (PROJECT / "notebooks" / f"{name}.ipynb").read_text()
    layouts = {"report": figures.REPORT, "sweep": figures.SWEEP}[name]
    assert re.findall(r"figures\.show\(figures\.(\w+)", text) == [
        layout.draw.__name__ for layout in layouts
    ]


def test_a_paced_run_has_no_figure_of_speed_ups(tmp_path: Path) -> None:
    paced = {"source": "wikipedia", "pool_size": 9, "contact": "a@example.org", "rounds": 3}
    study = Study.of({**paced, "clients": "requests", "pages": 12})
    results, judged = made_up.judged(made_up.write(tmp_path / "run", study, World(even(study))))
    assert figures.drawn(figures.speed_ups, results, list(judged.values())) is None
    assert "times as fast" not in answers.short(results)
    assert "- requests: serial took" in answers.short(results)


def test_a_figure_of_another_number_does_not_stay(
    results: RunResults, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(figures, "PROJECT", tmp_path)
    folder = tmp_path / "figures" / "run"
    folder.mkdir(parents=True)
    (folder / "8-browser-phases.png").write_text("of another version")
    (folder / "8-other.png").write_text("another figure")
    figures.show(figures.browser_phases, results)
    names = {path.name for path in folder.iterdir()}
    assert names == {"8-other.png", "9-browser-phases.png", "9-browser-phases.svg"}
