"""Write what several runs say in one view."""

import textwrap

import pandas as pd

from experiment.analysis import many_runs
from experiment.analysis.many_runs import ManyRuns, Pair, Point
from experiment.analysis.summary import ENOUGH_ROUNDS
from experiment.report import markup
from experiment.vocabulary import ARTICLE_PAIR

DIFFERENCES_SHOWN = 3
"""The differences between two runs that are said."""

NOTHING = "No run here has complete rounds of serial and of a pool."


def answer(many: ManyRuns) -> str:
    """Return which pools gain most, and how threads and processes compare over the runs."""
    points = [
        point for point in many_runs.points(many) if point.speed_up.rounds >= ENOUGH_ROUNDS
    ] or many_runs.points(many)
    if not points:
        return NOTHING
    lines = [_fastest(client, points) for client in dict.fromkeys(it.client for it in points)]
    return "\n".join([*lines, *_alike(many_runs.pairs(many))])


def _fastest(client: str, points: list[Point]) -> str:
    best = max((it for it in points if it.client == client), key=lambda it: it.speed_up.value)
    return (
        f"- **{client}** gained most in {markup.escape(best.run)}: {best.pool_size} workers in "
        f"{best.mode} were {best.speed_up.shown} times as fast as serial{best.speed_up.beside}."
    )


def _alike(pairs: list[Pair]) -> list[str]:
    judged = [pair for pair in pairs if pair.alike is not None]
    if not judged:
        return []
    same = sum(pair.alike is True for pair in judged)
    processes = sum(pair.alike is False and pair.ratio.value > 1 for pair in judged)
    threads = len(judged) - same - processes
    open_pairs = len(pairs) - len(judged)
    also = f", {open_pairs} are open" if open_pairs else ""
    return [
        f"- **Threads or processes**: of {len(pairs)} comparisons, {same} show the two within "
        f"10 %, {processes} show processes faster, {threads} show threads faster{also}."
    ]


def table(many: ManyRuns) -> pd.DataFrame:
    """Return a row for each run, client and pool size, then for all runs, if they are alike."""
    every_point = [*many_runs.points(many), *many_runs.combined_points(many)]
    every_pair = [*many_runs.pairs(many), *many_runs.combined_pairs(many)]
    points = {(it.run, it.client, it.pool_size, it.mode): it for it in every_point}
    pairs = {(it.run, it.client, it.pool_size): it.ratio for it in every_pair}
    others = sorted({it.mode for it in points.values()} - {*ARTICLE_PAIR})
    rows = []
    for place in dict.fromkeys(key[:3] for key in points):
        run, client, size = place
        of_mode = {mode: points.get((*place, mode)) for mode in (*ARTICLE_PAIR, *others)}
        rounds = max(it.speed_up.rounds for it in of_mode.values() if it)
        rows.append(
            {
                "run": run,
                "client": client,
                "workers": str(size),
                "rounds": str(rounds),
                **{
                    f"{mode}: times as fast [95 %]": str(it.speed_up) if it else "-"
                    for mode, it in of_mode.items()
                },
                "threads / processes [95 %]": str(pairs[place]) if place in pairs else "-",
            }
        )
    return pd.DataFrame(rows)


def combined(many: ManyRuns) -> str:
    """Return whether the last rows of the table are over all runs, and why not if not."""
    if why_not := many_runs.why_not_combined(many):
        shown = textwrap.shorten(why_not, 160, placeholder=" ...")
        return f"These runs are not combined: {markup.escape(shown)}."
    return (
        f"These {len(many.runs)} runs are alike, so the last rows of the table combine them. Each "
        "run is one value; the interval says what another run on this machine may find."
    )


def shared(many: ManyRuns) -> str:
    """Return the ratios that runs on the same pages share, and why the others share none."""
    lines = [
        f"- {markup.escape(it.first)} ({it.sizes[0]} workers) took {it.ratio.shown} times as long "
        f"as {markup.escape(it.second)} ({it.sizes[1]} workers){it.ratio.beside}: {it.client}, "
        f"{it.mode}."
        for it in many_runs.shared(many)
    ]
    return "\n".join([*lines, *_apart(many)])


def _apart(many: ManyRuns) -> list[str]:
    """Return why a run shares no ratio with the first one, a line each."""
    (first, one), *others = many.runs.items()
    return [
        f"- {markup.escape(name)} stands beside {markup.escape(first)}: {_first_of(unlike)}."
        for name, other in others
        if (unlike := many_runs.differences(one, other))
    ]


def _first_of(unlike: list[str]) -> str:
    """Return the first differences in words, and how many more there are."""
    more = len(unlike) - DIFFERENCES_SHOWN
    shown = [*unlike[:DIFFERENCES_SHOWN], *([f"{more} more differences"] if more > 0 else [])]
    return markup.escape("; ".join(shown))
