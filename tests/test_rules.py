"""The verdict rules at their edges; intervals are (90 %, 95 %)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from experiment.analysis import rules, summary
from experiment.analysis.rules import ONE_LOOK, Rule, Ruling
from experiment.analysis.summary import Estimate, Interval


@dataclass(frozen=True)
class Given(Estimate):
    """An estimate whose intervals are given, in place of computed from its rounds."""

    given: Mapping[float, Interval] = field(default_factory=dict)

    def interval(self, level: float) -> Interval:
        """The interval of that level."""
        return self.given[level]


def estimate(ci90: Interval, ci95: Interval) -> Estimate:
    """An estimate in the middle of its intervals."""
    return Given((ci95[0] * ci95[1]) ** 0.5, 5, given={0.90: ci90, 0.95: ci95})


@pytest.mark.parametrize(
    ("rule", "ci90", "ci95", "verdict"),
    [
        (rules.roughly(8), (6.7, 9.5), (6.5, 9.7), "holds"),
        (rules.roughly(8), (6.6, 9.5), (6.5, 9.7), "inconclusive"),
        (rules.roughly(8), (6.7, 9.7), (6.5, 9.9), "inconclusive"),
        (rules.roughly(8), (9.9, 10.5), (9.7, 10.7), "stronger"),
        (rules.roughly(8), (9.7, 10.5), (9.5, 10.7), "inconclusive"),
        (rules.roughly(8), (5.0, 6.0), (4.8, 6.2), "weaker"),
        (rules.roughly(8), (3.0, 3.8), (2.9, 3.9), "does not hold"),
        (rules.roughly(8), (3.0, 5.0), (2.9, 5.2), "less than claimed"),
        (rules.roughly(4), (2.1, 2.9), (1.9, 3.2), "less than claimed"),
        (rules.roughly(4), (2.1, 2.9), (2.01, 3.2), "weaker"),
        (rules.roughly(4), (1.0, 1.8), (0.9, 1.9), "does not hold"),
        (rules.MORE_THAN_ONE, (1.02, 1.03), (1.01, 1.04), "weaker"),
        (rules.MORE_THAN_ONE, (1.02, 1.05), (1.01, 1.06), "holds"),
        (rules.MORE_THAN_ONE, (0.97, 1.03), (0.96, 1.04), "does not hold"),
        (rules.MORE_THAN_ONE, (0.90, 0.98), (0.89, 0.99), "does not hold"),
        (rules.MORE_THAN_ONE, (0.99, 1.06), (0.98, 1.07), "inconclusive"),
        (rules.MORE_THAN_TWO, (2.1, 2.3), (2.01, 2.4), "holds"),
        (rules.MORE_THAN_TWO, (1.3, 1.5), (1.2, 1.6), "weaker"),
        (rules.MORE_THAN_TWO, (1.1, 1.5), (0.9, 1.6), "does not hold"),
        (rules.MORE_THAN_TWO, (1.9, 2.3), (1.8, 2.4), "inconclusive"),
        (rules.NO_DIFFERENCE, (0.95, 1.05), (0.94, 1.06), "holds"),
        (rules.NO_DIFFERENCE, (0.90, 1.05), (0.89, 1.06), "inconclusive"),
        (rules.NO_DIFFERENCE, (1.0, 1.12), (0.98, 1.14), "inconclusive"),
        (rules.NO_DIFFERENCE, (1.13, 1.2), (1.11, 1.3), "does not hold"),
        (rules.NO_DIFFERENCE, (0.8, 0.89), (0.7, 0.9), "does not hold"),
        (rules.MORE_THAN_HALF, (0.6, 0.8), (0.51, 0.9), "holds"),
        (rules.MORE_THAN_HALF, (0.2, 0.4), (-0.1, 0.49), "does not hold"),
        (rules.MORE_THAN_HALF, (0.4, 0.6), (0.3, 0.7), "inconclusive"),
        (rules.LESS_THAN_A_CORE, (0.95, 1.09), (0.9, 1.15), "holds"),
        (rules.LESS_THAN_A_CORE, (0.95, 1.11), (0.9, 1.15), "inconclusive"),
        (rules.LESS_THAN_A_CORE, (1.3, 1.8), (1.2, 1.9), "does not hold"),
        (rules.MORE_THAN_A_CORE, (1.3, 1.9), (1.2, 2.1), "holds"),
        (rules.MORE_THAN_A_CORE, (1.1, 1.9), (1.05, 2.1), "inconclusive"),
        (rules.MORE_THAN_A_CORE, (0.95, 1.05), (0.9, 1.07), "does not hold"),
    ],
)
def test_a_rule_looks_at_the_intervals(
    rule: Rule, ci90: Interval, ci95: Interval, verdict: str
) -> None:
    assert rule.judge(estimate(ci90, ci95), ONE_LOOK).verdict == verdict


@pytest.mark.parametrize(
    ("ci90", "ci95", "ruling"),
    [
        ((1.02, 1.05), (1.01, 1.06), Ruling("holds", "a difference exists")),
        ((0.98, 1.05), (0.97, 1.06), Ruling("holds")),
        ((1.02, 1.15), (1.01, 1.16), Ruling("inconclusive", "a difference exists")),
        ((1.13, 1.2), (1.11, 1.3), Ruling("does not hold", "a difference exists")),
    ],
)
def test_a_difference_that_exists_is_named_beside_the_verdict(
    ci90: Interval, ci95: Interval, ruling: Ruling
) -> None:
    assert rules.NO_DIFFERENCE.judge(estimate(ci90, ci95), ONE_LOOK) == ruling


@pytest.mark.parametrize(
    ("rule", "true"),
    [
        (rules.roughly(8), 9.0),
        (rules.roughly(8), 10.2),
        (rules.MORE_THAN_ONE, 1.07),
        (rules.MORE_THAN_ONE, 1.0),
        (rules.NO_DIFFERENCE, 1.0),
        (rules.NO_DIFFERENCE, 1.17),
    ],
)
def test_the_rounds_that_would_decide_do_so_in_four_of_five_studies(
    rule: Rule, true: float
) -> None:
    start = Estimate(true, 5, 0.1 / math.sqrt(5), is_ratio=True)
    rounds = rules.rounds_to_decide(start, rule.judge, ONE_LOOK)
    assert rounds is not None
    assert rounds > 8
    assert _decided(rule, true, rounds) == pytest.approx(0.8, abs=0.08)


def _decided(rule: Rule, true: float, rounds: int, studies: int = 1_000) -> float:
    """The share of simulated studies that a rule decides."""
    logs = np.random.default_rng(1).normal(math.log(true), 0.1, (studies, rounds))
    found = [summary.ratio(pd.Series(np.exp(row)), pd.Series(np.ones(rounds))) for row in logs]
    return sum(rule.judge(one, ONE_LOOK).verdict != "inconclusive" for one in found) / studies


def test_a_value_on_the_edge_of_a_rule_is_not_decided_by_a_hundred_rounds() -> None:
    start = Estimate(9.6, 5, 0.1 / math.sqrt(5), is_ratio=True)
    assert rules.rounds_to_decide(start, rules.roughly(8).judge, ONE_LOOK) is None


def test_wider_levels_take_more_rounds_to_decide() -> None:
    start = Estimate(1.0, 5, 0.1 / math.sqrt(5), is_ratio=True)
    judge = rules.NO_DIFFERENCE.judge
    one, several = (
        rules.rounds_to_decide(start, judge, levels)
        for levels in (ONE_LOOK, rules.Levels(0.983, 0.964))
    )
    assert one is not None
    assert several is not None
    assert one < several


def test_a_slow_down_under_five_percent_is_called_negligible() -> None:
    ruling = rules.MORE_THAN_ONE.judge(estimate((1.02, 1.03), (1.01, 1.04)), ONE_LOOK)
    assert ruling.reason == "negligible: less than 5 %"


@pytest.mark.parametrize(
    ("ci90", "ci99", "rounds", "judgement"),
    [
        ((0.92, 1.09), (0.85, 1.2), 5, "passes"),
        ((0.90, 1.09), (0.85, 1.2), 5, "too imprecise"),
        ((0.92, 1.11), (0.85, 1.2), 5, "too imprecise"),
        ((1.01, 1.04), (0.99, 1.06), 5, "passes"),
        ((1.02, 1.04), (1.01, 1.06), 5, "fails"),
        ((0.80, 0.90), (0.70, 0.99), 5, "fails"),
        ((1.02, 1.04), (1.01, 1.06), 2, "too few rounds"),
    ],
)
def test_a_control_fails_passes_or_is_too_imprecise(
    ci90: Interval, ci99: Interval, rounds: int, judgement: str
) -> None:
    control = Given(1.0, rounds, given={0.90: ci90, 0.95: ci99, 0.99: ci99})
    assert rules.aa_control(control) == judgement
