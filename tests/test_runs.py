"""The runs that are here: listed, found by name, combined only where they are alike."""

import html
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiment import load, records
from experiment.analysis import many_runs, runs, summary
from experiment.errors import UserError
from experiment.report import answers, figures, sentences
from experiment.report import many_runs as said
from experiment.study import SWEEP, Study
from tests import made_up
from tests.conftest import Copy
from tests.made_up import MACHINE, World, even


def write(folder: Path, name: str, **parameters: object) -> None:
    """A made-up run of that name, in threads a little slower than in processes."""
    study = Study.of({"pages": 12, "clients": "requests", **parameters})
    made_up.write(folder / name, study, World(even(study, threads=1.05)))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of runs in place of the project's."""
    monkeypatch.setattr(runs, "DATA", tmp_path)
    return tmp_path


def some(data: Path) -> None:
    """Write a run, a sweep and a damaged run, and a folder that is none."""
    write(data, "p20", pool_size=20, rounds=4)
    sweep = Study.of({**SWEEP, "pages": 12})
    made_up.write(data / "sizes", sweep, World(even(sweep), controls=False))
    write(data, "broken")
    (data / "broken" / "run.json").write_text("{")
    (data / "no run").mkdir()


def test_every_run_is_listed_with_what_it_is(copy: Copy) -> None:
    for name in ("sweep", "reuse", "dask", "functions"):  # they take longest to judge
        shutil.rmtree(copy.path / "data" / f"reference-{name}")
    some(copy.path / "data")
    ended = copy.experiment("runs")
    assert ended.returncode == 0, ended.stderr
    assert max(map(len, ended.stdout.splitlines())) <= 100
    head, *blocks = ended.stdout.split("\n\n")
    assert head.split() == ["run", "measured", "rounds", "threads", "x", "processes", "x"]
    rows = {block.split()[0]: " ".join(block.split()) for block in blocks}
    assert {"p20", "sizes", "broken", "reference", "reference-crossover"} <= set(rows)
    assert "no" not in rows
    assert re.search(
        r"4 of 4 \d+\.\d+ \d+\.\d+ answer: \d+ holds, .*study: pool_size 20, ", rows["p20"]
    )
    assert rows["p20"].endswith("pages 12, rounds 4, clients requests; made up, 2 cores")
    assert "study: sweep, pages 12" in rows["sizes"]
    assert "run.json: damaged" in rows["broken"]
    assert "answer: 11 holds, 2 mixed" in rows["reference"]
    assert re.search(r"requests threads .*, requests processes \d+", rows["sizes"])


def test_the_whole_list_has_a_line_for_each_run(data: Path) -> None:
    some(data)
    head, *lines = answers.of_runs(runs.overview(runs.run_folders()), wide=True).splitlines()
    assert head.split() == [
        "run", "measured", "rounds", "threads", "x", "processes", "x", "answer", "study", "machine",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines] == ["broken", "p20", "sizes"]
    assert re.search(r"rounds 4, clients requests +made up, 2 cores$", lines[1])


def test_programs_get_the_values_of_each_run(data: Path) -> None:
    some(data)
    study = Study.of({"pages": 12, "clients": "mine:work"})
    made_up.write(data / "own", study, World(even(study, threads=0.5), controls=False))
    broken, own, p20, sizes = json.loads(json.dumps(runs.described(runs.run_folders())))
    assert set(broken) == {"run", "error"}
    assert (p20["rounds"], p20["rounds_asked"], p20["kind"]) == (4, 4, "report")
    results = load(data / "p20")
    speed_up = summary.speed_up(results.rounds, "requests", "threads").value
    assert p20["times_as_fast_as_serial"]["threads"] == {"requests": speed_up}
    assert sum(p20["claims_by_verdict"].values()) == 13
    assert p20["parameters"]["pool_size"] == 20
    assert p20["machine"] == {"cpu": "made up", "cores": 2, "memory_gb": 4}
    assert own["functions"] == [{"client": "mine:work", "use": "threads"}]
    assert own["claims_by_verdict"] == {}
    threads, *_ = sizes["enough_workers"]
    assert (threads["client"], threads["mode"], threads["reuse"]) == ("requests", "threads", "off")
    assert (threads["workers_at_least"], threads["workers_at_most"]) == (30, None)
    assert "requests threads 30 or more" in sizes["answer"]


def test_a_run_is_named_or_its_path_is(data: Path, tmp_path: Path) -> None:
    write(data, "ten")
    write(tmp_path / "elsewhere", "eleven")
    assert runs.folder_of("ten") == data / "ten"
    assert runs.folder_of(str(tmp_path / "elsewhere" / "eleven")).parent.name == "elsewhere"
    with pytest.raises(UserError, match="run: eleven is neither a run in data/ nor the path of "):
        runs.folder_of("eleven")


def test_runs_are_found_by_name(data: Path) -> None:
    write(data, "ten")
    sweep = Study.of({**SWEEP, "pages": 12, "pool_sizes": (2, 5)})
    made_up.write(data / "sizes", sweep, World(even(sweep), controls=False))
    (data / "broken").mkdir()
    (data / "broken" / "run.json").write_text("{")
    assert list(runs.of_names(None)) == ["sizes", "ten"]
    assert list(runs.of_names(["ten"])) == ["ten"]
    assert runs.readable() == ["sizes", "ten"]
    with pytest.raises(UserError, match="no run is here"):
        runs.of_names(["ten", "eleven"])


