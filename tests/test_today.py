"""What would be faster today: from made-up runs with known truths."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiment import load
from experiment.analysis import claims, summary, ways
from experiment.analysis.results import RunResults
from experiment.report import figures, headline, today
from experiment.study import PROJECT, Study
from experiment.vocabulary import MODES
from tests import made_up
from tests.made_up import World, even


def run_of(folder: Path, study: Study | None = None, **world: object) -> RunResults:
    """Return a made-up run that has all arms; 5 rounds, little scatter."""
    study = study or Study(pages=40)
    factors = world.pop("factors", even(study))
    seen = World(factors, **{"noise": 0.005, "today": True, **world})  # type: ignore[arg-type]
    return load(made_up.write(folder / "run", study, seen))


def advice_of(results: RunResults) -> str:
    return today.advice(results, claims.judge(results))


def test_ways_are_ordered_and_compared_with_the_serial_loop(tmp_path: Path) -> None:
    results = run_of(tmp_path, kept=0.5)
    found = ways.groups(results)
    assert list(found) == ["", "phantomjs"]
    plain = found[""]
    assert [way.total.value for way in plain] == sorted(way.total.value for way in plain)
    assert {way.words for way in plain} == {
        "aiohttp, asyncio, kept connections",
        "requests, threads, kept connections",
        "requests, processes, kept connections",
        "requests, threads, new connections",
        "requests, processes, new connections",
        "requests, serial, new connections",
    }
    by_words = {way.words: way for way in (*plain, *found["phantomjs"])}
    new = by_words["requests, threads, new connections"]
    kept = by_words["requests, threads, kept connections"]
    assert kept.speed_up.rounds == 5
    assert kept.speed_up.value == pytest.approx(2 * new.speed_up.value, rel=0.03)
    assert ways.ratio(results, new, kept).value == pytest.approx(2, rel=0.03)
    browser = by_words["phantomjs, threads, kept browsers"]
    assert browser.speed_up.value == pytest.approx(
        2 * summary.speed_up(results.rounds, "phantomjs", "threads").value, rel=0.03
    )
    said = today.sentence(results)
    assert "- The bytes of the pages: fastest was **" in said
    assert "- phantomjs: fastest was **phantomjs, " in said
    table = today.table(results)
    assert len(table) == 6 + 5
    assert today.table_html(results).count("<tr>") == 6 + 5
    assert (table["CPU of a page (ms)"] != "-").all()


def test_the_figure_names_each_way_and_how_many_times_as_fast_it_is(tmp_path: Path) -> None:
    results = run_of(tmp_path, kept=0.5)
    figure = figures.drawn(figures.ways_today, results)
    assert figure is not None
    first, second = figure.axes
    for ax, own in zip((first, second), ways.of_today(results).values(), strict=True):
        assert [text.get_text() for text in ax.get_yticklabels()] == [way.words for way in own]
        assert [text.get_text() for text in ax.texts] == [f"{way.speed_up.shown}x" for way in own]
        assert ax.get_xscale() == "log"
        dots = [line for line in ax.lines if line.get_marker() == "o"]
        for dot, way in zip(dots, own, strict=True):
            colours = dot.get_markerfacecolor(), dot.get_markeredgecolor()
            assert (colours[0] == "white") == (way.reuse == "off")
            assert colours.count("white") == 1  # a ring, or a dot with an edge


@pytest.mark.parametrize(
    ("special", "kept", "words"),
    [
        ({}, 0.5, ("**Use threads**: processes perform the same", "**Keep a session**: ")),
        ({"processes": 0.7}, 0.5, ("**Use processes** where time counts: threads took 1.4",)),
        ({"processes": 1.4}, 0.5, ("**Use threads**: they are faster than processes",)),
        ({}, 1.0, ("A kept session is not shown to be faster",)),
        ({}, 1.3, ("A kept session is slower: ",)),
        ({"threads": 1.5, "processes": 1.5}, 0.8, ("asyncio with aiohttp is faster: 1.",)),
        ({}, 0.8, ("asyncio with aiohttp is not shown to be faster",)),
    ],
)
def test_the_advice_follows_from_what_was_measured(
    tmp_path: Path, special: dict[str, float], kept: float, words: tuple[str, ...]
) -> None:
    study = Study(pages=40, clients=("requests",))
    said = advice_of(run_of(tmp_path, study, factors=even(study, **special), kept=kept))
    for part in words:
        assert part in said


def test_no_advice_follows_from_too_few_rounds_or_a_single_pool(tmp_path: Path) -> None:
    few = run_of(tmp_path / "few", Study(pages=40, rounds=2))
    one = run_of(tmp_path / "one", Study(pages=40, modes=("serial", "threads")), today=False)
    for results in (few, one):
        assert advice_of(results).startswith("**No advice yet**")
        assert "Keep" not in advice_of(results)
    scattered = run_of(tmp_path / "scattered", Study(pages=40), noise=0.3)
    assert "processes may be as fast or not" in advice_of(scattered)


def test_a_run_without_other_ways_says_so(tmp_path: Path) -> None:
    for results in (run_of(tmp_path, today=False), load(PROJECT / "data" / "article-2018")):
        assert today.sentence(results) == today.NOT_MEASURED
        assert today.table(results).empty
        assert figures.drawn(figures.ways_today, results) is None
        assert "session" not in advice_of(results)


def test_a_way_that_failed_is_named(tmp_path: Path) -> None:
    results = run_of(tmp_path)
    failed = (results.trials["client"] == "aiohttp") & (results.trials["round"] > 0)
    trials = results.trials.assign(failed=results.trials["failed"].mask(failed, 1))
    said = today.sentence(replace(results, trials=trials))
    assert "- aiohttp, asyncio, kept connections: no round was complete." in said
    assert "asyncio" not in advice_of(replace(results, trials=trials))


def test_claims_are_judged_on_the_articles_way_alone(tmp_path: Path) -> None:
    both = Study(pages=40, clients=("requests",), reuse=("off", "on"), modes=MODES[:3])
    off = Study(pages=40, clients=("requests",))
    one = run_of(tmp_path / "both", both, today=False, kept=0.5)
    other = run_of(tmp_path / "off", off, today=False)
    assert set(one.rounds["reuse"]) == {"off"}
    for mine, its in zip(claims.judge(one), claims.judge(other), strict=True):
        assert [cell.ruling.verdict for cell in mine.cells] == [
            cell.ruling.verdict for cell in its.cells
        ]
    assert len(ways.of_today(one)[""]) == 6


def test_a_run_with_reuse_alone_says_how_it_differs_from_the_article(tmp_path: Path) -> None:
    results = run_of(tmp_path, Study(pages=40, clients=("requests",), reuse=("on",)), today=False)
    assert set(results.rounds["reuse"]) == {"on"}
    assert "kept connections and browsers, not new ones" in headline.caveats(results)


def test_the_code_that_is_shown_is_the_packages_own() -> None:
    said = today.code(load(PROJECT / "data" / "reference"))
    assert today.code(load(PROJECT / "data" / "article-2018")) == ""
    for file, name in today.CODE.values():
        text = (PROJECT / "experiment" / "measure" / file).read_text()
        shown = today.source(file, name)
        assert len(shown.splitlines()) > 3
        assert all(line.strip() in text for line in shown.splitlines())
        assert shown in said
    assert "requests.get" in said
    assert "requests.Session" in said
    assert "async with" in said


def test_the_readme_says_what_the_committed_run_says() -> None:
    results = load(PROJECT / "data" / "reference")
    words = " ".join((PROJECT / "README.md").read_text().split())
    by_words = {way.words: way for own in ways.groups(results).values() for way in own}
    names = (
        "requests, threads, new connections",
        "requests, threads, kept connections",
        "aiohttp, asyncio, kept connections",
        "phantomjs, threads, new browsers",
        "phantomjs, threads, kept browsers",
    )
    said = [by_words[name].total.shown for name in names]
    assert (
        "ten threads of `requests` took {} s for 100 pages with new connections and {} s with kept "
        "ones, ten tasks of `aiohttp` {} s; PhantomJS took {} s with new browsers and {} s with "
        "kept ones".format(*said)
    ) in words
