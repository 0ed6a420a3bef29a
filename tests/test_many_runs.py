"""Several runs in one view: speed-ups by pool size, shared ratios, and what is refused."""

import html
from pathlib import Path

import numpy as np
import pytest

from experiment.analysis import many_runs, runs
from experiment.errors import UserError
from experiment.report import figures
from experiment.report import many_runs as said
from experiment.study import SWEEP, Study
from tests import made_up
from tests.conftest import Copy
from tests.made_up import World, even


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of made-up runs in place of the project's."""
    monkeypatch.setattr(runs, "DATA", tmp_path)
    write(tmp_path, "ten")
    write(tmp_path, "five", pool_size=5)
    write(tmp_path, "other", pool_size=5, latency=0.5)
    sweep = {**SWEEP, "pages": 12, "pool_sizes": (2, 5), "clients": "requests"}
    write(tmp_path, "sizes", **sweep)
    return tmp_path


def write(data: Path, name: str, **parameters: object) -> None:
    """Write a made-up run, in threads a little slower than in processes."""
    study = Study.of({"pages": 12, "clients": "requests", **parameters})
    world = World(even(study, threads=1.05), controls=study.has_controls)
    made_up.write(data / name, study, world)


@pytest.mark.usefixtures("data")
def test_all_pool_sizes_of_all_runs_are_in_one_table() -> None:
    many = many_runs.of_names("page", None)
    table = said.table(many)
    places = table[["run", "workers"]].to_numpy().tolist()
    assert places == [["five", "5"], ["other", "5"], ["sizes", "2"], ["sizes", "5"], ["ten", "10"]]
    assert table.columns[4].startswith("threads: times as fast")
    assert "**requests** gained most in" in said.answer(many)
    assert "of 5 comparisons, 5 show the two within 10 %" in said.answer(many)


@pytest.mark.usefixtures("data")
def test_runs_share_a_ratio_only_on_the_same_pages_and_design() -> None:
    many = many_runs.of_names("page", "ten five other sizes")
    shared = many_runs.shared(many)
    assert {(it.first, it.second, it.mode) for it in shared} == {
        ("ten", "five", "threads"),
        ("ten", "five", "processes"),
    }
    assert {it.sizes for it in shared} == {(10, 5)}
    assert all(it.ratio.rounds == 5 for it in shared)
    words = html.unescape(said.shared(many))
    assert "ten (10 workers) took" in words
    assert "other stands beside ten: latency 1, 0.5." in words
    assert "five stands beside" not in words


@pytest.mark.usefixtures("data")
def test_each_run_has_its_points_in_the_figure() -> None:
    many = many_runs.of_names("page", "ten five sizes")
    figure = figures.drawn(figures.speed_up_by_run_and_size, many)
    assert figure is not None
    [ax] = figure.axes
    drawn = {round(x) for line in ax.lines for x in np.asarray(line.get_xdata(), float)}
    assert drawn >= {2, 5, 10}
    legend = ax.get_legend()
    assert legend is not None
    named = [text.get_text() for text in legend.get_texts()]
    assert named == ["ten", "five", "sizes", "threads", "processes"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2", "5", "10"]


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("ten", "runs: ten is not two runs or more"),
        ("ten ten", "runs: ten is named twice"),
        ("ten absent", "runs: .*absent: no run is here"),
    ],
)
def test_other_names_are_refused(names: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        many_runs.of_names("page", names)


@pytest.mark.slow
def test_the_command_writes_a_page(copy: Copy) -> None:
    refused = copy.experiment("compare", "--runs", "reference-dask absent")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: runs: ")
    ended = copy.experiment("compare", "--runs", "reference-dask reference-tls-off")
    assert ended.returncode == 0, ended.stderr
    page = (copy.path / "reports" / "compare.html").read_text()
    assert "reference-tls-off" in page or "reference&#45;tls&#45;off" in page
    assert (copy.path / "figures" / "compare" / "1-speed-up-by-run-and-size.svg").exists()
    assert "reports/compare.html" in ended.stdout
