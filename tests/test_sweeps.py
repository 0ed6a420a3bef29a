"""A sweep: one design for all pool sizes, and the plain answer that follows from its numbers."""

import itertools
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Annotation
from scipy import stats

from experiment import load, records
from experiment.analysis import claims, sweeps
from experiment.analysis.results import RunResults
from experiment.analysis.rules import ONE_LOOK, Levels
from experiment.analysis.sweeps import EnoughWorkers
from experiment.errors import UserError
from experiment.measure import schedule
from experiment.report import figures, sentences, sweep
from experiment.study import PROJECT, SWEEP, Study, sweep_of
from tests import made_up
from tests.conftest import Copy
from tests.made_up import World, even

ANEW: dict[str, object] = {
    "pool_sizes": (5, 10, 20, 50), "clients": ("requests",),
    "modes": ("serial", "threads", "processes"), "reuse": ("off",),
}  # fmt: skip
"""A sweep of the article's way to fetch."""


def seen_of(folder: Path, world: World | None = None, **parameters: object) -> RunResults:
    """A made-up sweep; its fetches take as long in any pool, unless the world says otherwise."""
    study = Study.of({**SWEEP, **ANEW, "rounds": 7, "pages": 40, **parameters})
    path = made_up.write(folder / "sweep", study, world or World(even(study), controls=False))
    return load(path)


def test_a_sweep_is_one_design_without_controls() -> None:
    study = Study.of({**SWEEP, **ANEW, "repeats": 3})
    keys = [key for keys in schedule.launches(study, 1, 2) for key in keys]
    assert {key.arm for key in keys} == {"main"}
    assert sum(key.mode == "serial" for key in keys) == 1
    parallel = [(key.mode, key.pool_size, key.repeat) for key in keys if key.mode != "serial"]
    assert sorted(parallel) == [
        (mode, size, repeat)
        for mode in ("processes", "threads")
        for size in (5, 10, 20, 50)
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
        ({"modes": "serial"}, "modes: serial is not serial and one mode or more of threads"),
        (
            {"source": "wikipedia", "contact": "you@example.org"},
            "pool_sizes: 200 is not a whole number from 1 to 9",
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
    found = sweeps.compare_sizes(seen_of(tmp_path, pool_sizes=(2, 5, 20, 50)))
    assert [(item.mode, item.size) for item in found] == [
        (mode, size) for mode in ("threads", "processes") for size in (2, 5, 20, 50)
    ]
    for item in found:
        assert item.speed_up.rounds == 7
        assert 0.85 < item.speed_up.value / item.ceiling.value < 1.1
        assert item.ceiling.value <= item.size
    two, *_, fifty = found[:4]
    assert 1.8 < two.speed_up.value < 2.1
    assert fifty.ceiling.value < 40  # there are only forty pages
    assert two.cores == pytest.approx(0.1, rel=0.01)
    assert two.limit == "waiting"


def answers_of(results: RunResults) -> tuple[dict[str, EnoughWorkers], str]:
    """The range of each mode of `requests`, and what the report says of them."""
    found = sweeps.compare_sizes(results)
    ranges = sweeps.enough_workers(results, found)
    return {mode: item for (_, mode, _), item in ranges.items()}, sweep.answer(results, found)


def test_the_answer_is_the_smallest_that_no_larger_one_beats(tmp_path: Path) -> None:
    results = seen_of(tmp_path, pool_sizes=(40, 50, 10))  # one page each: fifty gain nothing
    ranges, said = answers_of(results)
    for found in ranges.values():
        assert (found.low, found.high) == (40, 40)
        assert (list(found.too_few), list(found.enough)) == ([10], [40])
        assert found.too_few[10].low > 2
        assert found.rounds_to_settle() is None
    assert "**requests, threads: 40**. Too few: 10 (40 are at least " in said
    assert "Enough: 40 (no larger pool is more than 1.0" in said
    assert "With 40 the speed-up is " in said
    assert " and the limit is waiting (the origin used 0.0" in said
    assert "Undecided" not in said
    assert "would settle it" not in said


@pytest.mark.parametrize(
    ("sizes", "words", "says"),
    [
        ((2, 5), "5 or more", "Too few: 2 (5 are at least 2.3"),  # all but the largest
        ((40, 50), "40 or fewer", "Enough: 40 (no larger pool is more than 1.0"),
        ((4,), "undecided", "**. Nothing is known of pools larger than 4. With 4 the speed-up"),
    ],
)
def test_the_answer_is_open_where_sizes_beyond_were_not_measured(
    tmp_path: Path, sizes: tuple[int, ...], words: str, says: str
) -> None:
    ranges, said = answers_of(seen_of(tmp_path, pool_sizes=sizes))
    assert ranges["threads"].words == words
    assert f"**requests, threads: {words}**. " in said
    assert says in said
    assert ("Nothing is known of pools larger" in said) == (words != "40 or fewer")
    assert "would settle it" not in said


def spans_of(**speeds: tuple[float, float]) -> dict[int, "pd.Series[float]"]:
    """The spans of five rounds by size (`of_20`), whose logs have a mean and a scatter."""
    scores = {0: (0, 0, 0, 0, 0), 1: (-1, 1, 0, 1, -1), 2: (1, 1, 0, -1, -1), 3: (1, -1, 0, 1, -1)}
    return {
        int(name.removeprefix("of_")): pd.Series(np.exp(scatter * np.array(scores[place])) / speed)
        for place, (name, (speed, scatter)) in enumerate(speeds.items())
    }


@pytest.mark.parametrize(
    ("ten", "twenty", "fifty", "words", "undecided"),
    [
        ((8.0, 0.02), (8.1, 0.02), (8.1, 0.02), "10", []),
        ((8.0, 0.02), (12.0, 0.02), (12.0, 0.02), "20", []),
        ((8.0, 0.1), (8.4, 0.1), (8.0, 0.02), "between 10 and 20", [10]),
        ((8.0, 0.05), (8.5, 0.01), (8.5, 0.01), "between 10 and 20", [10]),
        ((8.0, 0.02), (12.0, 0.02), (12.6, 0.05), "20 or more", [20]),
        ((8.0, 0.02), (12.0, 0.02), (16.0, 0.05), "50 or more", []),
        ((8.0, 0.01), (8.0, 0.01), (8.4, 0.1), "10 or more", [10, 20]),
    ],
)
def test_the_range_has_the_sizes_that_are_neither_too_few_nor_above_one_that_is_enough(
    ten: tuple[float, float],
    twenty: tuple[float, float],
    fifty: tuple[float, float],
    words: str,
    undecided: list[int],
) -> None:
    found = sweeps.judge_sizes(
        spans_of(of_5=(4.5, 0.0), of_10=ten, of_20=twenty, of_50=fifty), ONE_LOOK
    )
    assert found.words == words
    assert list(found.undecided) == undecided
    assert (found.rounds_to_settle() is not None) == bool(undecided)


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        ({1: [2.0, 2.1, 2.2], 2: [2.0, 2.1, 2.2]}, "1"),
        ({2: [2.0, 2.1, 2.2], 4: [2.0, 2.1, 2.2]}, "2 or fewer"),
        ({2: [2.0, 2.1], 4: [2.0, 2.1]}, "undecided"),
        ({2: [2.0, 2.1], 4: [1.0, 1.05]}, "undecided"),
    ],
)
def test_a_size_is_judged_by_three_rounds(spans: dict[int, list[float]], words: str) -> None:
    found = sweeps.judge_sizes({size: pd.Series(own) for size, own in spans.items()}, ONE_LOOK)
    assert found.words == words


