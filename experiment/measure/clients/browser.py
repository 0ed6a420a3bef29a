"""Fetch a page with a browser: what all browsers share.

Each fetch has a fresh one: a driver program is started, a session opened, the page loaded, one
script asks what came, and both are ended. Only the program and its options differ.
"""

import random
import re
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import selenium
from pydantic import Field, TypeAdapter, ValidationError
from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.common.options import ArgOptions
from selenium.webdriver.common.service import Service
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.remote_connection import RemoteConnection
from urllib3 import BaseHTTPResponse, PoolManager
from urllib3.exceptions import HTTPError

from experiment import process_tree
from experiment.fetches import Count, Seconds
from experiment.measure import grid, programs
from experiment.measure.clients import base
from experiment.measure.clients.base import SIZE_LIMIT, Deadline, FetchError, Phases, Response
from experiment.measure.clients.kept import Kept
from experiment.measure.grid import GridService
from experiment.measure.programs import Programs
from experiment.vocabulary import ClientName

CHECK = """
var entry = arguments[0] && performance.getEntriesByType('navigation')[0];
var timing = entry && entry.serverTiming || [], origin = null;
for (var i = 0; i < timing.length; i++)
    if (timing[i].name === 'origin') origin = timing[i].duration;
return [location.href, (document.documentElement || {outerHTML: ''}).outerHTML.length,
    entry && entry.responseStatus || null, origin];
"""
"""Return address and length; if told to ask for the timing, also HTTP status and origin's delay."""

FACTS = TypeAdapter(tuple[str, Count, Annotated[int, Field(ge=100, le=999)] | None, Seconds | None])
"""What CHECK returns, unless the page's scripts have replaced what it calls."""

ATTEMPTS = 5
"""How often a page is asked; a dialog, which the browser dismisses, takes the answer away."""

Answer = TypeVar("Answer")

REASONS = {
    "page scripts": "JavascriptException",
    "tls": "ERR_CERT|ERR_SSL|ERR_BAD_SSL|nssFailure|nssBadCert|InsecureCertificate|ssl failure",
    "redirects": "ERR_TOO_MANY_REDIRECTS|redirectLoop",
    "timeout": "ERR_TIMED_OUT|ERR_CONNECTION_TIMED_OUT|netTimeout",
    "connection": "net::ERR_|about:neterror",
}
"""How the browsers' own words for a failed load map to the vocabulary; the first match counts."""


class DriverPool(PoolManager):
    """Connect to a driver and bound its answers: a page decides what is in them."""

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
    """Send commands to a driver."""

    def _get_connection_manager(self) -> DriverPool:
        return DriverPool(timeout=self.client_config.timeout)

    def execute(self, command: str, params: dict[str, Any]) -> Any:
        """Send a command, again for each dialog of the page that the driver dismissed instead."""
        while True:
            response = super().execute(command, dict(params))  # which it empties
            failed = response.get("status") and command != "get"
            if not failed or "unexpected alert open" not in str(response.get("value"))[:200]:
                return response


AnyService = Service | GridService
"""What runs a driver: a program of this machine, or a Grid."""


@dataclass
class OpenBrowser:
    """A browser that runs: its driver program and the session."""

    service: AnyService
    driver: webdriver.Remote

    def end(self) -> None:
        """End the session and the program, which may have died."""
        with suppress(Exception):
            self.driver.quit()
        _kill(self.service)
        with suppress(Exception):
            self.service.stop()

    def move_to_new_tab(self) -> None:
        """Open a tab and close the one before, whose scripts then run no more."""
        opened = self.driver.execute("newWindow", {"type": "tab"})["value"]["handle"]
        self.driver.close()
        self.driver.switch_to.window(opened)


KEPT: Kept[OpenBrowser] = Kept(OpenBrowser.end)
"""The browsers that the workers of this process keep."""


