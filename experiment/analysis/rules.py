"""Turn an estimate into a verdict, by rules that look at its intervals over rounds only.

Equivalence is tested by two one-sided tests, that is, by the 90 % interval (D. J. Schuirmann,
J. Pharmacokinet. Biopharm. 15, 1987, doi:10.1007/BF01068419). Who looks several times, and stops
at a result that suits, needs wider intervals (S. J. Pocock, Biometrika 64, 1977,
doi:10.1093/biomet/64.2.191: 98.2 and 96.1 % for four looks at equal distances). The levels here
were chosen by simulation (`tests/test_looks.py`). Power is computed from the distributions of a
sample's mean and variance (J. Cohen, "Statistical Power Analysis", 1988, ISBN 0805802835).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np
from scipy import stats

from experiment.analysis.summary import Estimate, Interval

Verdict = Literal[
    "holds", "stronger", "weaker", "less than claimed", "does not hold", "mixed",
    "partly open", "inconclusive", "too few rounds", "not applicable", "not measured",
]  # fmt: skip
NEGLIGIBLE, ALIKE = 1.05, 1.1
"""Ratios below which a slow-down is negligible, and two modes perform the same."""


@dataclass(frozen=True)
class Levels:
    """The levels of the intervals that show a difference, and that show an equivalence."""

    difference: float
    equivalence: float


ONE_LOOK = Levels(0.95, 0.90)
"""For a run whose number of rounds was fixed before it began."""

EVERY_ROUND = Levels(0.975, 0.95)
"""For a run that stops at a precision, after any round from the fifth on."""

SEVERAL_LOOKS = Levels(0.983, 0.964)
"""For a run that was finished and then given more rounds, up to three times."""


def levels_after(looks: int) -> Levels:
    """Return the levels of a run at its nth look; beyond the fourth Bonferroni's bound holds."""
    if looks == 1:
        return ONE_LOOK
    return SEVERAL_LOOKS if looks <= 4 else Levels(1 - 0.05 / looks, 1 - 0.10 / looks)


