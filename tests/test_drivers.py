"""Nobody but the study itself can command its browsers: no page, no other user, no other machine.

The studies run in a network namespace of their own, which stands for the machine, so that those
who attack it meet nothing but the study.
"""

import http.client
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from experiment import records
from experiment.fetches import Page
from experiment.measure import clients, network
from experiment.measure.clients import base, browser, phantomjs
from experiment.vocabulary import BROWSERS, ClientName
from tests.conftest import Copy, eventually, need
from tests.servers import PAGE, Server

CLIENTS = ["phantomjs", "chrome", pytest.param("firefox", marks=pytest.mark.faults)]
AGAINST_OTHERS = [
    "chrome",
    *(pytest.param(name, marks=pytest.mark.faults) for name in ("phantomjs", "firefox")),
]
INTRUDER = (Path(__file__).parent / "intruder.py").read_text()
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


class Trap:
    """A program that leaves a mark when somebody has it started, and the requests that ask so."""

    def __init__(self, folder: Path) -> None:
        self.mark = folder / "mark"
        self.program = folder / "program"
        self.program.write_text(f"#!/bin/sh\ntouch {self.mark}\n")
        self.program.chmod(0o755)

    def session(self, browser: str) -> str:
        """A new session whose browser is the program; one for PhantomJS has no such choice."""
        name = {"chrome": "goog:chromeOptions", "firefox": "moz:firefoxOptions"}.get(browser)
        wanted = {name: {"binary": str(self.program)}} if name else {}
        return json.dumps(
            {"desiredCapabilities": wanted, "capabilities": {"alwaysMatch": wanted}}
        )  # fmt: skip

    @property
    def execute(self) -> str:
        """A script that GhostDriver would run outside of any page."""
        return json.dumps({"script": f"require('fs').touch('{self.mark}')", "args": []})

    @property
    def bodies(self) -> list[str]:
        """All of them."""
        return [*map(self.session, BROWSERS), self.execute]


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    """A trap that nobody has gone into."""
    return Trap(tmp_path)


@contextmanager
def opened(client: ClientName, server: Server) -> Iterator[list[int]]:
    """A browser with a page; yields the ports at which it and its driver listen."""
    opened = clients.of(client)(60, base.ClientSettings())
    assert isinstance(opened, browser.Browser)
    with opened._open(1, base.Phases(), base.Deadline(60)) as driver:
        driver.get(server.url("page"))
        yield sorted(listening(psutil.Process().children(recursive=True)))


def listening(processes: Sequence[psutil.Process]) -> set[int]:
    """The ports at which processes listen."""
    found: set[int] = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            items = process.net_connections("tcp")
            found |= {item.laddr.port for item in items if item.status == psutil.CONN_LISTEN}
    return found


