"""Fetch with Chrome, Chromium, or their small headless shell."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.request import urlopen

from selenium import webdriver
from selenium.webdriver.chrome.service import Service as ChromeService
from selenium.webdriver.common.options import ArgOptions
from selenium.webdriver.common.service import Service

from experiment.errors import UserError
from experiment.measure import programs
from experiment.measure.clients.base import FetchError, Response
from experiment.measure.clients.browser import (
    Browser,
    DriverConnection,
    OpenBrowser,
    SecretPath,
    reason_in,
)
from experiment.measure.programs import Programs

PROGRAMS = (
    "/usr/lib/chromium/chromium-headless-shell",  # its wrapper in /usr/bin leaks a browser a fetch
    "chrome-headless-shell",
    "/usr/lib/chromium/chromium",
    "google-chrome",
    "chromium",
    "chromium-browser",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
ARGUMENTS = (
    "--headless --no-first-run --disable-background-networking --disable-component-update "
    "--disable-default-apps --disable-sync --disable-dev-shm-usage --remote-debugging-pipe"
).split()
"""Nothing goes out but the request for a page; a debugging port would be open to other users."""

FORGET: dict[str, dict[str, str]] = {
    "Storage.clearDataForOrigin": {"origin": "*", "storageTypes": "all"},
    "Network.clearBrowserCache": {},
}
"""The commands that remove what pages stored."""

INSTALL = {
    "linux": "sudo apt install chromium-headless-shell chromium-driver",
    "darwin": "brew install --cask chromium chromedriver",
}
NO_SANDBOX = (
    "clients: chrome cannot run, its sandbox needs user namespaces, and this system forbids them; "
    "allow them (Ubuntu: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0; Docker: "
    "--security-opt seccomp=unconfined), or leave chrome out of clients"
)


class SecretChromeService(SecretPath, ChromeService):
    """Run chromedriver."""

    def command_line_args(self) -> list[str]:
        """Return its own arguments and the secret path."""
        return [*super().command_line_args(), f"--url-base={self.secret}"]

    def is_connectable(self) -> bool:
        """Tell whether it takes sessions."""
        with suppress(OSError), urlopen(f"{self.service_url}/status", timeout=1) as response:  # noqa: S310
            return bool(response.status == HTTPStatus.OK)
        return False


class ChromeConnection(DriverConnection):
    """Send commands to chromedriver, those of Chrome's own protocol, too."""

    extra_commands = {"cdp": ("POST", "/session/$sessionId/goog/cdp/execute")}  # type: ignore[dict-item]  # noqa: RUF012


class Client(Browser):
    """Drive Chrome."""

    name = "chrome"
    connection = ChromeConnection
    typical_fetch_s = 1.2
    own_files = 110  # failed with 90, ran with 128

    @classmethod
    def find(cls) -> Programs:
        """Find Chrome and chromedriver."""
        return Programs(
            programs.first(PROGRAMS) or programs.missing(cls.name, "Chrome or Chromium", INSTALL),
            programs.first(["chromedriver"]) or programs.missing(cls.name, "chromedriver", INSTALL),
        )

    @classmethod
    def memory_mb(cls) -> float:
        """Return the memory (MB), as measured: 0.90 GB for 10 shells, 1.3 GB for 6 Chromiums."""
        return 85 if "headless-shell" in cls.find().browser.name else 180

    @classmethod
    def check_allowed(cls) -> None:
        """Raise `UserError` that says what to do if Chrome finds no sandbox that it may use here.

        Its driver does not pass on why it ended, so Chrome itself is asked.
        """
        with tempfile.TemporaryDirectory(prefix="chrome-", ignore_cleanup_errors=True) as folder:
            options = ("--headless", f"--user-data-dir={folder}", "--dump-dom", "about:blank")
            with suppress(OSError, subprocess.TimeoutExpired):
                ended = subprocess.run(
                    [cls.find().browser, *options], capture_output=True, timeout=60, check=False
                )
                if b"No usable sandbox" in ended.stderr:
                    raise UserError(NO_SANDBOX)

    @property
    def asks_timing(self) -> bool:
        """Tell whether the source is embedded; any other has the network's log, safe from pages."""
        return self.settings.embedded

    def read_response(self, driver: webdriver.Remote, url: str, response: Response) -> None:
        """Read the log of the network, too, unless the source is embedded."""
        super().read_response(driver, url, response)
        if self.settings.embedded:
            return
        document, failure = _document(driver.execute("getLog", {"type": "performance"})["value"])
        headers = {name.lower(): value for name, value in document.get("headers", {}).items()}
        response.status = document.get("status", response.status)
        response.retry_after = headers.get("retry-after")
        if str(response.final_url).startswith("chrome-error:"):
            if (response.status or 0) < 400:
                raise FetchError(reason_in(failure or "net::ERR_"))
            response.final_url = url  # an error without a body: Chrome shows a page of its own

    def forget_page(self, kept: OpenBrowser) -> None:
        """Clear cookies, storage and caches of all sites; the browser's own data stay."""
        kept.move_to_new_tab()
        for command, parameters in FORGET.items():
            kept.driver.execute("cdp", {"cmd": command, "params": parameters})
        if not self.settings.embedded:
            kept.driver.execute("getLog", {"type": "performance"})  # what is in it is gone

    def service(self) -> Service:
        """Return chromedriver."""
        return SecretChromeService(self.programs.driver)

    def options(self) -> ArgOptions:
        """Make it headless and silent: nothing goes out but the request for the page."""
        options = webdriver.ChromeOptions()
        if not self.settings.grid:  # whose driver knows its own
            options.binary_location = str(self.programs.browser)
        options.accept_insecure_certs = self.settings.embedded
        for argument in ARGUMENTS:
            options.add_argument(argument)
        if self.settings.reuse:  # it has one page at a time, and a new process is not cheap
            options.add_argument("--renderer-process-limit=1")
        if os.geteuid() == 0:  # its sandbox refuses root
            options.add_argument("--no-sandbox")
        if self.settings.embedded:
            hosts = f"EXCLUDE 127.0.0.1, EXCLUDE {self.settings.host}"
            options.add_argument(f"--host-resolver-rules=MAP * ~NOTFOUND, {hosts}")
        else:
            options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        if self.user_agent:
            options.add_argument(f"--user-agent={self.user_agent}")
        return options


def _document(log: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], str | None]:
    """Return the last response to the page itself in Chrome's log, and why its load failed."""
    document: dict[str, Any] = {}
    failure = None
    for entry in map(json.loads, (item["message"] for item in log)):
        message, params = entry["message"], entry["message"].get("params", {})
        frame = params.get("frameId", entry["webview"])
        if params.get("type") != "Document" or frame != entry["webview"]:
            continue  # the page's own frame has the name of its window
        if message["method"] == "Network.responseReceived":
            if params["response"]["url"].startswith("http"):  # not the blank page at the start
                document = params["response"]
        elif message["method"] == "Network.loadingFailed":
            failure = params["errorText"]
    return document, failure
