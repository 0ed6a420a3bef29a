"""Clients fetch real pages, and every failure is a row with its reason."""

import re
import time
from typing import Any

import pytest
from pydantic import TypeAdapter

from experiment.fetches import Fetch, Page
from experiment.measure import clients
from experiment.measure.clients import base, browser, response
from experiment.measure.clients.base import ClientSettings
from experiment.measure.rate_limit import RateLimiter
from experiment.vocabulary import ClientName
from tests.conftest import eventually, need
from tests.servers import PAGE, Server


def fetched(
    name: ClientName, url: str, timeout_s: float = 30, settings: ClientSettings | None = None
) -> Any:
    """One page fetched by a client."""
    client = clients.of(name)(timeout_s, settings or ClientSettings())
    client.prepare()
    return base.fetch(client, time.perf_counter(), Page(1, url))


@pytest.mark.parametrize("name", ["requests", "phantomjs", "chrome"])
def test_a_page_is_fetched_and_its_phases_add_up(name: ClientName, server: Server) -> None:
    need(name)
    row = fetched(name, server.url("page"))
    assert row.error is None
    assert row.final_url == server.url("page")
    phases = [row.browser_start_s, row.load_s, row.check_s, row.close_s]
    measured = [seconds for seconds in phases if seconds is not None]
    assert len(measured) == (2 if name == "requests" else 4)
    assert sum(measured) <= row.fetch_s
    assert row.fetch_s - sum(measured) < 2
    assert row.status == 200
    assert row.length >= len(PAGE) - 20
    assert len(row.sha256) == 64


@pytest.mark.parametrize("name", ["requests", "phantomjs", "chrome"])
def test_a_redirect_is_followed(name: ClientName, server: Server) -> None:
    need(name)
    row = fetched(name, server.url("random"))
    assert row.error is None
    assert row.final_url.startswith(server.url("page?"))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing", "http 404"),
        ("broken", "http 500"),
        ("wait", "http 429"),
        ("loop", "redirects"),
        ("reset", "connection"),
        ("short", "connection"),
        ("garbled", "encoding"),
        ("huge", "too large"),
        ("silent", "timeout"),
        ("drip_head", "timeout"),
        ("drip_body", "timeout"),
    ],
)
def test_requests_names_what_failed(path: str, reason: str, server: Server) -> None:
    row = fetched("requests", server.url(path), timeout_s=1.5 if reason == "timeout" else 30)
    assert row.error == reason
    if reason == "timeout":
        assert 1.4 < row.fetch_s < 10


@pytest.mark.parametrize(
    ("name", "path", "reason"),
    [
        ("phantomjs", "loop", "connection"),  # it does not say more
        ("chrome", "loop", "redirects"),
        pytest.param("phantomjs", "huge", "too large", marks=pytest.mark.faults),
        # Chrome takes minutes to lay out such a page.
        pytest.param("chrome", "huge", "timeout", marks=pytest.mark.slow),
        *(
            (name, path, reason)
            for name in ("phantomjs", "chrome")
            for path, reason in (
                ("missing", "http 404"),
                ("broken", "http 500"),
                ("empty", "http 404"),
                ("wait", "http 429"),
                ("odd", "http ?" if name == "phantomjs" else "http 503"),
                ("reset", "connection"),
                ("silent", "timeout"),
            )
        ),
        *(
            pytest.param(name, path, "timeout", marks=pytest.mark.slow)
            for name in ("phantomjs", "chrome")
            for path in ("drip_head", "drip_body")
        ),
    ],
)
def test_browsers_name_what_failed(
    name: ClientName, path: str, reason: str, server: Server
) -> None:
    need(name)
    row = fetched(name, server.url(path), timeout_s=4 if reason == "timeout" else 30)
    assert row.error == reason
    if path != "loop":
        assert server.asked.count(f"/{path}") == 1 or reason in ("connection", "timeout")
    if reason == "timeout":
        assert 3.9 < row.fetch_s < 15


@pytest.mark.parametrize("name", ["requests", "phantomjs", "chrome"])
def test_a_certificate_nobody_trusts_is_refused(name: ClientName) -> None:
    need(name)
    with Server(tls=True) as server:
        row = fetched(name, server.url("page"))
        assert row.error == "tls"
        assert "/page" not in server.asked


