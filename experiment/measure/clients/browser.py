"""The browsers: PhantomJS, Chrome and Firefox, a fresh one for every page.

All are driven the same way: a driver program is started, a session opened, the page loaded, one
script asks what came, and both are ended. Only the program and its options differ.
"""

import json
import os
import random
import re
import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.request import urlopen

import certifi
import psutil
import selenium
from pydantic import Field, TypeAdapter, ValidationError
from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.chrome.service import Service as ChromeService
from selenium.webdriver.common.options import ArgOptions
from selenium.webdriver.common.service import Service
from selenium.webdriver.firefox.service import Service as FirefoxService
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.remote_connection import RemoteConnection
from urllib3 import BaseHTTPResponse, PoolManager
from urllib3.exceptions import HTTPError

from experiment.measure import environment
from experiment.measure.clients.base import (
    SIZE_LIMIT,
    UNKNOWN_STATUS,
    ClientSettings,
    Deadline,
    FetchError,
    Phases,
    Response,
    server_timing_ms,
)
from experiment.measure.programs import Programs, find
from experiment.records import Count, Seconds
from experiment.vocabulary import ClientName

CHECK = """
var entry = arguments[0] && performance.getEntriesByType('navigation')[0];
var timing = entry && entry.serverTiming || [], origin = null;
for (var i = 0; i < timing.length; i++)
    if (timing[i].name === 'origin') origin = timing[i].duration;
return [location.href, (document.documentElement || {outerHTML: ''}).outerHTML.length,
    entry && entry.responseStatus || null, origin];
"""
"""What came: address and length, and if it shall ask for the timing, HTTP status and the origin's
own delay. The page's scripts may have replaced what it calls."""

TOLD = TypeAdapter(tuple[str, Count, Annotated[int, Field(ge=100, le=999)] | None, Seconds | None])
"""What the script returns unless the page's scripts interfere."""

REASONS = {
    "page scripts": "JavascriptException",
    "tls": "ERR_CERT|ERR_SSL|ERR_BAD_SSL|nssFailure|nssBadCert|InsecureCertificate|ssl failure",
    "redirects": "ERR_TOO_MANY_REDIRECTS|redirectLoop",
    "timeout": "ERR_TIMED_OUT|ERR_CONNECTION_TIMED_OUT|netTimeout",
    "connection": "net::ERR_|about:neterror",
}
"""How the browsers' own words for a failed load map to the vocabulary; the first match counts."""


GHOSTDRIVER = Path(__file__).with_name("ghostdriver.js")
"""What PhantomJS runs: its own driver, behind a wall."""


class DriverPool(PoolManager):
    """Connections to a driver whose answers are bounded: a page decides what is in them."""

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **options: Any
    ) -> BaseHTTPResponse:
        """Ask for a URL; raises `FetchError` before a response is read that is too large."""
        response = super().urlopen(method, url, redirect, preload_content=False, **options)
        if int(response.headers.get("Content-Length", 0)) > 2 * SIZE_LIMIT:
            response.close()
            raise FetchError("too large")
        return response


class DriverConnection(RemoteConnection):
    """Commands to a driver."""

    def _get_connection_manager(self) -> DriverPool:
        return DriverPool(timeout=self.client_config.timeout)

    def execute(self, command: str, params: dict[str, Any]) -> Any:
        """Send a command, again for each dialog of the page that the driver dismissed instead."""
        while True:
            response = super().execute(command, dict(params))  # which it empties
            failed = response.get("status") and command != "get"
            if not failed or "unexpected alert open" not in str(response.get("value"))[:200]:
                return response


