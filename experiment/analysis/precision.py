"""Look at how precisely a run knows its main ratios, to stop it when that is enough.

A run that stops at a precision looks after every round from the fifth on. Its intervals are wider
for that, so that they cover the truth as often as they say: `tests/test_looks.py` simulates it.
"""

import math
from collections.abc import Iterator
from pathlib import Path

from experiment.analysis import results, summary
from experiment.analysis.results import RunResults
from experiment.analysis.summary import Estimate
from experiment.study import LEAST_LOOK
from experiment.vocabulary import ARTICLE_PAIR, POOLS


def main_ratios(run: RunResults) -> Iterator[tuple[str, Estimate]]:
    """Yield each speed-up, and threads / processes of each client, with their names."""
    for client in run.study.clients:
        if "serial" in run.study.modes:
            for mode in (mode for mode in POOLS if mode in run.study.modes):
                yield f"{client}, {mode}", summary.speed_up(run.rounds, client, mode)
        if set(ARTICLE_PAIR) <= set(run.study.modes):
            spans = (summary.of_cell(run.rounds, client, mode, "span_s") for mode in ARTICLE_PAIR)
            yield f"{client}, threads / processes", summary.ratio(*spans)


def half_width(run: RunResults, ratio: Estimate) -> float:
    """Return the half-width of a ratio's interval as a share: 0.05 for a factor of 1.05."""
    interval = ratio.interval(run.levels.difference)
    return math.inf if interval is None else math.sqrt(interval[1] / interval[0]) - 1


def widest(run: RunResults) -> tuple[str, float]:
    """Return the main ratio that is known least, by its name, with its half-width."""
    widths = [(name, half_width(run, ratio)) for name, ratio in main_ratios(run)]
    return max(widths, key=lambda pair: pair[1], default=("nothing", math.inf))


def is_reached(folder: Path) -> bool:
    """Return whether the run in a folder knows its main ratios as precisely as its study asks."""
    run = results.load(folder)
    asked, done = run.study.precision, run.trials["round"].nunique()
    return asked is not None and done >= LEAST_LOOK and widest(run)[1] <= asked
