"""Write what an engine for many machines costs, and whether another machine would help."""

from math import isfinite

import pandas as pd

from experiment.analysis import engine
from experiment.analysis.engine import ENGINE, MACHINES, POOL, Cost
from experiment.analysis.results import RunResults
from experiment.analysis.summary import digits, percent

HEADING = "## Would another machine help?"

INTRODUCTION = (
    "Dask hands tasks to workers on any number of machines, one page a task. The figure and the "
    "table compare it with a pool of as many processes: the time to fetch all pages, and the same "
    "with the start and the end of the workers."
)


def section(results: RunResults) -> str:
    """Return the section on the engine with its heading, as Markdown; empty without one."""
    found = engine.costs(results)
    if not found:
        return ""
    lines = [f"- {_sentence(results, one)}" for one in found]
    return "\n".join([HEADING, "", *lines, "", INTRODUCTION, "", _where(results)])


def _sentence(results: RunResults, one: Cost) -> str:
    return (
        f"**{one.client}, {one.pool_size} workers: {_answer(results, one)}** Dask took "
        f"{one.ratio.shown} times as long as processes{one.ratio.beside}. {_costs(one)}"
    )


def _answer(results: RunResults, one: Cost) -> str:
    """Return whether another machine would help."""
    if one.busy != one.busy:
        return "not known, since the load of the machine was not measured."
    used = f"{percent(one.busy)} of the cores are in use"
    if not one.cores_limit:
        return f"no, more workers would help first: {used}."
    if not one.cpu_ms.rounds or results.cores is None:
        return f"yes, the cores are the limit: {used}."
    pages = one.pages_to_pay(results.cores)
    if not isfinite(pages):
        return f"no: {used}, but the engine costs more than a second machine would save."
    return (
        f"yes, the cores are the limit: {used}. {MACHINES} machines like this one would pay from "
        f"about {max(1, round(pages)):,} pages on."
    )


def _costs(one: Cost) -> str:
    """Return what the engine costs at its start and for each fetch."""
    starts, gaps = one.startups_s, one.gaps_ms
    said = (
        f"Its workers took {starts[ENGINE]} s to start, those of the pool "
        f"{starts[POOL]} s. Between two fetches a worker waited {gaps[ENGINE]} ms for "
        f"its next one, in the pool {gaps[POOL]} ms."
    )
    if not one.cpu_ms.rounds:
        return said
    return (
        f"{said} Divided by the pages, the pool took {one.pool_cpu_ms} ms of CPU; with Dask the "
        f"difference is {one.cpu_ms} ms, the end of its workers included."
    )


def _where(results: RunResults) -> str:
    """Return where the workers were, and what that means for the clock."""
    trials = results.trials[results.trials["mode"] == ENGINE]
    processes = trials["dask_processes"].dropna()
    counted = f"{processes.max():.0f} processes of Dask ran the tasks. " if len(processes) else ""
    if results.study.scheduler is None:
        beside = (
            " and a pool hands out chunks, so its workers may be idle for less time"
            if results.study.pages_in_a_chunk() > 1
            else ", as the pool did"
        )
        return (
            f"{counted}They were on this machine, where an engine adds no cores. It hands out one "
            f"page at a time{beside}."
        )
    error_ms = float(trials["clock_error_s"].max()) * 1000
    return (
        f"{counted}Their scheduler was `{results.study.scheduler}`. How long a fetch took, its own "
        "worker measured. When it began is known by the offset of the worker's clock, measured "
        f"before and after each trial, within {digits(error_ms)} ms; the total within twice that. "
        "The way of a page may include a network, and the CPU and memory of the workers are not "
        "known."
    )


def table(results: RunResults) -> str:
    """Return totals, rates, start and gaps of the engine and of the pool as HTML; empty without."""
    rows = _rows(results)
    return rows.to_html(index=False, classes="numbers", border=0) if len(rows) else ""


def _rows(results: RunResults) -> pd.DataFrame:
    pages = results.study.pages
    return pd.DataFrame(
        [
            {
                "client": one.client,
                "workers": str(one.pool_size),
                "mode": mode,
                "total (s)": str(one.totals_s[mode]),
                "pages/s": digits(pages / one.totals_s[mode].value),
                "start (s)": str(one.startups_s[mode]),
                "between fetches (ms)": str(one.gaps_ms[mode]),
            }
            for one in engine.costs(results)
            for mode in (POOL, ENGINE)
        ]
    )
