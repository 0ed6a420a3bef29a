"""Write, read and check the rows of a run; both wings, measuring and reading, use this.

A run is a folder: `run.json`, `trials.csv`, `fetches.csv`. A finished round is appended to both
CSV files; it counts once `run.json`, replaced last, notes their new extents. Whatever an append
that was cut off leaves lies beyond these, does not count, and is removed by the next append.
"""

import csv
import os
import re
import reprlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import psutil
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from experiment.errors import UserError
from experiment.fetches import Count, Fetch, Seconds
from experiment.study import Study
from experiment.vocabulary import Arm, ClientName, Mode, Reuse, StartMethod

if TYPE_CHECKING:
    import pandas as pd

Share = Annotated[float, Field(ge=0, le=1)]
Cores = Annotated[int, Field(ge=1, le=100_000)]
PythonVersion = Annotated[str, Field(pattern=r"^(2\.7|3\.\d+\.\d+[a-z0-9.+]*)$")]
FileName = Literal["fetches.csv", "trials.csv"]
PoolClass = Literal["Pool", "ThreadPool"]
Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True)
class TrialKey:
    """The trial of a row; those of arms `cpu` and `startup` have no client."""

    arm: Arm
    client: ClientName | None
    mode: Mode
    pool_size: Annotated[int, Field(ge=1, le=100_000)]
    reuse: Reuse = "off"
    round: Annotated[int, Field(ge=1)]
    repeat: Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The measurements of a trial as a whole; a failed one has a `reason` and no fetches."""

    position: Annotated[int, Field(ge=1)]
    started_at: datetime
    wall_s: Seconds | None = None
    span_s: Seconds | None = None
    startup_s: Seconds | None = None
    startup_cpu_s: Seconds | None = None
    cpu_s: Seconds | None = None
    fetch_cpu_s: Seconds | None = None
    origin_cpu_s: Seconds | None = None
    python_pss_mb: Seconds | None = None
    browser_pss_mb: Seconds | None = None
    machine_cpu: Share | None = None
    other_cpu: Seconds | None = None
    pickling_error: str | None = None
    dask_processes: Count | None = None
    clock_error_s: Seconds | None = None
    retried: Count | None = None
    failed: Count
    state: Literal["ok", "failed"]
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class FetchRow(Fetch, TrialKey):
    """A row of `fetches.csv`: the columns of `TrialKey`, then those of `Fetch`."""


@dataclass(frozen=True, kw_only=True)
class TrialRow(Trial, TrialKey):
    """A row of `trials.csv`: the columns of `TrialKey`, then those of `Trial`."""


FILES: dict[type, FileName] = {FetchRow: "fetches.csv", TrialRow: "trials.csv"}

ADDED = (
    ("fetch_cpu_s", "origin_cpu_s"),
    ("reuse",),
    ("dask_processes", "clock_error_s", "retried"),
    ("queue_s",),
)
"""The columns that were added, in turn; runs from before do not have them."""

trial_key = attrgetter(*(field.name for field in fields(TrialKey)))
"""Return the values of `TrialKey` that a row has, in their order."""


class Machine(BaseModel):
    """The machine and software that measure, all the same in every session of a run.

    What is not known of the article's machine is None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: str
    cores: Cores | None
    memory_gb: Count | None
    system: str
    python: PythonVersion
    gil: bool
    start_method: StartMethod
    packages: dict[str, str]
    browsers: dict[str, str]
    openssl: str | None = None
    """The TLS library of Python; None in runs from before it was noted."""

    @property
    def hardware(self) -> str:
        """Return the processor and its cores in words: "AMD EPYC, 2 cores"."""
        return self.cpu if self.cores is None else f"{self.cpu}, {self.cores} cores"


