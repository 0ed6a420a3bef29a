"""What measured a run is known: its code by digests, its commit."""

import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiment import records
from experiment.measure import provenance
from tests.conftest import Copy, eventually


def test_the_files_that_measure_are_noted_and_no_others() -> None:
    noted = set(provenance.code())
    scripts = {"measure/trial.py", "measure/clients/ghostdriver.js"}
    assert noted >= {"records.py", "study.py", "measure/modes.py"} | scripts
    assert not {name.split("/")[0] for name in noted} & {"analysis", "report", "__main__.py"}


def test_code_that_changes_while_a_round_is_measured_ends_the_run(copy: Copy) -> None:
    process = copy.start(
        sys.executable, "-m", "experiment", "run", "--pages", "1", "--pool-sizes", "2",
        "--rounds", "2", "--modes", "serial threads", "--run", "edited",
    )  # fmt: skip
    folder = copy.path / "data" / "edited"
    assert eventually((folder / "run.json").exists, 30), process.communicate(timeout=1)
    process.send_signal(signal.SIGSTOP)
    with (copy.path / "experiment" / "measure" / "modes.py").open("a") as file:
        file.write("# edited\n")
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "its code has changed since it began: experiment/measure/modes.py; put it back" in err
    assert not records.run_is_there(folder) or records.rounds_done(folder) == set()


def git(folder: Path, *words: str) -> str:
    """Run git in a folder."""
    known = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "safe.directory=*")
    ended = subprocess.run(
        ["git", *known, *words],  # noqa: S607
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.strip()


def commit(folder: Path) -> str:
    """Make a repository of all that is in a folder; returns its commit."""
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "all")
    return git(folder, "rev-parse", "HEAD")


def noted(copy: Copy, **environment: str) -> str:
    """The commit that a run would note."""
    variables = [f"{name}={text}" for name, text in environment.items()]
    program = "from experiment.measure import provenance; print(provenance.commit())"
    ended = copy.run("env", *variables, sys.executable, "-c", program)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_the_commit_is_that_of_the_project_and_of_nothing_else(copy: Copy, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("x")
    wrong = commit(other)
    assert noted(copy) == "None"
    assert commit(tmp_path) != wrong
    assert noted(copy) == "None"  # the project lies in another repository
    own = commit(copy.path)
    assert noted(copy) == own
    index, work_tree = str(other / ".git" / "index"), str(other)
    elsewhere = {"GIT_DIR": f"{other}/.git", "GIT_INDEX_FILE": index, "GIT_WORK_TREE": work_tree}
    assert noted(copy, **elsewhere) == own
    (copy.path / "README.md").write_text("edited")
    assert noted(copy) == f"{own}-dirty"


def test_a_checkout_of_another_user_has_its_commit_and_runs_nothing(
    copy: Copy, tmp_path: Path
) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to give files to another user")
    own = commit(copy.path)
    hook, ran = tmp_path / "hook", tmp_path / "ran"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    git(copy.path, "config", "core.fsmonitor", str(hook))
    nobody = pwd.getpwnam("nobody").pw_uid
    for path in (copy.path, *copy.path.rglob("*")):
        os.chown(path, nobody, nobody)
    index = (copy.path / ".git" / "index").read_bytes()
    assert noted(copy, HOME=str(tmp_path)) == own
    assert not ran.exists()
    assert (copy.path / ".git" / "index").read_bytes() == index