@dataclass
class Browser:
    """What the browsers share; a subclass says which program it is and with what options."""

    name: ClassVar[ClientName]
    connection: ClassVar[type[RemoteConnection]] = DriverConnection
    keep_alive: ClassVar[bool] = True

    timeout_s: float
    settings: ClientSettings
    programs: Programs = field(init=False)

    def __post_init__(self) -> None:
        self.programs = find(self.name)

    @property
    def user_agent(self) -> str | None:
        """Who asks, where the source wants to know; never a browser's own."""
        who = self.settings.user_agent
        return who and f"{who} selenium/{selenium.__version__}"

    @property
    def asks_timing(self) -> bool:
        """Whether only the page's own timing tells its status and the origin's delay."""
        return True

    def prepare(self) -> None:
        """Selenium is imported with this module."""

    def service(self) -> Service:
        """The driver program, not yet started."""
        raise NotImplementedError

    def options(self) -> ArgOptions:
        """What the session asks of the browser."""
        raise NotImplementedError

    def get(self, url: str, phases: Phases, deadline: Deadline, response: Response) -> None:
        """Load the page in a fresh browser."""
        with self._open(phases, deadline) as driver:
            with phases.timed("load"):
                driver.get(url)
            with phases.timed("check"):
                self.read_response(driver, url, response)
                if (response.length or 0) > SIZE_LIMIT:
                    raise FetchError("too large")  # it would be read into Python's memory
            with phases.timed("load"):
                source = driver.page_source
            response.body, response.length = source.encode(), len(source)

    def read_response(self, driver: webdriver.Remote, url: str, response: Response) -> None:  # noqa: ARG002
        """Find out what came."""
        told = driver.execute_script(CHECK, self.asks_timing)
        try:
            response.final_url, response.length, response.status, response.origin_ms = (
                TOLD.validate_python(told)
            )
        except ValidationError:
            raise FetchError("page scripts") from None

    @contextmanager
    def _open(self, phases: Phases, deadline: Deadline) -> Iterator[webdriver.Remote]:
        service = self.service()
        deadline.stop = lambda: _kill(service)
        try:
            with phases.timed("browser_start"):
                driver = self._start(service)
            yield driver
        except BaseException:
            with phases.timed("close"), suppress(Exception):  # the first error is the reason
                _kill(service)
                service.stop()
            raise
        with phases.timed("close"):
            try:
                driver.quit()
            finally:
                service.stop()

    def _start(self, service: Service) -> webdriver.Remote:
        service.start()
        config = ClientConfig(
            service.service_url.replace("localhost", "127.0.0.1", 1),  # it may be ::1, too
            keep_alive=self.keep_alive,
            timeout=int(self.timeout_s) + 1,
        )
        options = self.options()
        options.timeouts = {"pageLoad": int(self.timeout_s * 1000)}
        options.unhandled_prompt_behavior = "dismiss"
        return webdriver.Remote(self.connection(client_config=config), options=options)

    def reason(self, error: BaseException) -> str | None:
        """The vocabulary's word for an exception of Selenium or of its connection."""
        if isinstance(error, FetchError):
            return str(error)
        if isinstance(error, TimeoutException):
            return "timeout"
        if isinstance(error, WebDriverException | HTTPError | OSError):
            return _reason(f"{type(error).__name__} {error}")
        return None


def _reason(words: str) -> str:
    """The vocabulary's word for what a browser says."""
    found = (word for word, pattern in REASONS.items() if re.search(pattern, words))
    return next(found, "browser")


def own_port() -> int:
    """A free port that no other worker draws.

    Selenium asks the system for one and gives it back before the driver takes it; of ten workers
    two would now and then be given the same, and share a browser. So each thread or process has
    sixteen of its own, below those that the system hands out.
    """
    first = 16 * (threading.get_native_id() % 1_200) + 12_000
    for port in random.sample(range(first, first + 16), 16):
        # Bound, never listening: a driver that another thread starts at this moment holds a copy
        # of the socket for an instant, and must not be taken for this one's driver.
        with suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise FetchError("browser")


def _kill(service: Service) -> None:
    """End the driver and what it started; quiet where there is nothing left."""
    process = getattr(service, "process", None)
    if process is None or process.poll() is not None:
        return
    with suppress(psutil.NoSuchProcess):
        driver = psutil.Process(process.pid)
        for item in [*driver.children(recursive=True), driver]:
            with suppress(psutil.NoSuchProcess):
                item.kill()


