"""Wikipedia's rules are kept, as seen by a stand-in that measures; nothing goes to the real one."""

import itertools
import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from experiment import records
from experiment.errors import UserError
from experiment.measure import sources, wikipedia
from experiment.measure.rate_limit import wait_s
from experiment.study import Study, version
from tests.conftest import Copy, need
from tests.wiki import Guest, Wiki

CONTACT = "you@example.org"
AGENT = rf"threads-or-processes/{re.escape(version())} \(you@example\.org\) "


def run(copy: Copy, wiki: Wiki, *options: str) -> "CompletedProcess[str]":
    """A study of the stand-in, whose certificate is trusted."""
    source = ("--source", "wikipedia", "--contact", CONTACT, "--wiki", wiki.host, "--run", "wiki")
    return copy.run(
        "env", f"REQUESTS_CA_BUNDLE={wiki.bundle}", "python", "-m", "experiment", "run", *source,
        "--rounds", "1", *options,
    )  # fmt: skip


def most_within_a_second(guests: list[Guest]) -> int:
    """The most requests that were seen within any second."""
    moments = sorted(guest.at_s for guest in guests)
    return max(sum(start <= at < start + 1 for at in moments) for start in moments)


@pytest.mark.parametrize(
    "mode",
    ["threads", *(pytest.param(n, marks=pytest.mark.faults) for n in ("serial", "processes"))],
)
def test_requests_is_paced_and_says_who_it_is(copy: Copy, tmp_path: Path, mode: str) -> None:
    with Wiki(tmp_path, delay_s=0.05 if mode == "serial" else 0.4) as wiki:
        options = ("--pages", "60", "--pool-size", "9", "--modes", mode, "--clients", "requests")
        ended = run(copy, wiki, *options)
        assert ended.returncode == 0, ended.stderr
    guests = wiki.seen.articles()
    assert all(re.fullmatch(AGENT + r"python-requests/[\d.]+", guest.agent) for guest in guests)
    assert max(guest.together for guest in wiki.seen.guests) <= 9
    assert most_within_a_second(guests) <= 22  # every fifth article leads on to another
    moments = [guest.at_s for guest in guests[1:]]  # the first tries the client out
    assert len(moments) / (max(moments) - min(moments)) < 20
    if mode != "serial":
        assert max(guest.together for guest in guests) > 2
    api = [guest for guest in wiki.seen.guests if guest.path.startswith("/w/api.php")]
    assert [guest.together for guest in api] == [1]
    assert all("rnnamespace=0" in guest.path and re.match(AGENT, guest.agent) for guest in api)
    assert not any("Special:" in guest.path for guest in wiki.seen.guests)
    _check_rows(copy.path / "data" / "wiki", mode)


def _check_rows(folder: Path, mode: str) -> None:
    fetches, _ = records.load(folder)
    assert len(fetches) == 60
    assert fetches["error"].isna().all()
    assert fetches["url"].nunique() == 60
    assert (fetches["final_url"] != fetches["url"]).sum() == 12
    waited = fetches["start_s"] - fetches["intended_start_s"]
    assert waited.between(-0.001, 0.5).all()
    gaps = fetches["intended_start_s"].sort_values().diff().dropna()
    assert gaps.min() >= 1 / 18 - 1e-4
    assert fetches["fetch_s"].median() < (0.3 if mode == "serial" else 0.8)
    kept = (folder / "pages.txt").read_text().splitlines()
    assert kept == fetches.sort_values("page")["url"].tolist()


@pytest.mark.slow
def test_a_browser_is_paced_more_and_says_who_it_is(copy: Copy, tmp_path: Path) -> None:
    need("phantomjs")
    with Wiki(tmp_path) as wiki:
        options = ("--pages", "20", "--pool-size", "9", "--modes", "threads", "--repeats", "1")
        ended = run(copy, wiki, *options, "--clients", "phantomjs")
        assert ended.returncode == 0, ended.stderr
    guests = wiki.seen.articles()[1:]  # the first tries the client out
    assert all(re.fullmatch(AGENT + r"selenium/[\d.]+", guest.agent) for guest in guests)
    assert most_within_a_second(guests) <= 8
    fetches, _ = records.load(copy.path / "data" / "wiki")
    assert fetches["error"].isna().all()
    assert fetches["intended_start_s"].sort_values().diff().dropna().min() >= 1 / 5 - 1e-4


@pytest.mark.slow
def test_a_refusal_fails_the_trial_and_the_study_goes_on_as_told(
    copy: Copy, tmp_path: Path
) -> None:
    with Wiki(tmp_path, refuses=lambda number: number == 8, Retry_After="6") as wiki:
        options = ("--pages", "12", "--pool-size", "3", "--clients", "requests")
        begun = time.monotonic()
        ended = run(copy, wiki, *options)
        assert ended.returncode == 0, ended.stderr
    assert time.monotonic() - begun > 6
    assert "asks to wait 6 s" in ended.stderr
    fetches, trials = records.load(copy.path / "data" / "wiki")
    main = trials[trials["arm"] == "main"]
    [failed] = main[main["state"] == "failed"]["reason"]
    assert failed == "the site refused, and told to wait 6 s"
    assert len(fetches) == 24
    times = [guest.at_s for guest in wiki.seen.articles()]
    assert max(after - before for before, after in itertools.pairwise(times)) >= 6


