"""The crossover: its law, what its levels come to, and a small one measured for real."""

from dataclasses import replace
from pathlib import Path

import pytest

import experiment
from experiment.analysis import crossover
from experiment.analysis.crossover import law
from experiment.analysis.summary import digits, percent
from experiment.errors import UserError
from experiment.measure import parsing
from experiment.report import crossover as said
from experiment.study import CROSSOVER, PROJECT, Study, crossover_of, sweep_of
from tests import made_up
from tests.conftest import Copy
from tests.made_up import World, even


def test_the_law_has_one_core_for_threads_and_all_for_processes() -> None:
    assert law(200, 5, workers=10, cores=2) == 1
    assert law(200, 30, workers=10, cores=2) == pytest.approx(1.5)
    assert law(200, 80, workers=10, cores=2) == 2
    assert law(200, 80, workers=10, cores=8) == pytest.approx(4)
    assert law(200, 80, workers=10, cores=1) == 1


def test_a_page_is_parsed_as_often_as_the_name_says() -> None:
    words = parsing.Words()
    words.feed("<p>one two</p><p>two</p>")
    assert words.counts == {"one": 1, "two": 2}
    assert parsing.passes_3.args == (3,)  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        parsing.passes_many  # noqa: B018


def test_a_crossover_compares_the_articles_pools_at_several_sizes() -> None:
    study = crossover_of({})
    assert study.kind == "crossover"
    assert (study.modes, study.sizes) == (("threads", "processes"), (10, 30))
    assert study.run_name() == "crossover"
    assert crossover_of({"latency": 0.5}).run_name() == "crossover_latency-0.5"
    assert not study.has_controls
    again = Study.model_validate_json(study.model_dump_json())
    assert again == study
    with pytest.raises(UserError, match="modes: threads is not serial"):
        crossover_of({"modes": "threads"})
    with pytest.raises(UserError, match="modes: threads processes is not serial"):
        sweep_of({"modes": "threads processes"})


PASSES = ("experiment.measure.parsing:passes_0", "experiment.measure.parsing:passes_9")


def made_up_crossover(folder: Path, threads: float) -> crossover.Crossover:
    """Return the crossover of a run in which threads take so many times as long as processes."""
    study = crossover_of({"clients": PASSES, "pool_sizes": (5,), "pages": 12, "rounds": 5})
    made_up.write(folder, study, World(even(study, threads=threads), controls=False))
    [one] = crossover.crossovers(experiment.load(folder))
    return one


def test_levels_say_where_processes_win(tmp_path: Path) -> None:
    alike = made_up_crossover(tmp_path / "alike", 1.01)
    slower = made_up_crossover(tmp_path / "slower", 1.5)
    assert {level.verdict for level in alike.levels} == {"holds"}
    assert alike.alike_ms is not None
    assert alike.processes_ms is None
    assert {level.verdict for level in slower.levels} == {"does not hold"}
    assert slower.alike_ms is None
    assert slower.processes_ms == min(level.cpu_ms.value for level in slower.levels)
    assert {level.passes for level in slower.levels} == {0, 9}


def test_a_python_without_a_gil_has_no_crossover(tmp_path: Path) -> None:
    study = crossover_of({"clients": PASSES, "pool_sizes": (5,), "pages": 12, "rounds": 3})
    made_up.write(tmp_path / "run", study, World(even(study), controls=False))
    results = experiment.load(tmp_path / "run")
    machine = results.run.machine.model_copy(update={"gil": False})
    free = replace(results, run=results.run.model_copy(update={"machine": machine}))
    words = said.answer(free, crossover.crossovers(free))
    assert "There is no crossover to find" in words


def test_the_documentation_says_what_the_committed_crossover_says() -> None:
    results = experiment.load(PROJECT / "data" / "reference-crossover")
    found = crossover.crossovers(results)
    words = " ".join((PROJECT / "README.md").read_text().split())
    details = " ".join((PROJECT / "docs" / "workers.md").read_text().split())
    for line in said.answer(results, found).splitlines():
        sentence, same = line.removeprefix("- ").replace("**", "").split("; ")
        assert f"{sentence}; {same.removesuffix(', less than 10 % apart.')}" in words
    ten, thirty = found
    waiting = f"mean delay {digits(ten.waiting_ms)} ms, {results.study.rounds} rounds"
    assert waiting in details
    assert ten.law_ms
    assert thirty.law_ms
    law = f"at {digits(ten.law_ms)} ms with 10 workers and at {digits(thirty.law_ms)} ms with 30"
    assert law in details
    mean, most = (
        f"{percent(getattr(ten, name))} and {percent(getattr(thirty, name))}"
        for name in ("law_error", "worst_law_error")
    )
    assert f"ratios are {mean} off on average, and {most} at most" in details


@pytest.mark.slow
def test_a_small_crossover_is_measured_and_reported(copy: Copy) -> None:
    ended = copy.experiment(
        "crossover", "--clients", "experiment.measure.parsing:passes_0 "
        "experiment.measure.parsing:passes_30", "--pool-sizes", "5", "--pages", "12",
        "--rounds", "3", "--latency", "0.1", "--run", "small",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    page = (copy.path / "reports" / "small.html").read_text()
    assert "With 5 workers" in page
    assert "the law puts the crossover at" in page
    assert (copy.path / "figures" / "small" / "1-work-after-a-fetch.png").exists()
    assert "crossover" in copy.experiment("runs").stdout
    assert len(CROSSOVER["clients"]) == 9
    copy.assert_nothing_left()
