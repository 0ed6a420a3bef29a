"""The report's sentences on made-up runs: they say what the numbers and the verdicts say."""

import html
import re
from pathlib import Path

import pandas as pd
import pytest

from experiment import records
from experiment.analysis import claims, summary
from experiment.analysis.results import RunResults
from experiment.report import answers, claim_list, headline, sentences
from experiment.study import Study
from tests import made_up
from tests.made_up import World, even


def told(folder: Path, study: Study, world: World) -> str:
    """Return all that the report says of a made-up run."""
    results, by_name = made_up.judged(made_up.write(folder, study, world))
    judged = list(by_name.values())
    return "\n".join(
        [
            sentences.about(results),
            headline.tally(judged),
            headline.certainty(results, judged),
            sentences.differences(results, judged),
            headline.caveats(results),
            *(claim_list.comparisons(claim).to_string() for claim in judged),
            answers.whole_table(judged),
            answers.short(results),
            headline.beside_2018(results),
            sentences.means(results).to_string(),
            sentences.lower_bounds_html(results),
            sentences.origin_load(results),
            sentences.aa_controls(results),
            sentences.browser_starts(results, judged),
            sentences.controls(results).to_string(),
            sentences.exclusions(results),
            sentences.pages(results),
            sentences.instrument(results).to_string(),
            sentences.instrument_html(results),
            sentences.quiet(results),
        ]
    )


def of_urls(study: Study, final_urls: list[str], folder: Path | None = None) -> RunResults:
    """Return results of fetches that ended at these URLs."""
    fetches = pd.DataFrame({"final_url": final_urls, "error": None})
    return RunResults(made_up.run_of(study), fetches, pd.DataFrame(), folder)


def test_faster_and_slower_are_said_as_measured(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=5)
    text = told(tmp_path / "run", study, World(even(study, threads=1.3), noise=0.001))
    assert "the two differ, processes were faster." in text
    assert "threads were faster" not in text
    assert re.search(r"requests, threads: slow-down +1\.30", text)
    assert "In brackets: 95 % intervals over 5 complete rounds." in text


def test_threads_slower_than_serial_are_not_praised(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=5, pages=30)
    text = told(tmp_path / "run", study, World(even(study, threads=20.0)))
    assert re.search(r"threads 0\.4\S* \[.*\],? .*times as fast as serial", text)
    assert "the two differ, processes were faster." in text
    assert re.search("latency +does not hold", text)


def test_the_same_is_said_only_of_what_is_shown_to_be_the_same(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=5)
    text = told(tmp_path / "same", study, World(even(study)))
    assert "the two perform the same, less than 10 % apart." in text
    assert "faster" not in text.replace("one fetch is faster in serial", "")
    text = told(tmp_path / "little", study, World(even(study, threads=1.05), noise=0.004))
    assert "the two are less than 10 % apart, with processes a little faster." in text
    assert "a difference exists" in text
    text = told(tmp_path / "open", study, World(even(study), noise=0.2))
    assert "it is open whether the two perform the same." in text
    assert "perform the same, less" not in text


def test_one_round_is_too_few(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=1)
    text = told(tmp_path / "run", study, World(even(study, threads=1.3)))
    assert "Only 1 complete round: too few to judge; it takes 3 (`ROUNDS=5`)." in text
    assert re.search(r"\(too few rounds\)\s+times as fast as serial", text)
    assert "were faster" not in text
    assert "perform the same, less" not in text
    table = [line for line in text.splitlines() if line.startswith("requests-8x")]
    assert "too few rounds" in table[0]
    assert table[0].endswith("1 complete round; it takes 3")


def test_a_busy_machine_and_another_experiment_are_said(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=3, pages=20, pool_size=5)
    results, _ = made_up.judged(made_up.write(tmp_path / "run", study, World(even(study))))
    quiet = headline.caveats(results)
    assert "busy" not in quiet
    assert "a different experiment (pool_size 5, not 10; pages 20, not 100)" in quiet
    assert "0 % at most" in sentences.quiet(results)
    results.trials.loc[results.trials.index[:4], "other_cpu"] = 0.4
    assert "**The machine was busy**: before 4 of 33 trials" in headline.caveats(results)
    assert "40 % at most, and more than 10 % before 4 of 33" in sentences.quiet(results)


