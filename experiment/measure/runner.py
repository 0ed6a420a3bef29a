"""Run a study: see what is missing, try the clients out, measure round after round, keep each."""

import itertools
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Never

from tqdm.auto import tqdm

from experiment import records, shadowing
from experiment.errors import UserError, writing
from experiment.measure import (
    clients,
    controls,
    locks,
    machine,
    network,
    preconditions,
    provenance,
    rows,
    schedule,
    shortages,
    sources,
    wikipedia,
)
from experiment.measure.clients.base import ClientSettings
from experiment.measure.launch import launch
from experiment.measure.rows import Measured
from experiment.measure.trial import Outcome, Plan
from experiment.records import FetchRow, Run, TrialKey
from experiment.redaction import count_users, redacted
from experiment.study import PROJECT, Study
from experiment.vocabulary import Arm, ClientName

if TYPE_CHECKING:
    import pandas as pd

LISTEN_S = 0.5
"""How long the machine is listened to before each trial, to see what else it does."""

Sources = dict[Arm, sources.Source]
"""Where each arm that fetches has its pages from."""

MOST_ANEW = 2
"""How often a round is measured anew since something was suspended; then its trial fails."""

UNMEASURED = TrialKey(arm="main", client="requests", mode="serial", pool_size=1, round=1, repeat=1)


@shortages.shortage_said()
def run(study: Study) -> Path:
    """Measure what a study has not measured yet, and return the folder of its run.

    Finished rounds are kept, whatever happens. Raises `UserError`, before anything is measured,
    for what its user can mend.
    """
    folder = PROJECT / "data" / study.run_name()
    if _is_finished(folder):
        _joined(study, folder)
    else:
        shadowing.check()
        _check_writable(folder)
        with locks.of_run(folder), locks.of_machine() as locked:
            _complete(study, folder, locked)
    sources.check_answered(folder, records.read_run(folder))
    return folder


def _is_finished(folder: Path) -> bool:
    """Return whether a folder holds a run that will not change any more."""
    return records.run_is_there(folder) and records.read_run(folder).finished_at is not None


def _joined(study: Study, folder: Path) -> tuple[Study, Run | None]:
    """Return the study of the run in a folder, and the run; None where there is none yet.

    Raises `UserError` where it is damaged, or is not what the study asks for.
    """
    if not records.run_is_there(folder):
        return study, None
    own = records.read_run(folder)
    records.load(folder)
    joined = study.joined_to(own.study)
    if "source" in study.model_fields_set:
        sources.check_unchanged(joined, folder / "pages.txt")
    return joined, own


@shortages.shortage_said()
def live(study: Study) -> "pd.DataFrame":
    """Measure the first trial of a study for a look, and return its fetches; nothing is kept.

    Nothing is taken from the folder of a run either: the pages are drawn or read anew.
    """
    study = _with_clients(study).model_copy(update={"rounds": 1})
    preconditions.check(study)
    key = next(schedule.main_trials(study, 1))
    urls = sources.urls_of(study)
    with (
        locks.of_machine(),
        _network(study) as holder,
        sources.open_source(study, urls, holder) as source,
    ):
        tried = _trial(study, {"main": source}, key, 1)
    if tried.row.reason:
        raise UserError(f"clients: {key.client} could not be tried: {tried.row.reason}")
    return records.frame(FetchRow, tried.fetches)


def _with_clients(study: Study) -> Study:
    """Return the study with the clients that suit its source, where nobody chose any."""
    return study.model_copy(update={"clients": study.clients or clients.usual()})


