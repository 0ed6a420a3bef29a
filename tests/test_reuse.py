"""Clients of today: kept connections and browsers, tasks of an event loop; each page on its own."""

import functools
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil
import pytest

from experiment import records
from experiment.errors import UserError
from experiment.fetches import Fetch, Page
from experiment.measure import clients, preconditions, sources
from experiment.measure.clients import base, tasks
from experiment.measure.clients.base import ClientSettings
from experiment.measure.event_loop import EventLoop
from experiment.measure.modes import workers
from experiment.measure.rate_limit import RateLimiter
from experiment.study import Study
from experiment.vocabulary import ClientName, Mode
from tests.conftest import Copy, eventually, need
from tests.servers import Server

Way = tuple[ClientName, Mode, bool]

PLAIN: list[Way] = [
    ("requests", "threads", False),
    ("requests", "threads", True),
    ("httpx2", "threads", False),
    ("httpx2", "threads", True),
    ("httpx2", "asyncio", False),
    ("httpx2", "asyncio", True),
    ("aiohttp", "asyncio", False),
    ("aiohttp", "asyncio", True),
]
"""Each way to get the bytes of a page: client, mode and reuse."""

BROWSERS = ["phantomjs", "chrome", pytest.param("firefox", marks=pytest.mark.slow)]


def fetched(
    way: Way,
    urls: Sequence[str],
    size: int = 1,
    timeout_s: float = 30,
    settings: ClientSettings | None = None,
) -> list[Fetch]:
    """Pages fetched one way by a pool, one page at a time, as a trial does it."""
    name, mode, reuse = way
    client = clients.of(name)(timeout_s, replace(settings or ClientSettings(), reuse=reuse))
    pages = [Page(number, url) for number, url in enumerate(urls, start=1)]
    room: Any = tasks if mode == "asyncio" else base
    fetch = functools.partial(room.fetch, client, time.perf_counter())
    with workers(mode, size, None, functools.partial(base.begin, client, RateLimiter.here)) as pool:
        rows = pool.map(fetch, pages, 1)
        if mode == "asyncio":
            pool.map(functools.partial(tasks.end, client), [None], 1)
        client.end()
    return rows


