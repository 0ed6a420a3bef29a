"""A sweep: one design for all pool sizes, and the plain answer that follows from its numbers."""

import html
import json
import sys
from pathlib import Path

import pytest

from experiment import load, records
from experiment.analysis import claims, sweeps
from experiment.analysis.results import RunResults
from experiment.errors import UserError
from experiment.measure import schedule
from experiment.report import figures, sweep
from experiment.study import PROJECT, SWEEP, Study, sweep_of
from tests import made_up
from tests.conftest import Copy
from tests.made_up import World, even


def seen_of(folder: Path, world: World | None = None, **parameters: object) -> RunResults:
    """A made-up sweep; its fetches take as long in any pool, unless the world says otherwise."""
    study = Study.of({**SWEEP, "pages": 40, **parameters})
    path = made_up.write(folder / "sweep", study, world or World(even(study), controls=False))
    return load(path)


def test_a_sweep_is_one_design_without_controls() -> None:
    study = Study.of({**SWEEP, "repeats": 3})
    keys = [key for keys in schedule.launches(study, 1, 2) for key in keys]
    assert {key.arm for key in keys} == {"main"}
    assert sum(key.mode == "serial" for key in keys) == 1
    parallel = [(key.mode, key.pool_size, key.repeat) for key in keys if key.mode != "serial"]
    assert sorted(parallel) == [
        (mode, size, repeat)
        for mode in ("processes", "threads")
        for size in (2, 5, 10, 20, 50)
        for repeat in (1, 2, 3)
    ]
    assert study.pages_in_a_chunk() == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pool_sizes": "2 0"}, "pool_sizes: 0 is not one or more whole numbers from 1 to 500"),
        ({"pool_sizes": "2 2"}, "pool_sizes: 2 2 is not one or more whole numbers from 1 to 500"),
        ({"pool_sizes": "2 x"}, "pool_sizes: x is not one or more whole numbers from 1 to 500"),
        ({"pool_size": 5}, "pool_size: 5 has no use in a sweep"),
        ({"chunk_size": 3}, "chunk_size: 3 has no use in a sweep"),
        ({"modes": "serial"}, "modes: serial is not serial and threads, processes or both"),
        ({"modes": "threads processes"}, "modes: threads processes is not serial and threads,"),
        (
            {"source": "wikipedia", "contact": "you@example.org"},
            "pool_sizes: 50 is not a whole number from 1 to 9",
        ),
    ],
)
def test_what_is_wrong_in_a_sweep_is_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as caught:
        Study.of({**SWEEP, **values})
    assert words in str(caught.value)


def test_a_sweep_is_named_after_what_is_not_its_default() -> None:
    assert Study.of(SWEEP).run_name() == "sweep"
    assert Study.of({**SWEEP, "pages": "100"}).run_name() == "sweep_pages-100"
    assert Study.of({"pool_sizes": "4,2"}).run_name() == "sweep_pool_sizes-2-4"
    assert Study.of(SWEEP).in_short() == "sweep"
    assert Study.of({"pool_sizes": "none"}).kind == "report"
    with pytest.raises(UserError, match="pool_sizes: none is not one or more whole numbers"):
        sweep_of({"pool_sizes": "none"})


def test_each_command_sends_the_other_kind_to_the_other(copy: Copy) -> None:
    for arguments, words in (
        (("report", "--pool-sizes", "5 2"), "pool_sizes: 2 5 has no use here; it goes with make s"),
        (("sweep", "--pool-size", "5"), "pool_size: 5 has no use in a sweep, which has pool_sizes"),
        (("sweep", "--pool-sizes", "none"), "pool_sizes: none is not one or more whole numbers"),
    ):
        ended = copy.experiment(*arguments)
        assert ended.returncode == 2
        assert ended.stderr.startswith(f"error: {words}")
    shown = copy.experiment("sweep", "--help").stdout
    assert "--pool-sizes" in shown
    assert "--chunk-size" not in shown