class FunctionFile(BaseModel):
    """The file of a function of the user's, as found from where the run was begun."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str


@dataclass(frozen=True)
class Extent:
    """The part of a file that counts: its header and the rows of finished rounds."""

    lines: Count = 0
    bytes: Count = 0


class Run(BaseModel):
    """The contents of `run.json`: study, machine, code and times."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: Study
    machine: Machine
    kernel: str
    clock_resolution_s: Seconds
    commit: str | None
    interfaces: Annotated[dict[PoolClass, list[str]] | None, Field(min_length=2)]
    started_at: datetime
    finished_at: datetime | None = None
    urls_with_user: int = 0
    """How many of its URLs name a user, who is not written down."""
    code: dict[str, str] | None = None
    """The files that measured, by digest; None in runs from before these were noted."""
    functions: dict[str, FunctionFile] = {}
    """The files of the functions that are its clients, by function."""
    left_out: dict[ClientName, str] = {}
    """The clients of a default study that could not run, with what is missing."""
    locked: bool = True
    """Whether a lock kept other studies of the machine away all the time."""
    controls: bool = True
    """Whether its rounds have control trials; those of the article and of sweeps have none."""
    looks: list[Annotated[int, Field(ge=1)]] = []
    """The numbers of rounds with which it was finished before it was given more."""
    measured_anew: dict[int, int] = {}
    """How often a round was measured again, since the machine or a process was suspended."""
    extents: Annotated[dict[FileName, Extent], Field(min_length=2)] | None = None
    """How much of each file counts; None, where all does, in runs from before this was noted."""


def run_is_there(folder: Path) -> bool:
    """Return whether a folder holds a run, or what is left of one."""
    return any((folder / name).exists() for name in ("run.json", *FILES.values()))


def urls_listed(folder: Path) -> int | None:
    """Return how many URLs the run's own list has; None where its source is no list."""
    path = folder / "pages.txt"
    return len(path.read_bytes().rstrip(b"\n").split(b"\n")) if path.exists() else None


def write_run(folder: Path, run: Run) -> None:
    """Write `run.json`, whole or not at all."""
    replace_text(folder / "run.json", run.model_dump_json(indent=2) + "\n")


def read_run(folder: Path) -> Run:
    """Read and check `run.json`; raises `UserError` that names what is damaged."""
    path = folder / "run.json"
    try:
        return Run.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder}: no run is here; a run's folder has a run.json") from None
    except UserError as mistake:
        raise _damaged(path, f"study.{mistake}") from None
    except (ValidationError, ValueError, OSError) as error:
        raise _damaged(path, _first_error(error)) from None


def add_round(folder: Path, fetches: Sequence[FetchRow], trials: Sequence[TrialRow]) -> None:
    """Append a finished round to the run, whole or not at all.

    Raises `OSError` where the folder cannot be written; the run is then as it was.
    """
    before = _cut_off_leftovers(folder)
    rows_of = {FetchRow: fetches, TrialRow: trials}
    try:
        after = {
            name: _append(folder / name, kind, rows_of[kind], before[name])
            for kind, name in FILES.items()
        }
        write_run(folder, read_run(folder).model_copy(update={"extents": after}))
    except BaseException:
        _cut_off_leftovers(folder)
        raise


def _cut_off_leftovers(folder: Path) -> dict[FileName, Extent]:
    """Cut both files to what counts, and return their extents, noted if they were not."""
    run = read_run(folder)
    noted = run.extents or {}
    extents = {name: _cut_off(folder / name, noted.get(name)) for name in FILES.values()}
    if run.extents != extents:
        write_run(folder, run.model_copy(update={"extents": extents}))
    return extents


def _cut_off(path: Path, noted: Extent | None) -> Extent:
    """Cut a file to as many lines as noted: their bytes differ if their ends were converted."""
    if noted and path.exists() and path.stat().st_size == noted.bytes:
        return noted
    lines = _lines(path, noted)
    _check_count(path, lines, noted)
    extent = Extent(len(lines), sum(map(len, lines)))
    if path.exists():
        os.truncate(path, extent.bytes)
    return extent


