"""Describe the machine, its software and its load."""

import importlib.metadata
import multiprocessing
import os
import platform
import ssl
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from experiment.measure import clients, grid
from experiment.records import Machine
from experiment.study import Study
from experiment.vocabulary import CLUSTERED

PACKAGES = ("aiohttp", "certifi", "psutil", "requests", "selenium", "trustme", "urllib3", "uvloop")
"""The packages that take part in a measurement."""


def describe(study: Study) -> Machine:
    """Describe the machine for a run; raises `UserError` if a client cannot run on it."""
    kinds = {name: clients.of(name) for name in study.clients}
    packages = set(PACKAGES).union(*(kind.packages for kind in kinds.values()))
    packages |= {"dask", "distributed"} if {*CLUSTERED} & {*study.modes} else set()
    return Machine(
        cpu=_cpu(),
        cores=cores(),
        memory_gb=round(psutil.virtual_memory().total / 2**30),
        system=_system(),
        python=platform.python_version(),
        gil=getattr(sys, "_is_gil_enabled", lambda: True)(),
        start_method=study.start_method or multiprocessing.get_context().get_start_method(),
        packages={name: importlib.metadata.version(name) for name in sorted(packages)},
        browsers=_browsers(study),
        openssl=ssl.OPENSSL_VERSION,
    )


def _browsers(study: Study) -> dict[str, str]:
    """Return the version of each browser; of one that a Selenium Grid has, that of the Grid."""
    of_grid = study.at_grid
    there = dict.fromkeys(of_grid, grid.version(study.grid)) if study.grid and of_grid else {}
    here = {name: clients.of(name).version() for name in study.clients if name not in of_grid}
    return {**{name: text for name, text in here.items() if text}, **there}


def cores() -> int:
    """Return the cores that this process may use, within the limit of a container."""
    if sys.platform != "linux":
        return os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):  # no such file, or no limit: "max 100000"
        quota, period = map(int, Path("/sys/fs/cgroup/cpu.max").read_text().split())
        return max(1, min(allowed, quota // period))
    return allowed


def busy_share(seconds: float) -> float:
    """Return the share of all cores in use during the next seconds."""
    return psutil.cpu_percent(interval=seconds) / 100


def _cpu() -> str:
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return next(named, platform.machine())
    asked = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def _system() -> str:
    if sys.platform == "linux":
        name = "Linux"
        with suppress(OSError):
            name = platform.freedesktop_os_release().get("PRETTY_NAME", name)
    else:
        name = f"macOS {platform.mac_ver()[0]}"
    return f"{name}, {platform.machine()}"
