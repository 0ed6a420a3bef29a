"""Find the programs that a client needs, say what installs them, and ask for their versions."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from experiment.errors import UserError

LIBRARIES = {"libfontconfig": "sudo apt install libfontconfig1"}
"""What installs a library that a program may lack."""


class Programs(NamedTuple):
    """A browser and the driver that speaks for it; PhantomJS is both."""

    browser: Path
    driver: Path


def first(names: Sequence[str]) -> Path | None:
    """Return the first of these programs that is on PATH."""
    paths = (shutil.which(name) for name in names)
    return next((Path(path) for path in paths if path), None)


def carried(package: str, path: str) -> Path | None:
    """Return a program inside an installed package, of which no code is run."""
    try:
        program = Path(str(importlib.metadata.distribution(package).locate_file(path)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return program if program.exists() else None


def missing(client: str, words: str, commands: Mapping[str, str] | str) -> NoReturn:
    """Raise the `UserError` of a program that is not installed; commands are by platform."""
    if not isinstance(commands, str):
        commands = commands.get(sys.platform, f"your system's package of {client}")
    raise UserError(
        f"clients: {client} cannot run, {words} is not installed; install it with: {commands}"
    )


def ask_version(client: str, path: Path) -> str:
    """Return what a program says of its version; raises `UserError` if it does not run here."""
    try:
        result = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"clients: {client} cannot run, {path} does not start: {error}") from None
    lacking = re.search(r"shared libraries: (lib[\w-]+)(\S*):", result.stderr)
    if lacking:
        name = lacking[1]
        command = LIBRARIES.get(name, f"your system's package of {name}")
        raise UserError(
            f"clients: {client} cannot run, the library {name}{lacking[2]} is missing; "
            f"install it with: {command}"
        )
    if result.returncode:
        raise UserError(
            f"clients: {client} cannot run, {path} --version ended with status "
            f"{result.returncode}: {' '.join(result.stderr.split())[:200]}"
        )
    words = re.match(r"[\w ]*?[\d.]+", result.stdout.strip())
    return f"{path.name} {words[0]}" if words else path.name