def _append(path: Path, kind: type, rows: Sequence[Any], before: Extent) -> Extent:
    """Append rows to a file, below a header if it is new; returns its extent."""
    lines = [] if before.bytes else [_names(kind)]
    lines += [[_as_cell(value) for value in astuple(row)] for row in rows]
    content = "".join(f"{','.join(map(_quoted, line))}\n" for line in lines).encode()
    _write_to_disk(path, "ab", content)
    return Extent(before.lines + content.count(b"\n"), before.bytes + len(content))


def rounds_done(folder: Path) -> set[int]:
    """Return the rounds of the run that are finished."""
    return {row.round for row in read_trials(folder)}


def read_trials(folder: Path) -> list[TrialRow]:
    """Return the trials of a run, checked; none where no round is finished yet."""
    return _all_rows(folder, TrialRow, _run_if_any(folder))


def read_fetches(folder: Path) -> list[FetchRow]:
    """Return the fetches of a run, checked; none where no round is finished yet."""
    return _all_rows(folder, FetchRow, _run_if_any(folder))


def _run_if_any(folder: Path) -> Run | None:
    return read_run(folder) if (folder / "run.json").exists() else None


def load(folder: Path) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Return the fetches and trials of a run's finished rounds, checked, as two DataFrames.

    Raises `UserError` that names the damaged file, the row and the column.
    """
    return load_rows(folder, read_run(folder))


def load_rows(folder: Path, run: Run) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Return what `load` does, for a run whose `run.json` has been read: its end is noted last.

    Rows are read and checked in chunks, since a row takes ten times the memory of a frame's.
    """
    import pandas as pd

    trials = _all_rows(folder, TrialRow, run)
    done = {row.round for row in trials}
    counts: Counter[tuple[Any, ...]] = Counter()
    frames = [frame(FetchRow, [])]
    for rows in _read_rows(folder, FetchRow, run):
        kept = [row for row in rows if row.round in done]
        counts.update(map(trial_key, kept))
        frames.append(frame(FetchRow, kept))
    _check_rounds(folder, run, done)
    _check_complete(folder, run.study.pages, trials, counts)
    return pd.concat(frames[1:] or frames, ignore_index=True), frame(TrialRow, trials)


COUNTED = ("status", "length", "dask_processes", "retried")
"""The whole numbers that may be absent; where all are, their columns are those of floats."""


def frame(kind: type, rows: Sequence[Any]) -> "pd.DataFrame":
    """Return rows as a DataFrame; its columns are the fields, measures floats also where absent."""
    import pandas as pd

    names = _names(kind)
    table = pd.DataFrame(map(attrgetter(*names), rows), columns=names)
    measures = [name for name in names if name.endswith(("_s", "_ms", "_mb", "_cpu"))]
    measures += [name for name in names if name in COUNTED and table[name].isna().all()]
    return table.astype(dict.fromkeys(measures, float))


def _check_rounds(folder: Path, run: Run, done: set[int]) -> None:
    """Check that a finished run has all its rounds, any other the first ones.

    One that may stop at a precision may have fewer.
    """
    path = folder / FILES[TrialRow]
    is_whole = run.finished_at is not None and run.study.precision is None
    rounds = run.study.rounds if is_whole else len(done)
    expected = set(range(1, 1 + rounds))
    for number in sorted(expected - done):
        raise _damaged(path, f"no row for round {number}")
    for number in sorted(done - expected):
        raise _damaged(path, f"it has a round {number}, run.json has {rounds}")


