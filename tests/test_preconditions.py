"""What the machine lacks is one line: descriptors, memory, processes, temporary room, 127.0.0.1."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from experiment import load, records
from experiment.measure import preconditions
from experiment.vocabulary import ClientName
from tests import test_faults
from tests.conftest import Copy, eventually, need
from tests.users import as_user, may_run, python_of_all

SMALL = ("--pages", "3", "--rounds", "1", "--modes", "serial threads")
REQUESTS = (*SMALL, "--pool-sizes", "2", "--clients", "requests", "--run", "small")

OTHER = 61234
"""The number of a user that no other process has."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def refused(copy: Copy, *command: str) -> str:
    """The only line that a command prints, which measures nothing and leaves nothing."""
    ended = copy.run(*command)
    assert ended.returncode == 2, ended.stderr
    [line] = ended.stderr.splitlines()
    assert not (copy.path / "data" / "small").exists()
    copy.assert_nothing_left()
    return line.removeprefix("error: ")


def run(*options: str) -> tuple[str, ...]:
    """The command of a study."""
    return (sys.executable, "-m", "experiment", "run", *options)


@pytest.mark.faults
def test_the_soft_limit_of_descriptors_is_raised_and_the_hard_one_refuses(copy: Copy) -> None:
    large = (*SMALL, "--pool-sizes", "30", "--clients", "requests", "--run", "small")
    line = refused(copy, "prlimit", "--nofile=64:64", *run(*large))
    assert line == (
        "pool_sizes: 30 workers of requests need 106 file descriptors in a process, and the limit "
        "is 64 (ulimit -Hn); at most 16 fit"
    )
    ended = copy.run("prlimit", "--nofile=24:1000", *run(*large, "--pages", "30"))
    assert ended.returncode == 0, ended.stderr
    fetches, _ = records.load(copy.path / "data" / "small")
    assert fetches["error"].isna().all()


@pytest.mark.faults
def test_as_many_workers_as_are_said_to_fit_do_fit(copy: Copy) -> None:
    options = (*SMALL, "--pool-sizes", "16", "--clients", "requests", "--pages", "16")
    ended = copy.run("prlimit", "--nofile=64:64", *run(*options, "--run", "small"))
    assert ended.returncode == 0, ended.stderr
    fetches, trials = records.load(copy.path / "data" / "small")
    assert fetches["error"].isna().all()
    assert (trials["state"] == "ok").all()


@contextmanager
def memory_group(limit: int) -> Iterator[Path]:
    """A control group whose limit of memory is so many bytes; skips where none can be made."""
    top, name = Path("/sys/fs/cgroup"), "memory.max"
    if (top / "memory").exists():
        top, name = top / "memory", "memory.limit_in_bytes"
    group = top / f"test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("needs to make a control group")
    try:
        if not (group / name).exists():
            pytest.skip("needs control groups that limit memory")
        (group / name).write_text(str(limit))
        yield group
        assert eventually(lambda: not (group / "cgroup.procs").read_text(), 5)
    finally:
        group.rmdir()


@as_root
def test_a_pool_that_the_memory_of_a_container_cannot_hold_is_refused(copy: Copy) -> None:
    need("phantomjs")
    with memory_group(400_000_000) as group:
        inside = ("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh")
        options = (*SMALL, "--pool-sizes", "100", "--clients", "phantomjs", "--run", "small")
        line = refused(copy, *inside, *run(*options))
    assert line.startswith(
        "pool_sizes: 100 workers of phantomjs in threads need about 1.4 GB of memory at once, and "
        "0.4 GB are free here; at most 2"
    )


def test_what_a_control_group_only_caches_is_free(tmp_path: Path) -> None:
    assert preconditions._free_in(tmp_path) == float("inf")
    (tmp_path / "memory.max").write_text("max\n")
    assert preconditions._free_in(tmp_path) == float("inf")
    (tmp_path / "memory.high").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 300\nactive_file 150\ninactive_file 250\n")
    assert preconditions._free_in(tmp_path) == 700


@as_root
def test_without_127_0_0_1_a_study_is_refused_unless_it_can_do_without(copy: Copy) -> None:
    if subprocess.run(["unshare", "-n", "true"], check=False).returncode:  # noqa: S607
        pytest.skip("needs to make a network namespace")
    line = refused(copy, "unshare", "-n", *run(*REQUESTS))
    assert line.startswith("network: 127.0.0.1 cannot be reached here (")
    own = (*REQUESTS, "--source", "http://[::1]:9/")
    assert refused(copy, "unshare", "-n", *run(*own)).startswith("source: http://[::1]:9/ does not")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of memory, as of Linux")
