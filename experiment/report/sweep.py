"""Write the sentences and the table of a sweep's report."""

from collections.abc import Sequence

import pandas as pd

from experiment.analysis import claims, sweeps
from experiment.analysis.results import RunResults
from experiment.analysis.summary import digits, percent
from experiment.analysis.sweeps import Recommendation, SizeResult


def answer(results: RunResults, sizes: Sequence[SizeResult]) -> str:
    """Return the plain answer, a line for each client and mode."""
    if claims.paced(results.study):
        return f"Not applicable: {claims.paced(results.study)}, not what a pool can do."
    lines = [_in_words(item) for item in sweeps.recommend(results, sizes)]
    complete = [(item.client, item.mode, item.size) for item in sizes]
    lines += [
        f"{client}, {mode}: {size} workers have no complete round and do not count."
        for client, mode, size in sweeps.wanted(results)
        if (client, mode, size) not in complete
    ]
    return "\n".join(f"- {line}" for line in lines)


def _in_words(item: Recommendation) -> str:
    at = item.at
    workers = "worker" if at.size == 1 else "workers"
    return (
        f"**{at.client}, {at.mode}: {item.words} {workers}**, {at.speed_up.shown} times as fast as "
        f"serial{at.speed_up.beside}; {_larger(item)}. With {at.size} the limit is {at.limit}: the "
        f"machine was {percent(at.machine_cpu)} busy, the trial itself used {digits(at.cores)} "
        "cores."
    )


def _larger(item: Recommendation) -> str:
    if item.best is None or item.gain is None:
        return "it is the largest measured here that gains, and a larger one may be faster still"
    return (
        f"no larger pool measured here is more than {percent(sweeps.WORTHWHILE_GAIN - 1)} "
        f"faster (the best of them, {item.best.size}, is {item.gain.shown} times as "
        f"fast{item.gain.beside})"
    )


def table(results: RunResults, sizes: Sequence[SizeResult]) -> pd.DataFrame:
    """Return a row for each client, mode and pool size."""
    return pd.DataFrame([_row(item, results.cores) for item in sizes])


def _row(item: SizeResult, cores: int | None) -> dict[str, str]:
    return {
        "client": item.client,
        "mode": item.mode,
        "workers": str(item.size),
        "total (s)": item.total.shown,
        "speed-up [95 %]": str(item.speed_up),
        "at most": item.ceiling.shown,
        "slow-down [95 %]": str(item.slow_down),
        f"cores used{f', of {cores}' if cores else ''}": digits(item.cores),
        "machine busy": percent(item.machine_cpu),
        "limit": item.limit,
    }
