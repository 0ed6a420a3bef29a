"""The controls, done for real in real pools."""

import itertools
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest

from experiment import records
from experiment.analysis import claims
from experiment.analysis.results import RunResults
from experiment.analysis.rules import Verdict
from experiment.measure import controls, launch, machine, plans, rows, schedule
from experiment.measure.controls import Block
from experiment.measure.modes import WatchedPool, workers
from experiment.measure.trial import Plan
from experiment.records import FetchRow, TrialKey, TrialRow
from experiment.study import PROJECT, Study
from experiment.vocabulary import Mode, StartMethod
from tests import made_up
from tests.conftest import eventually


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_a_function_without_wraps_goes_to_threads_only(start_method: StartMethod) -> None:
    with workers("threads", 2, start_method, controls.nothing) as pool:
        assert controls.pickling_error(pool) is None
    with workers("processes", 2, start_method, controls.nothing) as pool:
        error = controls.pickling_error(pool)
    assert error is not None
    assert "wrapper" in error
    assert error.partition(":")[0] in ("AttributeError", "PicklingError")


def test_the_decorators_differ_by_wraps_alone() -> None:
    assert controls.with_wraps(3)[1] == controls.without_wraps(3)[1] == 3
    assert controls.with_wraps.__name__ == "with_wraps"
    assert controls.without_wraps.__name__ == "wrapper"


@pytest.mark.parametrize(("mode", "size"), [("threads", 1), ("threads", 2), ("processes", 2)])
def test_a_block_is_the_same_work_in_every_pool(mode: Mode, size: int) -> None:
    begun = time.process_time()
    controls.square(controls.SQUARES)
    needed_s = time.process_time() - begun
    with workers(mode, size, None, controls.nothing) as pool:
        block = controls.square_all(pool, 2)
        below = len(multiprocessing.active_children())
    # Two workers at once took up to 1.83 times the CPU time of one.
    assert needed_s / 3 < block.cpu_s < needed_s * 3
    assert block.cpu_s / size * 0.8 < block.span_s < 20
    assert below == (size if mode == "processes" else 0)


def test_all_squares_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    def note(count: int) -> tuple[int, float, float, float]:
        """Take down how much was asked for."""
        done.append(count)
        return 0, float(len(done)), len(done) + 0.5, 2.0

    monkeypatch.setattr(controls, "square", note)
    with workers("serial", 1, None, controls.nothing) as pool:
        block = controls.square_all(pool, 3)
    assert block.span_s == pytest.approx(11.5)
    assert block.cpu_s == pytest.approx(24, abs=0.5)  # 12 pieces in another process
    assert len(done) == 12
    assert sum(done) == pytest.approx(controls.SQUARES, abs=12)


def test_the_blocks_of_the_modes_are_interleaved_in_an_order_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orders: dict[str, list[Mode]] = {}
    for seed in ("2018/1", "2018/2", "2018/1"):
        turns: list[Mode] = []

        def block(pool: WatchedPool, cores: int, turns: list[Mode] = turns) -> Block:
            """Note whose turn it is, told by where and how many at once the pool works."""
            pids = pool.map(slow_pid, range(cores * 2), 1)
            threads = {thread for _, thread in pids}
            alone: Mode = "serial" if len(threads) == 1 else "threads"
            turns.append(alone if {pid for pid, _ in pids} == {os.getpid()} else "processes")
            return Block(len(turns), len(turns) * (1.5 if turns[-1] == "processes" else 1.0))

        monkeypatch.setattr(controls, "square_all", block)
        with workers("processes", 2, None, controls.nothing) as processes:
            typical = controls.interleaved(processes, 2, seed)
        assert orders.setdefault(seed, turns) == turns
        threes = Counter(zip(*[iter(turns)] * 3, strict=True))
        assert threes == dict.fromkeys(itertools.permutations(controls.CPU_MODES), 2)
        for mode in controls.CPU_MODES:
            places = [place for place, turn in enumerate(turns, start=1) if turn == mode]
            assert typical[mode].span_s == statistics.median(places)
            cores_used = typical[mode].cpu_s / typical[mode].span_s
            assert cores_used == (1.5 if mode == "processes" else 1.0)
    assert len(set(map(tuple, orders.values()))) == 2


def slow_pid(_: int) -> tuple[int, int]:
    """Return who works, late enough for each worker of a pool to have its share."""
    time.sleep(0.01)
    return os.getpid(), threading.get_ident()