@pytest.mark.parametrize("kilobytes", [75_000, 90_000])
def test_a_limit_of_memory_that_is_too_low_is_one_line(copy: Copy, kilobytes: int) -> None:
    line = refused(copy, "prlimit", f"--as={kilobytes * 1024}", *run(*REQUESTS))
    assert line.startswith("memory: ")
    assert f"ulimit -v is {kilobytes}" in line


def other_user(copy: Copy) -> tuple[str, ...]:
    """What a command of Python begins with to be another user's, who may write in the copy."""
    for folder in list(copy.path.parents)[:3]:
        folder.chmod(0o755)
    python = python_of_all(copy.path.parent / "environment")
    if not may_run(OTHER, python, copy.path):
        pytest.skip("needs setpriv, and packages that all users may read")
    for path in [copy.path, *copy.path.rglob("*"), copy.temporary]:
        os.chown(path, OTHER, OTHER)
    return (*as_user(OTHER), "env", "HOME=/nonexistent", python)


@pytest.mark.faults
@as_root
def test_no_process_or_thread_left_is_one_line_or_a_failed_trial(copy: Copy) -> None:
    *user, python = other_user(copy)
    command = (python, "-m", "experiment", "run", *REQUESTS)
    for limit in (2, 8):
        line = refused(copy, *user, "prlimit", f"--nproc={limit}", *command)
        assert f"ulimit -u {'' if line.startswith('memory') else 'is '}{limit}" in line
    large = (*command, "--pool-sizes", "40", "--modes", "serial threads processes")
    ended = copy.run(*user, "prlimit", "--nproc=30", *large)
    assert ended.returncode == 0, ended.stderr
    trials = load(copy.path / "data" / "small").trials.set_index("mode")
    states = trials["state"].to_dict()
    assert states == {"serial": "ok", "threads": "failed", "processes": "failed"}
    for reason in trials["reason"].dropna():
        assert "can be started here" in reason
        assert "(ulimit -u is 30)" in reason
    copy.assert_nothing_left()


@as_root
@pytest.mark.faults
@pytest.mark.parametrize("client", ["phantomjs", "chrome", "firefox"])
def test_browsers_do_without_a_home_that_can_be_written(copy: Copy, client: ClientName) -> None:
    need(client)
    *user, python = other_user(copy)
    options = (*SMALL, "--pool-sizes", "2", "--clients", client, "--run", "small")
    ended = copy.run(*user, python, "-m", "experiment", "run", *options, "--timeout", "30")
    assert ended.returncode == 0, ended.stderr
    assert load(copy.path / "data" / "small").fetches["error"].isna().all()
    copy.assert_nothing_left()


@contextmanager
def small_temporary(copy: Copy, size: str) -> Iterator[None]:
    """Make the folder for temporary files a small disk of its own."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", copy.temporary],  # noqa: S607
        check=True,
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", copy.temporary], check=True)  # noqa: S607


def too_small(copy: Copy) -> str:
    """What is said of a folder for temporary files that is too small."""
    return f"TMPDIR: {copy.temporary} is full or too small; set TMPDIR to a folder with more room"


@as_root
@pytest.mark.parametrize("size", ["16k", "64k"])
def test_a_folder_for_temporary_files_that_is_too_small_is_one_line(copy: Copy, size: str) -> None:
    with small_temporary(copy, size):
        assert refused(copy, *run(*REQUESTS)) == too_small(copy)


@as_root
@pytest.mark.faults
def test_a_browser_that_fills_the_folder_for_temporary_files_ends_in_a_line(copy: Copy) -> None:
    need("chrome")
    with small_temporary(copy, "700k"):
        options = (*SMALL, "--pool-sizes", "2", "--clients", "chrome", "--timeout", "10")
        ended = copy.run(*run(*options))
        copy.assert_nothing_left()
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == f"error: {too_small(copy)}"
    assert "Traceback" not in ended.stderr


@pytest.mark.faults
@as_root
def test_a_folder_for_temporary_files_that_fills_up_keeps_the_finished_rounds(copy: Copy) -> None:
    with small_temporary(copy, "2m"):
        process = test_faults.start_second_round(copy, "requests")
        with (copy.temporary / "filler").open("wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(bytes(512))
        _, err = process.communicate(timeout=60)
        assert process.returncode == 2
        assert err.rstrip().splitlines()[-1] == f"error: {too_small(copy)}"
        assert "Traceback" not in err
        (copy.temporary / "filler").unlink()
        kept = (copy.path / "data" / "cut" / "fetches.csv").read_text()
        assert records.rounds_done(copy.path / "data" / "cut") == {1}
        test_faults.assert_it_goes_on(copy, "requests", kept)