@pytest.mark.parametrize(
    ("name", "wait_s"),
    [("requests", 30), ("phantomjs", 30), ("chrome", 30), ("firefox", 5)],  # it hides the header
)
def test_a_client_says_who_it_is_and_stops_where_it_is_refused(
    name: ClientName, wait_s: float, server: Server
) -> None:
    need(name)
    client = clients.of(name)(60, ClientSettings(user_agent="study/1 (you@example.org)"))
    limiter = RateLimiter(5, None)
    try:
        base.begin(client, limiter)
        rows = [base.fetch(client, 0.0, Page(1, server.url("wait"))) for _ in range(2)]
    finally:
        RateLimiter.here = None
    assert [row.error for row in rows] == ["http 429", "refused"]
    assert server.asked.count("/wait") == 1
    assert limiter.wait_s == wait_s
    package = "python-requests" if name == "requests" else "selenium"
    for agent in server.agents:
        assert re.fullmatch(rf"study/1 \(you@example\.org\) {package}/[\d.]+", agent)


def test_nobody_listening_is_a_failed_connection() -> None:
    assert fetched("requests", "http://127.0.0.1:9/").error == "connection"


def test_sockets_are_given_back_after_failures(server: Server) -> None:
    import psutil

    process = psutil.Process()
    fetched("requests", server.url("page"))
    before = process.num_fds()
    for path in ("page", "reset", "drip_head", "loop") * 3:
        fetched("requests", server.url(path), timeout_s=1)
    assert eventually(lambda: process.num_fds() <= before + 1, 5)


@pytest.mark.parametrize(
    ("header", "ms"),
    [
        ("cache;dur=1, origin;dur=231.4", 231.4),
        ("origin;dur=5, origin;dur=6", 5),
        *((f"origin;dur={odd}", None) for odd in ("-5", "1.2.3", "nan", "inf", "1e999", "", "5x")),
        (f"origin;dur={'9' * 400}", None),
        ("not-origin;dur=5", None),
        ("", None),
    ],
)
def test_server_timing_is_read(header: str, ms: float | None) -> None:
    assert base.server_timing_ms(header) == ms


@pytest.mark.parametrize("name", ["requests", "phantomjs", "chrome"])
def test_the_delay_of_the_embedded_origin_alone_is_kept(name: ClientName, server: Server) -> None:
    need(name)
    url = server.url("delay")
    rows = [
        fetched(name, url, settings=ClientSettings(embedded=embedded)) for embedded in (True, False)
    ]
    assert [(row.error, row.origin_ms) for row in rows] == [(None, 5), (None, None)]


@pytest.mark.parametrize(
    ("name", "path", "reason"),
    [
        ("requests", "timing_twice", None),
        ("phantomjs", "timing_twice", None),
        ("phantomjs", "no_root", None),
        ("phantomjs", "half_a_character", "browser"),
        ("phantomjs", "download", "no page"),
        ("chrome", "no_entries", None),
        ("chrome", "no_text", "page scripts"),
        ("chrome", "dialog_after_dialog", None),
        ("chrome", "no_root", None),
        ("chrome", "half_a_character", None),
        ("chrome", "download", "no page"),
        ("chrome", "frame", None),  # the page is there, what its frame shows is not
        ("firefox", "dialogs", None),
        ("firefox", "own_entries", "page scripts"),
    ],
)
def test_a_page_can_fail_its_own_fetch_at_most(
    name: ClientName, path: str, reason: str | None, server: Server
) -> None:
    need(name)
    row = fetched(name, server.url(path))
    assert row.error == reason
    rows = TypeAdapter(Fetch)
    assert rows.validate_json(rows.dump_json(row)) == row
    if reason is None:
        assert row.status == 200


def test_a_page_is_asked_again_for_each_dialog_within_a_bound() -> None:
    told = iter([None, None, None, "answer", "too late"])
    assert browser.answer(lambda: next(told)) == "answer"
    asked = iter([None] * browser.ATTEMPTS)
    assert browser.answer(lambda: next(asked)) is None
    assert not list(asked)


def test_what_a_redirect_brings_is_not_read_without_bound(server: Server) -> None:
    assert fetched("requests", server.url("flood")).error == "too large"
    assert "/page" not in server.asked


def test_a_driver_says_no_more_than_a_page_may_have(server: Server) -> None:
    """What Chrome's driver says of a page is what the page's scripts make of it."""
    from experiment.measure.clients.browser import DriverPool

    with DriverPool() as pool, pytest.raises(base.FetchError, match="too large"):
        pool.request("GET", server.url("huge"))


@pytest.mark.parametrize(
    ("url", "recorded"),
    [
        ("http://127.0.0.1/a?b=%20&c#d", "http://127.0.0.1/a?b=%20&c#d"),
        ("http://127.0.0.1/ä b\u2028\ud800", "http://127.0.0.1/%C3%A4%20b%E2%80%A8?"),
        ("http://127.0.0.1/" + "ä" * 5_000, ("http://127.0.0.1/" + "%C3%A4" * 5_000)[:2_000]),
    ],
)
def test_a_final_url_is_recorded_in_ascii_and_not_beyond_a_limit(url: str, recorded: str) -> None:
    assert response.recorded(url) == recorded