def test_a_control_that_fails_is_on_the_first_screen(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=5, pages=100, repeats=3)
    results, _ = made_up.judged(made_up.write(tmp_path / "run", study, World(even(study))))
    fetches, trials = records.load(tmp_path / "run")
    assert headline.caveats(results) == ""
    passes = "which covers 1, as expected, and the 90 % interval lies within 10 % of it."
    assert passes in sentences.aa_controls(results)
    first = (trials["mode"] == "threads") & (trials["repeat"] == 1) & (trials["arm"] == "main")
    trials.loc[first, "span_s"] *= 1.5
    results = RunResults(results.run, fetches, trials)
    said = headline.caveats(results)
    assert "**The A/A control fails**: requests in threads took 1.47" in said
    assert "times as long at the start of a round as at its end" in said
    assert "which does not cover 1" in sentences.aa_controls(results)


def test_a_control_that_could_not_have_seen_a_difference_says_so(tmp_path: Path) -> None:
    study = Study(clients=("requests", "phantomjs"), rounds=5, pages=20)
    noisy = World(even(study), noise=0.3)
    results, _ = made_up.judged(made_up.write(tmp_path / "run", study, noisy))
    [line] = sentences.aa_controls(results).splitlines()  # requests were not repeated
    assert line.startswith("- A/A control, phantomjs: ")
    assert "which covers 1, but the control is too imprecise to tell: its 90 % interval [" in line
    assert "] does not lie within 10 % of 1." in line
    assert "A/A" not in headline.caveats(results)


def test_pages_that_differ_are_named_and_not_compared(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=3, pages=20, pool_size=10)
    results, _ = made_up.judged(made_up.write(tmp_path / "run", study, World(even(study))))
    fetches, trials = records.load(tmp_path / "run")
    assert "same pages" not in headline.caveats(results)
    place = (fetches["mode"] == "threads") & (fetches["round"] == 2) & (fetches["arm"] == "main")
    fetches.loc[place & (fetches["page"] < 13), "url"] = "http://127.0.0.1/other"
    again = RunResults(results.run, fetches, trials)
    said = headline.caveats(again)
    assert "**The modes did not fetch the same pages** (requests, round 2: pages 1, 2, 3," in said
    assert "10 and 2 more)" in said
    assert "excluded because their pages differ by mode: 1." in sentences.exclusions(again)
    assert summary.speed_up(again.rounds, "requests", "threads").rounds == 2
    assert claims.judge(again)[0].ruling.verdict == "too few rounds"


def test_a_client_without_a_good_fetch_is_said_to_have_none(tmp_path: Path) -> None:
    study = Study(clients=("requests", "phantomjs"), rounds=3)
    text = told(tmp_path / "run", study, World(even(study), failing="phantomjs"))
    assert "- phantomjs: no round was complete" in text
    assert "15 of 48 trials were not complete" in text
    assert "browser 1500" in text


@pytest.mark.parametrize(
    "modes", [("serial",), ("threads",), ("processes",), ("serial", "threads")]
)
def test_any_choice_of_modes_has_its_report(tmp_path: Path, modes: tuple[str, ...]) -> None:
    study = Study.of({"clients": "requests phantomjs", "modes": modes, "rounds": 3, "pages": 9})
    text = told(tmp_path / "run", study, World(even(study)))
    assert "nan" not in text.lower()
    if "serial" not in modes:
        assert "as fast as serial" not in text
        assert sentences.NOTHING_TO_COMPARE in text


def test_markup_in_a_source_stays_text(tmp_path: Path) -> None:
    study = Study.of(
        {"source": "http://127.0.0.1/?<script>alert(1)</script>", "clients": "requests"}
    )
    text = told(tmp_path / "run", study, World(even(study)))
    assert "<script>" not in text
    assert "<code>http://127.0.0.1/?<script>alert(1)</script></code>" in html.unescape(text)


