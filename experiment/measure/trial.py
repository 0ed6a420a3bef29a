"""Run one trial: a client in a mode fetches all the pages of its round, or a control works.

Run as a program in a fresh interpreter, so that no trial inherits anything from another and no
pool is forked from a process that runs threads, as a Jupyter kernel does. A worker that is spawned
imports this module again: what the clients do not need is imported once the pool is ready.
"""

import functools
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType

from experiment import process_tree
from experiment.fetches import Fetch, Page
from experiment.measure import clients, controls, cpu_used
from experiment.measure.clients import base
from experiment.measure.modes import WatchedPool, workers
from experiment.measure.rate_limit import RateLimiter
from experiment.measure.shortages import shortage
from experiment.measure.worker import WorkerDied
from experiment.vocabulary import AWAITED, Arm, ClientName, Mode, StartMethod


@dataclass(frozen=True)
class Plan:
    """What a trial is to do; arms `cpu` and `startup` have no client and no pages."""

    arm: Arm
    client: ClientName | None
    mode: Mode
    pool_size: int
    chunk_size: int | None
    start_method: StartMethod | None
    timeout_s: float
    settings: base.ClientSettings
    starts_a_second: float | None
    pages: Sequence[Page]
    cores: int
    seed: str
    origin: int | None = None
    """The process of the embedded origin that it fetches from."""
    scheduler: str | None = None
    """The address of Dask's scheduler; without one, mode `dask` makes a cluster for the trial."""

    @classmethod
    def read(cls, path: Path) -> "Plan":
        """Read a plan that its runner wrote, without pydantic."""
        values = json.loads(path.read_text())
        values["settings"] = base.ClientSettings(**values["settings"])
        values["pages"] = [Page(**page) for page in values["pages"]]
        return cls(**values)


@dataclass(frozen=True)
class Outcome:
    """What a trial measured; one that failed says why and has no fetches."""

    fetches: Sequence[Fetch] = ()
    blocks: Mapping[Mode, controls.Block] = field(default_factory=dict)
    span_s: float | None = None
    pickling_error: str | None = None
    wall_s: float | None = None
    startup_s: float | None = None
    startup_cpu_s: float | None = None
    fetch_cpu_s: float | None = None
    origin_cpu_s: float | None = None
    python_pss_mb: float | None = None
    machine_cpu: float | None = None
    wait_s: float = 0.0
    stopped: bool = False
    reason: str | None = None
    dask_processes: int | None = None
    clock_error_s: float | None = None
    retried: int | None = None


Work = Callable[[WatchedPool, float], Outcome]
"""What a trial does with its pool, given the clock when that was ready."""


def measure(plan: Plan, supervisor: int) -> Outcome:
    """Make the pool, wait until it is ready, have it do its work, end it."""
    client = clients.of(plan.client)(plan.timeout_s, plan.settings) if plan.client else None
    prepare, work = _work(plan, client)
    prepare()
    begun = time.perf_counter()
    with workers(plan.mode, plan.pool_size, plan.start_method, prepare) as pool:
        startup_s = time.perf_counter() - begun
        python_pss_mb = process_tree.pss_below_mb()
        before = cpu_used.read(supervisor, plan.origin)
        ready = time.perf_counter()
        outcome = work(pool, ready)
        if outcome.span_s is not None and outcome.fetches:
            during = before.until(
                cpu_used.read(supervisor, plan.origin), outcome.span_s, plan.cores
            )
            outcome = replace(outcome, fetch_cpu_s=during.trial_s, origin_cpu_s=during.origin_s)
        _end(plan, client, pool)
    wall_s = startup_s + time.perf_counter() - ready
    return replace(
        outcome,
        **pool.facts(),
        wall_s=wall_s,
        startup_s=startup_s,
        startup_cpu_s=before.trial_s,
        python_pss_mb=python_pss_mb,
        stopped=pool.stopped,
    )


def _work(plan: Plan, client: base.Client | None) -> tuple[Callable[[], None], Work]:
    """Return what each worker prepares, and what the pool then does."""
    if client is not None:
        rate = plan.starts_a_second
        limiter = RateLimiter(rate, plan.start_method) if rate else None
        prepare = functools.partial(base.begin, client, limiter)
        if plan.scheduler:
            from experiment.measure import cluster  # the other modes need no Dask

            prepare = cluster.begins_elsewhere(client)
        return prepare, lambda pool, ready: _fetch_all(plan, client, limiter, pool, ready)
    if plan.arm == "cpu":
        return controls.nothing, lambda pool, _: Outcome(
            blocks=controls.interleaved(pool, plan.cores, plan.seed)
        )
    return controls.import_clients, lambda pool, _: Outcome(
        pickling_error=controls.pickling_error(pool)
    )


def _fetch_all(
    plan: Plan, client: base.Client, limiter: RateLimiter | None, pool: WatchedPool, ready: float
) -> Outcome:
    import psutil

    psutil.cpu_percent()
    fetch = _awaited().fetch if plan.mode in AWAITED else base.fetch
    fetches = pool.map(functools.partial(fetch, client, ready), plan.pages, plan.chunk_size)
    machine_cpu = psutil.cpu_percent() / 100
    if limiter and limiter.wait_s:
        reason = f"the site refused, and told to wait {limiter.wait_s:.0f} s"
        return Outcome(reason=reason, wait_s=limiter.wait_s)
    first = min(fetch.start_s for fetch in fetches)
    span_s = max(fetch.end_s for fetch in fetches) - first
    return Outcome(fetches, span_s=span_s, machine_cpu=machine_cpu)


def _awaited() -> ModuleType:
    from experiment.measure.clients import tasks  # the other modes need no asyncio

    return tasks


def _end(plan: Plan, client: base.Client | None, pool: WatchedPool) -> None:
    """End what this process keeps from fetch to fetch; worker processes do so when they exit."""
    if client is not None and plan.mode in AWAITED:
        pool.map(functools.partial(_awaited().end, client), [None], None)
    elif client is not None:
        pool.end_everywhere(client.end)
        client.end()


def main() -> None:
    """Run as a program (FOLDER SUPERVISOR): read plan.json, write outcome.json."""
    folder = Path(sys.argv[1])
    supervisor = int(sys.argv[2])
    process_tree.end_with(supervisor, folder)
    plan = Plan.read(folder / "plan.json")
    try:
        outcome = measure(plan, supervisor)
    except Exception as failure:
        known = str(failure) if isinstance(failure, WorkerDied | OSError) else None
        retried = failure.retried if isinstance(failure, WorkerDied) else None
        # the system may refuse more workers
        outcome = Outcome(reason=shortage(failure) or known, retried=retried)
        if outcome.reason is None:
            raise
    partial = folder / "outcome.partial"
    partial.write_text(json.dumps(asdict(outcome)))
    partial.replace(folder / "outcome.json")
    left = [thread for thread in threading.enumerate() if not thread.daemon]
    if outcome.reason or left != [threading.main_thread()]:
        os._exit(0)  # else Python would wait for a broken pool, or for threads of a function


if __name__ == "__main__":
    main()