def cpu_launch() -> tuple[Plan, tuple[TrialKey, ...]]:
    """Return the plan of arm `cpu` on two cores, and its trials."""
    [keys] = [keys for keys in schedule.launches(Study(), 1, 2) if keys[0].arm == "cpu"]
    return replace(plans.of_trial(Study(), {}, keys[0]), cores=2), keys


def test_a_launch_of_cpu_work_measures_three_modes() -> None:
    plan, keys = cpu_launch()
    launched = launch.launch(plan)
    assert launched.outcome.reason is None
    cores_used = {}
    for key in keys:
        own = launched.of_mode(key.mode)
        assert own.outcome.span_s is not None
        assert own.outcome.startup_cpu_s is not None
        assert own.cpu_s is not None
        cores_used[key.mode] = (own.cpu_s - own.outcome.startup_cpu_s) / own.outcome.span_s
    assert set(cores_used) == set(controls.CPU_MODES)
    assert 0.2 < cores_used["serial"] < 1.1
    assert 0.2 < cores_used["threads"] < 1.1
    assert cores_used["processes"] < 2.05
    assert launched.cpu_s is not None
    spent_s = sum(block.cpu_s for block in launched.outcome.blocks.values())
    assert launched.cpu_s > spent_s * controls.BLOCKS / 2


def study_of_cpu_work(seed: int, capsys: pytest.CaptureFixture[str]) -> tuple[Verdict, ...]:
    """Measure arm `cpu` alone for five rounds, and return the verdicts on threads and processes."""
    study, measured = Study(seed=seed), []
    for number in range(1, 6):
        everything = schedule.launches(study, number, machine.cores())
        [keys] = [keys for keys in everything if keys[0].arm == "cpu"]
        launched = launch.launch(plans.of_trial(study, {}, keys[0]))
        measured += [
            rows.of_trial(study, key, launched.of_mode(key.mode), 1, made_up.MOMENT, 0.0).row
            for key in keys
        ]
    results = RunResults(
        made_up.run_of(study), records.frame(FetchRow, []), records.frame(TrialRow, measured)
    )
    cells = next(claim for claim in claims.judge(results) if claim.id == "cpu-bound").cells
    with capsys.disabled():
        print(
            f"\n{seed}:",
            *(f"{cell.words} {cell.estimate}: {cell.ruling.verdict}" for cell in cells),
        )
    return tuple(cell.ruling.verdict for cell in cells)


@pytest.mark.calibration
@pytest.mark.timeout(900)
def test_cpu_work_is_decided_in_nine_of_ten_default_studies(
    capsys: pytest.CaptureFixture[str],
) -> None:
    if machine.cores() == 1:
        pytest.skip("needs two cores")
    verdicts = [study_of_cpu_work(seed, capsys) for seed in range(1, 11)]
    assert verdicts.count(("holds", "holds")) >= 9


def workers_of_trial() -> list[psutil.Process]:
    """Return the two worker processes of the trial of arm `cpu` that runs."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            below = process.children()
            if "experiment.measure.trial" in process.cmdline()[:3] and len(below) == 2:
                return below
    return []


@pytest.mark.parametrize(
    ("signals", "reason", "suspended"),
    [
        ((signal.SIGKILL,), "a worker process ended with exit code -9", None),
        ((signal.SIGSTOP, signal.SIGCONT), None, "a worker was stopped by a signal"),
    ],
)
def test_a_worker_that_dies_or_stops_is_noticed_though_others_work(
    signals: tuple[signal.Signals, ...], reason: str | None, suspended: str | None
) -> None:
    with ThreadPoolExecutor() as threads:
        launched = threads.submit(launch.launch, cpu_launch()[0])
        assert eventually(workers_of_trial, 30)
        worker = workers_of_trial()[0]
        for number in signals:
            worker.send_signal(number)
            stopped = number == signal.SIGSTOP
            assert not stopped or eventually(lambda: worker.status() == psutil.STATUS_STOPPED, 5)
        ended = launched.result()
    assert (ended.outcome.reason, ended.suspended) == (reason, suspended)


def test_a_starting_worker_imports_what_a_fetch_needs() -> None:
    program = "import sys; from experiment.measure import controls; controls.import_clients(); "
    program += "print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert {"requests", "selenium.webdriver.remote.webdriver"} <= set(ended.stdout.split())


def test_both_pools_have_public_methods_to_compare() -> None:
    found = controls.interfaces()
    assert set(found) == {"Pool", "ThreadPool"}
    assert "map(self, func, iterable, chunksize=None)" in found["ThreadPool"]
    assert not any(method.startswith("_") for method in found["Pool"])
