"""The verdict rules are calibrated: simulated studies go through the report's own functions.

Fetch times are log-normal with a scatter of their own, one for their trial and one for their
round. `make test` simulates 60 studies of one case, which finds gross mistakes; `make
test-calibration` 2,000 of it and of all others, and prints the table.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiment import load, records
from experiment.analysis import claims, rules, summary
from experiment.analysis.claims import SIDES, JudgedClaim
from experiment.analysis.results import RunResults
from experiment.analysis.rules import Rule
from experiment.analysis.summary import Estimate
from experiment.records import FetchRow, TrialRow
from experiment.report import headline
from experiment.study import PROJECT, Study
from tests import made_up

PAGES, WORKERS, STUDIES, FETCH_SD = 100, 10, 2_000, 0.15
Numbers = np.ndarray


@dataclass(frozen=True)
class Scenario:
    """How much rounds and trials scatter (standard deviations of logarithms)."""

    name: str
    round_sd: float
    trial_sd: float


QUIET = Scenario("quiet", 0.02, 0.01)
MODERATE = Scenario("moderate", 0.05, 0.03)


@dataclass(frozen=True)
class Truth:
    """The true speed-up of threads, and the true ratio of totals, threads / processes."""

    speed_up: float
    threads_to_processes: float


EDGES = (Truth(8 * 1.2, 1.10), Truth(8 / 1.2, 1.20))
"""Speed-ups at the two edges of "roughly 8", with the two ratios that are not "the same"."""


def _spans(seconds: Numbers) -> Numbers:
    """Spans of trials on 10 workers, one after another page each; seconds: (trials, pages)."""
    lanes: Numbers = seconds.reshape(-1, PAGES // WORKERS, WORKERS).sum(axis=1)
    return np.asarray(lanes.max(axis=1))


@cache
def _typical_speed_up() -> float:
    """The speed-up of ten workers whose fetches take as long as serial ones (geometric mean)."""
    seconds = np.exp(np.random.default_rng(1).normal(0, FETCH_SD, (2, 40_000, PAGES)))
    return math.exp(float(np.mean(np.log(seconds[0].sum(axis=1) / _spans(seconds[1])))))


def _seconds(
    chance: np.random.Generator, scenario: Scenario, truth: Truth, rounds: int
) -> dict[str, Numbers]:
    """Fetch times of one study by mode: (rounds, pages)."""
    slower = _typical_speed_up() / truth.speed_up
    factors = {
        "serial": 1.0,
        "threads": slower,
        "processes": slower / truth.threads_to_processes,
    }
    round_noise = chance.normal(0, scenario.round_sd, (rounds, 1))
    return {
        mode: 0.2 * factor * np.exp(
            round_noise
            + chance.normal(0, scenario.trial_sd, (rounds, 1))
            + chance.normal(0, FETCH_SD, (rounds, PAGES))
        )
        for mode, factor in factors.items()
    }  # fmt: skip


def _frames(seconds: dict[str, Numbers]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The fetches and trials of a study, as `records.load` gives them."""
    fetches = pd.concat([_fetches(mode, times) for mode, times in seconds.items()])
    fetches = fetches.reset_index(drop=True)
    key = ["arm", "client", "mode", "pool_size", "reuse", "round", "repeat"]
    ends = fetches.groupby(key, as_index=False).agg(end=("end_s", "max"), start=("start_s", "min"))
    trials = ends[key].assign(span_s=ends["end"] - ends["start"], failed=0, state="ok")
    return fetches, trials


