"""Other users of the machine, whose commands run with the packages of the tests."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path


def as_user(uid: int) -> tuple[str, ...]:
    """What a command begins with to be another user's; it takes root and setpriv."""
    return ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")


def python_of_all(folder: Path) -> str:
    """Make an environment with the packages of this one, and return its Python.

    It is this Python's, or the system's of the same version where only its owner may run this one.
    """
    system = shutil.which(f"python3.{sys.version_info.minor}", path=os.defpath)
    own = Path(sys.executable).resolve()
    base = Path(system) if system and own.is_relative_to(Path.home()) else own
    packages = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "all.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(base)
    return str(folder / "bin" / "python")


def may_run(uid: int, python: str, folder: Path) -> bool:
    """Whether a user may import the project in a folder and start further programs from it."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        return False
    program = (
        "import subprocess, sys, experiment.measure.runner as _; "
        "subprocess.check_call([sys.executable, '-V'])"
    )
    command = [*as_user(uid), python, "-c", program]
    return not subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode
