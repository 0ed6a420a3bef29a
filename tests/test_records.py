"""Rows: written whole, read back the same, checked on reading."""

import csv
import itertools
import json
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from experiment import load, records
from experiment.errors import UserError
from experiment.measure import controls
from experiment.records import FetchRow, Machine, Run, TrialRow
from experiment.study import Study
from tests import made_up

PAGES = 3
Rows = tuple[list[FetchRow], list[TrialRow]]


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
            commit=None, interfaces=controls.interfaces(),
            started_at=datetime(2026, 1, 2, tzinfo=UTC),
        ),
    )  # fmt: skip
    for number in (1, 2):
        records.add_round(tmp_path, fetch_rows(number), [trial_row(number)])
    return tmp_path


def test_rows_come_back_as_they_were(folder: Path) -> None:
    assert records.read_fetches(folder) == [*fetch_rows(1), *fetch_rows(2)]
    assert records.read_trials(folder) == [trial_row(1), trial_row(2)]
    assert records.rounds_done(folder) == {1, 2}
    fetches, trials = records.load(folder)
    assert len(fetches) == 2 * PAGES
    assert list(trials["round"]) == [1, 2]
    assert fetches["browser_start_s"].isna().all()
    assert fetches["fetch_s"].dtype == float


def state(folder: Path) -> dict[str, bytes]:
    """The content of a run's files by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def put_back(folder: Path, files: dict[str, bytes]) -> None:
    """Write a run's files as they were."""
    for name, content in files.items():
        (folder / name).write_bytes(content)


def third_round() -> Rows:
    """A round whose texts have line ends, quotes and letters of several bytes."""
    rows = [replace(row, url=f'http://127.0.0.1/ü\n"{row.page}') for row in fetch_rows(3)]
    return rows, [trial_row(3), trial_row(3, arm="cpu", client=None, position=2, reason="ß\n,")]


def test_a_round_whose_append_was_cut_off_anywhere_was_never_there(folder: Path) -> None:
    before = state(folder)
    records.add_round(folder, *third_round())
    after = state(folder)
    more = {name: after[name][len(before[name]) :] for name in ("fetches.csv", "trials.csv")}
    cuts = [(cut, 0) for cut in range(0, len(more["fetches.csv"]), 11)]
    cuts += [(len(more["fetches.csv"]), cut) for cut in range(0, len(more["trials.csv"]) + 1, 7)]
    for fetched, tried in cuts:
        put_back(folder, before)
        for name, cut in (("fetches.csv", fetched), ("trials.csv", tried)):
            with (folder / name).open("ab") as file:
                file.write(more[name][:cut])
        assert records.rounds_done(folder) == {1, 2}
        assert len(load(folder).fetches) == 2 * PAGES
        records.add_round(folder, *third_round())
        assert state(folder) == after


APPEND = """
import pickle, resource, signal, sys
from pathlib import Path
from experiment import records
folder, limit, action = sys.argv[1:]
rows = pickle.load(sys.stdin.buffer)
signal.signal(signal.SIGXFSZ, signal.Handlers[action])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), -1))
records.add_round(Path(folder), *rows)
"""


def append(
    folder: Path, rows: Rows, limit: int = -1, action: str = "SIG_IGN"
) -> "subprocess.CompletedProcess[bytes]":
    """Add a round in a process whose files may have `limit` bytes; `SIG_DFL` kills it there."""
    return subprocess.run(
        [sys.executable, "-c", APPEND, folder, str(limit), action],
        input=pickle.dumps(rows),
        check=False,
        capture_output=True,
    )


LONG_FETCHES: Rows = ([replace(row, url="ü" * 5_000) for row in fetch_rows(3)], [trial_row(3)])
LONG_TRIALS: Rows = ([], [trial_row(3, state="failed", reason="x" * 9_000)])


