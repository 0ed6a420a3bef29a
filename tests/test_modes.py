"""Modes: one interface, the same results; a worker that dies is noticed."""

import multiprocessing
import multiprocessing.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from experiment.fetches import Page
from experiment.measure.launch import PLAN
from experiment.measure.modes import workers
from experiment.study import PROJECT
from experiment.vocabulary import Mode, StartMethod
from tests.conftest import eventually
from tests.servers import Server
from tests.test_launch import plan_of


def place(number: int) -> tuple[int, int, int]:
    """Where a number was worked on."""
    time.sleep(0.02)
    return number, os.getpid(), threading.get_native_id()


def prepare() -> None:
    """Nothing to prepare."""


def die(number: int) -> int:
    """End the worker at the number 3, as the kernel would."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return number


@pytest.mark.parametrize(
    ("mode", "start_method"),
    [
        ("serial", None),
        ("threads", None),
        ("processes", "fork"),
        ("processes", "spawn"),
        ("processes", "forkserver"),
    ],
)
@pytest.mark.parametrize("chunk_size", [None, 1])
def test_every_mode_gives_the_same_results_in_order(
    mode: Mode, start_method: StartMethod | None, chunk_size: int | None
) -> None:
    with workers(mode, 4, start_method, prepare) as pool:
        results = pool.map(place, range(40), chunk_size)
    assert [number for number, _, _ in results] == list(range(40))
    processes = {process for _, process, _ in results}
    threads = {thread for _, _, thread in results}
    assert len(processes) == (4 if mode == "processes" else 1)
    assert len(threads) == (1 if mode == "serial" else 4)
    assert (os.getpid() in processes) == (mode != "processes")
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
@pytest.mark.parametrize(
    ("begin", "work", "status"),
    [("prepare", "die", "-9"), ("unable", "die", "7"), ("prepare", "die_at_the_end", "9")],
)
def test_a_worker_that_dies_ends_the_work_within_seconds(
    start_method: StartMethod, begin: str, work: str, status: str
) -> None:
    # In a program of its own, which leaves the broken pool at once, as a trial does.
    program = f"""
import os
from experiment.measure.modes import WorkerDied, workers
from tests.test_modes import {begin}, {work}
try:
    with workers("processes", 2, "{start_method}", {begin}) as pool:
        pool.map({work}, range(20), None)
except WorkerDied as death:
    print(death, flush=True)
os._exit(0)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    said = {f"a worker process ended with exit code {status}\n"}
    assert ended.stdout in said | (
        {"a worker process ended at once\n"} if begin == "unable" else set()
    )


def die_at_the_end(number: int) -> int:
    """Do the work, but end the worker badly when it is told to finish."""
    multiprocessing.util.Finalize(None, os._exit, args=(9,), exitpriority=100)
    return number


def unable() -> None:
    """End the worker before it is ready."""
    os._exit(7)


SPAWNED = """
import functools
from experiment.measure import clients, controls
from experiment.measure.clients import base
from experiment.measure.modes import workers
client = clients.of("requests")(10, base.ClientSettings())
begin = functools.partial(base.begin, client, None)
with workers("processes", 1, "{start_method}", {prepare}) as pool:
    print(*pool.map(eval, ["' '.join(__import__('sys').modules)"], None))
"""
"""Print which modules a worker has, once it is ready."""


@pytest.mark.parametrize("start_method", ["spawn", "forkserver"])
@pytest.mark.parametrize(
    ("prepare", "needed"),
    [("begin", {"requests"}), ("controls.import_clients", {"requests", "selenium"})],
)
def test_a_worker_imports_what_its_client_needs_and_no_more(
    start_method: StartMethod, prepare: str, needed: set[str]
) -> None:
    program = SPAWNED.format(start_method=start_method, prepare=prepare)
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    imported = {name.partition(".")[0] for name in ended.stdout.split()}
    watched = {"requests", "selenium", "pydantic", "psutil", "pandas", "numpy"}
    assert imported & watched == needed


@pytest.mark.parametrize("start_method", ["spawn", "forkserver"])
def test_the_program_of_a_trial_adds_nothing_to_its_workers(
    start_method: StartMethod, server: Server, tmp_path: Path
) -> None:
    plan = replace(
        plan_of(server.url("silent")),
        mode="processes",
        pool_size=2,
        start_method=start_method,
        pages=[Page(number, server.url("silent")) for number in (1, 2)],
    )
    (tmp_path / "plan.json").write_bytes(PLAN.dump_json(plan))
    command = [sys.executable, "-m", "experiment.measure.trial", str(tmp_path), str(os.getpid())]
    trial = subprocess.Popen(command, cwd=PROJECT)
    try:
        assert eventually(lambda: len(server.asked) == 2, 30)
        libraries = [
            Path(f"/proc/{process.pid}/maps").read_text()
            for process in psutil.Process(trial.pid).children(recursive=True)
        ]
    finally:
        server.ended.set()
        trial.wait()
    assert sum("_ssl." in text for text in libraries) == 2
    assert not any(re.search("pydantic_core|_psutil", text) for text in libraries)
