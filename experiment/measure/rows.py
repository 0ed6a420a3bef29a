"""Turn what became of a trial into the rows that are kept of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from experiment.fetches import Fetch
from experiment.measure.launch import Launched
from experiment.records import FetchRow, TrialKey, TrialRow
from experiment.redaction import redacted, redacted_item
from experiment.study import Study
from experiment.vocabulary import CLUSTERED


@dataclass(frozen=True)
class Measured:
    """A trial as measured: its rows, what its site told to wait (s), what was suspended."""

    fetches: Sequence[FetchRow]
    row: TrialRow
    wait_s: float
    suspended: str | None

    def failed(self) -> "Measured":
        """Return the trial as one that does not count, since something was suspended."""
        row = replace(
            self.row, wall_s=None, span_s=None, failed=0, state="failed", reason=self.suspended
        )
        return replace(self, fetches=(), row=row)


def of_trial(
    study: Study,
    key: TrialKey,
    launched: Launched,
    position: int,
    started_at: datetime,
    other_cpu: float,
) -> Measured:
    """Return the rows of a trial; of a failed one a row that says why, and no fetches."""
    launched = _as_far_as_known(study, key, launched)
    outcome = launched.outcome
    row = TrialRow(
        **asdict(key),
        position=position,
        started_at=started_at,
        wall_s=outcome.wall_s,
        span_s=outcome.span_s,
        startup_s=outcome.startup_s,
        startup_cpu_s=outcome.startup_cpu_s,
        cpu_s=launched.cpu_s,
        fetch_cpu_s=outcome.fetch_cpu_s,
        origin_cpu_s=outcome.origin_cpu_s,
        python_pss_mb=outcome.python_pss_mb,
        browser_pss_mb=launched.browser_pss_mb,
        machine_cpu=outcome.machine_cpu,
        other_cpu=other_cpu,
        pickling_error=outcome.pickling_error,
        dask_processes=outcome.dask_processes,
        clock_error_s=outcome.clock_error_s,
        retried=outcome.retried,
        failed=sum(item.error is not None for item in outcome.fetches),
        state="failed" if outcome.reason else "ok",
        reason=outcome.reason,
    )
    fetches = [
        FetchRow(**asdict(key), **asdict(_without_secrets(study, fetch)))
        for fetch in _with_workers_numbered(_with_queue_apart(launched))
    ]
    suspended = None if outcome.reason else launched.suspended
    return Measured(fetches, row, outcome.wait_s, suspended)


def _as_far_as_known(study: Study, key: TrialKey, launched: Launched) -> Launched:
    """Return what became of a trial, without CPU and memory where its workers are elsewhere."""
    has_workers_elsewhere = study.scheduler and key.mode in CLUSTERED
    if not has_workers_elsewhere and key.client not in study.at_grid:
        return launched
    outcome = replace(
        launched.outcome,
        startup_cpu_s=None,
        fetch_cpu_s=None,
        python_pss_mb=None,
        machine_cpu=None,
    )
    return replace(launched, outcome=outcome, cpu_s=None, browser_pss_mb=None)


def _with_queue_apart(launched: Launched) -> Sequence[Fetch]:
    """Return the fetches; those with a browser of a Grid tell how long they waited for it."""
    fetches, queued_s = launched.outcome.fetches, launched.queued_s
    if queued_s is None:
        return fetches
    return [_waited(fetch, queued_s.get(fetch.page, 0.0)) for fetch in fetches]


def _waited(fetch: Fetch, seconds: float) -> Fetch:
    if fetch.browser_start_s is None:
        return fetch
    queue_s = min(seconds, fetch.browser_start_s)
    return replace(fetch, queue_s=queue_s, browser_start_s=fetch.browser_start_s - queue_s)


def _without_secrets(study: Study, fetch: Fetch) -> Fetch:
    final_url = fetch.final_url and redacted(fetch.final_url, study.keep_query)
    url = redacted_item(fetch.url, study.keep_query)
    return replace(fetch, url=url, final_url=final_url)


def _with_workers_numbered(fetches: Sequence[Fetch]) -> list[Fetch]:
    """Return the fetches, their workers numbered from 1 in the order in which they began."""
    workers = dict.fromkeys(item.worker for item in sorted(fetches, key=lambda item: item.start_s))
    numbers = {worker: number for number, worker in enumerate(workers, start=1)}
    return [replace(item, worker=numbers[item.worker]) for item in fetches]