def test_one_gain_of_those_that_seem_large_is_to_be_shown() -> None:
    spans = spans_of(of_5=(8.0, 0.0), of_10=(10.4, 0.2), of_20=(8.8, 0.1))
    found = sweeps.judge_sizes(spans, ONE_LOOK)
    assert found.undecided.keys() == {5}
    needed = [gain.rounds_to_decide() for gain in found.gains[5]]
    assert needed[0] != needed[1]
    assert found.rounds_to_settle() == min(needed)


def test_all_gains_are_to_be_shown_small_and_larger_sizes_need_not_be_decided() -> None:
    spans = spans_of(of_5=(8.0, 0.0), of_10=(8.0, 0.06), of_20=(8.0, 0.1))
    found = sweeps.judge_sizes(spans, ONE_LOOK)
    assert found.undecided.keys() == {5, 10}
    needed = [gain.rounds_to_decide() for gain in found.gains[5]]
    assert needed[0] < needed[1] < found.gains[10][0].rounds_to_decide()
    assert found.rounds_to_settle() == needed[1]


def test_the_bounds_are_students_and_share_the_error_where_one_is_enough() -> None:
    logs = np.array([0.1, -0.1, 0.1, 0.02, 0.05])
    small = pd.Series(np.exp(logs))
    ones = pd.Series(np.ones(5))
    found = sweeps.judge_sizes({10: small, 20: ones, 50: ones}, ONE_LOOK)
    error = logs.std(ddof=1) / math.sqrt(5)
    gain = found.undecided[10]
    assert math.log(gain.low) == pytest.approx(logs.mean() - stats.t.isf(0.05 / 2, 4) * error)
    assert math.log(gain.high) == pytest.approx(logs.mean() + stats.t.isf(0.05, 4) * error)
    later = sweeps.judge_sizes({10: small, 20: ones, 50: ones}, Levels(0.983, 0.964)).undecided[10]
    assert math.log(later.high) == pytest.approx(logs.mean() + stats.t.isf(0.018, 4) * error)


