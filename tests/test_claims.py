"""The claims, judged on made-up runs whose truth is known."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiment import records
from experiment.analysis import claims, rules, summary
from experiment.analysis.claims import Comparison, JudgedClaim
from experiment.analysis.results import RunResults
from experiment.analysis.rules import ONE_LOOK, SEVERAL_LOOKS, Ruling, Verdict
from experiment.report import claim_list
from experiment.study import PROJECT, Study
from tests import made_up
from tests.made_up import World, even

NAMES = [
    "requests-8x", "selenium-4x", "fetch-slower", "selenium-twice", "contention",
    "requests-lighter", "no-difference", "cpu-bound", "latency", "memory", "start-up", "pickling",
    "same-interface",
]  # fmt: skip
STUDY = Study(clients=("requests", "phantomjs"), rounds=5, pages=100)
AS_IN_2018 = {
    **even(STUDY),
    ("requests", "threads"): 1.2,
    ("requests", "processes"): 1.2,
    ("phantomjs", "threads"): 2.4,
    ("phantomjs", "processes"): 2.4,
}


def verdicts(folder: Path, study: Study, world: World) -> dict[str, JudgedClaim]:
    """The claims judged on a run made up for them."""
    return made_up.judged(made_up.write(folder / "run", study, world))[1]


def test_all_claims_hold_where_the_world_is_as_the_article_says(tmp_path: Path) -> None:
    judged = verdicts(tmp_path, STUDY, World(AS_IN_2018))
    assert list(judged) == NAMES
    assert {name: claim.ruling.verdict for name, claim in judged.items()} == dict.fromkeys(
        NAMES, "holds"
    )
    assert [(cell.client, cell.mode) for cell in judged["fetch-slower"].cells] == [
        ("requests", "threads"), ("requests", "processes"),
        ("phantomjs", "threads"), ("phantomjs", "processes"),
    ]  # fmt: skip
    then = [cell.article_2018 for cell in judged["requests-lighter"].cells]
    assert then == pytest.approx([6.91, 12.95, 15.66], abs=0.01)
    assert judged["requests-8x"].cells[0].article_2018 == pytest.approx(7.54, abs=0.01)
    assert judged["no-difference"].cells[0].article_2018 == pytest.approx(1.09, abs=0.01)


def test_another_world_gets_other_verdicts(tmp_path: Path) -> None:
    factors = {
        **even(STUDY),
        ("requests", "threads"): 15.0,
        ("phantomjs", "threads"): 1.3,
        ("phantomjs", "processes"): 1.0,
    }
    cpu_cores = (("threads", 1.9), ("processes", 1.02))
    startup_s = (("threads", 0.03), ("processes", 0.005))
    world = World(
        factors, cpu_cores=cpu_cores, startup_s=startup_s, refusing=("processes", "threads")
    )
    judged = verdicts(tmp_path, STUDY, world)
    found = {name: claim.ruling.verdict for name, claim in judged.items()}
    assert found["requests-8x"] == "does not hold"
    assert found["selenium-4x"] == "stronger"
    assert found["fetch-slower"] == "mixed"
    assert found["selenium-twice"] == "weaker"
    assert found["no-difference"] == "does not hold"
    assert found["requests-lighter"] == "mixed"
    assert found["cpu-bound"] == "does not hold"
    assert found["start-up"] == "does not hold"
    assert found["pickling"] == "mixed"
    reason = judged["fetch-slower"].ruling.reason
    assert "holds: requests, threads and phantomjs, threads" in reason
    assert "does not hold: requests, processes" in reason


def test_what_is_lacking_is_not_measured_and_says_why(tmp_path: Path) -> None:
    study = Study(clients=("requests",), modes=("serial", "threads"), rounds=3)
    judged = verdicts(tmp_path, study, World(even(study)))
    lacking = {
        name: claim.cells[0].ruling.reason
        for name, claim in judged.items()
        if claim.ruling.verdict == "not measured"
    }
    no_browser, no_processes = "the study has no browser", "the study has no processes"
    assert lacking == {
        "selenium-4x": no_browser, "selenium-twice": no_browser, "contention": no_browser,
        "requests-lighter": no_browser, "no-difference": no_processes, "cpu-bound": no_processes,
        "memory": no_processes, "start-up": no_processes,
    }  # fmt: skip
    cells = {cell.mode: cell.ruling for cell in judged["fetch-slower"].cells}
    assert cells["processes"].verdict == "not measured"
    assert cells["threads"].verdict == "does not hold"


def test_rounds_without_controls_are_too_few_for_their_claims(tmp_path: Path) -> None:
    judged = verdicts(tmp_path, STUDY, World(AS_IN_2018, controls=False))
    for name in ("cpu-bound", "latency", "memory", "start-up"):
        assert judged[name].ruling.verdict == "too few rounds"
        assert judged[name].cells[0].ruling.reason == "0 complete rounds; it takes 3"
    assert judged["pickling"].ruling.verdict == "not measured"


def test_two_rounds_are_too_few(tmp_path: Path) -> None:
    study = STUDY.model_copy(update={"rounds": 2})
    judged = verdicts(tmp_path, study, World(AS_IN_2018))
    numbers = [name for name in NAMES if name not in ("pickling", "same-interface")]
    assert {judged[name].ruling.verdict for name in numbers} == {"too few rounds"}
    cell = judged["requests-8x"].cells[0]
    assert cell.estimate is not None
    assert cell.estimate.rounds == 2


def test_ratios_use_the_rounds_in_which_both_sides_are_complete(tmp_path: Path) -> None:
    judged = verdicts(tmp_path, STUDY, World(AS_IN_2018, failing="phantomjs"))
    assert judged["selenium-4x"].ruling.verdict == "too few rounds"
    assert judged["requests-lighter"].ruling.verdict == "too few rounds"
    assert judged["requests-8x"].ruling.verdict == "holds"


def test_premises_that_are_missing_are_named(tmp_path: Path) -> None:
    folder = made_up.write(tmp_path / "run", STUDY, World(AS_IN_2018))
    rows = records.load(folder)
    for changes, name, reason in (
        ({"cores": 1}, "cpu-bound", "this machine has one core"),
        ({"gil": False}, "cpu-bound", "this Python has no GIL"),
    ):
        run = made_up.run_of(STUDY, made_up.MACHINE.model_copy(update=changes))
        [claim] = [c for c in claims.judge(RunResults(run, *rows)) if c.id == name]
        assert claim.ruling == Ruling("not applicable", reason)
    none = made_up.run_of(STUDY.model_copy(update={"latency": 0.0}))
    [claim] = [c for c in claims.judge(RunResults(none, *rows)) if c.id == "latency"]
    assert claim.ruling.verdict == "not applicable"
    asked = made_up.run_of(STUDY.model_copy(update={"source": "http://127.0.0.1/"}))
    [claim] = [c for c in claims.judge(RunResults(asked, *rows)) if c.id == "latency"]
    assert claim.ruling == Ruling("not measured", "its control needs the embedded origin")


def test_how_much_ten_workers_gain_is_no_claim_about_four(tmp_path: Path) -> None:
    study = STUDY.model_copy(update={"sizes": (4,)})
    judged = verdicts(tmp_path, study, World({**AS_IN_2018}))
    for name in ("requests-8x", "selenium-4x", "selenium-twice"):
        assert judged[name].ruling.verdict == "not applicable"
        assert "10 workers, and this study has 4" in judged[name].ruling.reason
        assert judged[name].cells[0].estimate is not None
    assert judged["no-difference"].ruling.verdict == "holds"


def test_contention_is_no_question_where_fetches_are_not_slower(tmp_path: Path) -> None:
    judged = verdicts(tmp_path, STUDY, World(even(STUDY)))
    assert judged["contention"].ruling.verdict == "not applicable"
    assert judged["contention"].ruling.reason == "its fetches are not clearly slower"


def test_pools_that_differ_do_not_have_the_same_interface(tmp_path: Path) -> None:
    folder = made_up.write(tmp_path / "run", STUDY, World(AS_IN_2018))
    pools = {"Pool": ["map(self)", "apply(self)"], "ThreadPool": ["map(self)"]}
    run = records.read_run(folder).model_copy(update={"interfaces": pools})
    claim = claims.judge(RunResults(run, *records.load(folder)))[-1]
    assert claim.ruling == Ruling("does not hold", "not in both: apply(self)")


def test_a_control_without_its_latency_is_what_it_is_called() -> None:
    fetches, trials = records.load(PROJECT / "data" / "reference")
    control = fetches[fetches["arm"] == "no_latency"]
    assert len(control) == 100 * 3 * trials["round"].max()
    assert control["planned_ms"].eq(0).all()
    assert control["origin_ms"].median() < 5


@pytest.mark.parametrize("world", [World(AS_IN_2018), World(AS_IN_2018, failing="requests")])
def test_programs_get_a_row_a_cell(tmp_path: Path, world: World) -> None:
    judged = verdicts(tmp_path, STUDY, world)
    rows: list[dict[str, Any]] = json.loads(json.dumps(claims.rows(list(judged.values()))))
    keys = {
        "id", "client", "mode", "quantity", "estimate", "ci95", "ci90", "levels", "intervals",
        "rounds", "verdict", "reason", "article_2018", "claim_verdict",
    }  # fmt: skip
    assert all(set(row) == keys for row in rows)
    assert [row["id"] for row in rows] == [name for name in judged for _ in judged[name].cells]
    assert "NaN" not in json.dumps(rows)
    first = rows[0]
    if world.failing:
        assert first["estimate"] is None
    else:
        assert first["ci95"][0] < first["ci90"][0] < first["estimate"] < first["ci90"][1]


@pytest.mark.parametrize(
    ("cells", "verdict"),
    [
        (("holds", "stronger"), "holds"),
        (("holds", "inconclusive"), "partly open"),
        (("does not hold", "too few rounds"), "partly open"),
        (("weaker", "less than claimed"), "weaker"),
        (("holds", "weaker"), "mixed"),
        (("stronger", "less than claimed", "inconclusive"), "mixed"),
        (("holds", "does not hold"), "mixed"),
        (("holds", "not measured"), "holds"),
        (("inconclusive", "not applicable"), "inconclusive"),
        (("not measured", "not applicable"), "not measured"),
    ],
)
def test_a_claim_is_mixed_only_where_its_cells_contradict_each_other(
    cells: tuple[Verdict, ...], verdict: str
) -> None:
    compared = [Comparison(f"client {one}", None, "ratio", Ruling(one)) for one in cells]
    claim = JudgedClaim("id", "words", compared, ONE_LOOK)
    assert claim.ruling.verdict == verdict
    assert claim.ruling.reason == "; ".join(f"{one}: client {one}" for one in cells)
    assert [cell.ruling.verdict for cell in claim.cells] == list(cells)
    rows = claims.rows([claim])
    assert [(row["verdict"], row["claim_verdict"]) for row in rows] == [
        (one, verdict) for one in cells
    ]
    details = claim_list.comparisons(claim)["in detail"]
    assert list(details) == [one if one != verdict else "" for one in cells]


def test_where_processes_do_not_fork_their_start_up_stands_beside(tmp_path: Path) -> None:
    folder = made_up.write(tmp_path / "run", STUDY, World(AS_IN_2018))
    fetches, trials = records.load(folder)
    forked = RunResults(made_up.run_of(STUDY), fetches, trials)
    trials = trials.assign(wall_s=trials["wall_s"] + 5 * (trials["mode"] == "processes"))
    machine = made_up.MACHINE.model_copy(update={"start_method": "spawn"})
    spawned = RunResults(made_up.run_of(STUDY, machine), fetches, trials)
    for results, words in ((forked, ""), (spawned, r"with start-up \(spawn\) 0\.[34]\d+ \[0.*\]")):
        cell = claims.cells_of(claims.judge(results), "no-difference")[0]
        assert cell.ruling.verdict == "holds"
        assert re.fullmatch(words, cell.ruling.reason)


def test_an_open_verdict_says_how_many_rounds_and_minutes_would_decide(tmp_path: Path) -> None:
    folder = made_up.write(tmp_path / "run", STUDY, World(AS_IN_2018, noise=0.08))
    fetches, trials = records.load(folder)
    spent = pd.to_timedelta(trials["round"] * 1000 + trials["position"] * 10, unit="s")
    trials = trials.assign(started_at=trials["started_at"] + spent, wall_s=10.0)
    results = RunResults(made_up.run_of(STUDY), fetches, trials)
    assert results.round_s == 10 * len(trials) / STUDY.rounds
    cell = claims.cells_of(claims.judge(results), "no-difference")[0]
    assert cell.ruling.verdict == "inconclusive"
    said = re.fullmatch(
        r"about (\d+) rounds in all would decide \((\d+) min more\)", cell.ruling.reason
    )
    assert said
    rounds, minutes = map(int, said.groups())
    assert minutes == math.ceil((rounds - 5) * results.round_s / 60) > 1
    judge, estimate = rules.NO_DIFFERENCE.judge, cell.estimate
    assert estimate is not None
    assert rounds == rules.rounds_to_decide(estimate, judge, SEVERAL_LOOKS)
    assert rounds != rules.rounds_to_decide(estimate, judge, ONE_LOOK)


def test_a_run_that_was_given_more_rounds_shows_the_intervals_that_judge_it(tmp_path: Path) -> None:
    folder = made_up.write(tmp_path / "run", STUDY, World(AS_IN_2018))
    run = records.read_run(folder).model_copy(update={"looks": [3]})
    judged = claims.judge(RunResults(run, *records.load(folder)))
    table, [row, *_] = claim_list.comparisons(judged[0]), claims.rows(judged)
    assert "value [98.3 %]" in table.columns
    assert row["levels"] == (0.983, 0.964)
    (wide, narrow), estimate = row["intervals"], judged[0].cells[0].estimate
    assert estimate is not None
    assert (wide, narrow) == (estimate.interval(0.983), estimate.interval(0.964))
    assert summary.brackets(wide) in table["value [98.3 %]"].iloc[0]
    assert summary.brackets(estimate.ci95) not in table["value [98.3 %]"].iloc[0]


def test_the_repeats_of_a_pool_count_once_a_round(tmp_path: Path) -> None:
    study = STUDY.model_copy(update={"repeats": 3})
    judged = verdicts(tmp_path, study, World(AS_IN_2018))
    assert judged["requests-8x"].cells[0].estimate is not None
    assert judged["requests-8x"].cells[0].estimate.rounds == 5
    assert judged["requests-8x"].ruling.verdict == "holds"


def test_noise_makes_verdicts_inconclusive_not_wrong(tmp_path: Path) -> None:
    noisy = replace(World(AS_IN_2018), noise=0.4)
    judged = verdicts(tmp_path, STUDY, noisy)
    assert judged["requests-8x"].ruling.verdict == "inconclusive"
    assert judged["no-difference"].ruling.verdict == "inconclusive"
    hopeless = judged["no-difference"].cells[0].ruling.reason
    assert hopeless == "even 100 rounds would hardly decide"


@pytest.mark.parametrize(
    ("serial", "processes", "expected"),
    [
        (1.0, 1.9, ["holds", "holds"]),
        (1.0, 0.7, ["holds", "does not hold"]),
        (0.7, 0.7, ["inconclusive", "inconclusive"]),
        (0.7, 1.5, ["inconclusive", "holds"]),
    ],
)
def test_few_cores_used_tell_nothing_where_others_took_them(
    tmp_path: Path, serial: float, processes: float, expected: list[Verdict]
) -> None:
    cpu_cores = (("serial", serial), ("threads", 0.7), ("processes", processes))
    cells = verdicts(tmp_path, STUDY, replace(World(AS_IN_2018), cpu_cores=cpu_cores))[
        "cpu-bound"
    ].cells
    assert [cell.ruling.verdict for cell in cells] == expected
    starved = "other programs took the CPU: the same work in serial had 0.695 "
    said = [cell.ruling.reason.startswith(starved) for cell in cells]
    assert said == [verdict == "inconclusive" for verdict in expected]
