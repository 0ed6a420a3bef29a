"""Set several runs into one view: speed-ups by pool size, shared ratios, alike runs combined."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import pandas as pd

from experiment.analysis import claims, rules, runs, summary
from experiment.analysis.results import RunResults
from experiment.analysis.summary import Estimate
from experiment.errors import UserError
from experiment.values import listed
from experiment.vocabulary import ARTICLE_PAIR, POOLS


@dataclass(frozen=True)
class ManyRuns:
    """Runs by name, under the name of the page that shows them."""

    name: str
    runs: Mapping[str, RunResults]


@dataclass(frozen=True)
class Point:
    """The speed-up of a pool in a run, against serial of the same rounds."""

    run: str
    client: str
    mode: str
    pool_size: int
    speed_up: Estimate


@dataclass(frozen=True)
class Pair:
    """Threads against processes at a pool size of a run; `alike` is None where it is open."""

    run: str
    client: str
    pool_size: int
    ratio: Estimate
    alike: bool | None


@dataclass(frozen=True)
class Shared:
    """How many times as long a pool takes in one run as in another, on the same pages."""

    first: str
    second: str
    client: str
    mode: str
    sizes: tuple[int, int]
    ratio: Estimate


def of_names(name: str, names: object) -> ManyRuns:
    """Return runs by name, all readable ones for none; raise `UserError` for fewer than two."""
    wanted = listed(names) or []
    for twice in (one for one in wanted if wanted.count(one) > 1):
        raise UserError(f"runs: {twice} is named twice; name each run once")
    try:
        found = runs.of_names(names)
    except UserError as mistake:
        raise UserError(f"runs: {mistake}") from None
    kept = {one: results for one, results in found.items() if results.study.kind != "crossover"}
    if len(kept) < 2:
        words = " ".join(kept) or "none"
        raise UserError(f"runs: {words} is not two runs or more, of make report or make sweep")
    return ManyRuns(name, kept)


def points(many: ManyRuns) -> list[Point]:
    """Return the speed-ups of all pools that have complete rounds; paced runs have none."""
    return [
        Point(name, client, mode, size, speed_up)
        for name, client, size, rounds in _cells(many)
        for mode in POOLS
        if (speed_up := summary.speed_up(rounds, client, mode)).rounds
    ]


def _cells(many: ManyRuns) -> Iterator[tuple[str, str, int, pd.DataFrame]]:
    """Yield each run, client and pool size with its rounds; totals of paced runs do not count."""
    for name, results in many.runs.items():
        if not claims.paced(results.study):
            for client, size in itertools.product(results.study.clients, results.study.sizes):
                yield name, client, size, summary.of_size(results.rounds, size)


def _span(rounds: pd.DataFrame, client: str, mode: str) -> "pd.Series[float]":
    return summary.of_cell(rounds, client, mode, "span_s")


def pairs(many: ManyRuns) -> list[Pair]:
    """Return threads against processes, for each run, client and pool size that has both."""
    return [
        Pair(name, client, size, ratio, _alike(many.runs[name], ratio))
        for name, client, size, rounds in _cells(many)
        if (ratio := summary.ratio(*(_span(rounds, client, mode) for mode in ARTICLE_PAIR))).rounds
    ]


def _alike(results: RunResults, ratio: Estimate) -> bool | None:
    if not ratio.has_enough_rounds:
        return None
    verdict = rules.NO_DIFFERENCE.judge(ratio, results.levels).verdict
    return {"holds": True, "does not hold": False}.get(verdict)


def why_not_combined(many: ManyRuns) -> str:
    """Return what keeps these runs from being combined; empty if they are alike."""
    if len(many.runs) < runs.ENOUGH_RUNS:
        return f"it takes {runs.ENOUGH_RUNS} runs or more, each one value"
    return runs.first_difference(many.runs)


def combined_points(many: ManyRuns) -> list[Point]:
    """Return the speed-ups over all runs, each run one value; empty where they are not alike."""
    cells = _by_cell(many, points(many), "client", "mode", "pool_size")
    return [
        Point(_all(many), client, mode, size, summary.over_runs([it.speed_up for it in own]))
        for (client, mode, size), own in cells.items()
    ]


def combined_pairs(many: ManyRuns) -> list[Pair]:
    """Return threads against processes over all runs, each run one value, where they are alike."""
    cells = _by_cell(many, pairs(many), "client", "pool_size")
    return [
        Pair(_all(many), client, size, summary.over_runs([it.ratio for it in own]), alike=None)
        for (client, size), own in cells.items()
    ]


def _by_cell(many: ManyRuns, items: Sequence[Any], *names: str) -> dict[tuple[Any, ...], list[Any]]:
    """Return the items by the values of these attributes; none where the runs are not alike."""
    if why_not_combined(many):
        return {}
    cell = attrgetter(*names)
    return {one: [item for item in items if cell(item) == one] for one in map(cell, items)}


def _all(many: ManyRuns) -> str:
    return f"all {len(many.runs)} runs"


def shared(many: ManyRuns) -> list[Shared]:
    """Return the ratios of the runs that have the same pages, machine and design."""
    return [
        one
        for first, second in itertools.combinations(many.runs, 2)
        if not differences(many.runs[first], many.runs[second])
        for one in _shared(many, first, second)
    ]


def _shared(many: ManyRuns, first: str, second: str) -> Iterator[Shared]:
    one, other = many.runs[first], many.runs[second]
    sizes = one.study.pool_size, other.study.pool_size
    for client, mode in itertools.product(one.study.clients, POOLS):
        ratio = summary.ratio(*(_span(it.rounds, client, mode) for it in (one, other)))
        if ratio.rounds:
            yield Shared(first, second, client, mode, sizes, ratio)


def differences(one: RunResults, other: RunResults) -> list[str]:
    """Return what keeps two runs from sharing a ratio: all but their pool sizes must be the same.

    The rounds of two runs have the same pages where the embedded origin drew them by one seed.
    """
    found = runs.unlike_design(one.run, other.run, but=("pool_size",))
    if one.study.kind == other.study.kind == "sweep":
        found.append("both are sweeps, each with a serial loop of its own")
    if one.study.source != "embedded" or other.study.source != "embedded":
        found.append("not both have pages of the embedded origin")
    if one.study.seed != other.study.seed:
        found.append(f"seed {one.study.seed}, {other.study.seed}")
    return found