@pytest.mark.faults
def test_the_third_refusal_ends_the_study_which_goes_on_later(copy: Copy, tmp_path: Path) -> None:
    angry = True
    with Wiki(tmp_path, refuses=lambda number: angry and number > 20) as wiki:
        options = ("--pages", "4", "--pool-size", "2", "--clients", "requests", "--rounds", "2")
        ended = run(copy, wiki, *options)
        assert ended.returncode == 2
        assert f"source: {wiki.host} refused 3 times" in ended.stderr
        folder = copy.path / "data" / "wiki"
        done, kept = records.rounds_done(folder), (folder / "pages.txt").read_text()
        assert done == {1}
        angry = False
        again = run(copy, wiki, *options)
        assert again.returncode == 0, again.stderr
    assert records.rounds_done(folder) == {1, 2}
    assert (folder / "pages.txt").read_text() == kept
    assert wiki.drawn == 8


def test_titles_are_drawn_five_hundred_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Wiki(tmp_path) as wiki:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(wiki.bundle))
        values = {"source": "wikipedia", "contact": CONTACT, "wiki": wiki.host, "pool_size": 9}
        urls = wikipedia.draw(Study.of({**values, "pages": 400, "rounds": 3}))
    asked = [re.search(r"rnlimit=(\d+)", guest.path) for guest in wiki.seen.guests]
    assert [found and found[1] for found in asked] == ["500", "500", "200"]
    assert len(urls) == len(set(urls)) == 1_200
    assert urls[1] == f"https://{wiki.host}/wiki/Article_%C3%A4/1%3F"


def test_nobody_answering_the_api_is_one_line() -> None:
    values = {"source": "wikipedia", "contact": CONTACT, "wiki": "127.0.0.1:9", "pool_size": 9}
    with pytest.raises(UserError, match=r"wiki: https://127.0.0.1:9/w/api.php gave no titles"):
        wikipedia.draw(Study.of(values))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"query": {"random": []}}, "the list is empty"),
        ({"query": None}, "TypeError"),
        ({"error": {}}, "KeyError"),
        ([], "TypeError"),
    ],
)
def test_an_api_that_answers_nonsense_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: object, words: str
) -> None:
    with Wiki(tmp_path) as wiki:
        wiki.nonsense = answer
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(wiki.bundle))
        values = {"source": "wikipedia", "contact": CONTACT, "wiki": wiki.host, "pool_size": 9}
        with pytest.raises(UserError, match="gave no titles") as caught:
            wikipedia.draw(Study.of(values))
    assert words in str(caught.value)
    assert len(wiki.seen.guests) == 1


def test_kept_pages_must_be_articles_of_the_wiki(tmp_path: Path) -> None:
    kept = tmp_path / "pages.txt"
    values = {"source": "wikipedia", "contact": CONTACT, "wiki": "127.0.0.1:9", "pool_size": 9}
    for url in (
        "https://127.0.0.1:9/wiki/Special:Random", "http://127.0.0.1:9/wiki/A",
        "https://elsewhere.example/wiki/A",
    ):  # fmt: skip
        kept.write_text(f"https://127.0.0.1:9/wiki/A\n{url}\n")
        with pytest.raises(UserError, match=r"line 2: .* is no article of"):
            sources.urls_of(Study.of(values), kept)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"contact": CONTACT}, "pool_size: 10 is not a whole number from 1 to 9"),
        ({"pool_size": 9}, "contact: none is not an e-mail address or a URL"),
        ({"pool_size": 9, "contact": "me"}, "contact: me is not an e-mail address or a URL"),
        ({"pool_size": 9, "contact": CONTACT, "wiki": "a b"}, "wiki: a b is not a host"),
        ({}, "rules for robots allow; contact: none is not an e-mail address"),
    ],
)
def test_what_the_rules_forbid_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as caught:
        Study.of({"source": "wikipedia", **values})
    assert words in str(caught.value)


def test_pages_of_a_ruled_site_do_not_come_by_the_back_door(copy: Copy) -> None:
    special = "https://en.wikipedia.org/wiki/Special:Random"
    (copy.path / "urls.txt").write_text(f"http://127.0.0.1/\n{special}\n")
    for source in (special, "urls.txt"):
        ended = copy.experiment("run", "--source", source)
        assert ended.returncode == 2
        [line] = ended.stderr.splitlines()
        assert f"source: {special} is of a site that has rules for robots" in line
    assert wikipedia.has_robot_rules("https://upload.wikimedia.org/a")
    for odd in ("https://en.wikipedia.org./wiki/A", "https:/en.wikipedia.org/wiki/A"):
        assert wikipedia.has_robot_rules(odd), odd
    assert not wikipedia.has_robot_rules("http://127.0.0.1/wikipedia.org")
    assert not wikipedia.has_robot_rules("https://notwikipedia.org/")


def test_the_wait_is_as_told_within_reason() -> None:
    assert wait_s(None) == 5
    assert wait_s("2") == 5
    assert wait_s("30") == 30
    assert wait_s("86400") == 600
    for odd in ("soon", "nan", "inf", "-5", "Mon, 01 Jan 99999 00:00:00 GMT", "1e9", ""):
        assert wait_s(odd) == 5, odd
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 85 < wait_s(later) <= 91
