"""Ending a process tree: all of it, and nothing else."""

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from experiment import process_tree
from experiment.study import PROJECT
from tests.conftest import Copy, eventually

TREE = "sleep 60 & setsid sleep 60 & sh -c 'sleep 60 & echo ready; wait' & wait"


@pytest.fixture
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    """A child of this process that belongs to nobody's tree."""
    with subprocess.Popen(["sleep", "60"]) as process:  # noqa: S607
        yield process
        process.kill()


def is_gone(process: psutil.Process) -> bool:
    """Return whether a process has ended, whoever waits for it."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_tree_is_ended_whole_and_nothing_else(bystander: "subprocess.Popen[bytes]") -> None:
    ended = subprocess.Popen(["sh", "-c", "exit 7"])  # noqa: S607
    eventually(lambda: psutil.Process(ended.pid).status() == psutil.STATUS_ZOMBIE, 5)
    root = subprocess.Popen(["sh", "-c", TREE], stdout=subprocess.PIPE)  # noqa: S607
    assert root.stdout is not None
    assert root.stdout.readline() == b"ready\n"
    below = psutil.Process(root.pid).children(recursive=True)
    assert len(below) == 4

    process_tree.end(root.pid)

    assert root.wait(5) == -9
    assert eventually(lambda: all(map(is_gone, below)), 5)
    assert bystander.poll() is None
    assert ended.wait() == 7


ADOPTING = """
import psutil, subprocess, sys
from experiment import process_tree
process_tree.adopt_orphans()
with subprocess.Popen(["sh", "-c", 'sh -c "$0" &', sys.argv[1]], stdout=subprocess.PIPE) as parent:
    parent.stdout.readline()
print(*[process.pid for process in psutil.Process().children(recursive=True)])
process_tree.end_children()
print(psutil.Process().children())
"""
"""Orphan a tree, print what was adopted, end it, print what is left."""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a child subreaper (Linux)")
def test_adopted_orphans_are_ended_with_all_below(bystander: "subprocess.Popen[bytes]") -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ADOPTING, TREE],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    adopted, left = ended.stdout.splitlines()
    assert len(adopted.split()) == 5
    assert left == "[]"
    assert not any(psutil.pid_exists(int(pid)) for pid in adopted.split())
    assert bystander.poll() is None


REPORTING = """
import subprocess
from experiment.errors import UserError
from experiment.report import page
living, ended = subprocess.Popen(["sleep", "60"]), subprocess.Popen(["sh", "-c", "exit 7"])
try:
    page.write("report", "no such run")
except UserError as error:
    print(error)
print(living.poll(), ended.wait())
living.kill()
living.wait()
"""


@pytest.mark.slow
def test_a_report_spares_the_other_children_of_a_notebook_kernel(copy: Copy) -> None:
    printed = copy.run(sys.executable, "-c", REPORTING).stdout.splitlines()
    assert "no such run" in printed[0]
    assert printed[1] == "None 7"
    copy.assert_nothing_left()
