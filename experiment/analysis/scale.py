"""Work out what so many pages a day take: workers, machines, and the load of a scheduler."""

import math
from dataclasses import dataclass

import pandas as pd

from experiment.analysis import engine
from experiment.analysis.results import RunResults
from experiment.analysis.summary import digits

DAY_S = 86_400

WAYS = (
    ("requests", "threads", "off"),
    ("requests", "threads", "on"),
    ("aiohttp", "asyncio", "on"),
    ("phantomjs", "threads", "on"),
)
"""The ways that the table shows: client, mode, reuse."""

PAGES_A_DAY = tuple(10**power for power in range(4, 9))

POLITE_STARTS_S = 18.0
"""The requests a second that a study of Wikipedia starts at most (`measure/wikipedia.py`)."""


@dataclass(frozen=True)
class Costs:
    """What a page costs in a way: the time of its fetch, CPU, and the memory that it takes.

    `machine_mb` is that of Python on a machine, `worker_mb` that of the browser of a worker.
    """

    fetch_s: float
    cpu_ms: float
    machine_mb: float
    worker_mb: float


@dataclass(frozen=True)
class Engine:
    """What an engine costs: its own CPU for a task, and the tasks that it hands out a second."""

    task_cpu_ms: float
    tasks_a_second: float


@dataclass(frozen=True)
class Need:
    """What so many pages a day need, if they come evenly and nothing is in reserve.

    `scheduler` is the share of what a scheduler can hand out.
    """

    rate_hz: float
    workers: int
    cores: float
    machines: int
    memory_gb: float
    scheduler: float


def need(pages_a_day: float, costs: Costs, engine_costs: Engine, cores: int) -> Need:
    """Return what pages need on machines of so many cores.

    The workers that are busy are the rate times the duration of a fetch (J. D. C. Little,
    Operations Research 9, 1961, doi:10.1287/opre.9.3.383).
    """
    rate_hz = pages_a_day / DAY_S
    workers = math.ceil(rate_hz * costs.fetch_s)
    busy = rate_hz * (costs.cpu_ms + engine_costs.task_cpu_ms) / 1000
    machines = math.ceil(busy / cores)
    return Need(
        rate_hz=rate_hz,
        workers=workers,
        cores=busy,
        machines=machines,
        memory_gb=(machines * costs.machine_mb + workers * costs.worker_mb) / 1000,
        scheduler=rate_hz / engine_costs.tasks_a_second,
    )


def costs_of(results: RunResults, client: str, mode: str, reuse: str) -> Costs:
    """Return what a page costs in a way that a run measured."""
    ways = results.ways
    own = ways[(ways["client"] == client) & (ways["mode"] == mode) & (ways["reuse"] == reuse)]
    return Costs(
        fetch_s=float(own["fetch_mean_s"].mean()),
        cpu_ms=float(own["fetch_cpu_mean_ms"].mean()),
        machine_mb=float(own["python_pss_mb"].mean()),
        worker_mb=float((own["browser_pss_mb"].fillna(0) / own["pool_size"]).mean()),
    )


def engine_of(at_once: RunResults) -> Engine:
    """Return what the engine costs, from a run of many tasks that return at once."""
    [cost] = engine.costs(at_once)
    rounds = at_once.rounds[at_once.rounds["mode"] == engine.ENGINE]
    return Engine(
        task_cpu_ms=cost.cpu_ms.value,
        tasks_a_second=float((rounds["pages"] / rounds["span_s"]).mean()),
    )


def table(results: RunResults, engine_costs: Engine) -> pd.DataFrame:
    """Return a row for each number of pages a day, a column for each way."""
    cores = results.cores or 1
    rows = []
    for pages in PAGES_A_DAY:
        needs = {way: need(pages, costs_of(results, *way), engine_costs, cores) for way in WAYS}
        first = next(iter(needs.values()))
        rows.append(
            {
                "pages a day": f"{pages:,}",
                "pages/s": digits(first.rate_hz),
                **{_named(*way): _in_words(found) for way, found in needs.items()},
                "scheduler": f"{digits(100 * first.scheduler)} %",
            }
        )
    return pd.DataFrame(rows)


def _named(client: str, mode: str, reuse: str) -> str:
    return f"{client}, {mode}, {'kept' if reuse == 'on' else 'new'}"


def _in_words(found: Need) -> str:
    return f"{found.workers:,} / {found.machines:,} / {digits(found.memory_gb)}"


def as_markdown(rows: pd.DataFrame) -> str:
    """Return a table as Markdown."""
    lines = [list(rows.columns), ["---"] * len(rows.columns), *rows.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