class _Kept(BaseHTTPRequestHandler):
    """Keep connections; say which cookies came, and hand one out."""

    protocol_version = "HTTP/1.1"
    server: "KeepingServer"

    def setup(self) -> None:
        self.server.connections += 1
        super().setup()

    def do_GET(self) -> None:
        self.server.cookies.append(self.headers.get("Cookie"))
        if self.path == "/hop":
            self.send_response(302)
            self.send_header("Location", "/page")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/drop":
            self.close_connection = True
            return
        body = b"<!DOCTYPE html><title>kept</title>" + b"x" * 1_000
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", f"page={len(self.server.cookies)}; Path=/")
        if self.path == "/last":  # the client is not told that the connection ends
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class KeepingServer(ThreadingHTTPServer):
    """A server that keeps connections; it counts them and collects the cookies that come."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Kept)
        self.connections = 0
        self.cookies: list[str | None] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


@pytest.fixture
def keeping() -> Iterator[KeepingServer]:
    with KeepingServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("way", PLAIN)
def test_a_worker_opens_one_connection_with_reuse_and_else_one_for_each_page(
    way: Way, keeping: KeepingServer
) -> None:
    rows = fetched(way, [keeping.url("page")] * 12, size=3)
    assert [row.error for row in rows] == [None] * 12
    assert {row.status for row in rows} == {200}
    assert len({row.sha256 for row in rows}) == 1
    workers_seen = len({row.worker for row in rows})
    assert keeping.connections == (workers_seen if way[2] else 12)
    if way[1] == "asyncio":
        assert {row.worker for row in rows} == {1, 2, 3}


@pytest.mark.parametrize("way", PLAIN)
def test_no_cookie_goes_from_page_to_page(way: Way, keeping: KeepingServer) -> None:
    fetched(way, [keeping.url(path) for path in ("page", "hop", "page", "page")] * 2, size=2)
    assert len(keeping.cookies) == 10
    assert set(keeping.cookies) == {None}


@pytest.mark.parametrize("way", [way for way in PLAIN if way[2]])
def test_a_server_that_ends_kept_connections_costs_no_page_more_than_its_own(
    way: Way, keeping: KeepingServer
) -> None:
    paths = ("page", "last", "page", "drop", "page", "page")
    rows = fetched(way, [keeping.url(path) for path in paths])
    assert rows[3].error == "connection"
    assert [row.error for row in (rows[0], rows[1], rows[5])] == [None] * 3
    assert {row.error for row in (rows[2], rows[4])} <= {None, "connection"}


FAILURES = {
    "missing": "http 404",
    "broken": "http 500",
    "loop": "redirects",
    "reset": "connection",
    "short": "connection",
    "garbled": "encoding",
    "huge": "too large",
    "flood": "too large",
    "silent": "timeout",
    "drip_head": "timeout",
    "drip_body": "timeout",
}


@pytest.mark.parametrize("way", [way for way in PLAIN if way != ("requests", "threads", False)])
def test_every_way_names_what_failed_and_goes_on(way: Way, server: Server) -> None:
    """All at once, each by a worker of its own; then each worker fetches a page."""
    paths = [path for path in FAILURES if path != "flood" or way[0] == "requests"]
    urls = [server.url(path) for path in [*paths, *["page"] * len(paths)]]
    rows = fetched(way, urls, size=len(paths), timeout_s=2)
    named = {path: row.error for path, row in zip(paths, rows, strict=False)}
    assert named == {path: FAILURES[path] for path in paths}
    late = [row for row in rows if row.error == "timeout"]
    assert all(1.9 < row.fetch_s < 8 for row in late)
    assert [row.error for row in rows[len(paths) :]] == [None] * len(paths)


@pytest.mark.parametrize("way", PLAIN)
def test_a_certificate_that_nobody_trusts_is_refused_and_a_trusted_one_taken(
    way: Way, tmp_path: Any
) -> None:
    with Server(tls=True) as server:
        assert [row.error for row in fetched(way, [server.url("page")])] == ["tls"]
        assert "/page" not in server.asked
        bundle = tmp_path / "bundle.pem"
        server.authority.cert_pem.write_to_path(str(bundle))
        settings = ClientSettings(bundle=str(bundle))
        rows = fetched(way, [server.url("page")] * 2, settings=settings)
        assert [row.error for row in rows] == [None] * 2


@pytest.mark.parametrize("way", [way for way in PLAIN if way[1] == "asyncio"])
def test_the_pace_holds_in_an_event_loop(way: Way, server: Server) -> None:
    limiter = RateLimiter(20, None)
    RateLimiter.here = limiter
    settings = ClientSettings(user_agent="study/1 (you@example.org)")
    try:
        urls = [server.url(path) for path in ["page"] * 6 + ["wait"] + ["page"] * 6]
        rows = fetched(way, urls, size=3, settings=settings)
    finally:
        RateLimiter.here = None
    starts = sorted(row.intended_start_s for row in rows if row.intended_start_s is not None)
    assert all(later - one >= 0.0499 for one, later in itertools.pairwise(starts))
    assert rows[6].error == "http 429"
    assert "refused" in {row.error for row in rows[7:]}
    assert limiter.wait_s == 30
    assert all(agent.startswith("study/1 (you@example.org) ") for agent in server.agents)


def test_no_session_is_shared_by_threads_or_inherited(keeping: KeepingServer) -> None:
    """Each thread and each process connects for itself, also after this one has a session."""
    client = clients.of("requests")(30, ClientSettings(reuse=True))
    page = Page(1, keeping.url("page"))
    assert base.fetch(client, 0.0, page).error is None
    assert keeping.connections == 1
    with workers("processes", 2, "fork", functools.partial(base.begin, client, None)) as pool:
        rows = pool.map(functools.partial(base.fetch, client, 0.0), [page] * 8, 1)
    assert {row.error for row in rows} == {None}
    assert 1 < keeping.connections <= 3
    before = keeping.connections
    assert base.fetch(client, 0.0, page).error is None
    assert keeping.connections == before
    client.end()


@pytest.mark.parametrize("way", PLAIN)
def test_sockets_are_given_back(way: Way, keeping: KeepingServer, server: Server) -> None:
    process = psutil.Process()
    fetched(way, [keeping.url("page")])
    before = process.num_fds()
    for _ in range(3):
        urls = [keeping.url("page"), server.url("reset"), server.url("loop"), keeping.url("last")]
        fetched(way, urls * 3, size=2, timeout_s=2)
    assert eventually(lambda: process.num_fds() <= before + 1, 5)


def test_one_tls_context_reads_the_certificates_once() -> None:
    """With OpenSSL 3.0 reading them takes some 15 ms of CPU a page, a handshake 2 ms."""
    with sources.open_source(Study(latency=0), []) as source:
        pages = source.pages(1, 20)
        used = {}
        for one in (False, True):
            settings = replace(source.settings, one_tls_context=one)
            client = clients.of("requests")(30, settings)
            client.prepare()
            base.fetch(client, 0.0, pages[0])
            begun = time.thread_time()
            rows = [base.fetch(client, 0.0, page) for page in pages]
            used[one] = time.thread_time() - begun
            assert {row.error for row in rows} == {None}
            assert {row.status for row in rows} == {200}
    assert used[True] < used[False] / 2


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (
            {"clients": "requests", "modes": "serial asyncio"},
            "modes: asyncio cannot be done by requests; it goes with httpx2 or aiohttp",
        ),
        (
            {"clients": "aiohttp requests", "modes": "serial threads"},
            "clients: aiohttp does asyncio, and modes is serial threads",
        ),
        (
            {"clients": "chrome", "pool_size": 500, "reuse": "on"},
            "pool_size: 500 workers of chrome in ",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(parameters: dict[str, Any], words: str) -> None:
    if "chrome" in parameters["clients"]:
        need("chrome")
    with pytest.raises(UserError) as caught:
        preconditions.check(Study.of(parameters))
    assert str(caught.value).startswith(words)
    if "pool_size" in parameters:
        assert "at most " in str(caught.value)


@pytest.mark.parametrize("value", ["maybe", "on on", "", "kept"])
def test_a_reuse_that_is_none_is_named(value: str) -> None:
    with pytest.raises(UserError, match=r"^reuse: .* is not off, on or both, each once$"):
        Study.of({"reuse": value})


def test_reuse_is_read_as_it_is_written() -> None:
    assert Study.of({"reuse": "on off"}).reuse == ("off", "on")
    assert Study.of({"reuse": True}).reuse == ("on",)  # as papermill reads it
    assert Study.of({"reuse": ["off"]}).run_name() == "default"
    assert Study.of({"reuse": "on off"}).run_name() == "reuse-off-on"


@pytest.mark.slow
def test_asyncio_is_a_mode_like_the_others(copy: Copy) -> None:
    options = ("--pages", "6", "--pool-size", "3", "--rounds", "1", "--latency", "0.1")
    modes = ("--modes", "serial threads asyncio", "--clients", "httpx2 aiohttp")
    ended = copy.experiment("run", *options, *modes, "--reuse", "off on", "--run", "tasks")
    assert ended.returncode == 0, ended.stderr
    fetches, trials = records.load(copy.path / "data" / "tasks")
    main = trials[trials["arm"] == "main"]
    assert (trials["state"] == "ok").all()
    assert fetches["error"].isna().all()
    cells = set(main[["client", "mode", "reuse"]].itertuples(index=False, name=None))
    assert cells == {
        *itertools.product(["httpx2"], ["serial", "threads", "asyncio"], ["off", "on"]),
        *itertools.product(["aiohttp"], ["asyncio"], ["off", "on"]),
    }
    own = fetches[(fetches["arm"] == "main") & (fetches["mode"] == "asyncio")]
    assert own.groupby(["client", "reuse"])["worker"].nunique().eq(3).all()
    assert own.groupby("page")["sha256"].nunique().eq(1).all()
    copy.assert_nothing_left()


@contextmanager
def kept_browser(name: ClientName) -> Iterator[base.Client]:
    """A client that keeps its browsers; they end with the block."""
    need(name)
    client = clients.of(name)(60, ClientSettings(reuse=True))
    try:
        yield client
    finally:
        client.end()


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


STORES = (
    "document.cookie = 'left=1';"
    " try { localStorage.left = 1; sessionStorage.left = 1 } catch (e) {}"
)
TELLS = (
    "var kept = [document.cookie, String(window.sessionStorage && sessionStorage.left),"
    " String(window.localStorage && localStorage.left)]; document.title = kept.join('|')"
)


@pytest.mark.parametrize("name", BROWSERS)
def test_a_kept_browser_starts_once_and_forgets_each_page(name: ClientName, server: Server) -> None:
    pages = {"stores": STORES, "tells": TELLS}
    for path, script in pages.items():
        server.pages[path] = f"<!DOCTYPE html><body><script>{script}</script></body>".encode()
    seen: list[str] = []
    with kept_browser(name) as client:
        before = children()
        rows = []
        for path in ("stores", "tells", "stores", "tells"):
            response, phases = base.Response(), base.Phases()
            with base.Deadline(60) as deadline:
                client.get(server.url(path), phases, deadline, response)
            rows.append(phases)
            seen += [(response.body or b"").decode()] if path == "tells" else []
            running = children() - before
            assert running
        first, *others = [row.browser_start or 0.0 for row in rows]
        assert first > 0.01
        assert max(others) < first / 5
    title = "|undefined|1" if name == "phantomjs" else "|undefined|undefined"
    for body in seen:
        assert f"<title>{title}</title>" in body
    assert eventually(lambda: children() <= before, 10)


@pytest.mark.parametrize(
    "name", ["phantomjs", "chrome", pytest.param("firefox", marks=pytest.mark.faults)]
)
def test_a_browser_that_dies_costs_a_page_and_is_replaced(name: ClientName, server: Server) -> None:
    with kept_browser(name) as client:
        before = children()
        rows = []
        for number in range(1, 5):
            rows.append(base.fetch(client, 0.0, Page(number, server.url("page"))))
            if number == 2:
                for pid in children() - before:
                    psutil.Process(pid).kill()
        assert [row.error for row in rows] == [None, None, "browser", None]
        late = base.fetch(
            replace(client, timeout_s=3),
            0.0,
            Page(5, server.url("silent")),
        )
        assert late.error == "timeout"
        assert base.fetch(client, 0.0, Page(6, server.url("page"))).error is None
    assert eventually(lambda: children() <= before, 10)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["phantomjs", pytest.param("chrome", marks=pytest.mark.faults)])
def test_each_worker_has_a_browser_of_its_own_and_none_is_left(
    name: ClientName, copy: Copy
) -> None:
    need(name)
    options = ("--pages", "8", "--pool-size", "2", "--rounds", "1", "--latency", "0.1")
    ended = copy.experiment(
        "run", *options, "--clients", name, "--repeats", "1", "--reuse", "on", "--run", "kept"
    )
    assert ended.returncode == 0, ended.stderr
    fetches, trials = records.load(copy.path / "data" / "kept")
    main = fetches[fetches["arm"] == "main"]
    assert main["error"].isna().all()
    assert set(main["reuse"]) == {"on"}
    started = main[main["browser_start_s"] > 0.02].groupby("mode").size()
    assert started.to_dict() == {"serial": 1, "threads": 2, "processes": 2}
    assert (trials["state"] == "ok").all()
    copy.assert_nothing_left()


def test_a_worker_process_ends_its_browser(server: Server) -> None:
    need("phantomjs")
    client = clients.of("phantomjs")(60, ClientSettings(reuse=True))
    before = children()
    with workers("processes", 2, None, functools.partial(base.begin, client, None)) as pool:
        pages = [Page(number, server.url("page")) for number in range(4)]
        rows = pool.map(functools.partial(base.fetch, client, 0.0), pages, 1)
        assert len(children() - before) >= 4
    assert {row.error for row in rows} == {None}
    assert eventually(lambda: children() <= before, 10)


def test_an_event_loop_hands_out_chunks_in_order() -> None:
    seen: list[tuple[int, int]] = []

    async def note(item: int) -> int:
        import asyncio

        task = asyncio.current_task()
        assert task is not None
        seen.append((int(task.get_name()), item))
        await asyncio.sleep(0.01)
        return item * 2

    loop = EventLoop(lambda: None, 2)
    assert loop.map_async(note, range(8), 2) == [item * 2 for item in range(8)]
    loop.close()
    by_task = {task: [item for who, item in seen if who == task] for task in (1, 2)}
    assert by_task == {1: [0, 1, 4, 5], 2: [2, 3, 6, 7]}
