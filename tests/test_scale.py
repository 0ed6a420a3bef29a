"""What so many pages a day take: docs/machines.md, and Little's law in a simulation."""

import heapq
import math

import experiment
from experiment.analysis import scale
from experiment.analysis.results import RunResults
from experiment.analysis.scale import Costs, Engine, need
from experiment.analysis.summary import digits
from experiment.measure.origin import OriginSettings
from experiment.study import PROJECT


def reference(name: str) -> RunResults:
    """A committed run."""
    return experiment.load(PROJECT / "data" / name)


def longest_wait_s(rate_hz: float, workers: int, delays_s: list[float]) -> float:
    """The longest time that a page waits for a worker, if pages come evenly."""
    free = [0.0] * workers
    waits = []
    for number, delay_s in enumerate(delays_s):
        comes = number / rate_hz
        begins = max(comes, heapq.heappop(free))
        heapq.heappush(free, begins + delay_s)
        waits.append(begins - comes)
    return max(waits)


def test_so_many_workers_keep_up_in_a_simulation_and_fewer_do_not() -> None:
    origin = OriginSettings(seed=1, latency=1.0, tls=True)
    delays_s = [origin.planned_s(1, page) for page in range(20_000)]
    mean_s = math.fsum(delays_s) / len(delays_s)
    for pages_a_day in (10**7, 10**8):
        found = need(pages_a_day, Costs(mean_s, 5, 25, 0), Engine(1, 1000), cores=2)
        enough = math.ceil(found.workers * 1.1)
        assert longest_wait_s(found.rate_hz, enough, delays_s) < 1
        assert longest_wait_s(found.rate_hz, math.floor(found.workers * 0.9), delays_s) > 1


def test_the_need_is_what_the_costs_come_to() -> None:
    found = need(8_640_000, Costs(0.2, 15, 25, 100), Engine(5, 1000), cores=2)
    assert (found.rate_hz, found.workers, found.cores, found.machines) == (100, 20, 2, 1)
    assert found.memory_gb == 2.025
    assert found.scheduler == 0.1


def test_the_documentation_says_what_so_many_pages_take() -> None:
    engine = scale.engine_of(reference("reference-dask-tasks"))
    documented = (PROJECT / "docs" / "machines.md").read_text()
    assert scale.as_markdown(scale.table(reference("reference"), engine)) in documented
    words = " ".join(documented.split())
    assert f"{digits(engine.tasks_a_second)} tasks a second" in words
    assert f"{digits(engine.task_cpu_ms)} ms of CPU a task" in words
    assert f"{scale.POLITE_STARTS_S * scale.DAY_S:,.0f} pages a day" in words
