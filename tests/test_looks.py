"""Looking several times, and stopping when it suits, makes no verdict wrong more often.

Simulated with the rules' own functions: a run that stops at a precision, and one that somebody
continues until it is decided. `make test` simulates few studies, `make test-calibration` many.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest

from experiment.analysis import rules
from experiment.analysis.rules import Levels, Rule
from experiment.analysis.summary import Estimate

MANY = pytest.param(6_000, marks=pytest.mark.calibration)
LOOKS = (5, 8, 12, 18)
FALSE_VERDICTS = [
    (rules.NO_DIFFERENCE, 1.10, "holds"),
    (rules.MORE_THAN_ONE, 1.0, "holds"),
    (rules.roughly(8), 8 * 1.2, "holds"),
    (rules.roughly(8), 8 / 1.2, "holds"),
]


def _at(logs: np.ndarray, rounds: int) -> Estimate:
    """The estimate from the first rounds of a study."""
    own = logs[:rounds]
    error = float(own.std(ddof=1)) / math.sqrt(rounds)
    return Estimate(math.exp(float(own.mean())), rounds, error, is_ratio=True)


def _studies(true: float, spread: float, studies: int, rounds: int) -> np.ndarray:
    return np.random.default_rng(11).normal(math.log(true), spread, (studies, rounds))


def _when_decided(rule: Rule, levels: Callable[[int], Levels]) -> Callable[[np.ndarray], str]:
    def final(logs: np.ndarray) -> str:
        """The verdict of somebody who goes on until there is one."""
        verdict = "inconclusive"
        for look, rounds in enumerate(LOOKS, start=1):
            verdict = rule.judge(_at(logs, rounds), levels(look)).verdict
            if verdict != "inconclusive":
                break
        return verdict

    return final


def _precise(logs: np.ndarray, width: float) -> Estimate:
    """The estimate of a run that stops at a precision."""
    for rounds in range(5, len(logs) + 1):
        found = _at(logs, rounds)
        interval = found.interval(rules.EVERY_ROUND.difference)
        assert interval is not None
        if math.sqrt(interval[1] / interval[0]) - 1 <= width:
            return found
    return _at(logs, len(logs))


def _most(share: float, studies: int) -> float:
    return share + 3 * math.sqrt(share * (1 - share) / studies)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("studies", [500, MANY])
@pytest.mark.parametrize("spread", [0.035, 0.06, 0.11])
@pytest.mark.parametrize(("rule", "true", "verdict"), FALSE_VERDICTS)
def test_four_looks_at_the_wider_levels_are_wrong_as_rarely_as_one_at_the_usual(
    rule: Rule, true: float, verdict: str, spread: float, studies: int
) -> None:
    runs = _studies(true, spread, studies, LOOKS[-1])
    final = _when_decided(rule, lambda _: rules.SEVERAL_LOOKS)
    assert sum(final(logs) == verdict for logs in runs) / studies <= _most(0.05, studies)
    as_shown = _when_decided(rule, rules.levels_after)  # the first report did not know of others
    assert sum(as_shown(logs) == verdict for logs in runs) / studies <= _most(0.085, studies)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("studies", [300, MANY])
@pytest.mark.parametrize("spread", [0.035, 0.06, 0.11])
@pytest.mark.parametrize(("rule", "true", "verdict"), FALSE_VERDICTS)
def test_a_run_that_stops_at_a_precision_is_wrong_as_rarely_as_one_that_does_not(
    rule: Rule, true: float, verdict: str, spread: float, studies: int
) -> None:
    found = [_precise(logs, 0.05) for logs in _studies(true, spread, studies, 20)]
    wrong = sum(rule.judge(one, rules.EVERY_ROUND).verdict == verdict for one in found)
    covered = 0
    for one in found:
        interval = one.interval(rules.EVERY_ROUND.difference)
        assert interval is not None
        covered += interval[0] <= true <= interval[1]
    assert wrong / studies <= _most(0.05, studies)
    assert covered / studies >= 1 - _most(0.05, studies)


def test_the_usual_levels_at_every_look_would_be_noticed() -> None:
    runs = _studies(1.0, 0.06, 600, 30)
    naive = 0
    for logs in runs:
        naive += any(
            rules.MORE_THAN_ONE.judge(_at(logs, rounds), rules.ONE_LOOK).verdict == "holds"
            for rounds in range(3, 31)
        )
    assert naive / len(runs) > 0.07
