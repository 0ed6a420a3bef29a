"""The verdict rules at their edges; intervals are (90 %, 95 %)."""

import pytest

from experiment.analysis import rules
from experiment.analysis.rules import Rule, Ruling
from experiment.analysis.summary import Estimate, Interval


def estimate(ci90: Interval, ci95: Interval) -> Estimate:
    """An estimate in the middle of its intervals."""
    return Estimate((ci95[0] * ci95[1]) ** 0.5, None, ci95, ci90, 5)


@pytest.mark.parametrize(
    ("rule", "ci90", "ci95", "verdict"),
    [
        (rules.roughly(8), (6.7, 9.5), (6.5, 9.7), "holds"),
        (rules.roughly(8), (6.6, 9.5), (6.5, 9.7), "inconclusive"),
        (rules.roughly(8), (6.7, 9.7), (6.5, 9.9), "inconclusive"),
        (rules.roughly(8), (9.9, 10.5), (9.7, 10.7), "stronger"),
        (rules.roughly(8), (9.7, 10.5), (9.5, 10.7), "inconclusive"),
        (rules.roughly(8), (5.0, 6.0), (4.8, 6.2), "weaker"),
        (rules.roughly(8), (3.0, 4.0), (2.9, 4.2), "does not hold"),
        (rules.roughly(4), (1.9, 3.0), (0.9, 3.2), "does not hold"),
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
    ],
)
def test_a_rule_looks_at_the_intervals(
    rule: Rule, ci90: Interval, ci95: Interval, verdict: str
) -> None:
    found = Estimate(sum(ci95) / 2, None, ci95, ci90, 5)
    assert rule.judge(found).verdict == verdict


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
    assert rules.NO_DIFFERENCE.judge(estimate(ci90, ci95)) == ruling


@pytest.mark.parametrize(
    ("threads90", "threads95", "processes95", "verdict"),
    [
        ((0.95, 1.09), (0.9, 1.15), (1.2, 2.1), "holds"),
        ((0.95, 1.11), (0.9, 1.15), (1.2, 2.1), "inconclusive"),
        ((0.95, 1.05), (0.9, 1.07), (1.05, 2.1), "inconclusive"),
        ((1.3, 1.8), (1.2, 1.9), (1.2, 2.1), "does not hold"),
        ((0.95, 1.05), (0.9, 1.07), (0.9, 1.05), "does not hold"),
    ],
)
def test_cpu_bound_looks_at_both_modes(
    threads90: Interval, threads95: Interval, processes95: Interval, verdict: str
) -> None:
    threads, processes = estimate(threads90, threads95), estimate(processes95, processes95)
    assert rules.cpu_bound(threads, processes).verdict == verdict


def test_a_slow_down_under_five_percent_is_called_negligible() -> None:
    ruling = rules.MORE_THAN_ONE.judge(estimate((1.02, 1.03), (1.01, 1.04)))
    assert ruling.reason == "negligible: less than 5 %"
