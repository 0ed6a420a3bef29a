"""What the tests share: a copy of the project to run in, clients that may be missing, servers."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from experiment.errors import UserError
from experiment.measure import clients
from experiment.study import PROJECT
from experiment.vocabulary import ClientName
from tests.servers import Server

ODD_NAME = "a  'b\" $HOME & #ü é"
"""A folder's name with what make and the shell read in their own ways."""


@dataclass(frozen=True)
class Copy:
    """A copy of the project's own files, in which commands run as a user types them."""

    path: Path
    temporary: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its commands, with a folder of their own for temporary files."""
        bin_folder = Path(sys.executable).parent
        path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
        outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # of the make that may run the tests
        kept = {name: text for name, text in os.environ.items() if name not in outer}
        return {**kept, "TMPDIR": str(self.temporary), "PATH": path}

    def moved_to(self, path: Path) -> "Copy":
        """The same copy in another folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return Copy(self.path.rename(path), self.temporary)

    def start(self, *command: str, cwd: Path | None = None) -> "subprocess.Popen[str]":
        """Start a command in a process group of its own, as a terminal does."""
        return subprocess.Popen(
            command,
            cwd=cwd or self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def run(
        self, *command: str, cwd: Path | None = None, timeout: float = 200
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        process = self.start(*command, cwd=cwd)
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def experiment(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `python -m experiment` to its end."""
        return self.run(sys.executable, "-m", "experiment", *arguments)

    def processes(self) -> list[psutil.Process]:
        """Whatever was started from here and lives."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        """Told by its folder for temporary files, or by its parent where it hides that."""
        with suppress(psutil.NoSuchProcess):
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            try:
                return process.environ().get("TMPDIR", "").startswith(str(self.temporary))
            except psutil.AccessDenied:
                return any(self._is_ours(parent) for parent in process.parents()[:1])
        return False

    def assert_nothing_left(self) -> None:
        """No process and no temporary file, 5 s after the end at the latest."""
        assert eventually(lambda: not self.processes(), 5), self.processes()
        left = [path.name for path in self.temporary.iterdir()]
        assert not left, left


def eventually(happened: Callable[[], object], seconds: float) -> bool:
    """Whether something comes true within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happened():
            return True
        time.sleep(0.05)
    return bool(happened())


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    """A fresh copy of the project; whatever a test left running is ended."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    target, temporary = tmp_path / "project", tmp_path / "temporary"
    temporary.mkdir()
    for name in listed.stdout.splitlines():
        if (PROJECT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name)
    made = Copy(target, temporary)
    yield made
    for process in made.processes():
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.fixture
def server() -> Iterator[Server]:
    """A real web server with honest and hostile pages."""
    with Server() as running:
        yield running


def need(client: ClientName) -> None:
    """Skip a test by name where a browser is missing; with CI=true that is a failure."""
    try:
        clients.of(client).version()
    except UserError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
