"""The rows of a run: write, read, check. The measuring and the reading wing meet here.

A run is a folder: `run.json`, `trials.csv`, `fetches.csv`. A round enters it whole: first its
fetches, then its trials; fetches of a round that no trial names were cut off and do not count.
"""

import csv
import io
import os
import re
import reprlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from experiment.errors import UserError
from experiment.fetches import Count as Count
from experiment.fetches import Fetch as Fetch
from experiment.fetches import Page as Page
from experiment.fetches import Seconds as Seconds
from experiment.study import Study
from experiment.vocabulary import Arm, ClientName, Mode, StartMethod

if TYPE_CHECKING:
    import pandas as pd

Share = Annotated[float, Field(ge=0, le=1)]
Cores = Annotated[int, Field(ge=1, le=100_000)]
PythonVersion = Annotated[str, Field(pattern=r"^3\.\d+\.\d+[a-z0-9.+]*$")]
Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True)
class TrialKey:
    """Which trial a row belongs to; those of arms `cpu` and `startup` have no client."""

    arm: Arm
    client: ClientName | None
    mode: Mode
    pool_size: Annotated[int, Field(ge=1, le=100_000)]
    round: Annotated[int, Field(ge=1)]
    repeat: Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a trial as a whole showed; a failed one says why in `reason` and has no fetches."""

    position: Annotated[int, Field(ge=1)]
    started_at: datetime
    wall_s: Seconds | None = None
    span_s: Seconds | None = None
    startup_s: Seconds | None = None
    startup_cpu_s: Seconds | None = None
    cpu_s: Seconds | None = None
    python_pss_mb: Seconds | None = None
    browser_pss_mb: Seconds | None = None
    machine_cpu: Share | None = None
    other_cpu: Seconds
    pickling_error: str | None = None
    failed: Count
    state: Literal["ok", "failed"]
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class FetchRow(Fetch, TrialKey):
    """A row of `fetches.csv`: the columns of `TrialKey`, then those of `Fetch`."""


@dataclass(frozen=True, kw_only=True)
class TrialRow(Trial, TrialKey):
    """A row of `trials.csv`: the columns of `TrialKey`, then those of `Trial`."""


class Machine(BaseModel):
    """What measured: a run is resumed only where all of this is the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu: str
    cores: Cores
    memory_gb: Count
    system: str
    python: PythonVersion
    gil: bool
    start_method: StartMethod
    packages: dict[str, str]
    browsers: dict[str, str]


class Run(BaseModel):
    """`run.json`: what was measured, on what, from which code, and when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: Study
    machine: Machine
    kernel: str
    clock_resolution_s: Seconds
    commit: str | None
    interfaces: Annotated[dict[Literal["Pool", "ThreadPool"], list[str]], Field(min_length=2)]
    started_at: datetime
    finished_at: datetime | None = None
    urls_with_user: int = 0
    """How many of its URLs name a user, who is not written down."""
    code: dict[str, str] | None = None
    """The files that measured, by digest; None in runs from before these were noted."""
    locked: bool = True
    """Whether a lock kept other studies of the machine away all the time."""
    measured_anew: dict[int, int] = {}
    """How often a round was measured again, since the machine or a process was suspended."""


def run_is_there(folder: Path) -> bool:
    """Whether a folder holds a run, or what is left of one."""
    return any((folder / name).exists() for name in ("run.json", "trials.csv", "fetches.csv"))


def urls_listed(folder: Path) -> int | None:
    """How many URLs the run's own list has; None where its source is no list."""
    path = folder / "pages.txt"
    if not path.exists():
        return None
    return len(path.read_bytes().rstrip(b"\n").split(b"\n"))


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
        raise UserError(f"{path}: damaged: study.{mistake}") from None
    except (ValidationError, ValueError, OSError) as error:
        raise UserError(f"{path}: damaged: {_complaint(error)}") from None


