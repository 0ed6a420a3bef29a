"""Rows: written whole, read back the same, checked on reading."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from experiment import load, records
from experiment.errors import UserError
from experiment.records import FetchRow, Machine, Run, TrialRow
from experiment.study import Study

PAGES = 3


def trial_row(round_number: int, **changes: object) -> TrialRow:
    """A made-up trial."""
    values: dict[str, object] = {
        "arm": "main", "client": "requests", "mode": "serial", "pool_size": 1,
        "round": round_number, "repeat": 1, "position": 1,
        "started_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "wall_s": 1.5, "span_s": 1.25,
        "other_cpu": 0.0, "failed": 0, "state": "ok",
    }  # fmt: skip
    return TrialRow(**{**values, **changes})  # type: ignore[arg-type]


def fetch_rows(round_number: int) -> list[FetchRow]:
    """The fetches of a made-up trial."""
    return [
        FetchRow(
            arm="main", client="requests", mode="serial", pool_size=1, round=round_number, repeat=1,
            page=page, url="http://127.0.0.1/?a=1,2&b=\"x\"", worker=1, start_s=float(page),
            end_s=page + 0.5, fetch_s=0.5, error=None if page > 1 else "timeout",
        )
        for page in range(1, PAGES + 1)
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of two rounds."""
    machine = Machine(
        cpu="x", cores=2, memory_gb=4, system="y", python="3.11.7", gil=True, start_method="fork",
        packages={}, browsers={},
    )  # fmt: skip
    records.write_run(
        tmp_path,
        Run(
            study=Study(pages=PAGES), machine=machine, kernel="z", clock_resolution_s=1e-9,
            commit=None, interfaces={}, started_at=datetime(2026, 1, 2, tzinfo=UTC),
        ),
    )  # fmt: skip
    for number in (1, 2):
        records.add_round(tmp_path, fetch_rows(number), [trial_row(number)])
    return tmp_path


def test_rows_come_back_as_they_were(folder: Path) -> None:
    assert records.read_fetches(folder) == [*fetch_rows(1), *fetch_rows(2)]
    assert records.read_trials(folder) == [trial_row(1), trial_row(2)]
    assert records.rounds_done(folder) == {1, 2}
    fetches, trials = load(folder)
    assert len(fetches) == 2 * PAGES
    assert list(trials["round"]) == [1, 2]
    assert fetches["browser_start_s"].isna().all()
    assert fetches["fetch_s"].dtype == float


def test_fetches_of_a_round_that_was_cut_off_do_not_count(folder: Path) -> None:
    whole = (folder / "trials.csv").read_text()
    records.add_round(folder, fetch_rows(3), [trial_row(3)])
    (folder / "trials.csv").write_text(whole)
    assert records.rounds_done(folder) == {1, 2}
    assert set(load(folder)[0]["round"]) == {1, 2}
    records.add_round(folder, fetch_rows(3), [trial_row(3)])
    assert len(load(folder)[0]) == 3 * PAGES


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("fetches.csv", "1.500000,0.500000", "1.500000,soon", "row 2, column fetch_s"),
        ("fetches.csv", "1.500000,0.500000", "1.500000,-1", "row 2, column fetch_s"),
        ("fetches.csv", "2.500000,0.500000", "2.500000,inf", "row 3, column fetch_s"),
        ("fetches.csv", "serial", "parallel", "row 2, column mode"),
        ("fetches.csv", "main,requests", "other,requests", "row 2, column arm"),
        ("fetches.csv", "fetch_s,", "seconds,", "row 1"),
        ("trials.csv", "2026-01-02T", "yesterday", "row 2, column started_at"),
        ("trials.csv", ",ok,", ",fine,", "row 2, column state"),
        ("trials.csv", "1.250000", "\x00", "trials.csv"),
        ("run.json", '"pages": 3', '"pages": 0', "study.pages"),
        ("run.json", "{", "", "run.json"),
    ],
)
def test_a_damaged_file_is_named_with_row_and_column(
    folder: Path, file: str, old: str, new: str, named: str
) -> None:
    path = folder / file
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        load(folder)
    assert named in str(caught.value)
    assert file in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["fetches.csv", "trials.csv"])
def test_rows_that_are_gone_are_noticed(folder: Path, file: str) -> None:
    lines = (folder / file).read_text().splitlines(keepends=True)
    (folder / file).write_text("".join([lines[0], *lines[2:]]))
    with pytest.raises(UserError, match=r"damaged|no row"):
        load(folder)


def test_a_finished_run_has_all_its_rounds(folder: Path) -> None:
    run = records.read_run(folder)
    study = run.study.model_copy(update={"rounds": 3})
    finished = run.model_copy(update={"study": study, "finished_at": run.started_at})
    records.write_run(folder, finished)
    with pytest.raises(UserError, match=r"trials.csv: damaged: no row for round 3"):
        load(folder)
    records.add_round(folder, fetch_rows(3), [trial_row(3)])
    assert set(load(folder)[1]["round"]) == {1, 2, 3}
    records.add_round(folder, fetch_rows(4), [trial_row(4)])
    with pytest.raises(UserError, match=r"damaged: it has a round 4, run.json has 3"):
        load(folder)
    (folder / "trials.csv").unlink()
    with pytest.raises(UserError, match=r"trials.csv: damaged: no row for round 1"):
        load(folder)


@pytest.mark.parametrize("cut", [1, 2, 3, 8, 20, 40, 70, 100])
@pytest.mark.parametrize("file", ["fetches.csv", "trials.csv"])
def test_a_file_cut_anywhere_is_noticed(folder: Path, file: str, cut: int) -> None:
    path = folder / file
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(UserError, match=rf"{file}: damaged: row \d, column"):
        load(folder)


def test_bytes_that_are_no_text_are_noticed(folder: Path) -> None:
    (folder / "fetches.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"fetches.csv: damaged"):
        load(folder)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run is here"):
        records.read_run(tmp_path)


def test_a_control_has_no_client_and_no_fetches(folder: Path) -> None:
    control = trial_row(3, arm="cpu", client=None, position=2)
    records.add_round(folder, fetch_rows(3), [trial_row(3), control])
    assert records.read_trials(folder)[-1] == control
    fetches, trials = load(folder)
    assert len(fetches) == 3 * PAGES
    assert trials["client"].isna().sum() == 1


def test_every_column_is_described() -> None:
    from dataclasses import fields

    from experiment.study import PROJECT

    text = (PROJECT / "data" / "README.md").read_text()
    for kind in (FetchRow, TrialRow):
        for field in fields(kind):
            assert f"| `{field.name}` |" in text
