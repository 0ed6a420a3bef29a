"""The range of "how many workers" is calibrated: simulated sweeps go through the report's rule.

The spans of a sweep scatter log-normally about a true curve. `make test` simulates one case next
to the line of 5 %, `make test-calibration` all cases and prints the table.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from experiment import load
from experiment.analysis import sweeps
from experiment.analysis.rules import ONE_LOOK, levels_after
from experiment.analysis.sweeps import WORTHWHILE_GAIN, EnoughWorkers, judge_sizes
from experiment.study import PROJECT

SIZES = (5, 10, 20, 50)
SWEEPS = 1_000
Spans = dict[int, "pd.Series[float]"]

SCATTER = {5: 0.02, 10: 0.03, 20: 0.11, 50: 0.13}
"""Standard deviations of log spans by size, as large as in the committed sweep."""

QUIET = dict.fromkeys(SIZES, 0.03)


@dataclass(frozen=True)
class Curve:
    """True speed-ups by size."""

    name: str
    speeds: dict[int, float]

    @property
    def enough(self) -> int:
        """The smallest size that no larger one beats by more than 5 %."""
        return next(
            size
            for size, speed in self.speeds.items()
            if all(self.speeds[it] <= WORTHWHILE_GAIN * speed for it in SIZES if it > size)
        )


def _gaining(percent: float) -> Curve:
    """A curve on which 50 workers gain so much over 20, and 20 much over 10."""
    speeds = (4.9, 8.9, 12.0, 12.0 * (1 + percent / 100))
    return Curve(f"{percent:g} % beyond 20", dict(zip(SIZES, speeds, strict=True)))


def _measured(mode: str) -> Curve:
    """The speed-ups of the committed sweep."""
    found = sweeps.compare_sizes(load(PROJECT / "data" / "reference-sweep"))
    speeds = {item.size: item.speed_up.value for item in found if item.mode == mode}
    return Curve(f"reference, {mode}", {size: speeds[size] for size in SIZES})


TEN_ENOUGH = Curve("10 enough", dict(zip(SIZES, (4.9, 8.9, 9.0, 9.1), strict=True)))
STAIRS = Curve("5.1 % a step", {size: 8 * 1.051**step for step, size in enumerate(SIZES)})
JUST_ABOVE, JUST_BELOW = _gaining(5.1), _gaining(4.9)


def _simulated(
    curve: Curve, scatter: dict[int, float], rounds: int, count: int = SWEEPS
) -> Iterator[Spans]:
    """The spans of so many sweeps: by size, indexed by round."""
    chance = np.random.default_rng([2018, rounds])
    middles = np.array([-math.log(curve.speeds[size]) for size in SIZES])
    spread = np.array([scatter[size] for size in SIZES])
    for logs in chance.normal(middles, spread, (count, rounds, len(SIZES))):
        yield {size: pd.Series(np.exp(column)) for size, column in zip(SIZES, logs.T, strict=True)}


def _by_estimates(spans: Spans) -> int:
    """The smallest size that no larger one seems to beat, however wide the intervals are."""
    speeds = {size: math.exp(-np.log(own).mean()) for size, own in spans.items()}
    return Curve("estimated", speeds).enough


def _share(simulated: Iterator[Spans], happens: Callable[[EnoughWorkers], bool]) -> float:
    return float(np.mean([happens(judge_sizes(spans, ONE_LOOK)) for spans in simulated]))


def _misses(curve: Curve) -> Callable[[EnoughWorkers], bool]:
    return lambda found: not found.low <= curve.enough <= found.high


def _chance(count: int) -> float:
    """Four standard errors of a share of 5 %."""
    return 4 * math.sqrt(0.05 * 0.95 / count)


def test_the_true_sizes_are_as_meant() -> None:
    curves = (_gaining(3), JUST_BELOW, JUST_ABOVE, _gaining(7), _gaining(20), TEN_ENOUGH, STAIRS)
    assert [curve.enough for curve in curves] == [20, 20, 50, 50, 50, 10, 50]


@pytest.mark.parametrize("curve", [JUST_BELOW, JUST_ABOVE])
def test_the_range_rarely_misses_the_size_and_the_estimates_often(curve: Curve) -> None:
    simulated = list(_simulated(curve, SCATTER, 5, 250))
    assert _share(iter(simulated), _misses(curve)) <= 0.05 + _chance(250)
    assert np.mean([_by_estimates(spans) != curve.enough for spans in simulated]) > 0.3


def test_a_quiet_sweep_names_a_single_size() -> None:
    for curve in (_gaining(-3), _gaining(20)):
        found = [judge_sizes(spans, ONE_LOOK) for spans in _simulated(curve, QUIET, 5, 100)]
        assert np.mean([item.low == item.high == curve.enough for item in found]) > 0.9


@pytest.mark.parametrize("percent", [0, 12])
def test_the_rounds_that_settle_it_do_so_in_four_of_five_sweeps(percent: float) -> None:
    """The forecast is made from five rounds whose mean and scatter are exactly the true ones."""
    curve, scatter = _gaining(percent), dict.fromkeys(SIZES, 0.05)
    forecast = judge_sizes(_exact(curve, 0.05 * math.sqrt(2)), ONE_LOOK).rounds_to_settle()
    assert forecast is not None
    assert 5 < forecast < 20
    simulated = _simulated(curve, scatter, forecast, 200)
    settled = _share(simulated, lambda found: found.low == found.high)
    assert 0.7 < settled < 0.9


def _exact(curve: Curve, spread: float) -> Spans:
    """Five rounds in which the log gain of 50 over 20 has exactly the true mean and spread."""
    scores = np.array([-1.0, -1.0, 0.0, 1.0, 1.0])
    spans = {size: pd.Series(np.full(5, 1 / speed)) for size, speed in curve.speeds.items()}
    return {**spans, 50: spans[50] * np.exp(spread * scores)}


CURVES = (
    *(_gaining(percent) for percent in (3, 4.9, 5.1, 7, 20)),
    TEN_ENOUGH,
    STAIRS,
    *(_measured(mode) for mode in ("threads", "processes")),
)


@pytest.mark.calibration
@pytest.mark.timeout(300)
@pytest.mark.parametrize("rounds", [3, 5, 10])
@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_every_range_holds_the_true_size(
    curve: Curve, rounds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    simulated = list(_simulated(curve, SCATTER, rounds))
    found = [judge_sizes(spans, ONE_LOOK) for spans in simulated]
    missed = float(np.mean([_misses(curve)(item) for item in found]))
    single = float(np.mean([item.low == item.high for item in found]))
    wrong = float(np.mean([_by_estimates(spans) != curve.enough for spans in simulated]))
    with capsys.disabled():
        print(
            f"\n{curve.name:20}  R = {rounds:2}  {curve.enough} is outside the range: {missed:.1%}"
            f"  one size named: {single:.1%}  by estimates wrong: {wrong:.1%}"
        )
    assert missed <= 0.05 + _chance(SWEEPS)


@pytest.mark.calibration
@pytest.mark.timeout(300)
@pytest.mark.parametrize("curve", [JUST_BELOW, JUST_ABOVE], ids=lambda curve: curve.name)
def test_a_sweep_that_gets_rounds_until_it_is_settled_is_wrong_little_more_often(
    curve: Curve,
) -> None:
    """The first look has spent 5 %, so the stricter ones after it come on top."""
    missed = [_misses(curve)(_after_looks(spans)) for spans in _simulated(curve, SCATTER, 12)]
    assert np.mean(missed) <= 0.08


def _after_looks(spans: Spans) -> EnoughWorkers:
    """The answer of a sweep that goes on after 3, 5 and 8 rounds where it is not settled."""
    for look, rounds in enumerate((3, 5, 8, 12), start=1):
        so_far = {size: own[:rounds] for size, own in spans.items()}
        found = judge_sizes(so_far, levels_after(look))
        if found.low == found.high:
            break
    return found
