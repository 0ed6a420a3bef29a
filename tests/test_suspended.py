"""Suspensions: a round in which something was stopped is measured anew, twice at most."""

import json
import os
import signal
import subprocess
import time
from datetime import datetime, timedelta

import psutil
import pytest

from experiment import records
from experiment.analysis.results import RunResults
from experiment.measure.suspension import was_stopped
from experiment.report import sentences
from tests import made_up, test_faults
from tests.conftest import Copy, eventually

pytestmark = pytest.mark.skipif(
    not hasattr(os, "waitid"), reason="needs os.waitid, which macOS has from Python 3.13 on"
)


def start(copy: Copy, mode: str) -> "subprocess.Popen[str]":
    """A study of one round, whose fetches wait long enough to be stopped."""
    options = ("--rounds", "1", "--modes", f"{mode} serial", "--latency", "2")
    return copy.start(*test_faults.command("requests", *options))


def stop_for(process: psutil.Process, seconds: float) -> None:
    """Stop a process by a signal, and let it go on after so many seconds."""
    process.suspend()
    time.sleep(seconds)
    process.resume()


def end(process: "subprocess.Popen[str]") -> str:
    """Wait for the end of a study that goes well; what it said."""
    err = process.communicate(timeout=120)[1]
    assert process.returncode == 0, err
    return str(err)


@pytest.mark.parametrize(
    ("victim", "mode", "seconds", "words"),
    [
        ("worker", "processes", 0.5, "a worker was stopped by a signal"),
        pytest.param(
            "supervisor", "threads", 1.5, "the machine was suspended for 1.", marks=pytest.mark.slow
        ),
        pytest.param(
            "origin",
            "threads",
            0.5,
            "the embedded origin was stopped by a signal",
            marks=pytest.mark.faults,
        ),
    ],
)
def test_a_round_with_a_stop_is_measured_anew(
    copy: Copy, victim: str, mode: str, seconds: float, words: str
) -> None:
    process = start(copy, mode)
    trial = test_faults.at_work(copy, "requests", mode)
    supervisor = trial.parent()
    assert supervisor is not None
    [origin] = [p for p in copy.processes() if "experiment.measure.origin" in test_faults.words(p)]
    victims = {"supervisor": supervisor, "origin": origin}
    stop_for(victims.get(victim) or trial.children()[0], seconds)
    assert f"round 1 is measured anew: {words}" in end(process)
    folder = copy.path / "data" / "cut"
    fetches, trials = records.load(folder)
    run = records.read_run(folder)
    assert run.measured_anew == {1: 1}
    assert list(trials["state"]) == ["ok", "ok"]
    assert (fetches["fetch_s"] * 1000 < fetches["origin_ms"] + 400).all()
    said = sentences.exclusions(RunResults(run, fetches, trials))
    assert "Measured again, since the machine or a process was suspended: round 1 once" in said
    copy.assert_nothing_left()


@pytest.mark.faults
def test_a_trial_that_is_stopped_each_time_fails_in_the_end(copy: Copy) -> None:
    process = start(copy, "threads")
    seen: set[int] = set()
    for _ in range(3):
        assert eventually(lambda: is_new_trial(copy, seen), 60)
        trial = test_faults.at_work(copy, "requests", "threads")
        seen.add(trial.pid)
        stop_for(trial, 0.3)
    end(process)
    folder = copy.path / "data" / "cut"
    fetches, trials = records.load(folder)
    rows = trials.set_index("mode")
    assert records.read_run(folder).measured_anew == {1: 2}
    assert rows["state"].to_dict() == {"threads": "failed", "serial": "ok"}
    assert rows.loc["threads", "reason"] == "the trial was stopped by a signal"
    assert set(fetches["mode"]) == {"serial"}
    copy.assert_nothing_left()


def is_new_trial(copy: Copy, seen: set[int]) -> bool:
    """Whether a trial in threads runs that has not been seen."""
    trial = test_faults.trial_process(copy)
    return trial is not None and trial.pid not in seen and test_faults.is_main(trial, "threads")


@pytest.mark.slow
def test_a_clock_that_was_set_back_leaves_the_end_after_the_start(copy: Copy) -> None:
    options = ("--rounds", "2", "--modes", "serial threads", "--latency", "0")
    end(copy.start(*test_faults.command("requests", *options)))
    folder = copy.path / "data" / "cut"
    made_up.forget_round(folder, 2)
    path = folder / "run.json"
    run = json.loads(path.read_text())
    later = datetime.fromisoformat(run["started_at"]) + timedelta(days=400)
    path.write_text(json.dumps({**run, "started_at": later.isoformat(), "finished_at": None}))
    end(copy.start(*test_faults.command("requests", *options)))
    read = records.read_run(folder)
    assert read.finished_at == read.started_at == later
    assert {row.started_at for row in records.read_trials(folder) if row.round == 2} == {later}


def test_a_stop_is_told_once_and_no_child_is_reaped() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:  # noqa: S607
        assert not was_stopped(child.pid)
        child.send_signal(signal.SIGSTOP)
        assert eventually(lambda: was_stopped(child.pid), 5)
        assert not was_stopped(child.pid)
        child.send_signal(signal.SIGCONT)
        assert eventually(was_stopped, 5)
        child.kill()
        assert eventually(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, 5)
        assert not was_stopped(child.pid)
        assert child.wait(5) == -signal.SIGKILL
    assert not was_stopped(child.pid)
