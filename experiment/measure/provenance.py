"""Record the code, packages and machine of a run; it is resumed only with the same."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiment.errors import UserError
from experiment.measure import functions, machine
from experiment.records import Machine, Run
from experiment.study import PROJECT

PACKAGE = Path(__file__).parents[1]
COMMAND_LINE = ("__main__.py", "options.py")
"""The shared modules that say nothing of how a run is measured."""


def code() -> dict[str, str]:
    """Return the shared modules and all files that measure, each with the start of its SHA-256."""
    measuring = [path for end in ("py", "js") for path in PACKAGE.glob(f"measure/**/*.{end}")]
    shared = [path for path in PACKAGE.glob("*.py") if path.name not in COMMAND_LINE]
    return {
        path.relative_to(PACKAGE).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in sorted([*measuring, *shared])
    }


def commit() -> str | None:
    """Return the commit of the checkout, marked if files differ; None without git."""
    git = shutil.which("git")
    if git is None:
        return None
    own = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    # Told where the repository is, git looks for no other one, and does not mind whose it is.
    told = ("--git-dir=.git", "--work-tree=.", "--no-optional-locks", "-c", "core.fsmonitor=false")
    result = subprocess.run(
        [git, *told, "status", "--porcelain=v2", "--branch", "--untracked-files=no"],
        cwd=PROJECT,
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )
    at = re.match(r"# branch\.oid ([0-9a-f]{40,})\n", result.stdout)
    if at is None:
        return None
    return at[1] + ("-dirty" if re.search("^[^#]", result.stdout, re.M) else "")


def check_same(folder: Path, own: Run) -> None:
    """Raise `UserError` where what would go on with a run is not what began it."""
    check_code(folder, own)
    was, now = _by_name(own.machine), _by_name(machine.describe(own.study))
    for name in _changed(was, now):
        raise UserError(
            f"run: {folder.name} cannot go on here, its {name} was {was.get(name, 'none')} and is "
            f"now {now.get(name, 'none')}; name another run"
        )


def check_code(folder: Path, own: Run) -> None:
    """Raise `UserError` where the code that measures is not the one that began a run."""
    if own.code is None:
        raise UserError(
            f"run: {folder.name} cannot go on, it was begun by a version of this program that "
            "did not note its code; name another run"
        )
    if changed := _changed(own.code, code()):
        at = f" (commit {own.commit})" if own.commit else ""
        files = ", ".join(f"experiment/{name}" for name in changed)
        raise UserError(
            f"run: {folder.name} cannot go on, its code has changed since it began{at}: {files}; "
            "put it back as it was, or name another run"
        )
    check_functions(folder, own)


def check_functions(folder: Path, own: Run) -> None:
    """Raise `UserError` where a function of the user's is not the one that a run measures."""
    now = functions.files_of(own.study)
    for where in (where for where, file in own.functions.items() if now[where] != file):
        raise UserError(
            f"clients: {where} has changed since {folder.name} measured it "
            f"({own.functions[where].file} is another file now); put it back as it was, or name "
            "another run"
        )


def check_functions_here(folder: Path, own: Run) -> None:
    """Do the same where the functions are; a finished run can be read where they are not."""
    try:
        functions.files_of(own.study)
    except UserError:
        return
    check_functions(folder, own)


def _by_name(described: Machine) -> dict[str, Any]:
    """Return the fields of a machine, with a field for each package and browser."""
    named: dict[str, Any] = {}
    for name, value in described.model_dump().items():
        if isinstance(value, dict):
            named |= {f"{name.removesuffix('s')} {part}": words for part, words in value.items()}
        else:
            named[name] = value
    return named


def _changed(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the names whose values differ."""
    return [name for name in {**was, **now} if was.get(name) != now.get(name)]