@dataclass(frozen=True)
class Ruling:
    """A verdict, and the reason where there is one."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class Zone:
    """A claimed value, in words and as a number, and the range in which the claim holds."""

    words: str
    claimed: float
    low: float
    high: float


Judge = Callable[[Estimate, Levels], Ruling]
"""Judge an estimate of two or more rounds by its intervals of two levels."""


@dataclass(frozen=True)
class Rule:
    """A zone, and the function that judges an estimate by it."""

    zone: Zone
    judge: Judge


def roughly(times: float) -> Rule:
    """Return the rule of "roughly so many times": within a factor of 1.2."""
    zone = Zone(f"roughly {times:g}", times, times / 1.2, times * 1.2)

    def judge(estimate: Estimate, levels: Levels) -> Ruling:
        """Judge by the narrow interval inside the zone, or the wide one outside."""
        wide, narrow = _intervals(estimate, levels)
        if _within(narrow, zone.low, zone.high):
            return Ruling("holds")
        if wide[0] > zone.high:
            return Ruling("stronger")
        if wide[1] < zone.low:
            return Ruling(_below(wide, times / 2))
        return Ruling("inconclusive")

    return Rule(zone, judge)


def _below(wide: Interval, half: float) -> Verdict:
    """Say how much less than claimed: at least half, less than half, or open which."""
    if wide[0] > half:
        return "weaker"
    return "does not hold" if wide[1] < half else "less than claimed"


def _more_than_one(estimate: Estimate, levels: Levels) -> Ruling:
    wide, narrow = _intervals(estimate, levels)
    if wide[0] > 1 and wide[1] < NEGLIGIBLE:
        return Ruling("weaker", "negligible: less than 5 %")
    if wide[0] > 1:
        return Ruling("holds")
    if wide[1] < 1 or _within(narrow, 1 / NEGLIGIBLE, NEGLIGIBLE):
        return Ruling("does not hold")
    return Ruling("inconclusive")


def _alike(estimate: Estimate, levels: Levels) -> Ruling:
    """Run two one-sided tests: the narrow interval lies inside the zone."""
    wide, narrow = _intervals(estimate, levels)
    exists = "" if wide[0] <= 1 <= wide[1] else "a difference exists"
    if _within(narrow, 1 / ALIKE, ALIKE):
        return Ruling("holds", exists)
    if wide[1] < 1 / ALIKE or wide[0] > ALIKE:
        return Ruling("does not hold", exists)
    return Ruling("inconclusive", exists)


def _more_than(words: str, value: float, weaker_above: float = math.inf) -> Rule:

    def judge(estimate: Estimate, levels: Levels) -> Ruling:
        """Judge by the wide interval on one side of the value."""
        wide, _ = _intervals(estimate, levels)
        if wide[0] > value:
            return Ruling("holds")
        if wide[1] < value:
            return Ruling("weaker" if wide[0] > weaker_above else "does not hold")
        return Ruling("inconclusive")

    return Rule(Zone(words, value, value, math.inf), judge)


MORE_THAN_ONE = Rule(Zone("more than 1", 1, 1, math.inf), _more_than_one)
MORE_THAN_TWO = _more_than("more than 2", 2, weaker_above=1)
NO_DIFFERENCE = Rule(Zone("the same", 1, 1 / ALIKE, ALIKE), _alike)
MORE_THAN_HALF = _more_than("more than half", 0.5)
MORE_THAN_A_CORE = _more_than("more than 1.1", ALIKE)


def _less_than_a_core(estimate: Estimate, levels: Levels) -> Ruling:
    wide, narrow = _intervals(estimate, levels)
    if narrow[1] < ALIKE:
        return Ruling("holds")
    return Ruling("does not hold" if wide[0] > ALIKE else "inconclusive")


LESS_THAN_A_CORE = Rule(Zone("less than 1.1", 1, 0, ALIKE), _less_than_a_core)


def aa_control(
    control: Estimate,
) -> Literal["fails", "passes", "too imprecise", "too few rounds"]:
    """Judge the ratio of two trials that are alike: is it 1, and would 10 % have been seen?"""
    if not control.has_enough_rounds or control.ci99 is None or control.ci90 is None:
        return "too few rounds"
    if not _within((1, 1), *control.ci99):
        return "fails"
    return "passes" if _within(control.ci90, 1 / ALIKE, ALIKE) else "too imprecise"


POWER, MOST_ROUNDS = 0.8, 100
"""The chance of a decision that is asked for, and the most rounds that are looked at."""

QUANTILES = tuple((place + 0.5) / 20 for place in range(20))


def rounds_to_decide(estimate: Estimate, judge: Judge, levels: Levels) -> int | None:
    """Return how many rounds would decide with a chance of 80 %; None for more than a hundred.

    The truth is taken to be the estimate, with the scatter of its rounds.
    """
    low, high = estimate.rounds, MOST_ROUNDS
    if power(estimate, judge, levels, high) < POWER:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = power(estimate, judge, levels, middle) >= POWER
        low, high = (low, middle) if enough else (middle, high)
    return high


def power(estimate: Estimate, judge: Judge, levels: Levels, rounds: int) -> float:
    """Return the chance that so many rounds decide.

    The rule itself judges studies whose means and standard errors are equally likely quantiles of
    their distributions, normal and chi.
    """
    error = estimate.standard_error * math.sqrt(estimate.rounds / rounds)
    shifts = error * np.asarray(stats.norm.ppf(QUANTILES))
    errors = error * np.sqrt(np.asarray(stats.chi2.ppf(QUANTILES, rounds - 1)) / (rounds - 1))
    decided = sum(
        judge(_shifted(estimate, shift, rounds, own), levels).verdict != "inconclusive"
        for shift, own in product(shifts.tolist(), errors.tolist())
    )
    return decided / len(QUANTILES) ** 2


def _shifted(estimate: Estimate, shift: float, rounds: int, error: float) -> Estimate:
    value = estimate.value * math.exp(shift) if estimate.is_ratio else estimate.value + shift
    return replace(estimate, value=value, rounds=rounds, standard_error=error)


def _intervals(estimate: Estimate, levels: Levels) -> tuple[Interval, Interval]:
    """Return the wide interval, which shows a difference, and the narrow one."""
    wide, narrow = estimate.interval(levels.difference), estimate.interval(levels.equivalence)
    assert wide is not None
    assert narrow is not None
    return wide, narrow


def _within(interval: Interval, low: float, high: float) -> bool:
    return low <= interval[0] and interval[1] <= high
