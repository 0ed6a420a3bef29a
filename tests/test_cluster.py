"""Dask as a mode: a cluster made for a trial, a scheduler that is there, clocks, deaths."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import distributed
import numpy as np
import pandas as pd
import psutil
import pytest

import experiment
from experiment.analysis import engine
from experiment.analysis.results import RunResults
from experiment.errors import UserError
from experiment.measure import cluster
from experiment.report import engine as said
from experiment.report import figures
from experiment.study import PROJECT, Study
from tests import made_up
from tests.conftest import Copy, eventually
from tests.made_up import World, even

QUICK = ("--clients", "requests", "--rounds", "1", "--run", "own")
OPEN_DOORS = """
import distributed

def doors(item):
    return distributed.get_worker().scheduler.address.partition(":")[0]
"""
WITHOUT_CONTROLS = ("--clients", "examples.httpx2_shared:fetch", *QUICK[2:])
OWN_CLOCK = ("unshare", "--time", "--monotonic", "5000", "--fork", "--kill-child")
"""A time namespace, whose monotonic clock is 5000 s ahead."""


def test_a_pool_is_made_of_whole_workers() -> None:
    assert cluster.shape(10, 2) == (2, 5)
    assert cluster.shape(7, 2) == (1, 7)
    assert cluster.shape(3, 8) == (3, 1)
    assert cluster.chosen({"a": 3, "b": 2, "c": 2}, 5) == ["a", "b"]
    assert cluster.chosen({"a": 3, "b": 2}, 4) == []
    assert cluster.chosen({"a": 3, "b": 2, "c": 2}, 4) == ["b", "c"]
    assert cluster.chosen({}, 1) == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"scheduler": "tcp://here:8786"}, "scheduler: tcp://here:8786 has no use here; it goes"),
        ({"origin_host": "192.0.2.1"}, "origin_host: 192.0.2.1 has no use here; it goes with a"),
        ({"origin_host": "here"}, "origin_host: here is not an IPv4 address of this machine"),
        ({"scheduler": "here"}, "scheduler: here is not an address such as tcp://192.0.2.1:8786"),
        (
            {"modes": "dask", "source": "wikipedia", "contact": "you@example.org", "pool_size": 5},
            "modes: dask cannot be used with source=wikipedia",
        ),
    ],
)
def test_what_is_wrong_with_a_scheduler_is_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as caught:
        Study.of(values)
    assert str(caught.value).startswith(words)


def test_a_cluster_of_its_own_fetches_each_page_once(copy: Copy) -> None:
    asked = ("--modes", "serial processes dask", "--pages", "12", "--pool-size", "4")
    ended = copy.experiment("run", *QUICK, *asked, "--latency", "0.1", "--reuse", "on")
    assert ended.returncode == 0, ended.stderr
    results = experiment.load(copy.path / "data" / "own")
    fetches = results.fetches.query("arm == 'main' and mode == 'dask'")
    assert sorted(fetches["page"]) == list(range(1, 13))
    assert fetches["error"].isna().all()
    assert set(fetches["worker"]) == {1, 2, 3, 4}
    [trial] = results.main_trials.query("mode == 'dask'").to_dict("records")
    assert trial["dask_processes"] == cluster.shape(4, results.cores or 1)[0]
    assert (trial["clock_error_s"], trial["retried"]) == (0, 0)
    assert trial["cpu_s"] > trial["startup_cpu_s"] > 0
    assert "distributed" in results.run.machine.packages
    copy.assert_nothing_left()


@pytest.mark.slow
def test_a_cluster_without_a_network_of_its_own_asks_for_a_key(copy: Copy) -> None:
    (copy.path / "mine.py").write_text(OPEN_DOORS)
    (copy.path / "items.txt").write_text("a\nb\n")
    asked = ("--clients", "mine:doors", "--modes", "dask", "--pages", "2", "--pool-size", "2")
    ended = copy.experiment("run", *asked, "--rounds", "1", "--source", "items.txt", "--run", "own")
    assert ended.returncode == 0, ended.stderr
    fetches = experiment.load(copy.path / "data" / "own").fetches
    assert fetches["error"].isna().all()
    assert set(fetches["sha256"]) == {hashlib.sha256(b"tls").hexdigest()}
    copy.assert_nothing_left()


def workers_made(copy: Copy) -> list[psutil.Process]:
    """The processes of Dask in which a trial has its tasks run."""
    found = []
    for process in copy.processes():
        with suppress(psutil.Error):
            found += [process] if any("spawn_main" in it for it in process.cmdline()) else []
    return found


@pytest.mark.slow
def test_a_dead_worker_fails_its_trial_and_its_tasks_are_counted(copy: Copy) -> None:
    asked = ("--modes", "dask", "--pages", "60", "--pool-size", "4", "--latency", "3")
    running = copy.start(sys.executable, "-m", "experiment", "run", *WITHOUT_CONTROLS, *asked)
    seen = len(workers_made(copy))
    assert eventually(lambda: len(workers_made(copy)) >= max(1, seen), 60)
    time.sleep(4)  # they fetch by now
    workers_made(copy)[0].kill()
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    results = experiment.load(copy.path / "data" / "own")
    [trial] = results.trials.query("arm == 'main'").to_dict("records")
    assert trial["state"] == "failed"
    assert trial["reason"].startswith("a worker of Dask ended (tcp://127.0.0.1:")
    assert trial["retried"] > 0
    assert results.fetches.query("arm == 'main'").empty
    copy.assert_nothing_left()


class Servers:
    """A scheduler of Dask on 127.0.0.1, and workers of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)
        )
        assert eventually(file.exists, 60)
        self.address = json.loads(file.read_text())["address"]

    def _start(self, what: str, *arguments: str, before: tuple[str, ...] = (), **own: str) -> None:
        command = (*before, sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments)
        with (self.folder / f"{what}-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--no-dashboard"],
                cwd=PROJECT,
                env={**os.environ, **own, "DASK_TEMPORARY_DIRECTORY": str(self.folder)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)

    def add_worker(self, threads: int, before: tuple[str, ...] = (), **own: str) -> None:
        """Start a worker, and wait until the scheduler has it."""
        arguments = (self.address, "--no-nanny", "--nthreads", str(threads), "--host", "127.0.0.1")
        self._start("worker", *arguments, before=before, **own)
        wanted = len(self.processes) - 1
        with distributed.Client(self.address) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(wanted, timeout=60)

    def end(self) -> None:
        """End them all."""
        for process in reversed(self.processes):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait(20)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """A scheduler that is there before the study."""
    folder = tmp_path / "dask"
    folder.mkdir()
    running = Servers(folder)
    try:
        yield running
    finally:
        running.end()


