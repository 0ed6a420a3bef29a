"""Read the article's own measurements of 2018 from their run, `data/article-2018`."""

from functools import cache
from typing import Literal

import pandas as pd

from experiment import records
from experiment.analysis import summary
from experiment.study import PROJECT, Study

REPOSITORY = "https://github.com/thedataincubator/python-multi-benchmark"

FOLDER = PROJECT / "data" / "article-2018"

Quantity = Literal["span_s", "fetch_mean_s", "speed_up", "slow_down"]

OWN_FIGURES = (
    "**This is the article itself**: its published measurements of 2018, converted, and not a "
    "study by this program. Its six trials ran once, one after another. They had no random order, "
    "no controls and no timed phases, whatever else is said of how a study measures. What the "
    "article did not publish is empty, and the figures of 2018 beside this run are its own."
)

PARAMETERS = ("pool_size", "pages", "rounds", "repeats", "clients", "modes", "source", "chunk_size")
"""The parameters of a study that say something of the article's; it had no timeout, say."""


@cache
def measured(client: str, mode: str, quantity: Quantity) -> float | None:
    """Return what the article measured, in seconds or as a ratio; None where it did not.

    Raises `UserError` where the article's run is missing or damaged.
    """
    rounds = _rounds()
    ratios = {"speed_up": summary.speed_up, "slow_down": summary.slow_down}
    if quantity in ratios:
        estimate = ratios[quantity](rounds, client, mode)
    else:
        estimate = summary.mean(summary.of_cell(rounds, client, mode, quantity))
    return estimate.value if estimate.rounds else None


@cache
def _rounds() -> pd.DataFrame:
    return summary.per_round(summary.per_trial(*records.load(FOLDER)))


def is_article(study: Study) -> bool:
    """Return whether a study is the article's own."""
    return study.run == FOLDER.name