class GhostConnection(DriverConnection):
    """Selenium 4's commands in the older protocol of PhantomJS, where the two differ."""

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


class GhostService(Service):
    """PhantomJS, which has its driver (GhostDriver) built in; it serves who knows its secret."""

    def __init__(self, programs: Programs, bundle: str) -> None:
        self.bundle = bundle
        self.secret = secrets.token_urlsafe(32)
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - `stop` closes it
        super().__init__(
            str(programs.driver),
            port=own_port(),
            log_output=self.output,
            env={**os.environ, "GHOSTDRIVER_SECRET": self.secret},
        )

    @property
    def service_url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}/{self.secret}"

    def command_line_args(self) -> list[str]:
        """PhantomJS's own options, the script and the script's options."""
        return [
            "--ssl-protocol=any",
            f"--ssl-certificates-path={self.bundle}",
            str(GHOSTDRIVER),
            "--ip=127.0.0.1",
            f"--port=127.0.0.1:{self.port}",  # GhostDriver takes the address from here
            "--logLevel=NONE",
        ]

    def is_connectable(self) -> bool:
        """Whether it says that it listens; another program at its port is not told the secret."""
        return b"listening" in os.pread(self.output.fileno(), 4096, 0)

    def send_remote_shutdown_command(self) -> None:
        """It knows no such command: it ends on SIGTERM."""

    def stop(self) -> None:
        """End it."""
        super().stop()
        self.output.close()


class GhostOptions(ArgOptions):
    """The options of a session; PhantomJS takes most of its own on the command line."""

    @property
    def default_capabilities(self) -> dict[str, Any]:
        """The name that the protocol asks for."""
        return {"browserName": "phantomjs"}


class PhantomJS(Browser):
    """PhantomJS 2.1.1, the article's browser; a kept connection would cost 42 ms a command."""

    name = "phantomjs"
    connection = GhostConnection
    keep_alive = False
    asks_timing = False

    def service(self) -> Service:
        """PhantomJS itself."""
        known = self.settings.bundle or environment.bundle() or certifi.where()
        return GhostService(self.programs, known)

    def options(self) -> ArgOptions:
        """Who asks, where the source wants to know."""
        options = GhostOptions()
        if self.user_agent:
            options.set_capability("phantomjs.page.settings.userAgent", self.user_agent)
        return options

    def read_response(self, driver: webdriver.Remote, url: str, response: Response) -> None:
        """Find out what came: the script cannot tell all, its log of transfers (HAR) can."""
        super().read_response(driver, url, response)
        log = driver.execute("transferLog", {"type": "har"})["value"]
        transfers = json.loads(log[0]["message"])["log"]["entries"]
        address = str(response.final_url).partition("#")[0]
        if not address.startswith("http"):
            if "server replied" not in _words(transfers):
                raise FetchError(_silent_failure(transfers))
            response.final_url = url  # an error without a body leaves its page blank
        seen = [item for item in transfers if item["request"]["url"] == address] or transfers[:1]
        if seen:
            _read_transfer(seen[-1]["response"], response)


def _read_transfer(transfer: dict[str, Any], response: Response) -> None:
    """Read status and headers of PhantomJS's transfer of the page."""
    headers = {item["name"].lower(): item["value"] for item in transfer["headers"]}
    response.origin_ms = server_timing_ms(headers.get("server-timing", ""))
    response.retry_after = headers.get("retry-after")
    response.status = transfer["status"] or _status(transfer["statusText"] or "")
    if response.status is None:
        raise FetchError(UNKNOWN_STATUS)