def _fetches(mode: str, seconds: Numbers) -> pd.DataFrame:
    rounds, size = len(seconds), 1 if mode == "serial" else WORKERS
    lanes = seconds.reshape(rounds, PAGES // size, size)
    end = lanes.cumsum(axis=1).reshape(-1)
    return pd.DataFrame(
        {
            "arm": "main", "client": "requests", "mode": mode, "pool_size": size,
            "round": np.repeat(np.arange(1, rounds + 1), PAGES), "repeat": 1,
            "page": np.tile(np.arange(1, PAGES + 1), rounds), "url": "http://127.0.0.1/",
            "worker": np.tile(np.arange(PAGES) % size + 1, rounds),
            "start_s": end - seconds.reshape(-1), "end_s": end, "fetch_s": seconds.reshape(-1),
            "queue_s": np.nan, "browser_start_s": np.nan, "load_s": seconds.reshape(-1),
            "check_s": 0.0, "close_s": np.nan, "planned_ms": np.nan, "origin_ms": np.nan,
            "reuse": "off", "sha256": None, "error": None,
        }
    )  # fmt: skip


def _judged(seconds: dict[str, Numbers], rounds: int) -> dict[str, JudgedClaim]:
    """The claims of one study, through the report's own functions."""
    study = Study(clients=("requests",), rounds=rounds)
    fetches, trials = _frames(seconds)
    absent = dict.fromkeys(
        ["fetch_cpu_s", "cpu_s", "startup_cpu_s", "startup_s", "python_pss_mb"], np.nan
    )
    trials = trials.assign(pickling_error=None, wall_s=np.nan, started_at=made_up.MOMENT, **absent)
    results = RunResults(made_up.run_of(study), fetches, trials)
    return {claim.id: claim for claim in claims.judge(results)}


@dataclass
class Tally:
    """How often each interval covered the truth, and how often a claim was granted."""

    studies: int
    covered: Counter[str]
    granted: Counter[str]

    def add(self, judged: dict[str, JudgedClaim], truth: Truth) -> None:
        """Count one study."""
        slower = _typical_speed_up() / truth.speed_up
        truths = {
            ("requests-8x", 0): truth.speed_up,
            ("no-difference", 0): truth.threads_to_processes,
            ("fetch-slower", 0): slower,
            ("fetch-slower", 1): slower / truth.threads_to_processes,
        }
        for (name, place), true in truths.items():
            found = judged[name].cells[place].estimate
            assert found is not None
            assert found.ci95 is not None
            self.covered[f"{name} {place}"] += found.ci95[0] <= true <= found.ci95[1]
        for name, claim in judged.items():
            self.granted[name] += claim.ruling.verdict == "holds"

    def coverage(self) -> list[float]:
        """The share of the studies in which each interval covers the truth."""
        return [count / self.studies for count in self.covered.values()]

    def share(self, name: str) -> float:
        """The share of the studies in which a claim was granted."""
        return self.granted[name] / self.studies


def _simulated(scenario: Scenario, truth: Truth, rounds: int, studies: int = STUDIES) -> Tally:
    chance = np.random.default_rng([2018, rounds, round(1000 * truth.threads_to_processes)])
    tally = Tally(studies, Counter(), Counter())
    for _ in range(studies):
        tally.add(_judged(_seconds(chance, scenario, truth, rounds), rounds), truth)
    return tally


def _check(tally: Tally, scenario: Scenario, truth: Truth, rounds: int) -> None:
    chance = 0.02 * math.sqrt(STUDIES / tally.studies)  # four standard errors of a share of 5 %
    assert len(tally.coverage()) == 4
    assert all(abs(share - 0.95) <= chance for share in tally.coverage())
    assert tally.share("requests-8x") <= 0.05 + chance
    if truth.threads_to_processes == 1.10:
        assert tally.share("no-difference") <= 0.05 + chance
    elif scenario is QUIET and rounds == 5:
        assert tally.granted["no-difference"] == 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "studies",
    [
        pytest.param(60, marks=pytest.mark.slow),
        pytest.param(STUDIES, marks=pytest.mark.calibration),
    ],
)
def test_intervals_and_verdicts_are_right_as_often_as_they_say(studies: int) -> None:
    truth = EDGES[0]
    _check(_simulated(MODERATE, truth, 5, studies), MODERATE, truth, 5)


def _cases() -> Iterator[tuple[Scenario, Truth, int]]:
    for scenario in (QUIET, MODERATE):
        for truth in EDGES:
            for rounds in (3, 5, 10):
                yield scenario, truth, rounds


