"""Begin or resume the run in a folder, add rounds to it, note its end."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from experiment import records
from experiment.errors import UserError, writing
from experiment.measure import clients, controls, functions, machine, provenance, sources
from experiment.measure.rows import Measured
from experiment.records import Run
from experiment.redaction import count_users
from experiment.study import PROJECT, Study
from experiment.vocabulary import ClientName


def now() -> datetime:
    """Return the time, in seconds, as a run notes it."""
    return datetime.now(UTC).replace(microsecond=0)


def as_named_before(study: Study) -> Study:
    """Return the study in a folder that was named after its rounds as well, if that has its run.

    Runs were named so before they could be given more rounds; the same command still finds them.
    """
    name = study.name_before()
    if name == study.run_name() or not records.run_is_there(PROJECT / "data" / name):
        return study
    print(f"run: data/{name} is there from before; it is used", file=sys.stderr)
    return study.model_copy(update={"run": name})


def without_missing(study: Study) -> tuple[Study, dict[ClientName, str]]:
    """Return a default study without the clients that cannot run here, and what these lack."""
    chosen = "clients" in study.model_fields_set or study.kind != "report"
    if chosen or records.run_is_there(PROJECT / "data" / study.run_name()):
        return study, {}
    missing = clients.cannot_run(study.clients)
    for words in missing.values():
        print(f"note: {words}; this study does without it", file=sys.stderr)
    able = tuple(name for name in study.clients if name not in missing)
    if not missing:
        return study, {}
    name = study.run or f"{study.run_name()}_without-{'-'.join(missing)}"
    return study.model_copy(update={"clients": able, "run": name}), missing


def is_finished(folder: Path, study: Study) -> bool:
    """Return whether a folder holds a finished run with all the rounds that a study asks for."""
    if not records.run_is_there(folder):
        return False
    own = records.read_run(folder)
    more = "rounds" in study.model_fields_set and study.rounds > own.study.rounds
    return own.finished_at is not None and not more


def join(study: Study, folder: Path) -> tuple[Study, Run | None]:
    """Return the study of the run in a folder, and the run; None where there is none yet.

    Raises `UserError` where it is damaged, or is not what the study asks for.
    """
    if not records.run_is_there(folder):
        return study, None
    own = records.read_run(folder)
    records.load(folder)
    joined = study.joined_to(own.study)
    if "rounds" in study.model_fields_set and study.rounds < joined.rounds:
        kept = f"{folder.name} has {joined.rounds} and keeps them"
        print(f"rounds: {study.rounds} asked for; {kept}", file=sys.stderr)
    if "source" in study.model_fields_set:
        sources.check_unchanged(joined, folder / "pages.txt")
    return joined, own


def with_rounds(own: Run, rounds: int, done: int) -> Run:
    """Return the run with more rounds to measure; one that was finished notes that look."""
    if own.finished_at is None:
        return own.model_copy(update={"study": own.study.model_copy(update={"rounds": rounds})})
    begun = own.model_copy(update={"finished_at": None, "looks": [*own.looks, done]})
    return with_rounds(begun, rounds, done)


def check_writable(folder: Path) -> None:
    """Raise `UserError` where the folder cannot be written, or cannot be made."""
    place = folder if folder.exists() else folder.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise UserError(f"run: {place} cannot be written: it is no folder, or not yours")


def new_run(study: Study, urls: Sequence[str], left_out: dict[ClientName, str]) -> Run:
    """Return the run of a study that begins now, of which some clients may be left out."""
    return Run(
        study=study.written(),
        machine=machine.describe(study),
        kernel=os.uname().release,
        clock_resolution_s=time.get_clock_info("perf_counter").resolution,
        commit=provenance.commit(),
        code=provenance.code(),
        functions=functions.files_of(study),
        left_out=left_out,
        interfaces=controls.interfaces(),
        controls=study.has_controls,
        started_at=now(),
        urls_with_user=count_users(urls),
    )


def begin(folder: Path, own: Run, urls: Sequence[str]) -> None:
    """Make the run's folder, with its own copy of a list of URLs."""
    with writing("run", folder):
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / "pages.txt"
        source = own.study.source
        if source != "embedded" and "://" not in source and not kept.exists():
            records.replace_text(kept, "\n".join(urls) + "\n")
        records.write_run(folder, own)


def add_round(folder: Path, number: int, trials: Sequence[Measured], anew: int) -> None:
    """Keep a round; its trials started after the run, also where the clock was set back."""
    check_writable(folder)
    own = records.read_run(folder)
    kept = [replace(one.row, started_at=max(own.started_at, one.row.started_at)) for one in trials]
    with writing("run", folder):
        if anew:
            counted = {**own.measured_anew, number: anew}
            records.write_run(folder, own.model_copy(update={"measured_anew": counted}))
        records.add_round(folder, [row for one in trials for row in one.fetches], kept)


def finish(folder: Path) -> None:
    """Note the end of a run, which is not before its start if the clock was set back."""
    own = records.read_run(folder)
    finished_at = max(own.started_at, now())
    with writing("run", folder):
        records.write_run(folder, own.model_copy(update={"finished_at": finished_at}))
