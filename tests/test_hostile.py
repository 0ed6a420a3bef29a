"""A study of a hostile server: every page is a row with its reason, and nothing else breaks."""

import re
from pathlib import Path

import pytest

from experiment import load
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
}
"""What each path comes to; a browser may be more lenient with the last two."""

LENIENT = {"phantomjs": {"loop": "connection"}}


@pytest.fixture
def hostile(copy: Copy, server: Server) -> Path:
    """The folder of a study of all hostile pages, with its report."""
    for client in ("phantomjs", "chrome"):
        need(client)
    (copy.path / "urls.txt").write_text("".join(f"{server.url(path)}\n" for path in REASONS))
    ended = copy.experiment(
        "report", "--source", "urls.txt", "--pages", str(len(REASONS)), "--pool-size", "4",
        "--rounds", "1", "--modes", "serial threads", "--timeout", "4", "--run", "hostile",
        "--clients", "requests phantomjs chrome",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    copy.assert_nothing_left()
    return copy.path


def test_every_hostile_page_is_a_row_with_its_reason(hostile: Path) -> None:
    fetches, trials = load(hostile / "data" / "hostile")
    main = trials[trials["arm"] == "main"]
    assert len(fetches) == len(REASONS) * 6
    assert (main["state"] == "ok").all()
    known = (PROJECT / "data" / "README.md").read_text()
    names = list(REASONS)
    for row in fetches.to_dict("records"):
        path, client = names[int(row["page"]) - 1], row["client"]
        error = None if row["error"] != row["error"] else row["error"]
        expected = LENIENT.get(client, {}).get(path, REASONS[path])
        if client == "requests" or path not in ("short", "garbled"):
            assert error == expected, (client, row["mode"], path)
        assert error is None or f"`{error}`" in known or re.fullmatch(r"http \d{3}", error)
    failed = fetches.groupby(["client", "mode"])["error"].count()
    for trial in main.to_dict("records"):
        assert trial["failed"] == failed[trial["client"], trial["mode"]] > 0
    _check_report((hostile / "reports" / "hostile.html").read_text())


def _check_report(html: str) -> None:
    """Failed trials are left out and counted; no page's text reaches the report as markup."""
    assert "no round was complete, so nothing can be said of it" in html
    assert "6 of " in html
    assert "trials were not complete and do not count" in html
    for markup in ("<script>alert", "<b>bold", "1 < 2"):
        assert markup not in html
    assert "holds</td>" in html  # the controls had no such pages