def answered(port: int, path: str, body: str, **headers: str) -> tuple[int | None, bytes]:
    """Status and body of the answer to a request; None and nothing where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest("POST", path, skip_host="Host" in headers)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(body.encode())
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return None, b""
    finally:
        connection.close()


FROM_A_PAGE = (
    {"Origin": "http://127.0.0.1:8000", "Content_Type": "text/plain"},
    {"Origin": "http://evil.example", "Content_Type": "text/plain"},
    {"Origin": "null", "Content_Type": "application/x-www-form-urlencoded"},
    {"Origin": "http://evil.example", "Host": "evil.example", "Content_Type": "application/json"},
    {"Host": "evil.example", "Content_Type": "application/json"},
)
"""What a page can send: a form, a script, a script of a name that now leads to 127.0.0.1."""


@pytest.mark.parametrize("client", BROWSERS)
def test_a_driver_refuses_what_a_page_can_send(
    client: ClientName, server: Server, trap: Trap
) -> None:
    need(client)
    with opened(client, server) as ports:
        [driver] = [port for port in ports if port < 32_768]  # the others do not speak HTTP
        for headers, body in itertools.product(FROM_A_PAGE, trap.bodies):
            status, answer = answered(driver, "/session", body, **headers)
            assert status is not None, headers
            assert status >= 400, (headers, answer)
    assert not trap.mark.exists()


@pytest.mark.parametrize("client", ["phantomjs", "chrome"])
def test_a_driver_answers_nobody_without_its_secret(
    client: ClientName, server: Server, trap: Trap
) -> None:
    need(client)
    with opened(client, server) as [port]:
        for path in ("/session", "/sessions", "/status", "/shutdown", "/", "/wd/hub/session"):
            assert answered(port, path, trap.session(client))[0] in (400, 404)
    assert not trap.mark.exists()


def test_phantomjs_reads_no_file_and_starts_no_program_for_its_own_client(trap: Trap) -> None:
    need("phantomjs")
    service = phantomjs.Client(60, base.ClientSettings()).service()
    service.start()
    try:
        words = " ".join(psutil.Process(service.process.pid).cmdline())
        prefix = "/" + service.service_url.rpartition("/")[2]
        assert prefix[1:] not in words
        status, body = answered(service.port, f"{prefix}/session", trap.session("phantomjs"))
        assert status == 200
        session = json.loads(body)["sessionId"]
        path = f"{prefix}/session/{session}/phantom/execute"
        assert answered(service.port, path, trap.execute)[0] == 404
    finally:
        service.stop()
    assert not trap.mark.exists()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_page_cannot_command_the_driver_that_fetches_it(
    client: ClientName, server: Server, trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(client)
    port = browser.own_port()
    monkeypatch.setattr(browser, "own_port", lambda: port)  # the page is told it
    script = ATTACK.replace("PORT", str(port)).replace("BODIES", json.dumps(trap.bodies))
    server.pages["attack"] = script.encode()
    made = clients.of(client)(15, base.ClientSettings())
    row = base.fetch(made, 0.0, Page(1, server.url("attack")))
    assert row.error == ("timeout" if client == "firefox" else None)  # its driver lets it wait
    assert client == "firefox" or "/done" in server.asked
    assert not trap.mark.exists()


ATTACK = """<!DOCTYPE html><title>Attack</title><body><script>
var bodies = BODIES, left = 0;
function ended() { if (--left === 0) new Image().src = '/done'; }
bodies.forEach(function (body) {
    var url = 'http://127.0.0.1:PORT/session', request = new XMLHttpRequest();
    left += 2;
    request.open('POST', url);
    request.setRequestHeader('Content-Type', 'text/plain');
    request.onreadystatechange = function () { if (request.readyState === 4) ended(); };
    request.send(body);
    var image = new Image();
    image.onload = image.onerror = ended;
    image.src = url;
    var frame = document.createElement('iframe'), form = document.createElement('form');
    frame.name = 'frame' + Math.random();
    form.target = frame.name;
    form.action = url;
    form.method = 'POST';
    form.enctype = 'text/plain';
    var field = document.createElement('input');
    field.name = body.slice(0, -1) + ', "x": "';
    field.value = '"}';
    form.appendChild(field);
    document.body.appendChild(frame);
    document.body.appendChild(form);
    form.submit();
});
</script><img src="/hold" alt=""></body>"""
"""The driver, asked by script, as an image and by a form."""


def inside(holder: int, *command: str) -> list[str]:
    """A command as it is run in the network that a process holds."""
    return ["nsenter", f"--target={holder}", "--net", *command]


def listening_elsewhere(pid: int) -> list[str]:
    """What listens on other addresses than the machine's own, in the network of a process."""
    shown = subprocess.run(
        inside(pid, "ss", "-Hltn"), capture_output=True, text=True, check=False
    ).stdout
    places = [line.split()[3] for line in shown.splitlines()]
    return [place for place in places if not place.startswith(("127.", "[::1]", "[::ffff:127."))]


@pytest.fixture
def machine() -> Iterator[int]:
    """A machine to attack: the process that holds its network."""
    with network.private() as holder:
        if holder is None or os.geteuid() != 0 or not shutil.which("nsenter"):
            pytest.skip("other users and machines are only imitated by root, with nsenter")
        yield holder


