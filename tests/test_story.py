"""The report's sentences on made-up runs: they say what the numbers and the verdicts say."""

import html
from pathlib import Path

import pandas as pd
import pytest

from experiment import records
from experiment.analysis import claims, summary
from experiment.analysis.results import RunResults
from experiment.report import headline, sentences
from experiment.study import Study
from tests import made_up
from tests.made_up import World, even


def told(folder: Path, study: Study, world: World) -> str:
    """All that the report says of a made-up run."""
    results, by_name = made_up.judged(made_up.write(folder, study, world))
    fetches, trials = records.load(folder)
    judged, rounds = list(by_name.values()), results.rounds
    lines = sentences.against_each_other(results)
    return "\n".join(
        [
            headline.headline(results, judged),
            headline.caveats(results, fetches, trials),
            headline.table(judged).to_string(),
            headline.text(judged),
            headline.beside_2018(results),
            sentences.answers(rounds, study).to_string(),
            sentences.fetch_times_read(judged),
            sentences.distribution_read(results.fetches, study),
            sentences.totals_read(rounds, study, 2),
            sentences.losses_read(rounds, study),
            sentences.swim_lanes_read(rounds, study),
            sentences.against_each_other_read(lines, judged, study),
            sentences.phases_read(rounds, judged, study),
            sentences.controls(results).to_string(),
            sentences.controls_read(judged),
            sentences.exclusions(fetches, trials, results.run),
            sentences.pages_said(fetches, study, None),
            sentences.instrument(results.fetches, trials, study).to_string(),
            sentences.instrument_read(trials, results.run),
        ]
    )


def test_faster_and_slower_are_said_as_measured(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=5)
    text = told(tmp_path / "run", study, World(even(study, threads=1.3), noise=0.001))
    assert "The two differ, processes were faster: threads took 1.30 times as long" in text
    assert "threads were faster" not in text
    assert "one fetch in threads took 1.3" in text
    assert text.count(": slower.") == 1
    assert "In brackets: 95 % intervals over 5 complete rounds." in text


def test_threads_slower_than_serial_are_not_praised(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=5, pages=30)
    text = told(tmp_path / "run", study, World(even(study, threads=20.0)))
    assert "10 threads were **0.4" in text
    assert "The two differ, processes were faster: threads took 1" in text
    assert "of 10 times, idle workers leave" in text
    assert "threads help by using the latency" in text


def test_the_same_is_said_only_of_what_is_shown_to_be_the_same(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=5)
    text = told(tmp_path / "same", study, World(even(study)))
    assert "The two perform the same, less than 10 % apart: threads took" in text
    assert "faster" not in text.replace("one fetch is faster in serial", "")
    text = told(tmp_path / "little", study, World(even(study, threads=1.05), noise=0.004))
    assert "The two are less than 10 % apart, with processes a little faster: threads took" in text
    assert "a difference exists" in text
    text = told(tmp_path / "open", study, World(even(study), noise=0.2))
    assert "Whether the two perform the same is open: threads took" in text
    assert "perform the same, less" not in text


def test_one_round_is_too_few(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=1)
    text = told(tmp_path / "run", study, World(even(study, threads=1.3)))
    assert "Only 1 complete round: too few to judge by; it takes 3 (`ROUNDS=5`)." in text
    assert "as fast as serial (too few rounds)" in text
    assert "were faster" not in text
    assert ": slower" not in text
    assert "perform the same, less" not in text
    table = [line for line in text.splitlines() if line.startswith("requests-8x")]
    assert "too few rounds" in table[0]
    assert table[0].endswith("1 complete round; it takes 3")


def test_a_busy_machine_and_another_experiment_are_said(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=3, pages=20, pool_size=5)
    results, _ = made_up.judged(made_up.write(tmp_path / "run", study, World(even(study))))
    fetches, trials = records.load(tmp_path / "run")
    quiet = headline.caveats(results, fetches, trials)
    assert "busy" not in quiet
    assert "another experiment than this one (pool_size 5, not 10; pages 20, not 100)" in quiet
    assert "0 % at most" in sentences.instrument_read(trials, results.run)
    trials.loc[trials.index[:4], "other_cpu"] = 0.4
    busy = headline.caveats(results, fetches, trials)
    assert "**The machine was busy**: before 4 of 33 trials" in busy
    assert "40 % at most, more than 10 % before 4 of 33" in sentences.instrument_read(
        trials, results.run
    )


