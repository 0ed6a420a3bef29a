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
from experiment.vocabulary import ClientName
from tests.conftest import Copy, eventually, need

CLIENTS = [
    pytest.param("requests"),
    pytest.param("phantomjs", marks=pytest.mark.faults),
    pytest.param("chrome", marks=pytest.mark.faults),
]
"""The cheap ones are part of `make test-all`, all of them of `make test-faults`."""

ROUND_TWO = ("--rounds", "2", "--modes", "serial processes")


def command(client: str, *more: str) -> tuple[str, ...]:
    """A sweep, which has no controls, that takes a while: pages wait long enough to be cut."""
    options = ("--pages", "4", "--pool-sizes", "2", "--clients", client, "--reuse", "off")
    return (sys.executable, "-m", "experiment", "run", *options, "--run", "cut", *more)


def words(process: psutil.Process) -> list[str]:
    """The command line of a process; nothing of one that has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def trial_process(copy: Copy) -> psutil.Process | None:
    """The trial that runs, if one does: the workers that it forked have its command line too."""
    trials = {
        item.pid: item for item in copy.processes() if "experiment.measure.trial" in words(item)[:3]
    }
    for process in trials.values():
        with suppress(psutil.Error):
            if process.ppid() not in trials:
                return process
    return None


def busy_tree(copy: Copy, mode: str) -> list[psutil.Process]:
    """What a main trial of a mode has started, once it fetches; empty before."""
    trial = trial_process(copy)
    with suppress(psutil.Error):  # it has just ended
        if trial is not None and is_main(trial, mode):
            return trial.children(recursive=True)
    return []


def is_main(trial: psutil.Process, mode: str) -> bool:
    """Whether a trial is of the main arm and of a mode."""
    with suppress(IndexError, OSError):  # it has just ended
        plan = (Path(words(trial)[3]) / "plan.json").read_text()
        return '"arm":"main"' in plan and f'"mode":"{mode}"' in plan
    return False


def start_second_round(copy: Copy, client: str) -> "subprocess.Popen[str]":
    """A study whose first round is finished and whose second has browsers at work."""
    process = copy.start(*command(client, *ROUND_TWO))
    folder = copy.path / "data" / "cut"
    assert eventually(lambda: records.rounds_done(folder) == {1}, 90), process.communicate(
        timeout=1
    )
    enough = 2 if client == "requests" else 3
    assert eventually(lambda: len(busy_tree(copy, "processes")) >= enough, 90)
    return process


def assert_it_goes_on(copy: Copy, client: str, kept: str) -> None:
    """The same command finishes the study, and does not touch what was finished."""
    again = copy.run(*command(client, *ROUND_TWO))
    assert again.returncode == 0, again.stderr
    folder = copy.path / "data" / "cut"
    assert records.rounds_done(folder) == {1, 2}
    assert (folder / "fetches.csv").read_text().startswith(kept)
    copy.assert_nothing_left()


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.faults),
        (signal.SIGKILL, -9),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.faults),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.faults),
    ],
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
    assert set(load(folder).trials["round"]) == {1}
    if number is signal.SIGINT:
        out = process.communicate()[1]
        assert "interrupted: finished rounds are kept; the same command goes on" in out
        assert "Traceback" not in out
    assert_it_goes_on(copy, client, kept)


@pytest.mark.faults
@pytest.mark.parametrize("client", CLIENTS)
def test_a_second_ctrl_c_ends_no_worse_than_one(copy: Copy, client: ClientName) -> None:
    need(client)
    process = start_second_round(copy, client)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=15) in (130, -2)
    copy.assert_nothing_left()
    kept = (copy.path / "data" / "cut" / "fetches.csv").read_text()
    assert set(load(copy.path / "data" / "cut").trials["round"]) == {1}
    assert_it_goes_on(copy, client, kept)


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS)
def test_a_disk_that_is_full_is_one_line_and_keeps_what_there_is(
    copy: Copy, client: ClientName
) -> None:
    need(client)
    process = start_second_round(copy, client)
    folder = copy.path / "data" / "cut"
    kept = (folder / "fetches.csv").read_text()
    limit_files(process, len(kept) + 100)
    _, err = process.communicate(timeout=15)
    assert_it_says(process.returncode, err, folder)
    assert (folder / "fetches.csv").read_text() == kept
    assert sorted(path.name for path in folder.iterdir()) == [
        "fetches.csv", "run.json", "trials.csv",
    ]  # fmt: skip
    assert_it_goes_on(copy, client, kept)


@pytest.mark.faults
@pytest.mark.parametrize("client", CLIENTS)
def test_a_folder_that_is_locked_in_mid_study_is_one_line(copy: Copy, client: ClientName) -> None:
    need(client)
    process = start_second_round(copy, client)
    folder = copy.path / "data" / "cut"
    kept = (folder / "fetches.csv").read_text()
    lock(folder)
    try:
        _, err = process.communicate(timeout=90)
    finally:
        unlock(folder)
    assert_it_says(process.returncode, err, folder)
    assert (folder / "fetches.csv").read_text() == kept
    assert_it_goes_on(copy, client, kept)


def limit_files(process: "subprocess.Popen[str]", limit: int) -> None:
    """Limit the size of the runner's files (bytes) until it ends; its trials inherit no limit."""
    runner = psutil.Process(process.pid)
    kind = psutil.RLIMIT_FSIZE
    _, unlimited = runner.rlimit(kind)
    runner.rlimit(kind, (limit, unlimited))
    while process.poll() is None:
        with suppress(psutil.Error):  # it has just ended
            for trial in runner.children():
                trial.rlimit(kind, (unlimited, unlimited))
        time.sleep(0.01)


