"""All trials of a study: their order, their supervision, progress, resuming."""

import itertools
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Never

from tqdm.auto import tqdm

from experiment import records, shadowing
from experiment.errors import UserError, writing
from experiment.measure import (
    controls,
    locks,
    machine,
    network,
    preconditions,
    programs,
    provenance,
    schedule,
    shortages,
    sources,
    wikipedia,
)
from experiment.measure.clients.base import ClientSettings
from experiment.measure.launch import launch
from experiment.measure.trial import Plan
from experiment.records import Fetch, FetchRow, Run, TrialKey, TrialRow
from experiment.redaction import count_users, redacted
from experiment.study import PROJECT, Study
from experiment.vocabulary import Arm

if TYPE_CHECKING:
    import pandas as pd

LISTEN_S = 0.5
"""How long the machine is listened to before each trial, to see what else it does."""

Sources = dict[Arm, sources.Source]
"""Where each arm that fetches has its pages from."""

MOST_ANEW = 2
"""How often a round is measured anew since something was suspended; then its trial fails."""

UNMEASURED = TrialKey(arm="main", client="requests", mode="serial", pool_size=1, round=1, repeat=1)


@dataclass(frozen=True)
class Measured:
    """A trial as measured: its rows, what its site told to wait (s), what was suspended."""

    fetches: Sequence[FetchRow]
    row: TrialRow
    wait_s: float
    suspended: str | None

    def failed(self) -> "Measured":
        """The trial as one that does not count, since something was suspended."""
        row = replace(
            self.row, wall_s=None, span_s=None, failed=0, state="failed", reason=self.suspended
        )
        return replace(self, fetches=(), row=row)


@shortages.shortage_said()
def run(study: Study) -> Path:
    """Measure what a study has not measured yet; returns the folder of its run.

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
    """Whether a folder holds a run that will not change any more."""
    return records.run_is_there(folder) and records.read_run(folder).finished_at is not None


def _joined(study: Study, folder: Path) -> tuple[Study, Run | None]:
    """The study of the run that is in a folder, and the run; None where there is none yet.

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
    """One trial of a study, the first there is, measured for a look: its fetches; none is kept."""
    study = _with_clients(study)
    preconditions.check(study)
    key = next(schedule.main_trials(study, 1))
    urls = sources.urls_of(study, PROJECT / "data" / study.run_name() / "pages.txt")
    with (
        locks.of_machine(),
        _network(study) as holder,
        sources.open_source(study, urls, holder) as source,
    ):
        tried = _trial(study, _plan(study, {"main": source}, key), key, 1)
    if tried.row.reason:
        raise UserError(f"clients: {key.client} could not be tried: {tried.row.reason}")
    return records.frame(FetchRow, tried.fetches)


def _with_clients(study: Study) -> Study:
    """The study with the clients that suit its source, where nobody chose any."""
    return study.model_copy(update={"clients": study.clients or programs.usual_clients()})


def _complete(study: Study, folder: Path, locked: bool) -> None:
    """Measure the rounds that are missing, and note the end."""
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
    """The study's source, and the embedded origin without its latency for the control."""
    with ExitStack() as stack:
        holder = stack.enter_context(_network(study))
        opened: Sources = {"main": stack.enter_context(sources.open_source(study, urls, holder))}
        if schedule.has_no_latency(study):
            quick = study.model_copy(update={"latency": 0.0})
            opened["no_latency"] = stack.enter_context(sources.open_source(quick, urls, holder))
        yield opened


def _network(study: Study) -> AbstractContextManager[int | None]:
    """A network in which nobody else can reach what the study listens on, if it needs no other."""
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
    """One page by each client: what cannot work is said before anything is measured."""
    for client in study.clients:
        plan = _plan(study, opened, replace(UNMEASURED, client=client))
        seen = launch(replace(plan, pages=plan.pages[:1]))
        if seen.outcome.wait_s:
            raise UserError(
                f"source: {study.wiki} asks to wait {seen.outcome.wait_s:.0f} s; try again then"
            )
        sources.check_arrival(study, seen.outcome.fetches)
        error = seen.outcome.reason or seen.outcome.fetches[0].error or ""
        if short := shortages.shortage(RuntimeError(seen.outcome.reason)):
            raise UserError(short)
        words = " ".join(seen.log.split())[:300]
        started = seen.outcome.fetches and seen.outcome.fetches[0].load_s is not None
        unable = not started or plan.settings.embedded
        if error and unable:
            programs.check_sandbox(client)
            raise UserError(f"clients: {client} cannot run ({error}): {words}")
        absent = error in ("connection", "timeout", "tls") or error.startswith("unexpected")
        if client == study.clients[0] and absent:
            raise UserError(
                f"source: {redacted(plan.pages[0].url)} does not answer {client} ({error}): {words}"
            )


