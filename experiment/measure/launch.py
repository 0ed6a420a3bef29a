"""Launch a trial under its supervisor, and read what became of it.

This is the runner's half of the protocol: `plan.json` goes in, a report comes out of the
supervisor, and `outcome.json` out of the trial.
"""

import math
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from experiment.fetches import library_chunk_size
from experiment.measure import environment, shortages
from experiment.measure.clients.deadline import STUCK, STUCK_WORDS
from experiment.measure.supervisor import Report
from experiment.measure.trial import Outcome, Plan
from experiment.measure.worker import ALONE
from experiment.redaction import redacted_text
from experiment.vocabulary import Mode

PLAN = TypeAdapter(Plan)
OUTCOME = TypeAdapter(Outcome)
REPORT = TypeAdapter(Report)

UNEXPECTED = 1
"""The status of a Python program that ended with a traceback."""


@dataclass(frozen=True)
class Launched:
    """What became of a trial: what it measured, and what its supervisor saw."""

    outcome: Outcome
    log: str
    cpu_s: float | None = None
    browser_pss_mb: float | None = None
    suspended: str | None = None
    queued_s: Mapping[int, float] | None = None

    def of_mode(self, mode: Mode) -> "Launched":
        """Return what became of one mode, where a launch of arm `cpu` measured several."""
        block = self.outcome.blocks.get(mode)
        if block is None:
            return self
        cpu_s = (self.outcome.startup_cpu_s or 0.0) + block.cpu_s
        return replace(self, outcome=replace(self.outcome, span_s=block.span_s), cpu_s=cpu_s)


def launch(plan: Plan) -> Launched:
    """Run a trial in a folder of its own; one that failed says why in its outcome.

    Raises `UserError` where the folder is full; `RuntimeError`, with the log, for our own errors.
    """
    with (
        shortages.room_for_temporary_files(),
        tempfile.TemporaryDirectory(prefix="trial-", ignore_cleanup_errors=True) as name,
    ):
        folder = Path(name)
        (folder / "plan.json").write_bytes(PLAN.dump_json(plan))
        limit_s = time_limit_s(plan)
        printed = _supervise(plan, folder, limit_s)
        log = ""
        with suppress(FileNotFoundError):  # gone where the supervisor was killed
            log = redacted_text((folder / "log.txt").read_text(errors="replace"))
        if not printed:
            return Launched(Outcome(reason="its supervisor was killed"), log)
        report = _report(printed, folder)
        outcome = _outcome(report, folder, limit_s, log)
    stopped = "a worker was stopped by a signal" if outcome.stopped else None
    return Launched(
        outcome,
        log,
        report.cpu_s,
        report.browser_pss_mb,
        report.suspended or stopped,
        report.queued_s,
    )


def time_limit_s(plan: Plan) -> float:
    """Return how long a trial may take if every fetch takes the whole of its time."""
    chunk = plan.chunk_size or library_chunk_size(max(1, len(plan.pages)), plan.pool_size)
    in_turn = math.ceil(len(plan.pages) / (plan.pool_size * chunk)) * chunk
    return 120 + plan.timeout_s * 1.2 * in_turn


def _supervise(plan: Plan, folder: Path, limit_s: float) -> str:
    """Return what the supervisor prints; it ends with the runner, whose pipe it listens to."""
    place = str(plan.settings.network or "")
    process = subprocess.Popen(
        [sys.executable, "-m", "experiment.measure.supervisor", str(folder), str(limit_s), place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment.of_a_trial(plan.settings.embedded) | _for_dask(plan, folder),
        start_new_session=True,
    )
    assert process.stdin and process.stdout
    try:
        return process.stdout.read()
    finally:
        process.stdin.close()
        process.wait()


def _for_dask(plan: Plan, folder: Path) -> dict[str, str]:
    """Return where the scheduler is, where Dask may leave files, whether others can reach it."""
    alone = {ALONE: "on"} if plan.settings.network else {}
    scheduler = {"DASK_SCHEDULER_ADDRESS": plan.scheduler} if plan.scheduler else {}
    return {"DASK_TEMPORARY_DIRECTORY": str(folder), **alone, **scheduler}


def _report(printed: str, folder: Path) -> Report:
    """Return a supervisor's report; its own errors are ours."""
    try:
        return REPORT.validate_json(printed)
    except ValueError:
        if shortages.is_full(folder):
            raise shortages.no_room() from None
        raise RuntimeError(f"a supervisor failed unexpectedly:\n{printed}") from None


def _outcome(report: Report, folder: Path, limit_s: float, log: str) -> Outcome:
    """Return what a trial measured, or why it did not end well."""
    if report.timed_out:
        reason = f"it took longer than {limit_s:.0f} s"
    elif report.code == STUCK:
        reason = STUCK_WORDS
    elif report.code and report.code < 0:
        reason = f"it was ended by {signal.Signals(-report.code).name}"
    elif report.code:
        reason = f"it ended with status {report.code}"
    else:
        return read_outcome(folder / "outcome.json")
    if report.full:
        raise shortages.no_room()
    if report.code == UNEXPECTED:
        raise RuntimeError(f"a trial failed unexpectedly:\n{log}")
    return Outcome(reason=reason)


def read_outcome(path: Path) -> Outcome:
    """Return what a trial measured; one whose values cannot be right has failed."""
    try:
        return OUTCOME.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return Outcome(reason=f"its outcome is not valid: {place}: {first['msg']}")
