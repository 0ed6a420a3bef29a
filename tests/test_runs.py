"""The runs that are here: listed, set side by side, pooled only where they are alike."""

from pathlib import Path

import pytest

from experiment import records
from experiment.analysis import runs, summary
from experiment.errors import UserError
from experiment.report import sentences
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


def test_every_run_is_listed_with_what_it_is(copy: Copy) -> None:
    data = copy.path / "data"
    write(data, "p20", pool_size=20, rounds=4)
    sweep = Study.of({**SWEEP, "pages": 12})
    made_up.write(data / "sizes", sweep, World(even(sweep), controls=False))
    write(data, "broken")
    (data / "broken" / "run.json").write_text("{")
    (data / "no run").mkdir()
    ended = copy.experiment("runs")
    assert ended.returncode == 0, ended.stderr
    head, *lines = ended.stdout.splitlines()
    assert head.split() == [
        "run", "measured", "study", "machine", "rounds",
        "requests-8x", "selenium-4x", "fetch-slower", "no-difference",
    ]  # fmt: skip
    rows = {line.split()[0]: line for line in lines}
    assert {"p20", "sizes", "broken", "reference"} <= set(rows)
    assert "no" not in rows
    assert "pool_size 20, pages 12, rounds 4, clients requests" in rows["p20"]
    assert "made up, 2 cores" in rows["p20"]
    assert "4 of 4" in rows["p20"]
    assert "not applicable" in rows["p20"]  # not ten workers
    assert "sweep, pages 12" in rows["sizes"]
    assert "run.json: damaged" in rows["broken"]
    assert "holds" in rows["reference"]


def test_runs_stand_side_by_side(data: Path) -> None:
    write(data, "ten")
    write(data, "five", pool_size=5)
    sweep = Study.of({**SWEEP, "pages": 12, "pool_sizes": (2, 5)})
    made_up.write(data / "sizes", sweep, World(even(sweep), controls=False))
    (data / "broken").mkdir()
    (data / "broken" / "run.json").write_text("{")
    table = runs.side_by_side(runs.of_names(None))
    assert table[["run", "workers"]].to_numpy().tolist() == [
        ["five", "5"], ["sizes", "2"], ["sizes", "5"], ["ten", "10"],
    ]  # fmt: skip
    assert list(runs.of_names(["ten"])) == ["ten"]
    assert runs.studies() == ["five", "ten"]
    with pytest.raises(UserError, match="no run is here"):
        runs.of_names(["ten", "eleven"])


def test_alike_runs_are_pooled_into_narrower_intervals(data: Path) -> None:
    write(data, "one", seed=1)
    write(data, "two", seed=2, rounds=7)
    found = runs.of_names(["one", "two"])
    both = runs.combined(found)
    alone, together = (
        summary.speed_up(results.rounds, "requests", "threads") for results in (found["one"], both)
    )
    assert alone.rounds == 5
    assert together.rounds == 12
    assert alone.ci95 is not None
    assert together.ci95 is not None
    assert together.ci95[1] - together.ci95[0] < alone.ci95[1] - alone.ci95[0]
    assert both.study.rounds == 12
    assert "- two: alike." in sentences.differences(found["one"], found)
    assert list(runs.combined_by_name("one two")) == ["one + two"]
    assert runs.combined_by_name("none") == {}
    with pytest.raises(UserError, match="combine: one one names a run twice"):
        runs.combined_by_name(["one", "one"])


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"tls": "off"}, "tls on, off"),
        ({"pool_size": 5}, "pool_size 10, 5"),
        ({"seed": 2018}, "seed 2018 in both, so their rounds share their pages"),
    ],
)
def test_runs_that_are_not_alike_are_refused_by_what_differs(
    data: Path, parameters: dict[str, object], words: str
) -> None:
    write(data, "one")
    write(data, "two", **{"seed": 7, **parameters})
    with pytest.raises(UserError) as caught:
        runs.combined_by_name('["one", "two"]')
    assert str(caught.value) == f"combine: one and two are not alike: {words}"


def test_machines_that_differ_are_told_by_what_differs(data: Path) -> None:
    write(data, "one")
    write(data, "two", seed=7)
    other = MACHINE.model_copy(update={"cores": 8, "packages": {"requests": "1"}})
    study = records.read_run(data / "two").study
    records.write_run(data / "two", made_up.run_of(study, other))
    one, two = runs.of_names("one two").values()
    assert runs.differences(one, two) == ["cores 2, 8", "packages requests 0, requests 1"]


def test_runs_of_one_list_share_their_pages(data: Path, tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "two")):
        write(data, name, source=str(tmp_path / "urls.txt"), seed=seed)
    one, two = runs.of_names("one two").values()
    assert runs.differences(one, two) == ["their rounds share 60 pages"]