def can_shift_clocks() -> bool:
    """Whether this user may make a time namespace."""
    command = [*OWN_CLOCK, "true"]
    return (
        shutil.which("unshare") is not None and not subprocess.run(command, check=False).returncode
    )


@pytest.mark.slow
def test_workers_have_their_own_clocks_and_files_and_the_fetches_one_clock(
    copy: Copy, servers: Servers
) -> None:
    if not can_shift_clocks():
        assert os.environ.get("CI") != "true" or os.geteuid() != 0
        pytest.skip("needs a time namespace (Linux, root)")
    hide = ("sh", "-c", 'mount -t tmpfs tmpfs "$0" && exec "$@"', str(copy.temporary))
    servers.add_worker(3, before=(*OWN_CLOCK, "--mount", *hide))
    servers.add_worker(2)
    asked = ("--modes", "dask", "--pages", "20", "--pool-size", "5", "--latency", "0.5")
    where = ("--scheduler", servers.address, "--origin-host", "127.0.0.2")
    ended = copy.experiment("run", *QUICK, *asked, *where)
    assert ended.returncode == 0, ended.stderr
    results = experiment.load(copy.path / "data" / "own")
    fetches = results.fetches.query("arm == 'main' and mode == 'dask'")
    assert sorted(fetches["page"]) == list(range(1, 21))
    assert fetches["url"].str.startswith("https://127.0.0.2:").all()
    assert fetches["error"].isna().all()
    assert set(fetches["worker"]) == {1, 2, 3, 4, 5}
    assert fetches["end_s"].max() < 30
    assert np.allclose(fetches["end_s"] - fetches["start_s"], fetches["fetch_s"], atol=1e-5)
    [trial] = results.main_trials.query("mode == 'dask'").to_dict("records")
    assert 0 < trial["clock_error_s"] < 1
    assert trial["dask_processes"] == 2
    assert pd.isna(trial["fetch_cpu_s"])
    assert pd.isna(trial["python_pss_mb"])