@contextmanager
def intruding(*command: str, address: str, trap: Trap) -> Iterator[dict[str, Any]]:
    """Somebody who tries to get in; what that one found is told at the end."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    process = subprocess.Popen(
        [*command, python, "-c", INTRUDER, address, *trap.bodies],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, Any] = {}
    try:
        yield found
    finally:
        out, _ = process.communicate(timeout=60)
        found.update(json.loads(out))


def measured(copy: Copy, machine: int, client: str, *options: str) -> None:
    """Run a study in the machine, and see that all it listens at is the machine's own."""
    process = copy.start(
        *inside(machine, sys.executable, "-m", "experiment", "run", "--pool-sizes", "2"),
        "--modes", "serial threads", "--pages", "2", "--rounds", "1", "--run", "walled",
        "--clients", client, *options,
    )  # fmt: skip
    seen: set[str] = set()
    while process.poll() is None:
        networks: dict[str, int] = {}
        for item in copy.processes():
            try:
                networks[str(Path(f"/proc/{item.pid}/ns/net").readlink())] = item.pid
            except OSError:
                continue
        seen.update(place for pid in networks.values() for place in listening_elsewhere(pid))
        time.sleep(0.05)
    assert process.returncode == 0, process.communicate()[1]
    fetches, _ = records.load(copy.path / "data" / "walled")
    assert fetches["error"].isna().all()
    assert not seen


@pytest.fixture
def site(copy: Copy, machine: int) -> Iterator[str]:
    """A page of somebody else's, served in the machine."""
    folder = copy.path.parent / "site"
    folder.mkdir()
    (folder / "page.html").write_bytes(PAGE)
    process = subprocess.Popen(
        inside(machine, sys.executable, "-m", "http.server", "8000", "--bind", "127.0.0.1"),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    shown = inside(machine, "ss", "-Hltn")
    assert eventually(lambda: b":8000" in subprocess.check_output(shown), 10)
    yield "http://127.0.0.1:8000/page.html"
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("client", AGAINST_OTHERS)
def test_another_user_reaches_no_browser_of_a_study_at_home(
    copy: Copy, machine: int, trap: Trap, client: ClientName
) -> None:
    need(client)
    with intruding(*inside(machine, *NOBODY), address="127.0.0.1", trap=trap) as found:
        measured(copy, machine, client, "--latency", "0")
    assert found["looks"] > 10
    assert found["ports"] == []
    assert not trap.mark.exists()


@pytest.mark.slow
def test_another_user_gets_nothing_from_phantomjs(
    copy: Copy, machine: int, site: str, trap: Trap
) -> None:
    need("phantomjs")
    with intruding(*inside(machine, *NOBODY), address="127.0.0.1", trap=trap) as found:
        measured(copy, machine, "phantomjs", "--source", site)
    drivers = {status for port, status in found["answers"] if port != 8000}
    assert 404 in drivers
    assert drivers <= {404, None}  # None: it had ended
    assert not trap.mark.exists()


@pytest.mark.slow
@pytest.mark.parametrize("client", AGAINST_OTHERS)
def test_another_machine_connects_to_nothing(
    copy: Copy, machine: int, site: str, trap: Trap, client: ClientName
) -> None:
    need(client)
    with network.private() as other:
        assert other is not None
        add = f"ip link add v0 netns {machine} type veth peer name v0 netns {other}"
        subprocess.run(add.split(), check=True)
        for holder, address in ((machine, "10.77.0.1/24"), (other, "10.77.0.2/24")):
            for command in (f"ip addr add {address} dev v0", "ip link set v0 up"):
                subprocess.run(inside(holder, *command.split()), check=True)
        with intruding(*inside(other), address="10.77.0.1", trap=trap) as found:
            measured(copy, machine, client, "--source", site)
    assert found["looks"] > 0
    assert found["ports"] == []
