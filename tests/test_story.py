"""The report's sentences on made-up runs: they say what the numbers say."""

from pathlib import Path

import pandas as pd
import pytest

from experiment import load, story, summary
from experiment.study import Study
from tests import made_up


def told(folder: Path, study: Study, factors: dict[tuple[str, str], float], **more: str) -> str:
    """All that the report says of a made-up run."""
    made_up.write(folder, study, factors, **more)
    fetches, trials = load(folder)
    rounds = summary.per_round(summary.per_trial(fetches, trials))
    return "\n".join(
        [
            story.headline(rounds, trials, study),
            story.answers(rounds, study).to_string(),
            story.fetch_times_read(rounds, study),
            story.totals_read(rounds, study, 2),
            story.swim_lanes_read(rounds, study),
            story.phases_read(rounds, study),
            story.left_out(fetches, trials),
            story.pages_said(fetches, study, None),
            story.instrument(fetches, trials, study).to_string(),
        ]
    )


def factors(study: Study, **special: float) -> dict[tuple[str, str], float]:
    """A factor for each client and mode."""
    return {
        (client, mode): special.get(mode, 1.0) for client in study.clients for mode in study.modes
    }


def test_faster_and_slower_are_said_as_measured(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=5)
    text = told(tmp_path / "run", study, factors(study, threads=1.3, processes=1.0))
    assert "processes were faster" in text
    assert "threads were faster" not in text
    assert "one fetch in threads took 1.3" in text
    assert text.count(": slower.") == 1
    assert "In brackets: 95 % intervals over 5 complete rounds." in text


def test_threads_slower_than_serial_are_not_praised(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=5, pages=30)
    text = told(tmp_path / "run", study, factors(study, threads=20.0))
    assert "10 threads were **0.4" in text


def test_what_cannot_be_told_apart_is_said_to_be_so(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=5)
    text = told(tmp_path / "run", study, factors(study))
    assert "these rounds cannot tell them apart" in text
    assert "were faster" not in text


def test_one_round_is_too_few(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=1)
    text = told(tmp_path / "run", study, factors(study, threads=1.3))
    assert "Only 1 complete round: too few to judge by; it takes 3 (`ROUNDS=5`)." in text
    assert "as fast as serial (too few rounds)" in text
    assert "were faster" not in text
    assert ": slower" not in text


def test_a_busy_machine_and_another_experiment_are_said(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=3, pages=20, pool_size=5)
    made_up.write(tmp_path / "run", study, factors(study))
    fetches, trials = load(tmp_path / "run")
    rounds = summary.per_round(summary.per_trial(fetches, trials))
    quiet = story.headline(rounds, trials, study)
    assert "busy" not in quiet
    assert "another experiment than this one (workers: 5, not 10; pages: 20, not 100)" in quiet
    trials.loc[trials.index[:2], "other_cpu"] = 0.4
    busy = story.headline(rounds, trials, study)
    assert "**The machine was busy**: before 2 of 9 trials" in busy
    assert "2018" not in story.headline(rounds, trials, Study(clients=("requests",)))


def test_a_client_without_a_good_fetch_is_said_to_have_none(tmp_path: Path) -> None:
    study = Study(clients=("requests", "phantomjs"), rounds=3)
    text = told(tmp_path / "run", study, factors(study), failing="phantomjs")
    assert "**phantomjs**: no round was complete, so nothing can be said of it." in text
    assert "9 of 18 trials were not complete" in text
    assert "browser 900" in text


@pytest.mark.parametrize(
    "modes", [("serial",), ("threads",), ("processes",), ("serial", "threads")]
)
def test_any_choice_of_modes_has_its_report(tmp_path: Path, modes: tuple[str, ...]) -> None:
    study = Study.of({"clients": "requests phantomjs", "modes": modes, "rounds": 3, "pages": 9})
    text = told(tmp_path / "run", study, factors(study))
    assert "nan" not in text.lower()
    if "serial" not in modes:
        assert "as fast as serial" not in text
        assert story.NOTHING_TO_COMPARE in text


def test_markup_in_a_source_stays_text(tmp_path: Path) -> None:
    study = Study.of(
        {"source": "http://127.0.0.1/?<script>alert(1)</script>", "clients": "requests"}
    )
    text = told(tmp_path / "run", study, factors(study))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_pages_that_rounds_share_are_mentioned(tmp_path: Path) -> None:
    study = Study.of({"source": str(tmp_path / "urls.txt"), "clients": "requests", "pages": 4})
    said = story.pages_said(pd.DataFrame(), study, 3)
    assert "the intervals hold for these pages only" in said
    assert "shorter than 4" in said
    assert "only" not in story.pages_said(pd.DataFrame(), study, 20)


def test_a_url_that_always_leads_to_the_same_page_is_said_to() -> None:
    study = Study.of({"source": "http://127.0.0.1/", "clients": "requests"})
    same, different = (
        pd.DataFrame({"final_url": ["a", "a"]}),
        pd.DataFrame({"final_url": ["a", "b"]}),
    )
    assert "the intervals hold for this page only" in story.pages_said(same, study, None)
    assert "the pages differ by mode" in story.pages_said(different, study, None)


def test_rounds_that_lack_trials_are_counted_apart(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=5)
    made_up.write(tmp_path / "run", study, factors(study))
    fetches, trials = load(tmp_path / "run")
    trials.loc[(trials["mode"] == "threads") & (trials["round"] > 2), "failed"] = 1
    rounds = summary.per_round(summary.per_trial(fetches, trials))
    text = story.headline(rounds, trials, study)
    assert "intervals over 2 to 5 complete rounds" in text
    assert text.count("(too few rounds)") == 2
    assert "were faster" not in text
