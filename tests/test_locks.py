"""Locks, by real processes of real users: one run, and one machine, at a time."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from experiment import load, records
from experiment.errors import UserError
from experiment.measure import locks
from experiment.report import headline
from experiment.study import PROJECT
from tests.conftest import Copy, eventually
from tests.users import as_user, may_run, python_of_all

STUDY = (
    sys.executable, "-m", "experiment", "run", "--pages", "3", "--pool-sizes", "2", "--rounds", "1",
    "--modes", "serial,threads", "--latency", "0.5",
)  # fmt: skip
BUSY = "another study is being measured on this machine"

HOLD = """
import os, sys
from pathlib import Path
from experiment.measure import locks
os.umask(0o077)
if len(sys.argv) > 1:
    locks.OF_MACHINE = Path(sys.argv[1])
with locks.of_machine() as locked:
    print(locked, flush=True)
    sys.stdin.read()
"""
"""Hold the lock of the machine, at another path if one is given, until there is no more input."""

TAKE_TURNS = """
import sys
from pathlib import Path
from experiment.measure import locks
from experiment.errors import UserError
folder, alone, taken = Path(sys.argv[1]), Path(sys.argv[2]), 0
while taken < 100:
    try:
        with locks.of_run(folder):
            alone.mkdir()
            alone.rmdir()
            taken += 1
    except UserError as mistake:
        assert "is being measured by" in str(mistake), mistake