def test_a_sweep_and_a_study_do_not_take_each_others_runs() -> None:
    study, sweep = Study.of({"run": "a"}), sweep_of({"run": "a"})
    with pytest.raises(UserError, match="run: a is a sweep; it goes with make sweep"):
        study.joined_to(sweep)
    with pytest.raises(UserError, match="run: a is no sweep; it goes with make report"):
        sweep.joined_to(study)
    assert sweep.joined_to(Study.of({**SWEEP, "pages": 7})).pages == 7


def test_claims_are_not_judged_by_a_sweep(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="this run is a sweep"):
        claims.judge(seen_of(tmp_path))


def test_speed_ups_are_of_the_own_size_and_the_ceiling_above(tmp_path: Path) -> None:
    found = sweeps.compare_sizes(seen_of(tmp_path))
    assert [(item.mode, item.size) for item in found] == [
        (mode, size) for mode in ("threads", "processes") for size in (2, 5, 10, 20, 50)
    ]
    for item in found:
        assert item.speed_up.rounds == 3
        assert 0.85 < item.speed_up.value / item.ceiling.value < 1.1
        assert item.ceiling.value <= item.size
    two, *_, fifty = found[:5]
    assert 1.8 < two.speed_up.value < 2.1
    assert fifty.ceiling.value < 40  # there are only forty pages
    assert two.cores == pytest.approx(0.1, rel=0.01)
    assert two.limit == "waiting"


def test_the_answer_is_the_smallest_that_no_larger_one_beats(tmp_path: Path) -> None:
    results = seen_of(tmp_path, pool_sizes=(40, 50, 10), rounds=5)
    found = sweeps.compare_sizes(results)
    answers = sweeps.recommend(results, found)
    assert [item.at.size for item in answers] == [40, 40]  # one page each: fifty gain nothing
    assert all(item.best and item.best.size == 50 for item in answers)
    said = sweep.answer(results, found)
    assert "**requests, threads: 40 workers**" in said
    assert "With 40 the limit is waiting: the machine was 20 % busy" in said
    assert "no larger pool measured here is more than 5 % faster (the best of them, 50, is" in said
    growing = seen_of(tmp_path / "growing", pool_sizes=(2, 5))
    assert "**requests, threads: 5 or more workers**" in sweep.answer(
        growing, sweeps.compare_sizes(growing)
    )


def test_a_sweep_without_a_complete_round_has_no_answer(tmp_path: Path) -> None:
    study = Study.of({**SWEEP, "pages": 4, "rounds": 1})
    results = seen_of(tmp_path, World(even(study), failing="requests", controls=False), pages=4)
    assert sweeps.compare_sizes(results) == []
    assert "requests, threads: 2 workers have no complete round" in sweep.answer(results, [])
    assert figures.drawn(figures.speed_up_by_pool_size, results) is None


@pytest.mark.parametrize(
    ("machine_cpu", "cores", "slower", "limit"),
    [
        (0.95, 1.9, 1.0, "the cores"),
        (0.5, 1.0, 1.3, "the GIL"),
        (0.95, 1.0, 1.3, "the GIL"),  # processes are faster on the same cores
        (0.5, 1.8, 1.0, "the cores"),  # others' cores are not the study's
        (0.5, 1.0, 1.0, "waiting"),
        (0.6, 0.7, 1.3, "waiting and the CPU both"),
        (0.3, 0.2, 1.3, "slower answers, though cores are free"),
    ],
)
def test_the_limit_is_what_the_numbers_say(
    tmp_path: Path, machine_cpu: float, cores: float, slower: float, limit: str
) -> None:
    study = Study.of({**SWEEP, "pool_sizes": 4, "pages": 40})
    world = World(
        even(study, threads=slower),
        controls=False,
        machine_cpu=machine_cpu,
        noise=0.001,
        cores=cores,
    )
    found = sweeps.compare_sizes(seen_of(tmp_path, world, pool_sizes=4))
    [threads] = [item for item in found if item.mode == "threads"]
    assert threads.limit == limit