def test_sizes_with_too_few_rounds_in_common_are_not_judged(tmp_path: Path) -> None:
    ranges, said = answers_of(seen_of(tmp_path, pool_sizes=(2, 40, 50), rounds=2))
    assert ranges["threads"].words == "undecided"
    assert ranges["threads"].rounds_to_settle() is None
    assert "Undecided: 2 (3 complete rounds are needed to compare it with 40)" in said
    assert "Too few" not in said
    assert "Enough:" not in said


def test_an_undecided_size_is_said_with_the_rounds_that_would_decide(tmp_path: Path) -> None:
    noisy = World(even(Study.of(SWEEP)), noise=0.1, controls=False)
    ranges, said = answers_of(seen_of(tmp_path, noisy, pool_sizes=(2, 40, 50), rounds=3))
    [(size, gain)] = ranges["threads"].undecided.items()
    assert size == 40
    assert gain.low < 1.05 < gain.high
    assert ranges["threads"].words == "40 or more"
    assert "Undecided: 40 (50 are 0." in said
    assert "rounds in all would settle it (with 80 % power for each size" in said


def test_what_no_number_of_rounds_settles_is_said() -> None:
    """Fifty threads are made exactly 5 % faster than twenty, with a scatter."""
    results = load(PROJECT / "data" / "reference-sweep")
    trials = results.trials.set_index("round")
    threads = trials["mode"] == "threads"
    twenty = trials.loc[threads & (trials["pool_size"] == 20), "span_s"].sort_index()
    scatter = np.linspace(-0.2, 0.2, len(twenty))
    fifty = twenty / 1.05 * np.exp(scatter)
    place = threads & (trials["pool_size"] == 50)
    trials.loc[place, "span_s"] = fifty[trials.index[place]].to_numpy()
    _, said = answers_of(replace(results, trials=trials.reset_index()))
    assert "More than 100 rounds in all would settle it" in said
    [line] = [line for line in said.splitlines() if "threads" in line]
    assert " 20 (50 are 0." in line
    assert line.count("the speed-up is ") == 2
    assert "With 50 the speed-up is " in line


def test_paced_fetches_have_no_answer(tmp_path: Path) -> None:
    results = seen_of(tmp_path, source="wikipedia", contact="you@example.org", pool_sizes=(2, 9))
    ranges, said = answers_of(results)
    assert ranges == {}
    assert said.startswith("Not applicable: ")
    figure = figures.drawn(figures.speed_up_by_pool_size, results)
    assert figure is not None
    assert figure.axes[0].get_title(loc="left") == "requests"


def test_a_sweep_without_a_complete_round_has_no_answer(tmp_path: Path) -> None:
    study = Study.of({**SWEEP, "pages": 4, "rounds": 1})
    results = seen_of(tmp_path, World(even(study), failing="requests", controls=False), pages=4)
    assert sweeps.compare_sizes(results) == []
    assert "requests, threads: 5 workers have no complete round" in sweep.answer(results, [])
    assert figures.drawn(figures.speed_up_by_pool_size, results) is None


