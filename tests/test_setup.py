"""The set-up: an environment that is whole or made anew, and one line for what cannot be used."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from experiment import records
from tests.conftest import ODD_NAME, Copy, eventually
from tests.test_faults import words


@pytest.fixture
def bare(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """A copy without an environment, whose lock is so short that pip installs it offline."""
    for name in ("VIRTUAL_ENV", "CONDA_DEFAULT_ENV", "CONDA_PREFIX", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    wheel = packed("flit_core", copy.temporary.parent)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    name, version, *_ = wheel.name.split("-")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = f"{name}=={version} --hash=sha256:{digest}\n"
    (copy.path / "requirements.lock").write_text(lock)
    return copy


def packed(package: str, folder: Path) -> Path:
    """The wheel of a package that is installed here, made of its own files."""
    installed = metadata.distribution(package)
    wheel = folder / f"{package}-{installed.version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in installed.files or []:
            if "__pycache__" not in file.parts:
                archive.write(Path(str(installed.locate_file(file))), str(file))
    return wheel


def assert_whole(copy: Copy) -> None:
    """Its environment has what it should, sees this copy, and is not made again."""
    told = "import experiment, flit_core, pip; print(*experiment.__path__)"
    seen = copy.run(".venv/bin/python", "-I", "-c", told)
    assert seen.stdout == f"{copy.path / 'experiment'}\n", seen.stderr
    again = copy.run("make", "setup")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def assert_one_line(ended: "subprocess.CompletedProcess[str]", line: str) -> None:
    """It says the one line, beside make's own on which target failed."""
    assert ended.returncode == 2, ended
    assert ended.stdout == ""
    ours = [said for said in ended.stderr.splitlines() if not said.startswith("make: ***")]
    assert len(ours) == 1, ended.stderr
    assert re.search(line, ours[0]), ended.stderr


@pytest.mark.faults
def test_a_set_up_that_is_killed_at_any_moment_is_made_anew(bare: Copy) -> None:
    def pip_installs() -> bool:
        return any("requirements.lock" in words(process) for process in bare.processes())

    moments: list[Callable[[], bool]] = [(bare.path / ".venv/bin/python").exists, pip_installs]
    for moment in moments:
        process = bare.start("make", "setup")
        assert eventually(moment, 60)
        assert_one_line(bare.run("make", "setup"), "error: another make is making .*/.venv; wait")
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=10)
    ended = bare.run("make", "setup")
    assert ended.returncode == 0, ended.stderr
    assert_whole(bare)


def fill_the_disk(copy: Copy) -> None:
    """Have the making run out of space: no file may grow beyond 100 KB."""
    ended = copy.run("sh", "-c", "ulimit -f 200; make setup")
    assert ended.returncode == 2
    assert "could not be made; the next make begins anew" in ended.stderr


def leave_out_pip(copy: Copy) -> None:
    """As a `python -m venv` leaves it that was killed early."""
    assert copy.run(sys.executable, "-m", "venv", "--without-pip", ".venv").returncode == 0


def remove_python(copy: Copy) -> None:
    """As after the Python that it was made with is gone."""
    assert copy.run("make", "setup").returncode == 0
    (copy.path / ".venv/bin/python").unlink()
    (copy.path / ".venv/bin/python").symlink_to("/usr/bin/python3.no-longer")


def upgrade_python(copy: Copy) -> None:
    """As after another Python has taken its place, whose packages are in another folder."""
    assert copy.run("make", "setup").returncode == 0
    [library] = (copy.path / ".venv/lib").glob("python3.*")
    library.rename(library.with_name("python3.10"))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(leave_out_pip, marks=pytest.mark.slow),
        pytest.param(fill_the_disk, marks=pytest.mark.faults),
        pytest.param(remove_python, marks=pytest.mark.faults),
        pytest.param(upgrade_python, marks=pytest.mark.faults),
    ],
)
def test_an_environment_that_is_not_whole_is_made_anew(
    bare: Copy, damage: Callable[[Copy], None]
) -> None:
    damage(bare)
    ended = bare.run("make", "setup")
    assert ended.returncode == 0, ended.stderr
    assert_whole(bare)