@pytest.mark.calibration
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("scenario", "truth", "rounds"), list(_cases()))
def test_every_case_is_calibrated(
    scenario: Scenario, truth: Truth, rounds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = _simulated(scenario, truth, rounds)
    with capsys.disabled():
        print(
            f"\n{scenario.name:8}  R = {rounds:2}  coverage "
            f"{min(tally.coverage()):.1%} to {max(tally.coverage()):.1%}  "
            f"no difference at {truth.threads_to_processes:.2f}: {tally.share('no-difference'):.1%}"
            f"  roughly 8 at {truth.speed_up:.2f}: {tally.share('requests-8x'):.1%}"
        )
    _check(tally, scenario, truth, rounds)


EDGES_OF_RULES = [
    (rules.roughly(8), 8 * 1.2, "holds"),
    (rules.roughly(8), 8 * 1.2, "stronger"),
    (rules.roughly(8), 8 / 1.2, "holds"),
    (rules.roughly(8), 4.0, "weaker"),
    (rules.roughly(8), 4.0, "does not hold"),
    (rules.MORE_THAN_ONE, 1.0, "holds"),
    (rules.MORE_THAN_ONE, 1.05, "weaker"),
    (rules.MORE_THAN_ONE, 1.05, "does not hold"),
    (rules.MORE_THAN_TWO, 2.0, "holds"),
    (rules.MORE_THAN_TWO, 2.0, "weaker"),
    (rules.NO_DIFFERENCE, 1.1, "holds"),
    (rules.NO_DIFFERENCE, 1.1, "does not hold"),
    (rules.MORE_THAN_HALF, 0.5, "holds"),
    (rules.MORE_THAN_HALF, 0.5, "does not hold"),
    (rules.LESS_THAN_A_CORE, 1.1, "holds"),
    (rules.LESS_THAN_A_CORE, 1.1, "does not hold"),
    (rules.MORE_THAN_A_CORE, 1.1, "holds"),
    (rules.MORE_THAN_A_CORE, 1.1, "does not hold"),
]
"""Each rule where it is wrong most often: the true value at an edge, and a verdict there."""


@pytest.mark.parametrize("studies", [300, pytest.param(4_000, marks=pytest.mark.calibration)])
@pytest.mark.parametrize(("rule", "true", "verdict"), EDGES_OF_RULES)
def test_no_verdict_is_wrong_in_more_than_one_study_of_twenty(
    rule: Rule, true: float, verdict: str, studies: int
) -> None:
    logs = np.random.default_rng(7).normal(math.log(true), 0.04, (studies, 5))
    found = (summary.ratio(pd.Series(np.exp(row)), pd.Series(np.ones(5))) for row in logs)
    wrong = sum(rule.judge(one, rules.ONE_LOOK).verdict == verdict for one in found) / studies
    assert wrong <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / studies)


ARMS = ("rounds", "no_latency", "cpu", "startup")
QUANTITIES = [
    "span_s", "wall_s", "fetch_mean_s", "browser_start_mean_s", "cpu_s", "startup_cpu_s",
    "startup_s", "python_pss_mb",
]  # fmt: skip


@cache
def _reference() -> tuple[RunResults, pd.DataFrame]:
    """The reference run, and the logarithms of its quantities: (arm, cell, quantity) x round."""
    run = load(PROJECT / "data" / "reference")
    cell = [*summary.CELL, "round"]
    logs = {arm: np.log(getattr(run, arm).set_index(cell)[QUANTITIES]) for arm in ARMS}
    rows = {arm: frame.stack(future_stack=True).unstack("round") for arm, frame in logs.items()}
    return run, pd.concat(rows)


def _like_the_reference(weights: Numbers) -> RunResults:
    """A study with the reference's means and, for random weights (its rounds, ours), its scatter.

    Sums of its rounds' deviations with normal weights have their covariances, too.
    """
    run, logs = _reference()
    means = logs.mean(axis=1)
    scatter = logs.sub(means, axis=0).to_numpy() @ weights / math.sqrt(len(weights) - 1)
    numbers = pd.RangeIndex(1, weights.shape[1] + 1, name="round")
    made = pd.DataFrame(scatter, logs.index, numbers).add(means, axis=0).transform(np.exp)
    results = RunResults(run.run, run.fetches, run.trials)
    for arm, rows in made.groupby(level=0):
        frame = rows.droplevel(0).stack(future_stack=True).unstack(-2)
        vars(results)[str(arm)] = frame.reset_index().assign(pickling_error=None)
    return results


def _verdicts(results: RunResults) -> list[str]:
    """The verdicts of all comparisons that a rule judges."""
    cells = [cell for claim in claims.judge(results) for cell in claim.cells if cell.zone]
    return [cell.ruling.verdict for cell in cells]


def _is_wrong(verdict: str, true: str) -> bool:
    """Whether a decided verdict contradicts the true one."""
    may_be = {"less than claimed": ("weaker", "does not hold")}.get(verdict, (verdict,))
    return verdict in SIDES and true not in may_be


