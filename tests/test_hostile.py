"""A study of a hostile server: every page is a row with its reason, and nothing else breaks."""

import re
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from experiment import records
from experiment.measure.clients.response import URL_LIMIT
from experiment.study import PROJECT
from tests.conftest import Copy, need
from tests.servers import Server

REASONS = {
    "page": None,
    "markup": None,
    "missing": "http 404",
    "broken": "http 500",
    "wait": "http 429",
    "reset": "connection",
    "silent": "timeout",
    "drip_head": "timeout",
    "drip_body": "timeout",
    "missing?<b>bold</b>": "http 404",
    "loop": "redirects",
    "short": "connection",
    "garbled": "encoding",
    "huge": "too large",
    "flood": "too large",
    "far": None,
    "nothing": None,
    "timing": None,
    "endless_address": None,
    "own_entries": None,
    "endless_text": None,
    "dialogs": None,
    "own_types": None,
    "elsewhere": None,
}
"""What each path comes to; a browser may be more lenient with the broken bodies."""

OTHERWISE = {
    "phantomjs": {
        "loop": "connection",
        "huge": "timeout",  # no more time to read 200 MB
        "flood": None,
        "nothing": "connection",
        "own_types": "browser",
        "elsewhere": "connection",
    },
    "chrome": {
        "huge": "timeout",
        "flood": None,
        "nothing": "no page",
        "endless_text": "page scripts",
        "own_types": "browser",
        "elsewhere": "no page",
    },
}

BOUND_MB = 300
"""No Python process may grow beyond: a page of 64 MB may be read, one of 200 MB not."""


PAGES = [*REASONS, "tls"]


@pytest.fixture(params=["threads", pytest.param("processes", marks=pytest.mark.faults)])
def hostile(copy: Copy, server: Server, request: pytest.FixtureRequest) -> Path:
    """The folder of a study of all hostile pages in one mode, with its report."""
    for client in ("phantomjs", "chrome"):
        need(client)
    with Server(tls=True) as untrusted:
        urls = [*map(server.url, REASONS), untrusted.url("page")]
        (copy.path / "urls.txt").write_text("".join(f"{url}\n" for url in urls))
        process = copy.start(
            sys.executable, "-m", "experiment", "report", "--source", "urls.txt", "--pages",
            str(len(urls)), "--pool-size", "4", "--rounds", "1", "--modes", request.param,
            "--timeout", "4", "--run", "hostile", "--clients", "requests phantomjs chrome",
            "--repeats", "1",
        )  # fmt: skip
        most_mb = 0.0
        while process.poll() is None:
            most_mb = max([most_mb, *map(python_mb, copy.processes())])
            time.sleep(0.1)
    assert process.returncode == 0, process.communicate()[1]
    assert 0 < most_mb < BOUND_MB
    copy.assert_nothing_left()
    return copy.path


def python_mb(process: psutil.Process) -> float:
    """The resident memory of a process, if it is one of Python."""
    with suppress(psutil.NoSuchProcess):
        if process.name().startswith("python"):
            return float(process.memory_info().rss) / 1e6
    return 0.0


@pytest.mark.slow
def test_every_hostile_page_is_a_row_with_its_reason(hostile: Path) -> None:
    fetches, trials = records.load(hostile / "data" / "hostile")
    main = trials[trials["arm"] == "main"]
    assert len(fetches) == len(PAGES) * 3
    assert (main["state"] == "ok").all()
    known = (PROJECT / "data" / "README.md").read_text()
    for row in fetches.to_dict("records"):
        path, client = PAGES[int(row["page"]) - 1], row["client"]
        error = None if row["error"] != row["error"] else row["error"]
        expected = OTHERWISE.get(client, {}).get(path, {**REASONS, "tls": "tls"}[path])
        if client == "requests" or path not in ("short", "garbled"):
            assert error == expected, (client, row["mode"], path)
        assert error is None or f"`{error}`" in known or re.fullmatch(r"http \d{3}", error)
    assert fetches["final_url"].str.len().max() <= URL_LIMIT
    assert fetches["origin_ms"].isna().all()
    failed = fetches.groupby(["client", "mode"])["error"].count()
    for trial in main.to_dict("records"):
        assert trial["failed"] == failed[trial["client"], trial["mode"]] > 0
    _check_report((hostile / "reports" / "hostile.html").read_text())


def _check_report(html: str) -> None:
    """Failed trials are left out and counted; no page's text reaches the report as markup."""
    assert "0 complete rounds; it takes 3" in html
    assert "3 of " in html
    assert "trials were not complete and do not count" in html
    for markup in ("<script>alert", "<b>bold", "1 < 2"):
        assert markup not in html
    assert "</span> holds</span>" in html  # the controls had no such pages