def assert_it_says(status: int, err: str, folder: Path) -> None:
    """That the run's folder cannot be written, in the last line and without a traceback."""
    assert status == 2
    line = err.rstrip().splitlines()[-1]
    assert line.startswith(f"error: run: {folder} cannot be written: ")
    assert "Traceback" not in err


def lock(folder: Path) -> None:
    """Let nobody write into a folder; root is stopped by nothing less than another folder."""
    if os.geteuid() == 0:
        folder.rename(folder.with_name("aside"))
        folder.write_text("no folder")
    else:
        folder.chmod(0o555)


def unlock(folder: Path) -> None:
    """As it was before."""
    if os.geteuid() == 0:
        folder.unlink()
        folder.with_name("aside").rename(folder)
    else:
        folder.chmod(0o755)


@pytest.mark.parametrize(
    ("client", "victim", "mode"),
    [
        ("requests", "worker", "processes"),
        pytest.param("phantomjs", "supervisor", "threads", marks=pytest.mark.slow),
        pytest.param("chrome", "supervisor", "processes", marks=pytest.mark.faults),
        *(
            pytest.param(client, victim, mode, marks=pytest.mark.faults)
            for client, victim, mode in (
                ("requests", "trial", "serial"),
                ("requests", "supervisor", "threads"),
                ("phantomjs", "worker", "processes"),
                ("phantomjs", "trial", "processes"),
                ("requests", "supervisor", "processes"),
                ("phantomjs", "trial", "serial"),
                ("phantomjs", "supervisor", "processes"),
                ("chrome", "worker", "processes"),
                ("chrome", "trial", "processes"),
                ("chrome", "supervisor", "threads"),
                ("chrome", "trial", "serial"),
            )
        ),
    ],
)
def test_a_trial_that_is_killed_fails_within_seconds_and_the_study_goes_on(
    copy: Copy, client: ClientName, victim: str, mode: str
) -> None:
    need(client)
    other = "threads" if mode == "serial" else "serial"
    modes = ("--modes", f"{mode} {other}", "--repeats", "1")
    process = copy.start(*command(client, "--rounds", "1", "--latency", "4", *modes))
    trial = at_work(copy, client, mode)
    supervisor = trial.parent()
    assert supervisor is not None
    victims = {"trial": trial, "supervisor": supervisor}
    victims.get(victim, trial.children()[0] if victim == "worker" else trial).kill()
    begun = time.monotonic()
    assert eventually(lambda: not trial.is_running() or trial.status() == "zombie", 5)
    assert time.monotonic() - begun < 5
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    fetches, trials = records.load(copy.path / "data" / "cut")
    rows = trials[trials["arm"] == "main"].set_index("mode")
    assert rows.loc[mode, "state"] == "failed"
    reasons = {
        "worker": "a worker process ended with exit code -9",
        "trial": "it was ended by SIGKILL",
        "supervisor": "its supervisor was killed",
    }
    assert rows.loc[mode, "reason"] == reasons[victim]
    assert rows.loc[other, "state"] == "ok"
    assert set(fetches.loc[fetches["arm"] == "main", "mode"]) == {other}
    copy.assert_nothing_left()