def _measure(own: Run, opened: Sources, folder: Path, missing: Sequence[int]) -> None:
    study = own.study
    total = len(missing) * sum(
        schedule.typical_s(study, key)
        for key in schedule.trials_of_round(study, 1, machine.cores())
    )
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
    """Measure a round, anew where something was suspended; also returns how often that was."""
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
    for position, key in enumerate(
        schedule.trials_of_round(study, number, machine.cores()), start=1
    ):
        bar.set_description(f"round {number} of {study.rounds}: {schedule.label(key)}")
        one = _trial(study, _plan(study, opened, key), key, position)
        if one.wait_s:
            _wait(study, one.wait_s, next(refusals))
        stopped = [source.check() for source in opened.values()]
        bar.update(schedule.typical_s(study, key))
        if any(stopped) and one.row.state == "ok":
            one = replace(one, suspended="the embedded origin was stopped by a signal")
        yield one


def _add_round(folder: Path, number: int, trials: Sequence[Measured], anew: int) -> None:
    """Keep a round; its trials started after the run, also where the clock was set back."""
    own = records.read_run(folder)
    rows = [replace(one.row, started_at=max(own.started_at, one.row.started_at)) for one in trials]
    with writing("run", folder):
        if anew:
            counted = {**own.measured_anew, number: anew}
            records.write_run(folder, own.model_copy(update={"measured_anew": counted}))
        records.add_round(folder, [row for one in trials for row in one.fetches], rows)


def _wait(study: Study, seconds: float, refusals: int) -> None:
    """Wait as a site tells that has refused; the third time ends the study."""
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
    """How many starts a second the source allows."""
    if study.source != "wikipedia" or key.arm != "main" or key.client is None:
        return None
    return wikipedia.starts_a_second(key.client)


def _trial(study: Study, plan: Plan, key: TrialKey, position: int) -> Measured:
    """Run one trial; a failed one is a row that says why, and has no fetches."""
    other_cpu = machine.busy_share(LISTEN_S)
    started_at = _now()
    seen = launch(plan)
    outcome = seen.outcome
    row = TrialRow(
        **asdict(key),
        position=position,
        started_at=started_at,
        wall_s=outcome.wall_s,
        span_s=outcome.span_s,
        startup_s=outcome.startup_s,
        startup_cpu_s=outcome.startup_cpu_s,
        cpu_s=seen.cpu_s,
        python_pss_mb=outcome.python_pss_mb,
        browser_pss_mb=seen.browser_pss_mb,
        machine_cpu=outcome.machine_cpu,
        other_cpu=other_cpu,
        pickling_error=outcome.pickling_error,
        failed=sum(item.error is not None for item in outcome.fetches),
        state="failed" if outcome.reason else "ok",
        reason=outcome.reason,
    )
    written = [_written(study, item) for item in _numbered(outcome.fetches)]
    fetches = [FetchRow(**asdict(key), **asdict(item)) for item in written]
    return Measured(fetches, row, outcome.wait_s, None if outcome.reason else seen.suspended)


def _written(study: Study, fetch: Fetch) -> Fetch:
    """A fetch as it is written down: its URLs without their secrets."""
    led = fetch.final_url and redacted(fetch.final_url, study.keep_query)
    return replace(fetch, url=redacted(fetch.url, study.keep_query), final_url=led)


def _numbered(fetches: Sequence[Fetch]) -> list[Fetch]:
    """The fetches with their workers numbered from 1, in the order in which they began."""
    workers = dict.fromkeys(item.worker for item in sorted(fetches, key=lambda item: item.start_s))
    numbers = {worker: number for number, worker in enumerate(workers, start=1)}
    return [replace(item, worker=numbers[item.worker]) for item in fetches]
