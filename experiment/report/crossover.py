"""Write the report of a crossover: how much Python a fetch may contain."""

from collections.abc import Sequence

import pandas as pd

from experiment.analysis.crossover import Crossover
from experiment.analysis.results import RunResults
from experiment.analysis.summary import brackets, digits, percent

NO_GIL = (
    "**There is no crossover to find**: this Python runs without the GIL, so threads use all cores "
    "for Python work, as processes do."
)

WORDS = {
    "holds": "the same",
    "does not hold": "different",
    "inconclusive": "open",
    "too few rounds": "too few rounds",
}
"""What the verdict on a level says of its pools."""


def answer(results: RunResults, found: Sequence[Crossover]) -> str:
    """Return, as Markdown, how much CPU a fetch may need before processes win."""
    if not results.run.machine.gil:
        return NO_GIL
    lines = [f"- {_of_size(one)}" for one in found]
    return "\n".join(lines) or "No level has complete rounds of threads and processes."


def _of_size(one: Crossover) -> str:
    same = (
        f"up to {digits(one.alike_ms)} ms the two perform the same, less than 10 % apart"
        if one.alike_ms is not None
        else "no level shows that the two perform the same"
    )
    if one.processes_ms is None:
        return (
            f"With {one.pool_size} workers, no level shows that processes win, up to "
            f"{digits(one.levels[-1].cpu_ms.value)} ms of Python a fetch; {same}."
        )
    return (
        f"With {one.pool_size} workers, **processes win once a fetch needs more than "
        f"{digits(one.processes_ms)} ms of Python**; {same}."
    )


def law(results: RunResults, found: Sequence[Crossover]) -> str:
    """Return how well the simple law predicts what was measured, as Markdown."""
    if not results.run.machine.gil:
        return "The law is about Python with the GIL."
    return "\n".join(f"- {_law_of(one)}" for one in found)


def _law_of(one: Crossover) -> str:
    return (
        f"{one.pool_size} workers: {_law_says(one)} Its ratios are {percent(one.law_error)} off on "
        f"average, {percent(one.worst_law_error)} at most."
    )


def _law_says(one: Crossover) -> str:
    if one.law_ms is None:
        return "on one core the law has no crossover."
    return f"the law puts the crossover at {digits(one.law_ms)} ms."


def table(results: RunResults, found: Sequence[Crossover]) -> pd.DataFrame:
    """Return a row for each level and pool size."""
    return pd.DataFrame(
        [
            {
                "workers": str(level.pool_size),
                "passes": str(level.passes),
                "CPU of a fetch (ms)": level.cpu_ms.shown,
                "threads (s)": level.threads_s.shown,
                "processes (s)": level.processes_s.shown,
                "threads / processes [90 %]": f"{level.ratio.shown} "
                f"{brackets(level.ratio.interval(results.levels.equivalence))}".strip(),
                "the law": digits(level.law),
                "the two are": WORDS.get(level.verdict, level.verdict),
            }
            for one in found
            for level in one.levels
        ]
    )