def _complete(study: Study, folder: Path, locked: bool) -> None:
    """Measure the rounds that are missing, and note the end of the run."""
    study, own = _joined(study, folder)
    study = _with_clients(study)
    done = records.rounds_done(folder)
    missing = [number for number in range(1, study.rounds + 1) if number not in done]
    if missing:
        records.remove_partials(folder)
        preconditions.check(study)
        urls = sources.urls_of(study, folder / "pages.txt")
        if own is not None:
            provenance.check_same(folder, own)
        own = own or _new_run(study, urls)
        sources.check_real(own, study, urls)
        own = own.model_copy(update={"locked": locked and own.locked})
        with _sources(study, urls) as opened:
            _try_out(study, opened)
            with writing("run", folder):
                _begin(folder, own, sources.as_written(study, urls))
            _measure(own, opened, folder, missing)
    own = records.read_run(folder)
    finished_at = max(own.started_at, _now())  # the clock may have been set back
    with writing("run", folder):
        records.write_run(folder, own.model_copy(update={"finished_at": finished_at}))


@contextmanager
def _sources(study: Study, urls: Sequence[str]) -> Iterator[Sources]:
    """Open the study's source, and the embedded origin without its latency for the control."""
    with ExitStack() as stack:
        holder = stack.enter_context(_network(study))
        opened: Sources = {"main": stack.enter_context(sources.open_source(study, urls, holder))}
        if schedule.has_no_latency(study):
            quick = study.model_copy(update={"latency": 0.0})
            opened["no_latency"] = stack.enter_context(sources.open_source(quick, urls, holder))
        yield opened


def _network(study: Study) -> AbstractContextManager[int | None]:
    """Return a network of its own for a study that needs no other, so that no one else is in it."""
    return network.private() if study.source == "embedded" else nullcontext()


def _check_writable(folder: Path) -> None:
    place = folder if folder.exists() else folder.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise UserError(f"run: {place} cannot be written: it is no folder, or not yours")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _new_run(study: Study, urls: Sequence[str]) -> Run:
    return Run(
        study=study.written(),
        machine=machine.describe(study),
        kernel=os.uname().release,
        clock_resolution_s=time.get_clock_info("perf_counter").resolution,
        commit=provenance.commit(),
        code=provenance.code(),
        interfaces=controls.interfaces(),
        controls=study.kind == "report",
        started_at=_now(),
        urls_with_user=count_users(urls),
    )