@pytest.mark.parametrize(
    ("rows", "partial"), [(LONG_FETCHES, "fetches.csv"), (LONG_TRIALS, "trials.csv")]
)
def test_a_process_that_is_killed_in_mid_append_leaves_no_round(
    folder: Path, rows: Rows, partial: str
) -> None:
    before = state(folder)
    assert append(folder, rows, 6_001, "SIG_DFL").returncode == -signal.SIGXFSZ
    assert (folder / partial).stat().st_size == 6_001
    assert records.rounds_done(folder) == {1, 2}
    assert len(load(folder).fetches) == 2 * PAGES
    records.add_round(folder, *third_round())
    after = state(folder)
    put_back(folder, before)
    records.add_round(folder, *third_round())
    assert state(folder) == after


@pytest.mark.parametrize("rows", [LONG_FETCHES, LONG_TRIALS])
def test_a_disk_that_is_full_leaves_the_run_as_it_was(folder: Path, rows: Rows) -> None:
    before = state(folder)
    assert b"File too large" in append(folder, rows, 6_001).stderr
    assert state(folder) == before


def test_the_first_round_is_whole_or_not_there_too(folder: Path) -> None:
    made_up.empty(folder)
    assert append(folder, LONG_FETCHES, 6_001, "SIG_DFL").returncode == -signal.SIGXFSZ
    assert records.rounds_done(folder) == set()
    assert load(folder).fetches.empty
    records.add_round(folder, fetch_rows(1), [trial_row(1)])
    assert len(load(folder).fetches) == PAGES


def test_a_round_is_appended_and_what_was_there_is_left_alone(folder: Path) -> None:
    paths = [folder / name for name in ("fetches.csv", "trials.csv")]
    before = [(path.stat().st_ino, path.read_bytes()) for path in paths]
    records.add_round(folder, *third_round())
    for path, (inode, content) in zip(paths, before, strict=True):
        assert path.stat().st_ino == inode
        assert path.read_bytes().startswith(content)
        assert len(path.read_bytes()) > len(content)
    with (folder / "fetches.csv").open("rb+") as file:  # damage that a reader would notice
        file.write(b"\xff")
    records.add_round(folder, fetch_rows(4), [trial_row(4)])
    with pytest.raises(UserError, match=r"fetches.csv: damaged"):
        load(folder)


def test_rows_beyond_those_noted_are_damage_once_the_run_is_finished(folder: Path) -> None:
    control = trial_row(2, arm="cpu", client=None, position=2)
    made_up.empty(folder)
    records.add_round(folder, fetch_rows(1), [trial_row(1)])
    records.add_round(folder, fetch_rows(2), [trial_row(2), control])
    run = records.read_run(folder)
    study = run.study.model_copy(update={"rounds": 2})
    ended = run.model_copy(update={"study": study, "finished_at": run.started_at})
    records.write_run(folder, ended)
    whole = (folder / "trials.csv").read_text()
    lines = whole.splitlines(keepends=True)
    for damaged in (lines[:-1], [*lines, lines[-1]]):
        (folder / "trials.csv").write_text("".join(damaged))
        words = f"trials.csv: damaged: {len(damaged)} lines, not the 4 that run.json notes"
        with pytest.raises(UserError, match=words):
            load(folder)
    (folder / "trials.csv").write_text(whole.replace("\n", "\r\n"))  # as git may convert it
    assert len(load(folder).trials) == 3


def test_a_round_is_appended_to_files_whose_line_ends_were_converted(folder: Path) -> None:
    for name in ("fetches.csv", "trials.csv"):
        path = folder / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"main,req")
    records.add_round(folder, *third_round())
    assert set(load(folder).fetches["round"]) == {1, 2, 3}


def test_an_old_run_that_notes_no_extents_counts_by_its_trials(folder: Path) -> None:
    run = records.read_run(folder)
    records.write_run(folder, run.model_copy(update={"extents": None}))
    path = folder / "trials.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert records.rounds_done(folder) == {1}
    assert set(load(folder).fetches["round"]) == {1}


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
    assert set(load(folder).trials["round"]) == {1, 2, 3}
    records.add_round(folder, fetch_rows(4), [trial_row(4)])
    with pytest.raises(UserError, match=r"damaged: it has a round 4, run.json has 3"):
        load(folder)
    (folder / "trials.csv").unlink()
    with pytest.raises(UserError, match=r"trials.csv: damaged: 0 lines, not the 5"):
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
    fetches, trials = records.load(folder)
    assert len(fetches) == 3 * PAGES
    assert trials["client"].isna().sum() == 1