@dataclass
class Browser(base.Client):
    """Drive a browser; a subclass says which program it is and with what options."""

    name: ClassVar[ClientName]
    connection: ClassVar[type[RemoteConnection]] = DriverConnection
    keep_alive: ClassVar[bool] = True

    packages = ("selenium",)
    origin_connections = 7  # a browser opens six to a host

    programs: Programs = field(init=False)

    def __post_init__(self) -> None:
        if not self.settings.grid:
            self.programs = self.find()

    @classmethod
    def find(cls) -> Programs:
        """Find the browser and its driver; raises `UserError` with what installs them."""
        raise NotImplementedError

    @classmethod
    def check_installed(cls) -> None:
        """Raise `UserError` if the browser or its driver is not installed."""
        cls.find()

    @classmethod
    def version(cls) -> str:
        """Return the versions of browser and driver; raises `UserError` if one cannot run here."""
        paths = dict.fromkeys(cls.find())  # PhantomJS is both
        return ", ".join(programs.ask_version(cls.name, path) for path in paths)

    @property
    def user_agent(self) -> str | None:
        """Return the User-Agent header, if the source requires one; never a browser's own."""
        who = self.settings.user_agent
        return who and f"{who} selenium/{selenium.__version__}"

    @property
    def asks_timing(self) -> bool:
        """Tell whether only the page's own timing has its status and the origin's delay."""
        return True

    def service(self) -> Service:
        """Return the driver program, not yet started."""
        raise NotImplementedError

    def _driver_program(self, page: int) -> AnyService:
        if not self.settings.grid:
            return self.service()
        return GridService(self.settings.grid, grid.name_of(self.settings.session_name, page))

    def options(self) -> ArgOptions:
        """Return what the session asks of the browser."""
        raise NotImplementedError

    def get(self, url: str, phases: Phases, deadline: Deadline, response: Response) -> None:
        """Load the page, in a fresh browser or in this worker's own with a clean profile."""
        open_browser = self._keep if self.settings.reuse else self._open
        with open_browser(response.page, phases, deadline) as driver:
            with phases.timed("load"):
                driver.get(url)
            with phases.timed("check"):
                self.read_response(driver, url, response)
                if (response.length or 0) > SIZE_LIMIT:
                    raise FetchError("too large")  # it would be read into Python's memory
            with phases.timed("load"):
                source = answer(lambda: driver.page_source)
            if source is None:
                raise FetchError("page scripts")
            response.body, response.length = source.encode(), len(source)

    def read_response(self, driver: webdriver.Remote, url: str, response: Response) -> None:  # noqa: ARG002
        """Ask the page for its address, length, status and timing."""
        told = answer(lambda: driver.execute_script(CHECK, self.asks_timing))
        try:
            facts = FACTS.validate_python(told)
        except ValidationError:
            raise FetchError("page scripts") from None
        response.final_url, response.length, response.status, response.origin_ms = facts

    @contextmanager
    def _open(self, page: int, phases: Phases, deadline: Deadline) -> Iterator[webdriver.Remote]:
        service = self._driver_program(page)
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
                if isinstance(service, GridService):
                    service.session = None  # it has ended
            finally:
                service.stop()

    @contextmanager
    def _keep(self, page: int, phases: Phases, deadline: Deadline) -> Iterator[webdriver.Remote]:
        """Yield the driver of this worker's browser; one that failed is not kept."""
        with phases.timed("browser_start"):
            kept = KEPT.get(lambda: self._launch(page, deadline))
        deadline.stop = lambda: _kill(kept.service)
        try:
            yield kept.driver
            with phases.timed("close"):
                self.forget_page(kept)
        except BaseException:
            with phases.timed("close"):
                _kill(kept.service)
                KEPT.drop()
            raise

    def _launch(self, page: int, deadline: Deadline) -> "OpenBrowser":
        service = self._driver_program(page)
        deadline.stop = lambda: _kill(service)
        try:
            return OpenBrowser(service, self._start(service))
        except BaseException:
            _kill(service)
            with suppress(Exception):  # the first error is the reason
                service.stop()
            raise

    def forget_page(self, kept: "OpenBrowser") -> None:
        """Leave the page, and remove what it stored, as far as the browser lets that be done."""
        raise NotImplementedError

    def end(self) -> None:
        """End the browsers of all workers of this process."""
        KEPT.end()

    def _start(self, service: AnyService) -> webdriver.Remote:
        service.start()
        driver = self._open_session(service)
        if isinstance(service, GridService):
            service.session = driver.session_id
        return driver

    def _open_session(self, service: AnyService) -> webdriver.Remote:
        config = ClientConfig(
            service.service_url.replace("localhost", "127.0.0.1", 1),  # it may be ::1, too
            keep_alive=self.keep_alive,
            timeout=int(self.timeout_s) + 1,
        )
        options = self.options()
        options.timeouts = {"pageLoad": int(self.timeout_s * 1000)}
        options.unhandled_prompt_behavior = "dismiss"
        if isinstance(service, GridService):
            options.set_capability(grid.NAME, service.name)
        return webdriver.Remote(self.connection(client_config=config), options=options)

    def reason(self, error: BaseException) -> str | None:
        """Return the vocabulary's word for an exception of Selenium or of its connection."""
        if isinstance(error, TimeoutException):
            return "timeout"
        if isinstance(error, WebDriverException | HTTPError | OSError):
            return reason_in(f"{type(error).__name__} {error}")
        return None


def answer(ask: Callable[[], Answer]) -> Answer | None:
    """Ask a page until no dialog interrupts; return None if `ATTEMPTS` are interrupted."""
    return next((told for _ in range(ATTEMPTS) if (told := ask()) is not None), None)


def reason_in(words: str) -> str:
    """Return the vocabulary's word for what a browser says."""
    reasons = (word for word, pattern in REASONS.items() if re.search(pattern, words))
    return next(reasons, "browser")


def own_port() -> int:
    """Return a free port that no other worker draws.

    Selenium gives its port back before the driver takes it, so two workers may be given the same,
    and share a browser. Each thread has sixteen of its own, below those that the system hands out.
    """
    first = 16 * (threading.get_native_id() % 1_200) + 12_000
    for port in random.sample(range(first, first + 16), 16):
        # Bound, never listening: a driver that another thread starts now holds a copy of the
        # socket for an instant, and must not be taken for this one's driver.
        with suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise FetchError("browser")


def _kill(service: AnyService) -> None:
    """End the driver and what it started; quiet where there is nothing left."""
    if isinstance(service, GridService):
        service.stop()
    process = getattr(service, "process", None)
    if process is not None and process.poll() is None:
        process_tree.end(process.pid)


class SecretPath(Service):
    """Serve a driver below a path that nobody can guess: it would obey any page of this machine."""

    def __init__(self, program: Path, **options: Any) -> None:
        self.secret = secrets.token_urlsafe(32)
        super().__init__(str(program), port=own_port(), **options)

    @property
    def service_url(self) -> str:
        """Return the address at which the driver serves."""
        return f"http://127.0.0.1:{self.port}/{self.secret}"
