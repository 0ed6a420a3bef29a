"""Fetch with PhantomJS 2.1.1, the article's browser; its driver (GhostDriver) is built in."""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import certifi
from selenium import webdriver
from selenium.webdriver.common.options import ArgOptions
from selenium.webdriver.common.service import Service

from experiment.errors import UserError
from experiment.fetches import UNKNOWN_STATUS
from experiment.measure import environment, programs
from experiment.measure.clients.base import FetchError, Response, server_timing_ms
from experiment.measure.clients.browser import (
    Browser,
    DriverConnection,
    OpenBrowser,
    SecretPath,
    reason_in,
)
from experiment.measure.programs import Programs
from experiment.study import phantomjs_is_built_here

GHOSTDRIVER = Path(__file__).with_name("ghostdriver.js")
"""What PhantomJS runs: its own driver, behind a wall."""

SHA256 = {
    "linux": "4f63e6055c323b8657f0a546d4dd36afda5cd4e961c375f31b48d506a7c4296f",
    "darwin": "2b8c719e7db6187514e98e40b62505d42e4a84108c01e800ee8f86eb37f9a053",
}
"""The digest of PhantomJS 2.1.1 as its makers built it, by platform."""


class GhostConnection(DriverConnection):
    """Send Selenium 4's commands in the older protocol of PhantomJS, where the two differ."""

    extra_commands = {  # noqa: RUF012
        "executeScript": ("POST", "/session/$sessionId/execute"),  # type: ignore[dict-item]
        "transferLog": ("POST", "/session/$sessionId/log"),  # type: ignore[dict-item]
    }

    def execute(self, command: str, params: dict[str, Any]) -> Any:
        """Send a command; a new session and a script go out in the older form."""
        if command == "newSession":
            wanted = params["capabilities"]["alwaysMatch"]
            response = super().execute(command, {"desiredCapabilities": wanted})
            session = {"sessionId": response.get("sessionId"), "capabilities": response["value"]}
            return {"value": session}
        return super().execute({"w3cExecuteScript": "executeScript"}.get(command, command), params)


class GhostService(SecretPath):
    """Run PhantomJS as its own driver."""

    def __init__(self, program: Path, bundle: str) -> None:
        self.bundle = bundle
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - `stop` closes it
        super().__init__(program, log_output=self.output)
        # Other users can read a command line.
        self.env = {**os.environ, "GHOSTDRIVER_SECRET": self.secret}

    def command_line_args(self) -> list[str]:
        """Return PhantomJS's own options, the script and the script's options."""
        return [
            "--ssl-protocol=any",
            f"--ssl-certificates-path={self.bundle}",
            str(GHOSTDRIVER),
            "--ip=127.0.0.1",
            f"--port=127.0.0.1:{self.port}",  # GhostDriver takes the address from here
            "--logLevel=NONE",
        ]

    def is_connectable(self) -> bool:
        """Tell whether it says that it listens; no other program at its port is told the secret."""
        return b"listening" in os.pread(self.output.fileno(), 4096, 0)

    def send_remote_shutdown_command(self) -> None:
        """Do nothing: PhantomJS knows no such command, and ends on SIGTERM."""

    def stop(self) -> None:
        """End PhantomJS and forget what it printed."""
        super().stop()
        self.output.close()


class Client(Browser):
    """Drive PhantomJS."""

    name = "phantomjs"
    connection = GhostConnection
    keep_alive = False  # a kept connection would cost 42 ms a command
    asks_timing = False
    suits_any_page = False  # it has known security holes that nobody mends
    typical_fetch_s = 0.5
    own_files = 16
    own_mb = 13.0  # measured: 0.27 GB for 20

    @classmethod
    def find(cls) -> Programs:
        """Find PhantomJS in the package that carries it."""
        if not phantomjs_is_built_here():
            raise UserError(
                "clients: phantomjs cannot run, it has no build for this machine; use chrome "
                "instead"
            )
        path = programs.carried("phasma", "phasma/driver/phantomjs/bin/phantomjs")
        path = path or programs.missing(cls.name, "PhantomJS", "python -m pip install phasma")
        return Programs(path, path)

    @classmethod
    def version(cls) -> str:
        """Return the version; raises `UserError` unless this is PhantomJS as it was built."""
        path = cls.find().browser
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != SHA256[sys.platform]:
            raise UserError(
                f"clients: phantomjs cannot run, {path} is not PhantomJS 2.1.1 as it was built; "
                "install it again with: python -m pip install --force-reinstall phasma"
            )
        return super().version()

    def service(self) -> Service:
        """Return PhantomJS itself."""
        bundle = self.settings.bundle or environment.bundle() or certifi.where()
        return GhostService(self.programs.driver, bundle)

    def options(self) -> ArgOptions:
        """Set the User-Agent header, if the source requires one; the rest is in the arguments."""
        options = ArgOptions()
        options.set_capability("browserName", self.name)
        if self.user_agent:
            options.set_capability("phantomjs.page.settings.userAgent", self.user_agent)
        return options

    def forget_page(self, kept: OpenBrowser) -> None:
        """Open a new session, which has no cookies; caches and `localStorage` stay."""
        kept.driver.quit()
        kept.driver = self._open_session(kept.service)

    def read_response(self, driver: webdriver.Remote, url: str, response: Response) -> None:
        """Read the log of transfers (HAR), too: the script cannot tell all."""
        super().read_response(driver, url, response)
        log = driver.execute("transferLog", {"type": "har"})["value"]
        transfers = json.loads(log[0]["message"])["log"]["entries"]
        address = str(response.final_url).partition("#")[0]
        if not address.startswith("http"):
            if "server replied" not in _status_texts(transfers):
                raise FetchError(_silent_failure(transfers))
            response.final_url = url  # an error without a body leaves its page blank
        of_page = [item for item in transfers if item["request"]["url"] == address] or transfers[:1]
        if of_page:
            _read_transfer(of_page[-1]["response"], response)


def _read_transfer(transfer: dict[str, Any], response: Response) -> None:
    """Read status and headers of PhantomJS's transfer of the page."""
    headers = {item["name"].lower(): item["value"] for item in transfer["headers"]}
    response.origin_ms = server_timing_ms(headers.get("server-timing", ""))
    response.retry_after = headers.get("retry-after")
    response.status = transfer["status"] or _status(transfer["statusText"] or "")
    if response.status is None:
        raise FetchError(UNKNOWN_STATUS)


def _silent_failure(transfers: Sequence[dict[str, Any]]) -> str:
    """Return why PhantomJS shows no page; it raises nothing."""
    statuses = [item["response"]["status"] or 0 for item in transfers]
    if next((status for status in statuses if not 300 <= status < 400), 0) in range(200, 300):
        return "no page"
    return "tls" if reason_in(_status_texts(transfers)) == "tls" else "connection"


def _status_texts(transfers: Sequence[dict[str, Any]]) -> str:
    return " ".join(str(item["response"]["statusText"]) for item in transfers)


def _status(text: str) -> int | None:
    """Return the HTTP status of a response of which PhantomJS tells only the phrase."""
    phrase = text.rpartition("server replied: ")[2]
    return next((status.value for status in HTTPStatus if status.phrase == phrase), None)
