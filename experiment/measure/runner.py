"""Run a study: see what is missing, try the clients out, measure round after round, keep each."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from experiment import records, shadowing
from experiment.measure import (
    clients,
    locks,
    machine,
    plans,
    preconditions,
    progress,
    provenance,
    rows,
    run_folder,
    schedule,
    shortages,
    sources,
    tryout,
    wikipedia,
)  # fmt: skip
from experiment.measure.launch import launch
from experiment.measure.progress import Progress
from experiment.measure.rows import Measured
from experiment.records import Run, TrialKey
from experiment.study import PROJECT, Study
from experiment.vocabulary import ClientName

LISTEN_S = 0.2
"""How long the machine is listened to before each trial, to see what else it does."""

MOST_ANEW = 2
"""How often a round is measured anew since something was suspended; then its trial fails."""


Enough = Callable[[Path], bool]
"""Tell whether a run needs no more rounds, from those that are in its folder."""


@shortages.shortage_said()
def run(study: Study, enough: Enough = lambda _: False) -> Path:
    """Measure what a study has not measured yet, and return the folder of its run.

    Finished rounds are kept, whatever happens; `enough` is asked before each of the others.
    Raises `UserError`, before anything is measured, for what its user can mend.
    """
    study, left_out = run_folder.without_missing(run_folder.as_named_before(study))
    folder = PROJECT / "data" / study.run_name()
    if run_folder.is_finished(folder, study):
        run_folder.join(study, folder)
        provenance.check_functions_here(folder, records.read_run(folder))
    else:
        shadowing.check()
        run_folder.check_writable(folder)
        with locks.of_run(folder), locks.of_machine() as locked:
            _complete(study, folder, locked, left_out, enough)
    sources.check_answered(folder, records.read_run(folder))
    return folder


def with_clients(study: Study) -> Study:
    """Return the study with the clients that suit its source, where nobody chose any."""
    return study.model_copy(update={"clients": study.clients or clients.usual()})


def _complete(
    study: Study, folder: Path, locked: bool, left_out: dict[ClientName, str], enough: Enough
) -> None:
    """Measure the rounds that are missing, and note the end of the run."""
    study, own = run_folder.join(study, folder)
    study = with_clients(study)
    done = records.rounds_done(folder)
    missing = [number for number in range(1, study.rounds + 1) if number not in done]
    if missing and not enough(folder):
        records.remove_partials(folder)
        preconditions.check(study)
        urls = sources.urls_of(study, folder / "pages.txt")
        if own is not None:
            provenance.check_same(folder, own)
        own = own or run_folder.new_run(study, urls, left_out)
        own = run_folder.with_rounds(own, study.rounds, len(done))
        sources.check_real(own, study, urls)
        own = own.model_copy(update={"locked": locked and own.locked})
        with plans.open_sources(study, urls) as opened:
            tryout.try_out(study, opened)
            run_folder.begin(folder, own, sources.as_written(study, urls))
            _measure(own, opened, folder, missing, enough)
    run_folder.finish(folder)


def _measure(
    own: Run, opened: plans.Sources, folder: Path, missing: Sequence[int], enough: Enough
) -> None:
    """Measure the missing rounds until there are enough, and keep each once it is finished."""
    study = own.study
    launches = schedule.launches(study, 1, machine.cores())
    total = len(missing) * sum(progress.typical_s(study, key) for keys in launches for key in keys)
    rounds = f"{len(missing)} of {study.rounds} rounds"
    print(f"measuring {folder.name}: {rounds}, {progress.duration(total)}", file=sys.stderr)
    with Progress(study.rounds, total) as shown:
        measuring = Measuring(study, opened, shown)
        for number in missing:
            trials, anew = measuring.round(number)
            provenance.check_code(folder, own)  # each trial has read it anew
            run_folder.add_round(folder, number, trials, anew)
            if number == missing[0] < missing[-1]:
                sources.check_answered(folder, own)
            is_last = number == missing[-1] or enough(folder)
            shown.finish_round(number, f"data/{folder.name}" if is_last else "")
            if is_last:
                break


@dataclass
class Measuring:
    """Measure the rounds of a study, and show how far it is."""

    study: Study
    opened: plans.Sources
    progress: Progress
    refusals: int = 0
    """How often the site has refused."""

    def round(self, number: int) -> tuple[list[Measured], int]:
        """Measure a round, anew where something was suspended; return also how often that was."""
        begun = self.progress.done_s
        for anew in range(MOST_ANEW):
            trials = []
            for one in self._trials(number):
                trials.append(one)
                if one.suspended:
                    break
            else:
                return trials, anew
            tqdm.write(f"round {number} is measured anew: {one.suspended}", file=sys.stderr)
            self.progress.move_to(begun)
        last = self._trials(number)
        return [one.failed() if one.suspended else one for one in last], MOST_ANEW

    def _trials(self, number: int) -> Iterator[Measured]:
        """Measure the trials of a round, one after another."""
        launches = schedule.launches(self.study, number, machine.cores())
        for position, keys in enumerate(launches, start=1):
            self.progress.begin(number, keys)
            measured = measure_launch(self.study, self.opened, keys, position)
            if measured[0].wait_s:
                self._wait(measured[0].wait_s)
            stopped = [source.check() for source in self.opened.values()]
            took_s = sum(progress.typical_s(self.study, key) for key in keys)
            self.progress.move_to(self.progress.done_s + took_s)
            for one in measured:
                if any(stopped) and one.row.state == "ok":
                    one = replace(one, suspended="the embedded origin was stopped by a signal")
                yield one

    def _wait(self, seconds: float) -> None:
        """Wait as a site has told that refused; end the study the third time."""
        self.refusals += 1
        if self.refusals == wikipedia.MOST_REFUSALS:
            raise wikipedia.refused(self.study, seconds)
        wikipedia.pause(self.study.wiki, seconds)


def measure_launch(
    study: Study, opened: plans.Sources, keys: Sequence[TrialKey], position: int
) -> list[Measured]:
    """Measure the trials of one launch."""
    other_cpu = machine.busy_share(LISTEN_S)
    started_at = run_folder.now()
    launched = launch(plans.of_trial(study, opened, keys[0]))
    return [
        rows.of_trial(study, key, launched.of_mode(key.mode), position, started_at, other_cpu)
        for key in keys
    ]
