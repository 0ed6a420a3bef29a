"""The order of trials and the A/A control, in simulated studies of the default design.

The real schedule says when each trial runs, the real summary and rules judge its span. The speed
of the machine wanders as it did in the reference run, and may drift in each round. `make test`
simulates 200 studies of a case, `make test-calibration` 2,000, and prints the shares.
"""

import math
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd
import pytest

from experiment.analysis import rules, summary
from experiment.measure import schedule
from experiment.records import TrialKey
from experiment.study import Study

CLIENT, FEW, MANY = "phantomjs", 200, 2_000
DRAWING_S, LAUNCH_S = 15, 0.53
DURATION_S = {
    ("main", "requests", "serial"): 22.8, ("main", "requests", "threads"): 2.9,
    ("main", "phantomjs", "serial"): 49.3, ("main", "phantomjs", "threads"): 8.0,
    ("no_latency", "requests", "serial"): 2.3, ("no_latency", "requests", "threads"): 1.5,
    ("tls_context", "requests", "serial"): 0.3, ("tls_context", "requests", "threads"): 2.5,
    ("no_tls", "requests", "serial"): 0.2, ("no_tls", "requests", "threads"): 2.7,
    ("today", "requests", "threads"): 2.6, ("today", "phantomjs", "threads"): 5.3,
    ("today", "aiohttp", "threads"): 2.4, ("startup", None, "threads"): 0.0,
    ("cpu", None, "threads"): 3.0,
}  # fmt: skip
"""Typical times in the run reference (s); processes take as long as threads."""

TRIAL_SD, WANDER_SD, WANDER_S = 0.05, 0.055, 100.0
"""The scatter of a trial, and that of the machine's speed, which is forgotten after so long.

As in the reference run's pools of PhantomJS: 0.05 between neighbours, 0.075 in a round.
"""


@dataclass(frozen=True)
class Case:
    """Studies of so many rounds, in each of which the machine becomes slower by a factor."""

    rounds: int
    drift: float = 1.0
    repeats: int | None = None
    studies: int = FEW


def _duration_s(keys: tuple[TrialKey, ...]) -> float:
    mode = "serial" if keys[0].mode == "serial" else "threads"
    return LAUNCH_S + DURATION_S[keys[0].arm, keys[0].client, mode]


def _round(
    study: Study, number: int, drift: float, chance: random.Random
) -> Iterator[dict[str, Any]]:
    """Yield the trials of the browser in a round, with spans whose modes do not differ."""
    launches = schedule.launches(study, number, 2)
    total_s, begun_s = sum(map(_duration_s, launches)), 0.0
    wander, before_s = chance.gauss(0, WANDER_SD), 0.0
    for position, keys in enumerate(launches, start=1):
        middle_s = begun_s + _duration_s(keys) / 2
        kept = math.exp((before_s - middle_s) / WANDER_S)
        wander = kept * wander + chance.gauss(0, WANDER_SD * math.sqrt(1 - kept**2))
        slower = wander + math.log(drift) * middle_s / total_s + chance.gauss(0, TRIAL_SD)
        begun_s, before_s = begun_s + _duration_s(keys), middle_s
        if (keys[0].arm, keys[0].client) == ("main", CLIENT):
            yield {
                "mode": keys[0].mode, "pool_size": keys[0].pool_size, "reuse": "off",
                "round": number, "repeat": keys[0].repeat, "position": position, "complete": True,
                "span_s": DURATION_S["main", CLIENT, "threads"] * math.exp(slower),
            }  # fmt: skip


@cache
def shares(case: Case) -> Counter[str]:
    """Return the share of the studies for each verdict of the claim and of the A/A control."""
    chance = random.Random(2018)
    rows = []
    for seed in range(case.studies):
        study = Study(seed=seed, rounds=case.rounds, repeats=case.repeats)
        for number in range(1, case.rounds + 1):
            a_round = _round(study, number, case.drift, chance)
            rows += [{"client": str(seed), **trial} for trial in a_round]
    trials = pd.DataFrame(rows)  # each study is a client of this frame
    rounds = summary.per_round(trials)
    counts: Counter[str] = Counter()
    for name in map(str, range(case.studies)):
        threads, processes = (
            summary.of_cell(rounds[rounds["client"] == name], name, mode, "span_s")
            for mode in ("threads", "processes")
        )
        ruling = rules.NO_DIFFERENCE.judge(summary.ratio(threads, processes), rules.ONE_LOOK)
        counts[ruling.verdict] += 1
        counts[f"A/A {rules.aa_control(summary.aa_control(trials, name))}"] += 1
    return Counter({verdict: count / case.studies for verdict, count in counts.items()})


SIZES = pytest.mark.parametrize(
    "studies", [FEW, pytest.param(MANY, marks=[pytest.mark.calibration, pytest.mark.timeout(600)])]
)


def _shown(case: Case, capsys: pytest.CaptureFixture[str]) -> Counter[str]:
    found = shares(case)
    if case.studies == MANY:
        with capsys.disabled():
            words = ", ".join(f"{name} {share:.1%}" for name, share in sorted(found.items()))
            print(f"\nR = {case.rounds:2}, repeats {case.repeats}, drift {case.drift:.2f}: {words}")
    return found


def _error(studies: int) -> float:
    """Return four standard errors of a share of 1 %."""
    return 4 * math.sqrt(0.01 * 0.99 / studies)


@SIZES
def test_modes_that_are_equal_are_found_the_same_by_the_default_study(
    studies: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _shown(Case(5, studies=studies), capsys)
    assert found["holds"] >= 0.8
    assert found["A/A fails"] <= 0.01 + _error(studies)
    once = _shown(Case(5, repeats=1, studies=studies), capsys)
    assert once["holds"] < 0.6
    assert once["A/A too few rounds"] == 1


def test_the_default_study_takes_thirteen_minutes_at_most() -> None:
    study = Study(clients=("requests", "phantomjs"))
    a_round_s = sum(map(_duration_s, schedule.launches(study, 1, 2)))
    assert DRAWING_S + study.rounds * a_round_s < 13 * 60


@SIZES
@pytest.mark.parametrize("drift", [1.3, 1 / 1.3])
def test_a_drift_of_30_percent_in_a_round_is_found_and_does_not_disturb_the_claim(
    studies: int, drift: float, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _shown(Case(10, drift, studies=studies), capsys)
    assert found["A/A fails"] >= 0.5
    assert found["holds"] >= 0.95


@SIZES
def test_a_quiet_machine_raises_no_alarm(studies: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = _shown(Case(10, studies=studies), capsys)
    assert found["A/A fails"] <= 0.01 + _error(studies)
    assert found["A/A passes"] >= 0.7