@pytest.mark.parametrize("additions", range(len(records.ADDED)))
def test_a_run_from_before_a_column_was_added_is_read(folder: Path, additions: int) -> None:
    absent = {*chain.from_iterable(records.ADDED[additions:])}
    path = folder / "trials.csv"
    whole = path.read_text()
    run = json.loads((folder / "run.json").read_text())
    del run["machine"]["openssl"]
    removed: set[str] = set()
    for name in records.FILES.values():
        removed |= remove_columns(folder / name, absent)
        run["extents"][name]["bytes"] = (folder / name).stat().st_size
    assert removed == absent
    (folder / "run.json").write_text(json.dumps(run))
    assert records.read_trials(folder) == [trial_row(1), trial_row(2)]
    for table in (load(folder).trials, load(folder).fetches):
        assert table[[*(absent & {*table}) - {"reuse"}]].isna().all(axis=None)
        assert set(table["reuse"]) == {"off"}
    assert load(folder).run.machine.openssl is None
    path.write_text(whole.replace("origin_cpu_s", "origin"))
    with pytest.raises(UserError, match="row 1, its columns are not"):
        load(folder)


def remove_columns(path: Path, absent: set[str]) -> set[str]:
    """Remove columns from a CSV file; returns those that it had."""
    rows = list(csv.reader(path.read_text().splitlines()))
    kept = [place for place, name in enumerate(rows[0]) if name not in absent]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([row[place] for place in kept] for row in rows)
    return absent & {*rows[0]}