def _check_complete(
    folder: Path, pages: int, trials: Sequence[TrialRow], counts: "Counter[tuple[Any, ...]]"
) -> None:
    """Check that every trial that ended well has a row for each page, and no other rows exist.

    `counts` has the rows of fetches by `trial_key`.
    """
    fetches_csv, trials_csv = (folder / FILES[kind] for kind in (FetchRow, TrialRow))
    for line, trial in enumerate(trials, start=2):
        expected = pages if trial.client is not None and trial.state == "ok" else 0
        count = counts.pop(trial_key(trial), 0)
        if expected and not trial.span_s:
            words = f"{trial.span_s}: pages that were fetched took some time"
            raise _damaged(trials_csv, f"row {line}, column span_s: {words}")
        if count != expected:
            arm = None if trial.arm == "main" else trial.arm
            words = ", ".join(filter(None, [arm, trial.client, trial.mode, f"round {trial.round}"]))
            place = f"the trial in row {line} of trials.csv ({words})"
            raise _damaged(fetches_csv, f"{count} rows, not {expected}, belong to {place}")
    for key in counts:
        raise _damaged(trials_csv, f"no row for the trial {key}")


def _names(kind: type) -> list[str]:
    return [field.name for field in fields(kind)]


def _all_rows(folder: Path, kind: type[Row], run: Run | None) -> list[Row]:
    return list(chain.from_iterable(_read_rows(folder, kind, run)))


def _read_rows(folder: Path, kind: type[Row], run: Run | None) -> Iterator[list[Row]]:
    """Yield the rows that count: all of a finished run, else those within the extent noted."""
    path = folder / FILES[kind]
    noted = run.extents[FILES[kind]] if run and run.extents else None
    lines = CountedLines()
    if path.exists():
        limit = None if noted is None or (run and run.finished_at) else noted.lines
        try:
            file = path.open("rb")
        except OSError as error:
            raise _damaged(path, _first_error(error)) from None
        with file:
            yield from _checked_rows(path, lines.of(islice(file, limit)), lines, kind)
    if noted and lines.count != noted.lines:
        raise _miscounted(path, lines.count, noted)


class CountedLines:
    """Count the lines of a file as they are read, and keep the last one."""

    count = 0
    last = b""

    def of(self, lines: Iterator[bytes]) -> Iterator[str]:
        """Yield lines, decoded."""
        for line in lines:
            self.count, self.last = self.count + 1, line
            yield line.decode()


def _lines(path: Path, extent: Extent | None) -> list[bytes]:
    """Return the lines of a file, only as many as count where an extent is given."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        return list(islice(file, extent.lines if extent else None))


def _check_count(path: Path, lines: Sequence[bytes], noted: Extent | None) -> None:
    if noted and len(lines) != noted.lines:
        raise _miscounted(path, len(lines), noted)


def _miscounted(path: Path, count: int, noted: Extent) -> UserError:
    return _damaged(path, f"{count} lines, not the {noted.lines} that run.json notes")


CHUNK = 20_000
"""The rows that are checked at a time."""


def _checked_rows(
    path: Path, texts: Iterator[str], lines: CountedLines, kind: type[Row]
) -> Iterator[list[Row]]:
    """Yield the rows in the lines of a file in chunks, each checked to its last column."""
    reader, first = csv.reader(texts, strict=True), 2
    adapter = TypeAdapter(list[kind])  # type: ignore[valid-type]
    try:
        head = _next(path, reader, 1)
        names = _columns(path, head[0], lines, kind) if head else []
        while table := _next(path, reader, CHUNK):
            _check_widths(path, table, names, first)
            if not lines.last.endswith(b"\n"):
                place = f"row {first + len(table) - 1}, column {names[-1]}"
                raise _damaged(path, f"{place}: the file ends in mid-row")
            cells = ([cell.removeprefix("'") or None for cell in row] for row in table)
            yield adapter.validate_python([dict(zip(names, row, strict=True)) for row in cells])
            first += len(table)
    except (ValidationError, ValueError, OSError) as error:
        raise _damaged(path, _first_error(error, first)) from None


def _columns(path: Path, head: list[str], lines: CountedLines, kind: type) -> list[str]:
    """Return the columns of a file; raises `UserError` if they are no version's."""
    names = _names(kind)
    older = list(_older(names))
    _check_unconverted(path, lines.last.decode(), names, *older)
    if head not in (names, *older):
        raise _damaged(path, f"row 1, its columns are not {', '.join(names)}")
    if not lines.last.endswith(b"\n"):
        raise _damaged(path, f"row 1, column {names[-1]}: the file ends in mid-row")
    return head