def add_round(folder: Path, fetches: Sequence[FetchRow], trials: Sequence[TrialRow]) -> None:
    """Add a finished round to the run: its fetches first, since its trials make it count."""
    earlier = read_trials(folder)
    done = {row.round for row in earlier}
    kept = [row for row in read_fetches(folder) if row.round in done]
    _write_rows(folder / "fetches.csv", FetchRow, [*kept, *fetches])
    _write_rows(folder / "trials.csv", TrialRow, [*earlier, *trials])


def rounds_done(folder: Path) -> set[int]:
    """The rounds of the run that are finished."""
    return {row.round for row in read_trials(folder)}


def read_trials(folder: Path) -> list[TrialRow]:
    """The trials of a run, checked; none where no round is finished yet."""
    return _read_rows(folder / "trials.csv", TrialRow)


def read_fetches(folder: Path) -> list[FetchRow]:
    """The fetches of a run, checked; none where no round is finished yet."""
    return _read_rows(folder / "fetches.csv", FetchRow)


def load(folder: Path) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """A run's fetches and trials of its finished rounds, checked, as two DataFrames.

    Raises `UserError` that names the damaged file, the row and the column.
    """
    run = read_run(folder)  # first: its end is noted last
    trials = read_trials(folder)
    done = {row.round for row in trials}
    fetches = [row for row in read_fetches(folder) if row.round in done]
    _check_rounds(folder, run, done)
    _check_complete(folder, run.study.pages, trials, fetches)
    return frame(FetchRow, fetches), frame(TrialRow, trials)


def _check_rounds(folder: Path, run: Run, done: set[int]) -> None:
    """All rounds of a run that is finished are there, of any other the first ones."""
    due = set(range(1, 1 + (run.study.rounds if run.finished_at else len(done))))
    for number in sorted(due - done):
        raise UserError(f"{folder / 'trials.csv'}: damaged: no row for round {number}")
    for number in sorted(done - due):
        raise UserError(
            f"{folder / 'trials.csv'}: damaged: it has a round {number}, run.json has {len(due)}"
        )


def _check_complete(
    folder: Path, pages: int, trials: Sequence[TrialRow], fetches: Sequence[FetchRow]
) -> None:
    """Every trial that ended well has a row for each page, and no other rows are there."""
    seen: dict[TrialKey, int] = {}
    for fetch in fetches:
        seen[_key(fetch)] = seen.get(_key(fetch), 0) + 1
    for line, trial in enumerate(trials, start=2):
        due = pages if trial.client is not None and trial.state == "ok" else 0
        found = seen.pop(_key(trial), 0)
        if due and not trial.span_s:
            raise UserError(
                f"{folder / 'trials.csv'}: damaged: row {line}, column span_s: {trial.span_s}: "
                "pages that were fetched took some time"
            )
        if found != due:
            raise UserError(
                f"{folder / 'fetches.csv'}: damaged: {found} rows, not {due}, belong to the trial "
                f"in row {line} of trials.csv ({_words(trial)})"
            )
    if seen:
        raise UserError(f"{folder / 'trials.csv'}: damaged: no row for {next(iter(seen))}")


def _key(row: TrialKey) -> TrialKey:
    return TrialKey(**{field.name: getattr(row, field.name) for field in fields(TrialKey)})


def _words(trial: TrialRow) -> str:
    """Which trial it is, in words."""
    arm = None if trial.arm == "main" else trial.arm
    return ", ".join(filter(None, [arm, trial.client, trial.mode, f"round {trial.round}"]))


def frame(kind: type, rows: Sequence[Any]) -> "pd.DataFrame":
    """Rows as a DataFrame with a column for each field; measures are floats, also where absent."""
    import pandas as pd

    names = [field.name for field in fields(kind)]
    table = pd.DataFrame([[getattr(row, name) for name in names] for row in rows], columns=names)
    measures = [name for name in names if name.endswith(("_s", "_ms", "_mb", "_cpu"))]
    return table.astype(dict.fromkeys([*measures], float))