"""
"""Take the lock of a run that does not exist, again and again; fail if another process has it."""


def measuring(copy: Copy, run: str) -> "subprocess.Popen[str]":
    """A study that is being measured, and stands still."""
    process = copy.start(*STUDY, "--run", run)
    there = copy.path / "data" / run / "run.json"
    assert eventually(there.exists, 30), process.communicate(timeout=1)
    process.send_signal(signal.SIGSTOP)
    return process


def test_a_run_is_measured_by_one_process_which_is_named(copy: Copy, tmp_path: Path) -> None:
    first = measuring(copy, "two")
    elsewhere = ("env", f"TMPDIR={tmp_path}")
    second = copy.run(*elsewhere, *STUDY, "--run", "two")
    other = copy.run(*elsewhere, *STUDY, "--run", "other")
    first.kill()
    first.communicate(timeout=20)
    assert second.returncode == 2
    user = pwd.getpwuid(os.getuid()).pw_name
    assert second.stderr.startswith(
        f"error: run: data/two is being measured by process {first.pid} ({user} on "
    )
    assert second.stderr.endswith("UTC); wait until it has ended, or name another run\n")
    assert other.returncode == 2
    assert BUSY in other.stderr
    assert not (copy.path / "data" / "other").exists()

    folder = copy.path / "data" / "two"
    assert str(first.pid) in (folder / locks.OF_RUN).read_text()  # nobody could remove it
    again = copy.run(*elsewhere, *STUDY, "--run", "two")
    assert again.returncode == 0, again.stderr
    assert records.rounds_done(folder) == {1}
    assert sorted(path.name for path in folder.iterdir()) == [
        "fetches.csv", "run.json", "trials.csv",
    ]  # fmt: skip
    copy.assert_nothing_left()


def test_processes_that_make_the_same_run_take_turns(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-c", TAKE_TURNS, str(folder), str(tmp_path / "alone")]
    racing = [subprocess.Popen(command, cwd=PROJECT) for _ in range(3)]
    assert [process.wait(timeout=60) for process in racing] == [0, 0, 0]
    assert not [path for path in tmp_path.rglob("*") if path != folder]


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    with locks.of_run(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [locks.OF_RUN]
    assert list(tmp_path.iterdir()) == []


def test_a_holder_with_an_odd_name_is_named_in_one_line(tmp_path: Path) -> None:
    with locks.of_run(tmp_path):
        (tmp_path / locks.OF_RUN).write_bytes(b"\x1b[2Jme\n\xff" + b"x" * 1000)
        with pytest.raises(UserError) as caught, locks.of_run(tmp_path):
            pass
    assert "is being measured by [2Jme" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.fixture
def users() -> tuple[int, int]:
    """Two users: root, and nobody."""
    return 0, pwd.getpwnam("nobody").pw_uid


@pytest.fixture
def python(shared: Copy) -> str:
    """A Python that both may run."""
    python = python_of_all(shared.path.parent / "environment")
    if not may_run(pwd.getpwnam("nobody").pw_uid, python, shared.path):
        pytest.skip("needs root, setpriv, and packages that all users may read")
    return python


@pytest.fixture
def shared(copy: Copy) -> Iterator[Copy]:
    """A copy of the project that all users may read."""
    with tempfile.TemporaryDirectory(prefix="shared-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "temporary").mkdir()
        (folder / "temporary").chmod(0o1777)
        shutil.copytree(copy.path, folder / "project")
        yield Copy(folder / "project", folder / "temporary")


def holding(shared: Copy, python: str, uid: int, *path: str) -> "subprocess.Popen[str]":
    """A user's process that has the lock of the machine."""
    process = subprocess.Popen(
        [*as_user(uid), python, "-c", HOLD, *path],
        cwd=shared.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


@pytest.mark.parametrize("first", [0, 1])
def test_users_share_the_lock_of_the_machine(
    users: tuple[int, int], shared: Copy, python: str, first: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o1777)
        path = str(Path(name) / "lock")
        one, other = users[first], users[1 - first]
        holder = holding(shared, python, one, path)
        command = [*as_user(other), python, "-c", HOLD, path]
        refused = subprocess.run(
            command, cwd=shared.path, capture_output=True, text=True, check=False
        )
        kill(holder)
        assert f"UserError: run: {BUSY}" in refused.stderr
        kill(holding(shared, python, other, path))
        kill(holding(shared, python, one, path))


@pytest.mark.slow
def test_a_study_of_one_user_keeps_that_of_another_away(
    users: tuple[int, int], copy: Copy, shared: Copy, python: str
) -> None:
    root, nobody = users
    os.chown(shared.path / "data", nobody, nobody)
    holder = holding(shared, python, nobody)
    of_root = copy.run(*STUDY, "--run", "mine")
    kill(holder)
    holder = holding(shared, python, root)
    of_nobody = shared.run(*as_user(nobody), python, *STUDY[1:], "--run", "mine")
    kill(holder)
    for ended in (of_root, of_nobody):
        assert ended.returncode == 2
        assert ended.stderr.startswith(f"error: run: {BUSY}")
    measured = shared.run(*as_user(nobody), python, *STUDY[1:], "--run", "mine")
    assert measured.returncode == 0, measured.stderr
    assert measured.stderr.count("warning") == 0


def test_a_finished_run_that_cannot_be_written_is_read(
    users: tuple[int, int], shared: Copy, python: str
) -> None:
    before = sorted((shared.path / "data").rglob("*"))
    command = (python, "-m", "experiment", "run", "--run", "reference")
    ended = shared.run(*as_user(users[1]), *command)
    assert ended.returncode == 0, ended.stderr
    assert sorted((shared.path / "data").rglob("*")) == before


@pytest.mark.parametrize("planted", ["link", "pipe", "folder", "socket", "no folder"])
def test_whatever_lies_at_the_place_of_the_lock_does_not_stop_a_study(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    planted: str,
) -> None:
    path = tmp_path / "lock"
    victim = tmp_path / "victim"
    monkeypatch.setattr(locks, "OF_MACHINE", path)
    match planted:
        case "link":
            path.symlink_to(victim)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "socket":
            socket.socket(socket.AF_UNIX).bind(str(path))
        case "no folder":
            monkeypatch.setattr(locks, "OF_MACHINE", victim / "lock")
    with locks.of_machine() as locked:
        assert not victim.exists()
        if locked:
            with pytest.raises(UserError, match=BUSY), locks.of_machine():
                pass
    assert locked == (planted in ("pipe", "folder"))
    assert ("warning: the lock" in capsys.readouterr().err) != locked


@pytest.mark.slow
def test_a_run_that_had_no_lock_says_so(copy: Copy) -> None:
    program = f"""
import sys
from pathlib import Path
from experiment.measure import locks
from experiment.__main__ import main
locks.OF_MACHINE = Path("{copy.path}/no/lock")
sys.exit(main(sys.argv[1:]))
"""
    ended = copy.run(sys.executable, "-c", program, *STUDY[3:], "--run", "unlocked")
    assert ended.returncode == 0, ended.stderr
    assert "lock cannot be used (No such file or directory)" in ended.stderr
    run = records.read_run(copy.path / "data" / "unlocked")
    assert not run.locked
    results = load(copy.path / "data" / "unlocked")
    assert "**No lock**" in headline.disturbed(results)
    locked = replace(results, run=run.model_copy(update={"locked": True}))
    assert "No lock" not in headline.disturbed(locked)