def _begin(folder: Path, own: Run, urls: Sequence[str]) -> None:
    """Make the run's folder, with its own copy of a list of URLs."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "pages.txt"
    if own.study.source not in ("embedded", *urls) and not kept.exists():
        records.replace_text(kept, "\n".join(urls) + "\n")
    records.write_run(folder, own)


def _try_out(study: Study, opened: Sources) -> None:
    """Fetch a page with each client; raise `UserError` for what cannot work, before measuring."""
    for client in study.clients:
        plan = _plan(study, opened, replace(UNMEASURED, client=client))
        plan = replace(plan, pages=plan.pages[:1])
        launched = launch(plan)
        outcome = launched.outcome
        if outcome.wait_s:
            raise UserError(
                f"source: {study.wiki} asks to wait {outcome.wait_s:.0f} s; try again then"
            )
        sources.check_arrival(study, outcome.fetches)
        if short := shortages.shortage(RuntimeError(outcome.reason)):
            raise UserError(short)
        if error := outcome.reason or outcome.fetches[0].error:
            log = " ".join(launched.log.split())[:300]
            _check_loaded(client, plan, outcome, f"({error}): {log}")
            absent = error in ("connection", "timeout", "tls") or error.startswith("unexpected")
            if client == study.clients[0] and absent:
                url = redacted(plan.pages[0].url)
                raise UserError(f"source: {url} does not answer {client} ({error}): {log}")


def _check_loaded(client: ClientName, plan: Plan, outcome: Outcome, what: str) -> None:
    """Raise `UserError` where a fetch failed, and not for its server: the client cannot run."""
    loaded = outcome.fetches and outcome.fetches[0].load_s is not None
    if not loaded or plan.settings.embedded:
        clients.of(client).check_allowed()
        raise UserError(f"clients: {client} cannot run {what}")


def _measure(own: Run, opened: Sources, folder: Path, missing: Sequence[int]) -> None:
    study = own.study
    keys = schedule.trials(study, 1, machine.cores())
    total = len(missing) * sum(schedule.typical_s(study, key) for key in keys)
    rounds = f"{len(missing)} of {study.rounds} rounds"
    print(f"measuring {folder.name}: {rounds}, about {total / 60:.0f} minutes", file=sys.stderr)
    refusals = itertools.count(1)
    form = "{desc} {percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left"
    with tqdm(total=total, bar_format=form, smoothing=0, disable=None) as bar:
        for number in missing:
            trials, anew = _round(study, opened, number, bar, refusals)
            provenance.check_code(folder, own)  # each trial has read it anew
            _add_round(folder, number, trials, anew)
            if number == missing[0] < missing[-1]:
                sources.check_answered(folder, own)


def _round(
    study: Study, opened: Sources, number: int, bar: "tqdm[Never]", refusals: Iterator[int]
) -> tuple[list[Measured], int]:
    """Measure a round, anew where something was suspended; return also how often that was."""
    begun = bar.n
    for anew in range(MOST_ANEW):
        trials = []
        for one in _trials(study, opened, number, bar, refusals):
            trials.append(one)
            if one.suspended:
                break
        else:
            return trials, anew
        tqdm.write(f"round {number} is measured anew: {one.suspended}", file=sys.stderr)
        bar.n = begun
    last = _trials(study, opened, number, bar, refusals)
    return [one.failed() if one.suspended else one for one in last], MOST_ANEW


def _trials(
    study: Study, opened: Sources, number: int, bar: "tqdm[Never]", refusals: Iterator[int]
) -> Iterator[Measured]:
    """Measure the trials of a round, one after another."""
    keys = schedule.trials(study, number, machine.cores())
    for position, key in enumerate(keys, start=1):
        bar.set_description(f"round {number} of {study.rounds}: {schedule.label(key)}")
        one = _trial(study, opened, key, position)
        if one.wait_s:
            _wait(study, one.wait_s, next(refusals))
        stopped = [source.check() for source in opened.values()]
        bar.update(schedule.typical_s(study, key))
        if any(stopped) and one.row.state == "ok":
            one = replace(one, suspended="the embedded origin was stopped by a signal")
        yield one


def _add_round(folder: Path, number: int, trials: Sequence[Measured], anew: int) -> None:
    """Keep a round; its trials started after the run, also where the clock was set back."""
    _check_writable(folder)
    own = records.read_run(folder)
    kept = [replace(one.row, started_at=max(own.started_at, one.row.started_at)) for one in trials]
    with writing("run", folder):
        if anew:
            counted = {**own.measured_anew, number: anew}
            records.write_run(folder, own.model_copy(update={"measured_anew": counted}))
        records.add_round(folder, [row for one in trials for row in one.fetches], kept)


def _wait(study: Study, seconds: float, refusals: int) -> None:
    """Wait as a site has told that refused; end the study the third time."""
    if refusals == wikipedia.MOST_REFUSALS:
        raise wikipedia.refused(study, seconds)
    wikipedia.pause(study.wiki, seconds)


def _plan(study: Study, opened: Sources, key: TrialKey) -> Plan:
    source = opened.get(key.arm)
    return Plan(
        arm=key.arm,
        client=key.client,
        mode=key.mode,
        pool_size=key.pool_size,
        chunk_size=study.chunk(),
        start_method=study.start_method,
        timeout_s=study.timeout,
        settings=source.settings if source else ClientSettings(),
        starts_a_second=_pace(study, key),
        pages=source.pages(key.round, study.pages) if source else (),
        cores=machine.cores(),
    )


def _pace(study: Study, key: TrialKey) -> float | None:
    """Return how many starts a second the source allows; None for any number."""
    if study.source != "wikipedia" or key.arm != "main" or key.client is None:
        return None
    return wikipedia.starts_a_second(key.client)


def _trial(study: Study, opened: Sources, key: TrialKey, position: int) -> Measured:
    other_cpu = machine.busy_share(LISTEN_S)
    started_at = _now()
    launched = launch(_plan(study, opened, key))
    return rows.of_trial(study, key, launched, position, started_at, other_cpu)