def test_the_figure_has_every_size_and_says_which_is_enough(tmp_path: Path) -> None:
    results = seen_of(tmp_path, clients=("requests", "phantomjs"))
    figure = figures.drawn(figures.speed_up_by_pool_size, results)
    assert figure is not None
    first, second = figure.axes
    assert first.get_xscale() == first.get_yscale() == "log"
    assert [label.get_text() for label in first.get_xticklabels()] == ["2", "5", "10", "20", "50"]
    assert first.get_title(loc="left").startswith("requests: workers that no larger")
    assert second.get_title(loc="left").startswith("phantomjs")
    assert first.get_xlim()[0] < 2
    assert first.get_xlim()[1] > 50
    assert {text.get_text() for text in first.texts} >= {"ideal", "threads", "processes"}


@pytest.mark.slow
def test_make_sweep_measures_and_answers(copy: Copy) -> None:
    ended = copy.experiment(
        "sweep", "--pool-sizes", "2 3", "--pages", "6", "--latency", "0.3", "--run", "small"
    )
    assert ended.returncode == 0, ended.stderr
    fetches, trials = records.load(copy.path / "data" / "small")
    assert len(fetches) == 3 * 5 * 6
    assert trials.groupby(["mode", "pool_size"]).size().to_dict() == {
        ("serial", 1): 3, ("threads", 2): 3, ("threads", 3): 3,
        ("processes", 2): 3, ("processes", 3): 3,
    }  # fmt: skip
    assert trials["machine_cpu"].between(0.01, 1).all()
    page = (copy.path / "reports" / "small.html").read_text()
    assert "pool sizes <strong>2 3</strong>" in page
    assert "requests, threads: " in page
    assert "In brackets" not in page
    assert (copy.path / "figures" / "small" / "1-speed-up-by-pool-size.svg").exists()
    notebook = json.loads((copy.path / "reports" / "small.ipynb").read_text())
    assert str(copy.path) not in json.dumps(notebook["metadata"])
    _check_beside(copy)
    again = copy.experiment("report", "--run", "small")
    assert again.returncode == 2
    assert again.stderr == "error: run: small is a sweep; it goes with make sweep\n"
    judged = copy.experiment("verdicts", "data/small")
    assert judged.returncode == 2
    assert "this run is a sweep" in judged.stderr
    copy.assert_nothing_left()


def test_the_readme_says_what_the_committed_sweep_says() -> None:
    folder = PROJECT / "data" / "reference-sweep"
    results = load(folder)
    words = " ".join((PROJECT / "README.md").read_text().split())
    for item in sweeps.recommend(results, sweeps.compare_sizes(results)):
        assert f"{item.words} {item.at.mode}" in words


def _check_beside(copy: Copy) -> None:
    """Any runs can be set side by side through papermill, without measuring."""
    asked = ["-p", "run", "small", "-p", "beside", '["reference", "small"]']
    command = [sys.executable, "-m", "papermill", "notebooks/sweep.ipynb", "out.ipynb", *asked]
    ended = copy.run("env", f"PYTHONPATH={copy.path}", *command)
    assert ended.returncode == 0, ended.stderr
    text = html.unescape((copy.path / "out.ipynb").read_text())
    assert "reference: pool_size 10, 10; " not in text
    assert "- reference: pool_sizes 2 3, none; pages 6, 100" in text
    refused = copy.run(
        "env", f"PYTHONPATH={copy.path}", *command, "-p", "combine", '["reference", "small"]'
    )
    assert refused.returncode == 1
    [*_, last] = refused.stderr.rstrip().splitlines()
    assert last.startswith("UserError: combine: reference and small are not alike: pool_sizes")