def test_a_control_that_fails_is_on_the_first_screen(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=5, pages=100, repeats=3)
    results, judged = made_up.judged(made_up.write(tmp_path / "run", study, World(even(study))))
    fetches, trials = records.load(tmp_path / "run")
    assert headline.caveats(results, fetches, trials) == ""
    first = (trials["mode"] == "threads") & (trials["repeat"] == 1) & (trials["arm"] == "main")
    trials.loc[first, "span_s"] *= 1.5
    results = RunResults(results.run, fetches, trials)
    said = headline.caveats(results, fetches, trials)
    assert "**The A/A control fails**: requests in threads took 1.5" in said
    lines = sentences.against_each_other(results)
    read = sentences.against_each_other_read(lines, list(judged.values()), study)
    assert "which should hold 1 and does not" in read


def test_pages_that_differ_are_named_and_not_compared(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=3, pages=20, pool_size=10)
    results, _ = made_up.judged(made_up.write(tmp_path / "run", study, World(even(study))))
    fetches, trials = records.load(tmp_path / "run")
    assert "same pages" not in headline.caveats(results, fetches, trials)
    place = (fetches["mode"] == "threads") & (fetches["round"] == 2) & (fetches["arm"] == "main")
    fetches.loc[place & (fetches["page"] < 13), "url"] = "http://127.0.0.1/other"
    said = headline.caveats(results, fetches, trials)
    assert "**The modes did not fetch the same pages** (requests, round 2: pages 1, 2, 3," in said
    assert "10 and 2 more)" in said
    assert "Rounds refused, since their pages differ by mode: 1." in sentences.exclusions(
        fetches, trials, results.run
    )
    again = RunResults(results.run, fetches, trials)
    assert summary.speed_up(again.rounds, "requests", "threads").rounds == 2
    assert claims.judge(again)[0].ruling.verdict == "too few rounds"


def test_a_client_without_a_good_fetch_is_said_to_have_none(tmp_path: Path) -> None:
    study = Study(clients=("requests", "phantomjs"), rounds=3)
    text = told(tmp_path / "run", study, World(even(study), failing="phantomjs"))
    assert "**phantomjs**: no round was complete, so nothing can be said of it." in text
    assert "9 of 42 trials were not complete" in text
    assert "browser 900" in text


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
    said = sentences.pages_said(pd.DataFrame(), study, 3)
    assert "the intervals hold for these pages only" in said
    assert "shorter than 4" in said
    assert "only" not in sentences.pages_said(pd.DataFrame(), study, 20)
    assert "PhantomJS" not in said
    risky = study.model_copy(update={"clients": ("requests", "phantomjs")})
    assert "a browser of 2016 with known security holes" in sentences.pages_said(
        pd.DataFrame(), risky, 3
    )


def test_a_url_that_always_leads_to_the_same_page_is_said_to() -> None:
    study = Study.of({"source": "http://127.0.0.1/", "clients": "requests"})
    same, different = (
        pd.DataFrame({"final_url": ["a", "a"]}),
        pd.DataFrame({"final_url": ["a", "b"]}),
    )
    assert "the intervals hold for this page only" in sentences.pages_said(same, study, None)
    assert "the pages differ by mode" in sentences.pages_said(different, study, None)


def test_rounds_that_lack_trials_are_counted_apart(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=5)
    folder = made_up.write(tmp_path / "run", study, World(even(study)))
    fetches, trials = records.load(folder)
    trials.loc[(trials["mode"] == "threads") & (trials["round"] > 2), "failed"] = 1
    results = RunResults(made_up.run_of(study), fetches, trials)
    text = headline.headline(results, claims.judge(results))
    assert "intervals over 2 to 5 complete rounds" in text
    assert text.count("(too few rounds)") == 2
    assert "were faster" not in text


def test_fetches_that_are_quicker_in_a_pool_are_not_called_slower(tmp_path: Path) -> None:
    study = Study(clients=("requests", "phantomjs"), rounds=5)
    text = told(tmp_path / "run", study, World(even(study, threads=0.8, processes=0.8)))
    assert text.count(": not slower.") == 4
    assert ": slower" not in text
    assert "How much of it is the start is not judged" in text


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
    table = headline.table(judged)
    assert len(table) == sum(len(claim.cells) for claim in judged)
    assert [words for words in table["the article says"] if words] == [c.words for c in judged]
    assert [words for words in table["verdict"] if words] == [c.ruling.verdict for c in judged]
    lines = headline.text(judged).splitlines()
    assert len(lines) == 1 + len(table) + 2
    assert all(claim.id in "\n".join(lines) for claim in judged)
    assert [claim.ruling.verdict for claim in judged].count("mixed") == 1
    assert "1 is mixed" in lines[-1]