def _silent_failure(transfers: Sequence[dict[str, Any]]) -> str:
    """Why PhantomJS shows no page; it raises nothing."""
    statuses = [item["response"]["status"] or 0 for item in transfers]
    if next((status for status in statuses if not 300 <= status < 400), 0) in range(200, 300):
        return "no page"
    return "tls" if _reason(_words(transfers)) == "tls" else "connection"


def _words(transfers: Sequence[dict[str, Any]]) -> str:
    return " ".join(str(item["response"]["statusText"]) for item in transfers)


def _status(words: str) -> int | None:
    """The HTTP status of a response of which PhantomJS tells only the phrase."""
    phrase = words.rpartition("server replied: ")[2]
    return next((status.value for status in HTTPStatus if status.phrase == phrase), None)


class SecretChromeService(ChromeService):
    """chromedriver; no page knows the path at which it serves.

    It obeys any page that a server on this machine sent; other users can read its command line.
    """

    def __init__(self, programs: Programs) -> None:
        self.secret = secrets.token_urlsafe(32)
        arguments = [f"--url-base={self.secret}"]
        super().__init__(str(programs.driver), port=own_port(), service_args=arguments)

    @property
    def service_url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}/{self.secret}"

    def is_connectable(self) -> bool:
        """Whether it takes sessions."""
        with suppress(OSError), urlopen(f"{self.service_url}/status", timeout=1) as response:  # noqa: S310
            return bool(response.status == HTTPStatus.OK)
        return False


class Chrome(Browser):
    """Chrome, Chromium, or their small headless shell."""

    name = "chrome"

    @property
    def asks_timing(self) -> bool:
        """Elsewhere than at home the log of the network tells, which no page can change."""
        return self.settings.embedded

    def read_response(self, driver: webdriver.Remote, url: str, response: Response) -> None:
        """Find out what came; elsewhere than at home the log of the network knows more."""
        super().read_response(driver, url, response)
        if self.settings.embedded:
            return
        document, failure = _document(driver.execute("getLog", {"type": "performance"})["value"])
        headers = {name.lower(): value for name, value in document.get("headers", {}).items()}
        response.status = document.get("status", response.status)
        response.retry_after = headers.get("retry-after")
        if str(response.final_url).startswith("chrome-error:"):
            if (response.status or 0) < 400:
                raise FetchError(_reason(failure or "net::ERR_"))
            response.final_url = url  # an error without a body: Chrome shows a page of its own

    def service(self) -> Service:
        """chromedriver."""
        return SecretChromeService(self.programs)

    def options(self) -> ArgOptions:
        """Headless, and silent: nothing goes out but the page that was asked for."""
        options = webdriver.ChromeOptions()
        options.binary_location = str(self.programs.browser)
        options.accept_insecure_certs = self.settings.embedded
        for argument in (
            "--headless",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-default-apps",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--remote-debugging-pipe",  # else it listens, and other users could command it
        ):
            options.add_argument(argument)
        if os.geteuid() == 0:  # its sandbox refuses root
            options.add_argument("--no-sandbox")
        if not self.settings.embedded:
            options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        if self.settings.embedded:
            options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        if self.user_agent:
            options.add_argument(f"--user-agent={self.user_agent}")
        return options


def _document(log: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], str | None]:
    """The last response to the page itself in Chrome's log, and why its load failed, if it did."""
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


class Firefox(Browser):
    """Firefox."""

    name = "firefox"

    def service(self) -> Service:
        """geckodriver."""
        return FirefoxService(str(self.programs.driver), port=own_port())

    def options(self) -> ArgOptions:
        """Headless."""
        options = webdriver.FirefoxOptions()
        options.binary_location = str(self.programs.browser)
        options.accept_insecure_certs = self.settings.embedded
        options.add_argument("-headless")
        options.set_capability("moz:debuggerAddress", False)  # else it listens at one more port
        if self.user_agent:
            options.set_preference("general.useragent.override", self.user_agent)
        return options


BROWSERS: dict[ClientName, type[Browser]] = {
    browser.name: browser for browser in (PhantomJS, Chrome, Firefox)
}