def test_pages_that_rounds_share_are_mentioned(tmp_path: Path) -> None:
    study = Study.of({"source": str(tmp_path / "urls.txt"), "clients": "requests", "pages": 4})
    (tmp_path / "pages.txt").write_text("http://127.0.0.1/\n" * 3)
    said = sentences.pages(of_urls(study, [], tmp_path))
    assert "the intervals hold for these pages only" in said
    assert "shorter than 4" in said
    assert "PhantomJS" not in said
    risky = study.model_copy(update={"clients": ("requests", "phantomjs")})
    said = sentences.pages(of_urls(risky, [], tmp_path))
    assert "a browser of 2016 with known security holes" in said
    (tmp_path / "pages.txt").write_text("http://127.0.0.1/\n" * 20)
    assert "only" not in sentences.pages(of_urls(study, [], tmp_path))


def test_a_url_that_always_leads_to_the_same_page_is_said_to() -> None:
    study = Study.of({"source": "http://127.0.0.1/", "clients": "requests"})
    said = sentences.pages(of_urls(study, ["a", "a"]))
    assert "the intervals hold for this page only" in said
    assert "the pages differ by mode" in sentences.pages(of_urls(study, ["a", "b"]))


def test_rounds_that_lack_trials_are_counted_apart(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=5)
    folder = made_up.write(tmp_path / "run", study, World(even(study)))
    fetches, trials = records.load(folder)
    trials.loc[(trials["mode"] == "threads") & (trials["round"] > 2), "failed"] = 1
    results = RunResults(made_up.run_of(study), fetches, trials)
    judged = claims.judge(results)
    text = headline.certainty(results, judged) + sentences.differences(results, judged)
    assert "intervals over 2 to 5 complete rounds" in text
    assert "were faster" not in text


def test_fetches_that_are_faster_in_a_pool_are_not_called_slower(tmp_path: Path) -> None:
    study = Study(clients=("requests", "phantomjs"), rounds=5)
    text = told(tmp_path / "run", study, World(even(study, threads=0.8, processes=0.8)))
    slow_downs = re.findall(r"(?:threads|processes): slow-down +(0\.[78]\d*) ", text)
    assert len(slow_downs) >= 4
    assert re.search("fetch-slower +does not hold", text)
    assert "The share of the start is not judged" in text


def test_one_worker_is_no_parallel_work(tmp_path: Path) -> None:
    study = Study(clients=("requests", "phantomjs"), rounds=3, pool_size=1, pages=30)
    _, judged = made_up.judged(made_up.write(tmp_path / "run", study, World(even(study))))
    about_pools = ("requests-8x", "fetch-slower", "contention", "no-difference", "latency")
    assert {judged[name].ruling.verdict for name in about_pools} == {"not applicable"}
    assert judged["requests-lighter"].ruling.verdict == "holds"


def test_the_table_names_each_claim_once_and_every_cell(tmp_path: Path) -> None:
    study = Study(clients=("requests", "phantomjs"), rounds=3)
    folder = made_up.write(tmp_path / "run", study, World(even(study, threads=1.3)))
    judged = list(made_up.judged(folder)[1].values())
    page = claim_list.html(judged)
    assert re.findall(r'class="words">([^<]+)<', page) == [html.escape(c.words) for c in judged]
    for claim in judged:
        [first, *others] = claim.cells
        if first.estimate and not others:
            value = headline.value(first, claim.levels)
            assert f'class="measured">{first.quantity}: {value}</span>' in page
    verdicts = re.findall(r'class="verdict \w+"><span aria-hidden="true">.</span> ([^<]+)<', page)
    assert verdicts == [claim.ruling.verdict for claim in judged]
    cells = sum(len(claim.cells) for claim in judged)
    several = [claim for claim in judged if len(claim.cells) > 1 or claim.cells[0].ruling.reason]
    assert page.count("<details>") == len(several)
    assert page.count("<tr>") == sum(len(claim.cells) for claim in several)
    lines = answers.whole_table(judged).splitlines()
    assert len(lines) == 1 + cells
    assert all(claim.id in "\n".join(lines) for claim in judged)
    assert [claim.ruling.verdict for claim in judged].count("mixed") == 1
    assert "1 is mixed" in headline.tally(judged)
