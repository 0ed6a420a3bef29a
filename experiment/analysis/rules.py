"""Turn an estimate into a verdict, by rules that look at its intervals over rounds only.

Equivalence is tested by two one-sided tests, that is, by the 90 % interval (D. J. Schuirmann,
J. Pharmacokinet. Biopharm. 15, 1987, doi:10.1007/BF01068419).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from experiment.analysis.summary import Estimate, Interval

Verdict = Literal[
    "holds", "stronger", "weaker", "does not hold", "inconclusive", "mixed", "too few rounds",
    "not applicable", "not measured",
]  # fmt: skip
NEGLIGIBLE, ALIKE = 1.05, 1.1
"""Ratios below which a slow-down is negligible, and two modes perform the same."""


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


@dataclass(frozen=True)
class Rule:
    """A zone, and the function that judges an estimate by it."""

    zone: Zone
    judge: Callable[[Estimate], Ruling]


def roughly(times: float) -> Rule:
    """Return the rule of "roughly so many times": within a factor of 1.2."""
    zone = Zone(f"roughly {times:g}", times, times / 1.2, times * 1.2)

    def judge(estimate: Estimate) -> Ruling:
        """Judge by the 90 % interval inside the zone, or the 95 % interval outside."""
        ci95, ci90 = _known_intervals(estimate)
        if _within(ci90, zone.low, zone.high):
            return Ruling("holds")
        if ci95[0] > zone.high:
            return Ruling("stronger")
        if ci95[1] < zone.low:
            gains = estimate.value >= times / 2 and ci95[0] > 1
            return Ruling("weaker" if gains else "does not hold")
        return Ruling("inconclusive")

    return Rule(zone, judge)


def _more_than_one(estimate: Estimate) -> Ruling:
    ci95, ci90 = _known_intervals(estimate)
    if ci95[0] > 1 and ci95[1] < NEGLIGIBLE:
        return Ruling("weaker", "negligible: less than 5 %")
    if ci95[0] > 1:
        return Ruling("holds")
    if ci95[1] < 1 or _within(ci90, 1 / NEGLIGIBLE, NEGLIGIBLE):
        return Ruling("does not hold")
    return Ruling("inconclusive")


def _alike(estimate: Estimate) -> Ruling:
    """Run two one-sided tests at 5 %: the 90 % interval lies inside the zone."""
    ci95, ci90 = _known_intervals(estimate)
    exists = "" if ci95[0] <= 1 <= ci95[1] else "a difference exists"
    if _within(ci90, 1 / ALIKE, ALIKE):
        return Ruling("holds", exists)
    if ci95[1] < 1 / ALIKE or ci95[0] > ALIKE:
        return Ruling("does not hold", exists)
    return Ruling("inconclusive", exists)


def _more_than(words: str, value: float, weaker_above: float = math.inf) -> Rule:

    def judge(estimate: Estimate) -> Ruling:
        """Judge by the 95 % interval on one side of the value."""
        ci95, _ = _known_intervals(estimate)
        if ci95[0] > value:
            return Ruling("holds")
        if ci95[1] < value:
            return Ruling("weaker" if ci95[0] > weaker_above else "does not hold")
        return Ruling("inconclusive")

    return Rule(Zone(words, value, value, math.inf), judge)


MORE_THAN_ONE = Rule(Zone("more than 1", 1, 1, math.inf), _more_than_one)
MORE_THAN_TWO = _more_than("more than 2", 2, weaker_above=1)
NO_DIFFERENCE = Rule(Zone("the same", 1, 1 / ALIKE, ALIKE), _alike)
MORE_THAN_HALF = _more_than("more than half", 0.5)
CPU_BOUND_THREADS = Zone("less than 1.1", 1, 0, ALIKE)
CPU_BOUND_PROCESSES = Zone("more than 1.1", 1, ALIKE, math.inf)


def cpu_bound(threads: Estimate, processes: Estimate) -> Ruling:
    """Judge whether processes speed up CPU-bound work and threads do not."""
    (threads95, threads90), (processes95, _) = (
        _known_intervals(threads),
        _known_intervals(processes),
    )
    if threads90[1] < ALIKE and processes95[0] > ALIKE:
        return Ruling("holds")
    if threads95[0] > ALIKE or processes95[1] < ALIKE:
        return Ruling("does not hold")
    return Ruling("inconclusive")


def _known_intervals(estimate: Estimate) -> tuple[Interval, Interval]:
    """Return the 95 and the 90 % interval of an estimate of two or more rounds."""
    assert estimate.ci95 is not None
    assert estimate.ci90 is not None
    return estimate.ci95, estimate.ci90


def _within(interval: Interval, low: float, high: float) -> bool:
    return low <= interval[0] and interval[1] <= high
