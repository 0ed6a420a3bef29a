"""Reports are drawn alike in any surroundings, two at once, and say in a line what stops them."""

import json
import math
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiment import records
from experiment.study import Study
from tests import made_up
from tests.conftest import Copy
from tests.made_up import World, even

STUDY = Study(clients=("requests",), rounds=3, pages=6)
REPORT = (sys.executable, "-m", "experiment", "report", "--run", "drawn")


@pytest.fixture
def drawn(copy: Copy) -> Path:
    """A finished run, whose folders for figures and reports are not there yet."""
    return made_up.write(copy.path / "data" / "drawn", STUDY, World(even(STUDY)))


def pictures(copy: Copy, run: str) -> dict[str, bytes]:
    """The figures of a run by their names."""
    folder = copy.path / "figures" / run
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def surroundings(folder: Path) -> list[str]:
    """Settings of a user that must not reach the kernel, the figures or what is printed."""
    kernel = folder / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(
        json.dumps({"argv": ["/bin/false"], "display_name": "x", "language": "python"})
    )
    rc = folder / "matplotlibrc"
    rc.write_text("font.size: 40\ntext.usetex: True\nbackend: TkAgg\nfigure.facecolor: red\n")
    return [
        f"JUPYTER_PATH={folder}", f"MATPLOTLIBRC={rc}", "MPLBACKEND=no-such-backend",
        "HOME=/dev/null/home", "PYTHONIOENCODING=ascii", "LC_ALL=C",
    ]  # fmt: skip


@pytest.mark.faults
def test_a_report_is_drawn_alike_in_any_surroundings(
    copy: Copy, drawn: Path, tmp_path: Path
) -> None:
    shutil.copytree(drawn, drawn.with_name("usual"))
    usual = copy.start(*REPORT[:-1], "usual", "--quiet")
    ended = copy.run("env", *surroundings(tmp_path / "settings"), *REPORT)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.splitlines() == ["drawing the figures and writing the report"]
    out, err = usual.communicate(timeout=120)
    assert (out.split(), err) == (
        ["reports/usual.html", "reports/usual.ipynb", "figures/usual", "data/usual"],
        "",
    )
    drawings, usual_ones = (
        {name: text for name, text in pictures(copy, run).items() if "by-run" not in name}
        for run in ("drawn", "usual")
    )  # the other one names the runs that are alike
    assert len(usual_ones) == 2 * 8
    assert drawings == usual_ones
    text = (copy.path / "reports" / "drawn.ipynb").read_text()
    streams = [
        output
        for cell in json.loads(text)["cells"]
        for output in cell.get("outputs", [])
        if output["output_type"] == "stream"
    ]
    assert streams == []
    copy.assert_nothing_left()


@pytest.mark.faults
@pytest.mark.usefixtures("drawn")
def test_two_reports_of_a_run_at_once_are_both_whole(copy: Copy) -> None:
    (copy.path / "figures" / "drawn").mkdir()
    left = copy.path / "figures" / "drawn" / f"2-fetch-times.png.{2**22 + 1}.partial"
    left.write_text("of a drawing that was killed")
    both = [copy.start(*REPORT) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert {Path(name).suffix for name in pictures(copy, "drawn")} == {".png", ".svg"}
    assert all(len(content) > 2_000 for content in pictures(copy, "drawn").values())
    assert sorted(path.name for path in (copy.path / "reports").glob("drawn*")) == [
        "drawn.html", "drawn.ipynb",
    ]  # fmt: skip
    copy.assert_nothing_left()


@pytest.mark.parametrize("name", ["figures", "reports", "figures/new"])
def test_a_folder_that_cannot_be_written_is_said_before_anything_is_measured(
    copy: Copy, name: str
) -> None:
    place = copy.path / name
    if place.is_dir():
        place.rename(copy.path / "aside")
    place.write_text("no folder")
    ended = copy.experiment("report", "--run", "new", "--pages", "2", "--clients", "requests")
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"error: {name.partition('/')[0]}: {copy.path / name.partition('/')[0]}")
    assert "cannot be written: " in line
    assert not (copy.path / "data" / "new").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "what"),
    [(20_000, "figures"), pytest.param(400_000, "reports", marks=pytest.mark.faults)],
)
def test_a_disk_that_fills_while_a_report_is_drawn_is_one_line(
    copy: Copy, drawn: Path, limit: int, what: str
) -> None:
    before = {path.name: path.read_bytes() for path in drawn.iterdir()}
    ended = copy.run("prlimit", f"--fsize={limit}", *REPORT)
    assert ended.returncode == 2, ended.stderr
    said, line = ended.stderr.splitlines()
    assert said == "drawing the figures and writing the report"
    assert line.startswith(f"error: {what}: {copy.path / what}")
    assert line.endswith("cannot be written: File too large")
    assert {path.name: path.read_bytes() for path in drawn.iterdir()} == before
    assert not list(copy.path.glob("*/**/*.partial"))
    copy.assert_nothing_left()


@pytest.mark.slow
def test_a_run_whose_text_no_terminal_can_show_is_listed_all_the_same(
    copy: Copy, drawn: Path
) -> None:
    run = records.read_run(drawn)
    machine = run.machine.model_copy(update={"cpu": "Ω processor"})
    records.write_run(drawn, run.model_copy(update={"machine": machine}))
    ended = copy.run(
        "env", "PYTHONIOENCODING=ascii", sys.executable, "-m", "experiment", "runs", "--wide"
    )
    assert ended.returncode == 0, ended.stderr
    assert r"\u03a9 processor, 2 cores" in ended.stdout


@pytest.mark.faults
def test_a_report_of_times_that_make_no_ratio_shows_no_infinity(copy: Copy, drawn: Path) -> None:
    trials, fetches = records.read_trials(drawn), records.read_fetches(drawn)
    made_up.empty(drawn)
    spans = {"serial": 1e11, "threads": 1e-6, "processes": 1e-6}
    nothing: dict[str, Any] = {
        "startup_s": 0.0,
        "cpu_s": 0.0,
        "startup_cpu_s": 0.0,
        "python_pss_mb": 0.0,
    }
    odd = [
        replace(row, **nothing, span_s=spans[row.mode] * row.round if row.client else 0.0)
        for row in trials
    ]
    at_once = [
        replace(row, fetch_s=0.0, start_s=0.0, end_s=0.0) if row.mode == "processes" else row
        for row in fetches
    ]
    records.add_round(drawn, at_once, odd)
    ended = copy.run(*REPORT)
    assert ended.returncode == 0, ended.stderr
    page = re.sub("<[^>]*>", " ", (copy.path / "reports" / "drawn.html").read_text())
    assert not {"inf", "nan", "inf,", "nan,"} & set(page.lower().split())
    assert "Warning" not in page
    for row in made_up.judged(drawn)[1].values():
        assert all(math.isfinite(cell.estimate.value) for cell in row.cells if cell.estimate)