def _write_rows(path: Path, kind: type, rows: Iterable[Any]) -> None:
    lines = [[field.name for field in fields(kind)]]
    lines += [[_cell(value) for value in astuple(row)] for row in rows]
    replace_text(path, "".join(f"{','.join(map(_quoted, line))}\n" for line in lines))


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
"""What begins a text that a spreadsheet would calculate, and the mark that keeps it from it."""


def _cell(value: Any) -> str:
    """A value as text: floats to the microsecond, moments in ISO format, nothing as nothing."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6f}"
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _quoted(text: str) -> str:
    """A cell in quotes where it needs them; before Python 3.13 csv.writer forgets those of \\r."""
    return '"' + text.replace('"', '""') + '"' if re.search('[",\r\n]', text) else text


def replace_text(path: Path, text: str) -> None:
    """Write a file of text whole or not at all, whatever happens meanwhile."""
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, whatever happens and whoever else writes it meanwhile."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Remove what processes that were killed while they wrote into a folder have left there."""
    for partial in folder.glob("*.partial"):
        writer = re.search(r"\.(\d+)\.partial$", partial.name)
        if writer and not _is_alive(int(writer[1])):
            partial.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True


def _read_rows(path: Path, kind: type[Row]) -> list[Row]:
    if not path.exists():
        return []
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    try:
        text = path.read_bytes().decode()
        _check_unconverted(path, text, names)
        lines = _lines(path, text)
        if not lines or lines[0] != names:
            raise UserError(f"{path}: damaged: row 1, its columns are not {', '.join(names)}")
        _check_ends(path, text, lines, names)
        rows = [_values(names, line) for line in lines[1:]]
        return TypeAdapter(list[kind]).validate_python(rows)  # type: ignore[valid-type]
    except (ValidationError, ValueError, OSError) as error:
        raise UserError(f"{path}: damaged: {_complaint(error)}") from None


def _lines(path: Path, text: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline="\n"), strict=True)  # no other ends a line
    try:
        with _values_of_any_size():
            return list(reader)
    except csv.Error as error:
        raise UserError(f"{path}: damaged: row {reader.line_num}, column ?: {error}") from None


@contextmanager
def _values_of_any_size() -> Iterator[None]:
    """Let the csv module, whose limit is one for the whole interpreter, read any value."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _check_unconverted(path: Path, text: str, names: list[str]) -> None:
    """Numbers and moments that a spreadsheet has saved are no longer what was measured."""
    head = text.partition("\n")[0].rstrip("\r")
    columns = re.split("[;\t]", head.removeprefix("\ufeff").replace('"', ""))
    if head.startswith("\ufeff") or columns == names:
        raise UserError(
            f"{path}: damaged: a spreadsheet such as Excel has saved it, and may have changed its "
            "numbers; copy the original file again"
        )


def _check_ends(path: Path, text: str, lines: list[list[str]], names: list[str]) -> None:
    """Every row is there to its last column, and the last one to its end."""
    for number, line in enumerate(lines, start=1):
        if len(line) != len(names):
            place = f"row {number}, column {names[min(len(line), len(names)) - 1]}"
            raise UserError(f"{path}: damaged: {place}: {len(line)} values, not {len(names)}")
    if not text.endswith("\n"):
        place = f"row {len(lines)}, column {names[-1]}"
        raise UserError(f"{path}: damaged: {place}: the file ends in mid-row")


def _values(names: list[str], line: list[str]) -> dict[str, str | None]:
    """The values of a line as they were before `_cell`."""
    return {name: value.removeprefix("'") or None for name, value in zip(names, line, strict=True)}


def _complaint(error: Exception) -> str:
    """The first thing wrong, in one line: row and column of a file of rows, else the field."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    if place and place[0].isdigit():
        where = f"row {int(place[0]) + 2}, column {place[-1] if len(place) > 1 else '?'}"
    else:
        where = ".".join(place) or "its text"
    if first["type"] == "missing":
        return f"{where} is missing"
    if first["type"] == "json_invalid" or isinstance(first["input"], dict | list):
        return f"{where}: {first['msg']}"
    return f"{where}: {reprlib.repr(first['input'])}: {first['msg']}"