@pytest.mark.parametrize(
    ("machine_cpu", "cores", "slower", "limit"),
    [
        (0.95, 1.9, 1.0, "the cores"),
        (0.5, 1.0, 1.3, "the GIL"),
        (0.5, 1.0, 1.03, "waiting"),  # faster, but by less than 5 %
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


def test_what_the_origin_uses_is_shown_and_the_limit_without_it(tmp_path: Path) -> None:
    world = World(
        even(Study.of(SWEEP), threads=1.0), controls=False, machine_cpu=0.9, noise=0.001,
        origin_cores=0.4,
    )  # fmt: skip
    results = seen_of(tmp_path, world, pool_sizes=4)
    found = sweeps.compare_sizes(results)
    share = "the origin used 0.400 of 2 cores"
    said = sweep.answer(results, found)
    assert f"the limit is the cores ({share}; without it the limit would be waiting)." in said
    table = sweep.table(results, found)
    assert table["cores used by the origin"].tolist() == ["0.400"] * 2
    assert table["limit without it"].tolist() == ["waiting"] * 2
    assert f"{share.capitalize()} (mean); " in sentences.origin_load(results)


def test_a_run_from_before_it_was_measured_says_nothing_of_the_origin() -> None:
    results = load(PROJECT / "data" / "reference-sweep")
    unknown = results.trials.assign(origin_cpu_s=np.nan, fetch_cpu_s=np.nan)
    results = replace(results, trials=unknown)
    found = sweeps.compare_sizes(results)
    bounds = sentences.lower_bounds(results)
    assert list(bounds) == ["total (s)", "waiting (s)"]
    assert sentences.origin_load(results) == ""
    for words in (sweep.answer(results, found), *bounds, *sweep.table(results, found).columns):
        assert "origin" not in words
        assert "CPU on" not in words


def test_the_figure_has_every_size_and_says_which_is_enough(tmp_path: Path) -> None:
    results = seen_of(tmp_path, clients=("requests", "phantomjs"))
    figure = figures.drawn(figures.speed_up_by_pool_size, results)
    assert figure is not None
    first, second = figure.axes
    assert first.get_xscale() == first.get_yscale() == "log"
    assert [label.get_text() for label in first.get_xticklabels()] == ["5", "10", "20", "50"]
    assert first.get_title(loc="left").startswith("requests: workers that no larger")
    assert second.get_title(loc="left").startswith("phantomjs")
    assert first.get_xlim()[0] < 5
    assert first.get_xlim()[1] > 50
    ranges = sweeps.enough_workers(results, sweeps.compare_sizes(results))
    broad = [line for line in first.lines if line.get_alpha() == 0.3]
    for line, way in zip(broad, list(ranges)[:2], strict=True):
        found, places = ranges[way], line.get_xdata()
        marked = [size for size in found.sizes if found.low <= size <= found.high]
        assert found.low > 5
        assert np.asarray(places).tolist() == pytest.approx(marked, rel=0.05)
    assert {text.get_text() for text in first.texts} >= {
        "ideal",
        "schedule limit",
        f"threads, new connections: {next(iter(ranges.values())).words}",
        f"processes, new connections: {list(ranges.values())[1].words}",
    }


TODAY: dict[str, object] = {
    "clients": ("requests", "aiohttp"), "modes": SWEEP["modes"], "reuse": ("off", "on"),
    "pool_sizes": (2, 5, 10), "rounds": 5,
}  # fmt: skip


def test_every_way_has_its_own_answer_and_one_serial_loop(tmp_path: Path) -> None:
    """Kept connections halve the time of a fetch; aiohttp has no serial loop of its own."""
    study = Study.of({**SWEEP, **TODAY, "pages": 40})
    world = World(even(study), controls=False, kept=0.5)
    results = load(made_up.write(tmp_path / "sweep", study, world))
    found = sweeps.compare_sizes(results)
    ways = list(dict.fromkeys(item.way for item in found))
    assert len(ways) == 6
    assert ("aiohttp", "asyncio", "on") in ways
    by_way = {(*item.way, item.size): item for item in found}
    for client, mode, reuse in ways:
        wanted = 5.0 if reuse == "off" else 10.0
        item = by_way[client, mode, reuse, 5]
        assert item.speed_up.rounds == 5
        assert item.speed_up.value == pytest.approx(wanted, rel=0.15)
        assert item.over_schedule.value == pytest.approx(0, abs=1e-5)
        assert item.ceiling.value >= by_way[client, mode, "off", 5].ceiling.value
    said = sweep.answer(results, found)
    assert said.count("\n- ") == 6
    assert "- **aiohttp, asyncio, kept connections: " in said
    best = sweep.best(results, found)
    kept = [line for line in best.splitlines() if "kept connections: " in line]
    assert len(kept) == 3
    assert all("times** as many as requests, " in line for line in kept)
    gain = sweeps.gain_of(results, by_way["requests", "threads", "on", 5], item)
    assert gain.rounds == 5


def test_the_figure_of_today_has_a_line_for_each_way(tmp_path: Path) -> None:
    study = Study.of({**SWEEP, **TODAY, "pages": 40})
    results = load(made_up.write(tmp_path / "sweep", study, World(even(study), controls=False)))
    figure = figures.drawn(figures.speed_up_by_pool_size, results)
    assert figure is not None
    [ax] = figure.axes
    names = [text.get_text() for text in ax.texts]
    assert len(names) == len(set(names)) == 3 + 6
    heights = sorted(text.xy[1] for text in ax.texts if isinstance(text, Annotation))
    assert min(np.diff(heights)) >= 0.049
    fills = [line.get_markerfacecolor() for line in ax.lines if line.get_marker() == "o"]
    assert fills.count("white") == 3


def test_a_sweep_of_a_function_speaks_of_calls_not_of_connections(tmp_path: Path) -> None:
    results = seen_of(tmp_path, clients=("mine:work",), reuse=("off", "on"))
    sizes = sweeps.compare_sizes(results)
    words = sweep.answer(results, sizes) + sweep.best(results, sizes)
    assert "mine:work, threads: " in words
    assert " calls/s with " in words
    assert "connections" not in words


@pytest.mark.slow
def test_make_sweep_measures_and_answers(copy: Copy) -> None:
    ended = copy.experiment(
        "sweep", "--pool-sizes", "2 3", "--pages", "6", "--rounds", "3", "--latency", "0.3",
        "--run", "small",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    fetches, trials = records.load(copy.path / "data" / "small")
    assert len(fetches) == 3 * 13 * 6
    assert trials.groupby(["client", "mode", "pool_size", "reuse"]).size().to_dict() == {
        ("requests", "serial", 1, "off"): 3,
        **{
            (client, mode, size, reuse): 3
            for client, modes in (("requests", ("threads", "processes")), ("aiohttp", ("asyncio",)))
            for mode, size, reuse in itertools.product(modes, (2, 3), ("off", "on"))
        },
    }
    assert fetches["error"].isna().all()
    assert fetches.groupby(["round", "page"])["sha256"].nunique().eq(1).all()
    assert trials["machine_cpu"].between(0.01, 1).all()
    page = (copy.path / "reports" / "small.html").read_text()
    assert "pool sizes <strong>2 3</strong>" in page
    assert "requests, threads, kept connections: " in page
    assert "aiohttp, asyncio, new connections: " in page
    assert "In brackets" not in page
    assert (copy.path / "figures" / "small" / "1-speed-up-by-pool-size.svg").exists()
    notebook = json.loads((copy.path / "reports" / "small.ipynb").read_text())
    assert str(copy.path) not in json.dumps(notebook["metadata"])
    again = copy.experiment("report", "--run", "small")
    assert again.returncode == 2
    assert again.stderr == "error: run: small is a sweep; it goes with make sweep\n"
    assert "Fastest: " in ended.stdout
    printed = copy.experiment("verdicts", "small")
    assert printed.returncode == 0, printed.stderr
    assert "- requests, threads, kept connections: " in printed.stdout
    claims_of_it = copy.experiment("verdicts", "small", "--json")
    assert "this run is a sweep" in claims_of_it.stderr
    copy.assert_nothing_left()


def test_the_documentation_says_what_the_committed_sweep_says() -> None:
    folder = PROJECT / "data" / "reference-sweep"
    results = load(folder)
    words = " ".join((PROJECT / "docs" / "workers.md").read_text().split())
    design = f"{results.study.pages} pages, {results.study.rounds} rounds"
    sizes = sweeps.compare_sizes(results)
    answers = sweeps.enough_workers(results, sizes)
    readme = " ".join((PROJECT / "README.md").read_text().split())
    assert f"{design}, two cores: " in words
    for (_, mode, _), found in answers.items():
        verb = "are" if found.words == str(found.low) else "may be"
        assert all(f"{found.low} {mode} {verb} enough" in text for text in (words, readme))
        [smallest] = [it for it in sizes if (it.mode, it.size) == (mode, found.low)]
        assert f"With {smallest.size} of either, the limit is {smallest.limit}" in words


def test_the_documentation_says_how_fast_each_way_is_at_its_best() -> None:
    results = load(PROJECT / "data" / "reference-reuse")
    lines = sweep.best(results, sweeps.compare_sizes(results)).splitlines()[2:]
    [anew] = [line for line in lines if line.startswith("- requests, processes, new conn")]
    rate, gain = re.findall(r": ([\d.]+) pages/s|\*\*([\d.]+) times", lines[0])
    slower, size = re.findall(r": ([\d.]+) pages/s with (\d+) workers", anew)[0]
    words = " ".join((PROJECT / "docs" / "workers.md").read_text().split())
    assert lines[0].startswith("- aiohttp, asyncio, kept connections: ")
    assert float(gain[1]) >= 4
    assert (
        f"`aiohttp` with kept connections fetches {rate[0]} pages/s, {gain[1]} times as many as "
        f"`requests` with new connections, which does best in {size} processes "
        f"({slower} pages/s)"
    ) in words