def _check_widths(path: Path, table: list[list[str]], names: list[str], first: int) -> None:
    for number, cells in enumerate(table, start=first):
        if len(cells) != len(names):
            place = f"row {number}, column {names[min(len(cells), len(names)) - 1]}"
            raise _damaged(path, f"{place}: {len(cells)} values, not {len(names)}")


def _older(names: Sequence[str]) -> Iterator[list[str]]:
    """Yield the columns that a file had before each addition."""
    for number in range(len(ADDED)):
        absent = {*chain.from_iterable(ADDED[number:])}
        yield [name for name in names if name not in absent]


def _next(path: Path, reader: Any, count: int) -> list[list[str]]:
    """Return the next rows of a CSV file, as many as there are."""
    limit = csv.field_size_limit(sys.maxsize)  # of a value; it is global
    try:
        return list(islice(reader, count))
    except csv.Error as error:
        raise _damaged(path, f"row {reader.line_num}, column ?: {error}") from None
    finally:
        csv.field_size_limit(limit)


def _check_unconverted(path: Path, header: str, *known: list[str]) -> None:
    columns = re.split("[;\t]", header.rstrip("\r\n").removeprefix("\ufeff").replace('"', ""))
    if header.startswith("\ufeff") or columns in known:
        words = "a spreadsheet such as Excel has saved it, and may have changed its numbers"
        raise _damaged(path, f"{words}; copy the original file again")


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
"""The first characters of text that a spreadsheet would calculate, and the mark against it."""


def _as_cell(value: Any) -> str:
    """Return a value as text: floats to the microsecond, moments in ISO format, None as nothing."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6f}"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _quoted(text: str) -> str:
    """Quote a cell that needs it; before Python 3.13 csv.writer forgets those with \\r."""
    return '"' + text.replace('"', '""') + '"' if re.search('[",\r\n]', text) else text


def _damaged(path: Path, words: str) -> UserError:
    return UserError(f"{path}: damaged: {words}")


def _first_error(error: Exception, first: int = 2) -> str:
    """Return what is wrong first, in one line: the row and column of a CSV file, else the field.

    `first` is the number of the first row that was checked.
    """
    if not isinstance(error, ValidationError):
        return str(error)
    mistake = error.errors()[0]
    place = [str(part) for part in mistake["loc"]]
    if place and place[0].isdigit():
        where = f"row {int(place[0]) + first}, column {place[-1] if len(place) > 1 else '?'}"
    else:
        where = ".".join(place) or "its text"
    if mistake["type"] == "missing":
        return f"{where} is missing"
    is_whole = mistake["type"] == "json_invalid" or isinstance(mistake["input"], dict | list)
    value = "" if is_whole else f": {reprlib.repr(mistake['input'])}"
    return f"{where}{value}: {mistake['msg']}"


def replace_text(path: Path, text: str) -> None:
    """Write a file of text whole or not at all, whatever happens meanwhile."""
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, whatever happens and whoever else writes it meanwhile."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        _write_to_disk(partial, "wb", content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _write_to_disk(path: Path, mode: Literal["ab", "wb"], content: bytes) -> None:
    with path.open(mode) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def remove_partials(folder: Path) -> None:
    """Remove what processes that were killed while they wrote into a folder have left there."""
    for partial in folder.glob("*.partial"):
        writer = re.search(r"\.(\d{1,9})\.partial$", partial.name)
        if writer and not psutil.pid_exists(int(writer[1])):
            partial.unlink(missing_ok=True)