def test_a_run_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parts then belong together, whatever is written meanwhile."""
    opened: list[str] = []
    read = Path.read_text

    def noted(path: Path, **options: Any) -> str:
        opened.append(path.name)
        return read(path, **options)

    monkeypatch.setattr(Path, "read_text", noted)
    load(folder)
    assert opened == ["run.json"]


def test_every_column_is_described() -> None:
    from dataclasses import fields

    from experiment.study import PROJECT

    text = (PROJECT / "data" / "README.md").read_text()
    for kind in (FetchRow, TrialRow):
        for field in fields(kind):
            assert f"| `{field.name}` |" in text


HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'", "'=1", "''", "a=1"]


@pytest.mark.parametrize(
    "text",
    [*HOSTILE, "x" * 500_000, *(f"a{end}b" for end in "\u2028\u2029\x85\x0b\x0c\x1c\r\n"), 'a"b,'],
)
def test_any_text_comes_back_as_it_was(folder: Path, text: str) -> None:
    limit = csv.field_size_limit()
    rows = [replace(row, url=text, final_url=text) for row in fetch_rows(3)]
    trial = trial_row(3, reason=text, pickling_error=text)
    records.add_round(folder, rows, [trial])
    assert records.read_fetches(folder)[-PAGES:] == rows
    assert records.read_trials(folder)[-1] == trial
    assert len(load(folder).fetches) == 3 * PAGES
    assert csv.field_size_limit() == limit


def test_no_cell_is_a_formula(folder: Path) -> None:
    rows = [replace(fetch_rows(3)[0], url=text, error=text, page=1) for text in HOSTILE]
    records.add_round(folder, rows, [trial_row(3)])
    with (folder / "fetches.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert "'=1+1" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]


@pytest.mark.parametrize("file", ["fetches.csv", "trials.csv"])
def test_lines_may_end_as_in_windows(folder: Path, file: str) -> None:
    before = records.read_fetches(folder), records.read_trials(folder)
    path = folder / file
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert (records.read_fetches(folder), records.read_trials(folder)) == before


@pytest.mark.parametrize(
    "saved",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace(",", ";"),
        lambda text: "\ufeff" + text.replace(",", ";").replace("\n", "\r\n"),
        lambda text: text.replace(",", "\t"),
    ],
)
@pytest.mark.parametrize("file", ["fetches.csv", "trials.csv"])
def test_what_a_spreadsheet_has_saved_is_named_so(
    folder: Path, file: str, saved: Callable[[str], str]
) -> None:
    path = folder / file
    path.write_text(saved(path.read_text()), encoding="utf-8", newline="")
    with pytest.raises(UserError, match=rf"{file}: damaged: a spreadsheet such as Excel has saved"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"machine": {"cpu": None}}, "machine.cpu: None: Input should be a valid string"),
        ({"machine": {"cpu": ...}}, "machine.cpu is missing"),
        ({"machine": ...}, "machine is missing"),
        ({"machine": {"gpu": "x"}}, "machine.gpu: 'x': Extra inputs are not permitted"),
        ({"machine": {"cores": 0}}, "machine.cores: 0: Input should be greater"),
        ({"machine": {"cores": 10**400}}, "machine.cores"),
        ({"machine": {"python": "<b>"}}, "machine.python: '<b>': String should match"),
        ({"machine": {"start_method": "$x$"}}, "machine.start_method: '$x$': Input should be"),
        ({"machine": []}, "machine: Input should be an object"),
        ({"machine": {"cpu": {"a": ["x" * 500]}}}, "machine.cpu: Input should be a valid string"),
        ({"machine": {"cpu": 10**500}}, "machine.cpu"),
        ({"study": ...}, "study is missing"),
        ({"study": []}, "study: Input should be"),
        ({"study": {"pool_size": 0}}, "study.pool_size.0: 0: Input should be greater"),
        ({"study": {"pool_sizes": [2, 5], "chunk_size": 2}}, "study.chunk_size: 2 has no use in a"),
        ({"study": {"contact": "a@b"}}, "study.contact: a@b has no use here"),
        ({"study": {"source": "~nobody-of-this-name/urls.txt"}}, "study.source"),
        ({"study": {"clients": [["requests"]]}}, "study.clients"),
        ({"interfaces": {}}, "interfaces: Dictionary should have at least 2 items"),
        ({"interfaces": {"Pool": ...}}, "interfaces: Dictionary should have at least 2 items"),
        ({"clock_resolution_s": "nan"}, "clock_resolution_s: 'nan': Input should be"),
        ({"started_at": "yesterday"}, "started_at: 'yesterday': Input should be a valid datetime"),
        ({"unknown": {"a": 1}}, "unknown: Extra inputs are not permitted"),
    ],
)
def test_a_run_json_that_is_wrong_is_one_short_line(
    folder: Path, change: dict[str, Any], said: str
) -> None:
    values = json.loads((folder / "run.json").read_text())
    _change(values, change)
    (folder / "run.json").write_text(json.dumps(values))
    line = refused(folder)
    assert f"run.json: damaged: {said}" in line


def _change(values: dict[str, Any], change: dict[str, Any]) -> None:
    """Set values of JSON, those below others too; `...` removes one."""
    for name, new in change.items():
        if new is ...:
            del values[name]
        elif isinstance(new, dict) and new and isinstance(values.get(name), dict):
            _change(values[name], new)
        else:
            values[name] = new


def refused(folder: Path) -> str:
    """The line in which a run is refused."""
    with pytest.raises(UserError) as caught:
        load(folder)
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert len(line.removeprefix(str(folder))) < 300
    return line


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"1", b"\xff\xfe{", b"{" * 5_000, b'{"study": "' + b"x" * 5_000, b"\0"],
)
def test_a_run_json_that_is_none_is_one_short_line(folder: Path, content: bytes) -> None:
    (folder / "run.json").write_bytes(content)
    assert "run.json: damaged: " in refused(folder)


@pytest.mark.parametrize(
    ("column", "value"),
    [("span_s", ""), ("span_s", "0.000000"), ("span_s", "1e308"), ("pool_size", "9" * 30)],
)
def test_a_trial_that_cannot_be_is_refused(folder: Path, column: str, value: str) -> None:
    path = folder / "trials.csv"
    head, first, *rest = path.read_text().splitlines()
    cells = first.split(",")
    cells[head.split(",").index(column)] = value
    path.write_text("\n".join([head, ",".join(cells), *rest]) + "\n")
    assert f"trials.csv: damaged: row 2, column {column}" in refused(folder)


MANY, ROUNDS = 50_000, 20
"""Pages in a trial, and rounds: a million rows."""

APPEND_MANY = """
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from experiment import records
folder = Path(sys.argv[1])
[trial] = [row for row in records.read_trials(folder) if row.round == 20]
fetch = records.FetchRow(**eval(sys.argv[2]))
number = 1 + max(records.rounds_done(folder))
rows = [replace(fetch, round=number, page=page) for page in range(1, int(sys.argv[3]) + 1)]
print("appending", flush=True)
records.add_round(folder, rows, [replace(trial, round=number)])
"""


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_million_rows_survive_a_kill_at_any_moment_of_an_append(folder: Path) -> None:
    make_a_million(folder)
    before, chance = state(folder), random.Random(1)
    appended_rounds(folder, 2)
    undisturbed = state(folder)
    put_back(folder, before)
    partials = 0
    for _ in range(10):
        done = len(records.rounds_done(folder)) - ROUNDS
        if done == 2:
            put_back(folder, before)
            done = 0
        kill_while_appending(folder, chance)
        sizes = {name: (folder / name).stat().st_size for name in ("fetches.csv", "trials.csv")}
        extents = records.read_run(folder).extents
        assert extents is not None
        now = len(records.rounds_done(folder)) - ROUNDS
        assert now in (done, done + 1)
        partials += any(sizes[name] > extents[name].bytes for name in extents)
        for name, extent in extents.items():
            counting = (folder / name).read_bytes()[: extent.bytes]
            assert undisturbed[name].startswith(counting)
    assert partials >= 3
    kill_while_appending(folder, chance)
    fetches, trials = records.load(folder)
    assert len(fetches) == MANY * len(trials)
    appended_rounds(folder, ROUNDS + 2 - len(trials))
    assert state(folder) == undisturbed


def make_a_million(folder: Path) -> None:
    """Make the run one of ten rounds of many pages, by text since rows take long to make."""
    run = records.read_run(folder)
    made_up.empty(folder)
    study = run.study.model_copy(update={"pages": MANY, "rounds": ROUNDS + 2})
    records.write_run(folder, run.model_copy(update={"study": study, "extents": None}))
    records.add_round(folder, fetch_rows(1)[:1], [trial_row(1)])
    for name, count in (("fetches.csv", MANY), ("trials.csv", 1)):
        head, line = (folder / name).read_text().splitlines()
        cells, columns = line.split(","), head.split(",")
        number_at = columns.index("round")
        page_at = columns.index("page" if name == "fetches.csv" else "repeat")
        with (folder / name).open("w") as file:
            file.write(f"{head}\n")
            for number, page in itertools.product(range(1, ROUNDS + 1), range(1, count + 1)):
                cells[number_at], cells[page_at] = str(number), str(page)
                file.write(",".join(cells) + "\n")
    run = records.read_run(folder)
    records.write_run(folder, run.model_copy(update={"extents": None}))


def appending(folder: Path) -> "subprocess.Popen[str]":
    """Start a process that appends the next round, and wait until it begins."""
    fetch = repr({**asdict(fetch_rows(1)[0]), "url": "http://127.0.0.1/ü"})
    process = subprocess.Popen(
        [sys.executable, "-c", APPEND_MANY, folder, fetch, str(MANY)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "appending\n"
    return process


def appended_rounds(folder: Path, count: int) -> None:
    """Append rounds undisturbed."""
    for _ in range(count):
        with appending(folder) as process:
            assert process.wait() == 0


def kill_while_appending(folder: Path, chance: random.Random) -> None:
    """Kill a process at a random moment after the first new byte is in a file."""
    extents = records.read_run(folder).extents
    size = extents["fetches.csv"].bytes if extents else (folder / "fetches.csv").stat().st_size
    with appending(folder) as process:
        while (folder / "fetches.csv").stat().st_size != size and process.poll() is None:
            pass  # what the last one left is cut off first
        while (folder / "fetches.csv").stat().st_size == size and process.poll() is None:
            pass
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