@pytest.mark.slow
def test_a_scheduler_that_cannot_be_used_is_refused_by_what_differs(
    copy: Copy, servers: Servers
) -> None:
    asked = ("run", *QUICK, "--modes", "serial dask", "--pages", "4", "--pool-size")
    ended = copy.experiment(*asked, "2", "--scheduler", "tcp://127.0.0.1:9")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: scheduler: nothing answers at tcp://127.0.0.1:9; start")
    ended = copy.experiment(
        *asked, "2", "--scheduler", servers.address, "--origin-host", "203.0.113.9"
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: origin_host: 203.0.113.9 is no address on which this")
    older = servers.folder / "older" / "requests-0.0.1.dist-info"
    older.mkdir(parents=True)
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: requests\nVersion: 0.0.1\n")
    servers.add_worker(2, PYTHONPATH=str(older.parent))
    ended = copy.experiment(*asked, "3", "--scheduler", servers.address)
    assert ended.returncode == 2
    assert "pool_size: 3 threads cannot be had from whole workers at tcp" in ended.stderr
    assert "which have these threads each: 2" in ended.stderr
    ended = copy.experiment(*asked, "2", "--scheduler", servers.address)
    assert ended.returncode == 2
    assert " has requests 0.0.1, and this machine has " in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not (copy.path / "data" / "own").exists()


@pytest.mark.faults
def test_workers_need_the_same_function_and_import_it_anew(copy: Copy, servers: Servers) -> None:
    there = servers.folder / "there"
    there.mkdir()
    servers.add_worker(2, PYTHONPATH=str(there))
    own = copy.path / "mine.py"
    own.write_text("def length(item):\n    return item * 2\n")
    asked = ("--clients", "mine:length", "--modes", "dask", "--pages", "2", "--pool-size", "2")
    where = ("--rounds", "1", "--scheduler", servers.address, "--source", "items.txt")
    (copy.path / "items.txt").write_text("a\nbb\n")
    ended = copy.experiment("run", *asked, *where, "--run", "absent")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: clients: mine:length of the worker tcp://127.0.0.1:")
    assert "cannot import it; the same mine.py must be there" in ended.stderr
    shutil.copy(own, there)
    for times, name in ((2, "first"), (3, "second")):
        text = f"def length(item):\n    return item * {times}  # {name}\n"
        own.write_text(text)
        (there / "mine.py").write_text(text)
        ended = copy.experiment("run", *asked, *where, "--run", name)
        assert ended.returncode == 0, ended.stderr
        fetches = experiment.load(copy.path / "data" / name).fetches
        assert sorted(fetches["length"]) == [times, 2 * times]
    own.write_text("def length(item):\n    return item\n")
    ended = copy.experiment("run", *asked, *where, "--run", "third")
    assert ended.returncode == 2
    assert " differs; the same mine.py must be there" in ended.stderr


@pytest.mark.faults
def test_a_scheduler_that_ends_fails_the_trial(copy: Copy, servers: Servers) -> None:
    servers.add_worker(2)
    asked = ("--modes", "dask", "--pages", "60", "--pool-size", "2", "--latency", "3")
    options = (*WITHOUT_CONTROLS, *asked, "--scheduler", servers.address)
    running = copy.start(sys.executable, "-m", "experiment", "run", *options)
    assert running.stderr is not None
    assert "measuring own" in running.stderr.readline()
    time.sleep(5)
    servers.processes[0].kill()
    _, errors = running.communicate(timeout=100)
    assert running.returncode == 0, errors
    trials = experiment.load(copy.path / "data" / "own").trials
    reasons = set(trials.query("arm == 'main'")["reason"])
    assert reasons <= {"the scheduler of Dask ended"}
    copy.assert_nothing_left()


def made_up_run(folder: Path, pages: int = 20, **world: float) -> RunResults:
    """A made-up run with Dask."""
    modes = ("serial", "threads", "processes", "dask")
    study = Study(clients=("requests",), modes=modes, pages=pages, rounds=4)
    return experiment.load(made_up.write(folder / "run", study, World(even(study, **world))))


def test_the_report_says_what_the_engine_costs(tmp_path: Path) -> None:
    results = made_up_run(tmp_path, dask=1.2)
    [cost] = engine.costs(results)
    assert cost.ratio.value == pytest.approx(1.2, rel=0.05)
    words = said.section(results)
    assert words.startswith("## Would another machine help?")
    assert "**requests, 10 workers: " in words
    assert "an engine adds no cores" in words
    assert "<td>dask</td>" in said.table(results)
    figure = figures.drawn(figures.engine_cost, results)
    assert figure is not None
    assert [it.get_text() for it in figure.axes[0].get_yticklabels()] == [
        "threads", "processes", "dask",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pages", "pool"),
    [(20, "as the pool did."), (100, "a pool hands out chunks")],
)
def test_the_report_says_whether_the_pool_had_chunks(tmp_path: Path, pages: int, pool: str) -> None:
    words = said.section(made_up_run(tmp_path, pages))
    assert "It hands out one page at a time" in words
    assert pool in words


def test_a_run_without_an_engine_has_no_section_on_it() -> None:
    results = experiment.load(PROJECT / "data" / "reference")
    assert said.section(results) == said.table(results) == ""
    assert figures.drawn(figures.engine_cost, results) is None


def test_the_documentation_says_what_the_engine_cost_here() -> None:
    [cost] = engine.costs(experiment.load(PROJECT / "data" / "reference-dask"))
    words = " ".join((PROJECT / "docs" / "machines.md").read_text().split())
    ratio = f"{cost.ratio.shown} times as long as processes{cost.ratio.beside}".replace("\xa0", " ")
    assert f"Dask took {ratio} once its workers had started" in words
    starts = (cost.startups_s[mode].shown for mode in ("dask", "processes"))
    assert "Starting them took {} s (processes: {} s)".format(*starts) in words