def at_work(copy: Copy, client: str, mode: str) -> psutil.Process:
    """A main trial of a mode whose workers, and what they drive, are there."""
    workers = 2 if mode == "processes" else 0
    driven = 0 if client == "requests" else 1 if mode == "serial" else 2

    def trial() -> psutil.Process | None:
        """The trial, once it has all of its tree."""
        begun = (copy.path / "data" / "cut" / "run.json").exists()  # clients have been tried out
        enough = begun and len(busy_tree(copy, mode)) >= workers + driven
        found = trial_process(copy) if enough else None
        return found if found and is_main(found, mode) else None

    found, limit = None, time.monotonic() + 90
    while found is None and time.monotonic() < limit:
        found = trial()
        time.sleep(0.05)
    assert found is not None
    time.sleep(0.3)  # a worker that is killed before it has begun is replaced at no loss
    return found


@pytest.mark.faults
@pytest.mark.parametrize(
    ("client", "name"),
    [
        ("phantomjs", "phantomjs"),
        pytest.param("chrome", "chromedriver", marks=pytest.mark.faults),
        pytest.param("chrome", "chromium", marks=pytest.mark.faults),
    ],
)
@pytest.mark.parametrize("mode", ["threads", pytest.param("serial", marks=pytest.mark.faults)])
def test_a_browser_or_driver_that_dies_is_one_failed_fetch(
    copy: Copy, client: ClientName, name: str, mode: str
) -> None:
    need(client)
    modes = "serial threads"
    process = copy.start(*command(client, "--rounds", "1", "--modes", modes, "--latency", "9"))
    at_work(copy, client, mode)
    time.sleep(0.6)  # the pages are loading: each takes more than a second
    next(item for item in busy_tree(copy, mode) if item.name().startswith(name)).kill()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    fetches, trials = records.load(copy.path / "data" / "cut")
    assert list(fetches["error"].dropna()) == ["browser"]
    assert trials.loc[trials["failed"] > 0, ["mode", "failed"]].to_numpy().tolist() == [[mode, 1]]
    copy.assert_nothing_left()


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS)
def test_an_origin_that_dies_ends_the_study_with_a_line(copy: Copy, client: ClientName) -> None:
    need(client)
    process = copy.start(*command(client, "--rounds", "3"))
    folder = copy.path / "data" / "cut"
    assert eventually(lambda: records.rounds_done(folder) == {1}, 60)
    origins = [item for item in copy.processes() if "experiment.measure.origin" in words(item)]
    assert len(origins) == 1
    origins[0].kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "source: the embedded origin ended" in err
    assert set(load(folder).trials["round"]) >= {1}
    copy.assert_nothing_left()
    assert copy.run(*command(client, "--rounds", "3")).returncode == 0
    assert records.rounds_done(folder) == {1, 2, 3}


@pytest.mark.faults
def test_a_report_that_is_interrupted_while_it_draws_leaves_nothing(copy: Copy) -> None:
    options = ("--pages", "2", "--rounds", "1", "--clients", "requests", "--latency", "0")
    assert copy.experiment("run", *options, "--run", "small").returncode == 0
    process = copy.start(sys.executable, "-m", "experiment", "report", "--run", "small")
    assert eventually(lambda: any("ipykernel" in " ".join(words(p)) for p in copy.processes()), 30)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 130, err
    assert "interrupted: finished rounds are kept" in err
    assert "Traceback" not in err
    assert not list((copy.path / "reports").glob("small*"))
    copy.assert_nothing_left()
