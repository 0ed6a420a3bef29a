"""Whatever ends a study: finished rounds stay, nothing is left behind, the same command goes on."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from experiment import load, records
from experiment.study import ClientName
from tests.conftest import Copy, eventually, need

BROWSERS = ["phantomjs", "chrome"]


def command(client: str, *more: str) -> tuple[str, ...]:
    """A study that takes a while: pages wait long enough to be interrupted."""
    options = ("--pages", "4", "--pool-size", "2", "--clients", client, "--run", "cut", *more)
    return (sys.executable, "-m", "experiment", "run", *options)


def words(process: psutil.Process) -> list[str]:
    """The command line of a process; nothing of one that has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def trial_process(copy: Copy) -> psutil.Process | None:
    """The trial that runs, if one does: the workers that it forked have its command line too."""
    trials = {item.pid: item for item in copy.processes() if "experiment.trial" in words(item)[:3]}
    for process in trials.values():
        with suppress(psutil.Error):
            if process.ppid() not in trials:
                return process
    return None


def busy_tree(copy: Copy, mode: str) -> list[psutil.Process]:
    """What a main trial of a mode has started, once it fetches; empty before."""
    trial = trial_process(copy)
    with suppress(psutil.Error, IndexError, OSError):  # it has just ended
        if trial is not None:
            plan = (Path(words(trial)[3]) / "plan.json").read_text()
            ours = '"arm":"main"' in plan and f'"mode":"{mode}"' in plan
            return trial.children(recursive=True) if ours else []
    return []


def start_second_round(copy: Copy, client: str) -> "subprocess.Popen[str]":
    """A study whose first round is finished and whose second has browsers at work."""
    process = copy.start(*command(client, "--rounds", "2", "--modes", "threads processes"))
    folder = copy.path / "data" / "cut"
    assert eventually(lambda: records.rounds_done(folder) == {1}, 60), process.communicate(
        timeout=1
    )
    assert eventually(lambda: len(busy_tree(copy, "processes")) >= 3, 60)
    return process


@pytest.mark.parametrize("client", BROWSERS)
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)],
)
def test_a_study_that_is_ended_keeps_its_rounds_and_goes_on(
    copy: Copy, client: ClientName, number: signal.Signals, status: int
) -> None:
    need(client)
    process = start_second_round(copy, client)
    os.killpg(process.pid, number)
    assert process.wait(timeout=15) == status
    copy.assert_nothing_left()
    folder = copy.path / "data" / "cut"
    kept = (folder / "fetches.csv").read_text()
    assert set(load(folder)[1]["round"]) == {1}
    if number is signal.SIGINT:
        out = process.communicate()[1]
        assert "interrupted: finished rounds are kept; the same command goes on" in out
        assert "Traceback" not in out
        again = copy.run(*command(client, "--rounds", "2", "--modes", "threads processes"))
        assert again.returncode == 0, again.stderr
        assert records.rounds_done(folder) == {1, 2}
        assert (folder / "fetches.csv").read_text().startswith(kept)
        copy.assert_nothing_left()


@pytest.mark.parametrize("client", BROWSERS)
@pytest.mark.parametrize(
    ("victim", "mode"),
    [
        ("worker", "processes"),
        ("trial", "processes"),
        ("supervisor", "processes"),
        ("supervisor", "threads"),
    ],
)
def test_a_trial_that_is_killed_fails_within_seconds_and_the_study_goes_on(
    copy: Copy, client: ClientName, victim: str, mode: str
) -> None:
    need(client)
    process = copy.start(*command(client, "--rounds", "1", "--modes", f"{mode} serial"))
    enough = {"threads": 2, "processes": 4}[mode]  # workers and what they drive
    assert eventually(lambda: len(busy_tree(copy, mode)) >= enough, 60)
    trial = trial_process(copy)
    assert trial is not None
    supervisor = trial.parent()
    assert supervisor is not None
    {"worker": trial.children()[0], "trial": trial, "supervisor": supervisor}[victim].kill()
    begun = time.monotonic()
    assert eventually(lambda: not trial.is_running() or trial.status() == "zombie", 5)
    assert time.monotonic() - begun < 5
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    fetches, trials = load(copy.path / "data" / "cut")
    rows = trials[trials["arm"] == "main"].set_index("mode")
    assert rows.loc[mode, "state"] == "failed"
    reasons = {
        "worker": "a worker process ended with exit code -9",
        "trial": "it was ended by SIGKILL",
        "supervisor": "its supervisor was killed",
    }
    assert rows.loc[mode, "reason"] == reasons[victim]
    assert rows.loc["serial", "state"] == "ok"
    assert set(fetches["mode"]) == {"serial"}
    copy.assert_nothing_left()


@pytest.mark.parametrize("client", BROWSERS)
def test_a_browser_that_dies_is_one_failed_fetch(copy: Copy, client: ClientName) -> None:
    need(client)
    process = copy.start(*command(client, "--rounds", "1", "--modes", "threads", "--latency", "9"))
    assert eventually(lambda: len(busy_tree(copy, "threads")) >= 2, 60)
    time.sleep(0.7)  # both pages are loading: each takes more than a second
    children = busy_tree(copy, "threads")
    names = {"phantomjs": "phantomjs", "chrome": "chromium"}
    next(item for item in children if item.name().startswith(names[client])).kill()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    fetches, trials = load(copy.path / "data" / "cut")
    assert list(fetches["error"].dropna()) == ["browser"]
    assert list(trials.loc[trials["arm"] == "main", "failed"]) == [1]
    copy.assert_nothing_left()


def test_an_origin_that_dies_ends_the_study_with_a_line(copy: Copy) -> None:
    process = copy.start(*command("requests", "--rounds", "3"))
    folder = copy.path / "data" / "cut"
    assert eventually(lambda: records.rounds_done(folder) == {1}, 60)
    origins = [item for item in copy.processes() if "experiment.origin" in words(item)]
    assert len(origins) == 2  # one is the control's, without latency
    origins[0].kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "source: the embedded origin ended" in err
    assert set(load(folder)[1]["round"]) >= {1}
    copy.assert_nothing_left()
    assert copy.run(*command("requests", "--rounds", "3")).returncode == 0
    assert records.rounds_done(folder) == {1, 2, 3}


def test_a_report_that_is_interrupted_while_it_draws_leaves_nothing(copy: Copy) -> None:
    options = ("--pages", "2", "--rounds", "1", "--clients", "requests", "--latency", "0")
    assert copy.experiment("run", *options, "--run", "small").returncode == 0
    process = copy.start(sys.executable, "-m", "experiment", "report", "--run", "small")
    assert eventually(lambda: any("ipykernel" in " ".join(words(p)) for p in copy.processes()), 30)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "interrupted: finished rounds are kept" in err
    assert "Traceback" not in err
    assert not list((copy.path / "reports").glob("small*"))
    copy.assert_nothing_left()