def test_alike_runs_are_combined_with_the_run_as_the_unit(data: Path) -> None:
    for seed, name in enumerate(("one", "two", "three"), start=1):
        write(data, name, seed=seed, rounds=3 + seed)
    many = many_runs.of_names("page", "one two three")
    alone = [summary.speed_up(own.rounds, "requests", "threads") for own in many.runs.values()]
    over = summary.over_runs(alone)
    assert over.rounds == 3
    assert over.value == pytest.approx(math.prod(one.value for one in alone) ** (1 / 3))
    *_, row = said.table(many).to_dict("records")
    assert (row["run"], row["rounds"]) == ("all 3 runs", "3")
    assert row["threads: times as fast [95 %]"] == str(over)
    assert "These 3 runs are alike" in said.combined(many)
    two = many_runs.of_names("page", "one two")
    assert "it takes 3 runs or more" in said.combined(two)
    assert len(said.table(two)) == 2


@pytest.mark.parametrize(
    "studies",
    [
        pytest.param(1_000, marks=pytest.mark.slow),
        pytest.param(5_000, marks=pytest.mark.calibration),
    ],
)
def test_the_run_as_the_unit_covers_the_machine_and_its_rounds_do_not(studies: int) -> None:
    chance, run_sd, round_sd, true = np.random.default_rng(5), 0.10, 0.05, 8.0
    covered = {"runs": 0, "rounds": 0}
    for _ in range(studies):
        logs = chance.normal(0, run_sd, (4, 1)) + chance.normal(0, round_sd, (4, 5))
        values = [pd.Series(true * np.exp(row)) for row in logs]
        ones = [pd.Series(1.0, own.index) for own in values]
        by_run = [summary.ratio(*pair) for pair in zip(values, ones, strict=True)]
        together = summary.ratio(
            pd.concat(values, ignore_index=True), pd.concat(ones, ignore_index=True)
        )
        for name, found in (("runs", summary.over_runs(by_run)), ("rounds", together)):
            assert found.ci95 is not None
            covered[name] += found.ci95[0] <= true <= found.ci95[1]
    assert covered["runs"] / studies == pytest.approx(0.95, abs=0.02)
    assert covered["rounds"] / studies < 0.85


def test_a_report_shows_the_runs_that_are_alike(data: Path) -> None:
    for seed, name in enumerate(("one", "reference", "reference-again")):
        write(data, name, seed=seed)
    write(data, "other", tls="off")
    found = runs.of_names(None)
    assert list(runs.like(found["one"])) == ["reference", "reference-again"]
    assert list(runs.like(found["reference"])) == ["reference-again"]
    assert runs.like(found["other"]) == {}
    assert "Alike are reference, reference&#45;again;" in sentences.about_this_run(found["one"])
    assert "No run of the same design" in sentences.about_this_run(found["other"])
    drawn = figures.drawn(figures.speed_ups_by_run, found["one"])
    assert drawn is not None
    labels = [text.get_text() for text in drawn.axes[0].get_yticklabels()]
    assert labels == [
        "one (this run)", "reference", "reference-again", "all 3 runs, each one value",
    ]  # fmt: skip
    assert figures.drawn(figures.speed_ups_by_run, found["other"]) is None


def test_runs_that_share_their_pages_are_shown_but_not_combined(data: Path) -> None:
    for name in ("one", "two", "three"):
        write(data, name)
    drawn = figures.drawn(figures.speed_ups_by_run, runs.of_names("one")["one"])
    assert drawn is not None
    labels = [text.get_text() for text in drawn.axes[0].get_yticklabels()]
    assert labels == ["one (this run)", "three", "two"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"tls": "off"}, "tls on, off"),
        ({"pool_size": 5}, "pool_size 10, 5"),
        ({"seed": 2018}, "seed 2018 in both, so their rounds share their pages"),
    ],
)
def test_runs_that_are_not_alike_are_not_combined_and_say_what_differs(
    data: Path, parameters: dict[str, object], words: str
) -> None:
    write(data, "one")
    write(data, "two", **{"seed": 7, **parameters})
    write(data, "three", seed=8)
    many = many_runs.of_names("page", '["one", "two", "three"]')
    assert many_runs.combined_points(many) == []
    apart = html.unescape(said.combined(many))
    assert apart == f"These runs are not combined: one and two are not alike: {words}."


def test_machines_that_differ_are_told_by_what_differs(data: Path) -> None:
    write(data, "one")
    write(data, "two", seed=7)
    other = MACHINE.model_copy(update={"cores": 8, "packages": {"requests": "1"}, "openssl": "3"})
    study = records.read_run(data / "two").study
    records.write_run(data / "two", made_up.run_of(study, other))
    one, two = runs.of_names("one two").values()
    assert runs.differences(one, two) == [
        "cores 2, 8",
        "packages requests 0, requests 1",
        "openssl none, 3",
    ]
    assert sentences.environment(two).loc["TLS library", ""] == "3"
    assert "TLS library" not in sentences.environment(one).index


def test_runs_of_one_list_share_their_pages(data: Path, tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "two")):
        write(data, name, source=str(tmp_path / "urls.txt"), seed=seed)
    one, two = runs.of_names("one two").values()
    assert runs.differences(one, two) == ["their rounds share 60 pages"]