@pytest.mark.timeout(600)
@pytest.mark.parametrize("studies", [50, pytest.param(2_000, marks=pytest.mark.calibration)])
def test_nine_in_ten_reports_have_no_wrong_verdict(studies: int) -> None:
    rounds = len(_reference()[1].columns)
    truth = _verdicts(_like_the_reference(np.zeros((rounds, 5))))
    assert len(truth) == 27
    chance, wrong, decided = np.random.default_rng(5), [], 0
    for _ in range(studies):
        found = _verdicts(_like_the_reference(chance.normal(size=(rounds, 5))))
        wrong.append(sum(map(_is_wrong, found, truth)))
        decided += sum(verdict in SIDES for verdict in found)
    assert np.mean(np.equal(wrong, 0)) >= 0.9
    assert np.mean(wrong) <= 27 * headline.FALSE_VERDICTS
    assert decided >= 0.9 * 27 * studies


@pytest.mark.parametrize("studies", [1_000, pytest.param(20_000, marks=pytest.mark.calibration)])
def test_skew_is_rarely_seen_where_there_is_none_and_often_where_it_is(studies: int) -> None:
    chance = np.random.default_rng(3)
    shapes = {
        "normal": chance.normal(size=(studies, 10)),
        "skewed": chance.exponential(size=(studies, 10)) ** 2,
    }
    seen = {
        name: sum(summary.mean(pd.Series(row)).skewed for row in rows) / studies
        for name, rows in shapes.items()
    }
    assert seen["normal"] <= 0.006
    assert seen["skewed"] >= 0.5


def _bootstrap(values: Numbers, level: float) -> tuple[float, float]:
    """The percentile bootstrap, which is too narrow for few rounds."""
    chance = np.random.default_rng(len(values))
    means = values[chance.integers(0, len(values), (1_000, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@pytest.mark.calibration
def test_a_bootstrap_instead_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = summary.mean

    @dataclass(frozen=True)
    class Bootstrapped(Estimate):
        """An estimate with intervals of the percentile bootstrap."""

        logs: Numbers = field(default_factory=lambda: np.empty(0))

        def interval(self, level: float) -> tuple[float, float]:
            """The bootstrap's interval."""
            low, high = _bootstrap(self.logs, level)
            return (math.exp(low), math.exp(high)) if self.is_ratio else (low, high)

    def mean(values: "pd.Series[float]") -> Estimate:
        """The mean with a bootstrap's interval."""
        known = original(values)
        return Bootstrapped(known.value, known.rounds, logs=values[np.isfinite(values)].to_numpy())

    monkeypatch.setattr(summary, "mean", mean)
    assert max(_simulated(MODERATE, EDGES[0], 5, 200).coverage()) < 0.93


@pytest.mark.calibration
def test_the_fetch_as_the_unit_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = summary.mean

    def narrower(values: "pd.Series[float]") -> Estimate:
        """As if every fetch counted as a round: standard errors from 100 times as many values."""
        known = original(values)
        return replace(known, standard_error=known.standard_error / math.sqrt(PAGES))

    monkeypatch.setattr(summary, "mean", narrower)
    assert max(_simulated(MODERATE, EDGES[0], 5, 100).coverage()) < 0.93


def _plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, nothing in place of what is not there."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def test_a_study_through_files_is_judged_like_one_in_memory(tmp_path: Path) -> None:
    seconds = _seconds(np.random.default_rng(7), MODERATE, EDGES[0], 5)
    in_memory = _judged(seconds, 5)
    fetches, trials = _frames(seconds)
    study = Study(clients=("requests",), rounds=5)
    records.write_run(tmp_path, made_up.run_of(study))
    ended = trials.assign(position=1, started_at=made_up.MOMENT, other_cpu=0.0)
    for number in range(1, 6):
        records.add_round(
            tmp_path,
            [FetchRow(**row) for row in _plain(fetches[fetches["round"] == number])],
            [TrialRow(**row) for row in _plain(ended[ended["round"] == number])],
        )
    _, from_files = made_up.judged(tmp_path)
    for name in ("requests-8x", "fetch-slower", "no-difference"):
        for one, other in zip(in_memory[name].cells, from_files[name].cells, strict=True):
            assert one.ruling == other.ruling
            assert one.estimate is not None
            assert other.estimate is not None
            assert other.estimate.value == pytest.approx(one.estimate.value, rel=1e-4)
            assert other.estimate.ci95 == pytest.approx(one.estimate.ci95, rel=1e-3)