@pytest.mark.slow
def test_make_works_in_a_folder_of_any_name_and_from_another(bare: Copy, tmp_path: Path) -> None:
    odd = bare.moved_to(tmp_path / ODD_NAME / "project")
    call = ("make", "-f", str(odd.path / "Makefile"))
    ended = odd.run(*call, "setup", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert_whole(odd)
    active = tmp_path / ODD_NAME / "environment"
    (odd.path / ".venv").rename(active)
    (active / ".threads-or-processes").unlink()
    use = ("env", f"VIRTUAL_ENV={active}", *call)
    ended = odd.run(*use, "setup", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (active / ".threads-or-processes").exists()
    assert not (odd.path / ".venv").exists()
    (tmp_path / "types.py").write_text("raise RuntimeError")  # Python itself needs it to start
    ended = odd.run("env", f"PYTHONPATH={tmp_path}", *use[1:], "report", cwd=tmp_path)
    assert_one_line(
        ended, r"^error: PYTHONPATH: \S+/types.py stands in for Python's module types; "
    )


@pytest.mark.parametrize(
    ("lacking", "line"),
    [
        ("", "has no Python, or is gone; leave it with: deactivate "),
        ("version_info", "does not have Python 3.11 or later; leave it with: deactivate "),
        ("pip", "has no pip; add it with: python -m ensurepip, or leave it with: deactivate "),
    ],
)
def test_an_active_environment_that_cannot_be_used_is_one_line(
    bare: Copy, tmp_path: Path, lacking: str, line: str
) -> None:
    active = tmp_path / "of my own"
    if lacking:
        python = active / "bin/python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\ncase "$*" in *{lacking}*) exit 1;; esac\n')
        python.chmod(0o755)
    ended = bare.run("env", f"VIRTUAL_ENV={active}", "make", "report")
    assert_one_line(ended, f"^error: the active environment {active} {line}")
    assert not (bare.path / ".venv").exists()


def test_make_takes_parameters_from_its_own_line_alone(
    copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nprintf "<%s>\\n" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    for name in ("PAGES", "SEED", "SOURCE", "RUN", "TIMEOUT"):
        monkeypatch.setenv(name, "exported")
    source = "SOURCE=http://127.0.0.1/?a=$HOME&b='1'"
    for how in ("make", "make -e"):
        ended = copy.run(*how.split(), "-o", "setup", "quick", source, "RUN=typed", "PAGES=7")
        asked = ended.stdout.split("\n")[:-1]
        options = [
            f"<--{word}>"
            for word in ("pages=20", "rounds=3", "clients=requests", "pages=7", "run=typed")
        ]
        assert asked == ["<-m>", "<experiment>", "<report>", *options, f"<--source={source[7:]}>"]
        [note] = ended.stderr.splitlines()
        assert note.startswith("note: set in the environment and not used: TIMEOUT SEED; ")
        assert note.endswith(": make report TIMEOUT=...")


CLOSED = ("sweep", "RUN=cut", "PAGES=4", "POOL_SIZES=2", "MODES=serial processes")
LEAD = """
import fcntl, os, signal, subprocess, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
if sys.argv[1] == "shell":  # one with job control, that has been told to let its job go
    subprocess.Popen(sys.argv[2:], process_group=0)
    signal.pause()
os.execvp(sys.argv[1], sys.argv[1:])
"""


def close_terminal(copy: Copy, rounds: int, *leader: str) -> "subprocess.Popen[bytes]":
    """Start make under a leader of a session in a terminal, which is closed after a round."""
    master, terminal = os.openpty()
    environment = Path(sys.executable).parent.parent
    command = ("make", "-o", "setup", *CLOSED, f"ROUNDS={rounds}")
    with (copy.path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", LEAD, *leader, *command],
            cwd=copy.path,
            env={**copy.environment, "VIRTUAL_ENV": str(environment)},
            stdin=terminal,
            stdout=log,
            stderr=log,
        )
    os.close(terminal)
    begun = eventually(lambda: 1 in records.rounds_done(copy.path / "data/cut"), 90)
    os.close(master)
    assert begun, (copy.path / "log").read_text()
    return process


def test_a_study_that_make_leads_ends_with_its_terminal(copy: Copy) -> None:
    process = close_terminal(copy, 50)
    assert process.wait(timeout=15) == -signal.SIGHUP
    copy.assert_nothing_left()
    assert "Traceback" not in (copy.path / "log").read_text()
    done = records.rounds_done(copy.path / "data/cut")
    assert done == set(range(1, len(done) + 1))


@pytest.mark.faults
@pytest.mark.parametrize("leader", ["nohup", "shell"])
def test_a_study_that_was_told_to_stay_outlives_its_terminal(copy: Copy, leader: str) -> None:
    process = close_terminal(copy, 3, leader)
    assert eventually(lambda: not copy.processes(), 90)
    process.wait(timeout=5)
    assert (copy.path / "reports/cut.html").exists(), (copy.path / "log").read_text()


@pytest.mark.parametrize(
    ("file", "what"),
    [
        ("json.py", "Python's module json"),
        ("random/__init__.py", "Python's module random"),
        ("requests.py", "the package requests"),
        ("selenium/__init__.py", "the package selenium"),
        ("aiohttp.py", "the package aiohttp"),
    ],
)
def test_a_file_that_stands_in_for_a_module_is_one_line(
    copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, what: str
) -> None:
    path = tmp_path / "on the path" / file
    path.parent.mkdir(parents=True)
    path.write_text("raise RuntimeError('broken')\n")
    found = path.parent if path.name == "__init__.py" else path
    monkeypatch.setenv("PYTHONPATH", f"{copy.path}{os.pathsep}{tmp_path / 'on the path'}")
    ended = copy.experiment("run", "--pages", "2")
    assert_one_line(ended, f"^error: PYTHONPATH: {found} stands in for {what}; unset PYTHONPATH")
    (copy.path / "random.py").write_text("raise RuntimeError('broken')\n")
    monkeypatch.delenv("PYTHONPATH")
    line = f"^error: {copy.path}/random.py stands in for Python's module random; rename it"
    assert_one_line(copy.experiment("run", "--pages", "2"), line)


@pytest.mark.faults
def test_what_stands_in_for_nothing_may_be_on_the_path(
    copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pages.py", "json.txt", "email/letter.txt"):  # none of them is imported
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise RuntimeError('broken')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.pathsep}/no/such/folder")
    assert copy.experiment("runs").returncode == 0
