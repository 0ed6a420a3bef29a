"""The CPU of a trial and of its origin, measured by real trials: never more than was used."""

import subprocess
import sys

import psutil
import pytest

from experiment import load, process_tree
from experiment.analysis import summary
from experiment.measure import launch, plans, sources
from experiment.measure.cpu_used import CpuUsed
from experiment.measure.launch import Launched
from experiment.measure.machine import cores
from experiment.records import TrialKey
from experiment.study import PROJECT, Study
from experiment.vocabulary import ClientName, Mode
from tests.conftest import need


def launched(client: ClientName, mode: Mode, pages: int, latency: float) -> tuple[Launched, float]:
    """Return a trial of the embedded origin, and the CPU (s) that this used from start to end."""
    study = Study(clients=(client,), pages=pages, latency=latency)
    size = 1 if mode == "serial" else 4
    key = TrialKey(arm="main", client=client, mode=mode, pool_size=size, round=1, repeat=1)
    with sources.open_source(study, []) as source:
        assert source.process_id is not None
        origin = psutil.Process(source.process_id)
        before_s = process_tree.cpu_s(origin)
        ended = launch.launch(plans.of_trial(study, {(study.tls, study.latency): source}, key))
        return ended, process_tree.cpu_s(origin) - before_s


@pytest.mark.parametrize(
    ("client", "mode", "pages"),
    [
        ("requests", "serial", 60),
        ("requests", "threads", 100),
        ("requests", "processes", 100),
        ("phantomjs", "processes", 12),
        ("chrome", "threads", 8),
    ],
)
def test_fetches_use_what_is_counted_at_least(client: ClientName, mode: Mode, pages: int) -> None:
    """Most of the CPU of a trial is used while it fetches, by its browsers too."""
    need(client)
    ended, origin_s = launched(client, mode, pages, latency=0.0)
    outcome = ended.outcome
    assert outcome.reason is None
    assert ended.cpu_s is not None
    assert outcome.startup_cpu_s is not None
    assert outcome.fetch_cpu_s is not None
    assert outcome.span_s is not None
    after_startup_s = ended.cpu_s - outcome.startup_cpu_s
    assert 0.5 * after_startup_s < outcome.fetch_cpu_s < after_startup_s
    assert outcome.fetch_cpu_s <= cores() * outcome.span_s
    assert outcome.origin_cpu_s is not None
    assert 0.5 * origin_s < outcome.origin_cpu_s <= origin_s


def test_what_is_used_before_and_after_the_fetches_does_not_count() -> None:
    """Two pages that take a second each use next to no CPU; the pool's start and end use more."""
    ended, _ = launched("requests", "processes", pages=2, latency=5.0)
    assert ended.cpu_s is not None
    assert ended.outcome.fetch_cpu_s is not None
    assert ended.outcome.fetch_cpu_s < 0.2 < ended.cpu_s


def test_what_may_have_been_used_outside_the_fetches_does_not_count() -> None:
    """Both cores may have been busy in the 0.2 s between the readings that were no fetches."""
    before = CpuUsed(trial_s=1.0, origin_s=0.1, begun_s=7.0, ended_s=7.1)
    after = CpuUsed(trial_s=2.5, origin_s=0.4, begun_s=8.1, ended_s=8.2)
    used = before.until(after, span_s=1.0, cores=2)
    assert used.trial_s == pytest.approx(2.5 - 1.0 - 2 * 0.2)
    assert used.origin_s == pytest.approx(0.3)
    assert before.until(after, span_s=1.0, cores=64).trial_s == 0.0


BURNING = """
import psutil, resource, subprocess, sys, time
from experiment import process_tree
process_tree.adopt_orphans()
burn = "import time\\nwhile time.process_time() < 0.2: pass\\n"
wait_for_it = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])\\n"
leave_it = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]])\\n"
for first in (wait_for_it + burn + "input()", leave_it + burn):
    subprocess.Popen([sys.executable, "-c", first, burn], stdin=subprocess.PIPE)
limit = time.monotonic() + 20
while (counted_s := process_tree.cpu_below_s(psutil.Process())) < 0.77 and time.monotonic() < limit:
    time.sleep(0.05)
process_tree.end_children()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(counted_s, used.ru_utime + used.ru_stime)
"""
"""Burn 0.2 s of CPU in a child, in one that it waited for, in one that ended, in its orphan."""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a child subreaper (Linux)")
def test_the_cpu_of_children_counts_wherever_they_are() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BURNING],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    counted_s, used_s = map(float, ended.stdout.split())
    assert 0.77 <= counted_s <= used_s  # ticks of children that were waited for are rounded down


@pytest.mark.parametrize("name", ["reference", "reference-sweep", "reference-tls-off"])
def test_no_trial_that_was_measured_beats_its_lower_bounds(name: str) -> None:
    results = load(PROJECT / "data" / name)
    fetches = results.complete_fetches
    assert (fetches["fetch_s"] * 1000 > fetches["planned_ms"]).all()
    trials = results.main_trials[results.main_trials["complete"]]
    for rows in (trials, results.rounds):
        bounds = summary.bounds(rows, results.cores)
        assert bounds["waiting_s"].notna().all()
        for bound in ("waiting_s", "cpu_s"):
            assert not (rows["span_s"] < bounds[bound]).any(), bound
