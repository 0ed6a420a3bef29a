"""Write what a run says of functions of the user's, without a word about the article."""

import itertools
from dataclasses import dataclass

import pandas as pd

from experiment.analysis import own, summary
from experiment.analysis.own import Answer, Limit, PoolResult
from experiment.analysis.results import RunResults
from experiment.analysis.summary import digits, percent
from experiment.report import headline, markup
from experiment.vocabulary import MODES, is_function

LIMITS: dict[Limit, str] = {
    "memory": "the memory of this machine",
    "cores": "the cores, of which all are busy; more workers will not help",
    "GIL": "the GIL: the threads together use about one core, and processes are faster",
    "locks": "locks that threads share, of Python (the GIL) or of a library; processes are faster",
    "event loop": "the one thread of the event loop, which is busy",
    "idle workers": "idle workers: chunks of items, or few of them, leave some with nothing to do",
    "waiting": "waiting; more workers may help, and `make sweep` finds how many",
    "not known": "something that this run does not show",
}


def answer(results: RunResults) -> str:
    """Return the answer for each function of a run, as Markdown; empty without functions."""
    return "\n\n".join(_of_function(results, one) for one in own.answers(results))


def _of_function(results: RunResults, one: Answer) -> str:
    if not one.pools:
        return _first_line(results, one)
    lines = [_first_line(results, one), "", *_limits(results, one)]
    return "\n".join([*lines, *_failures(results, one.client)])


def in_short(results: RunResults) -> str:
    """Return one line for each function of a run, as Markdown; empty without functions."""
    return "\n".join(_first_line(results, one) for one in own.answers(results))


def _first_line(results: RunResults, one: Answer) -> str:
    name = f"`{one.client}`"
    if not one.pools:
        return f"**No answer yet for {name}**: no round of a pool and of serial was complete."
    return f"{_advice(one, name)} {_gains(results, one)}"


def _advice(one: Answer, name: str) -> str:
    ratio = one.difference.estimate
    took = f"threads took {ratio.shown} times as long as processes{ratio.beside}" if ratio else ""
    if one.use is None:
        return f"**Open for {name}**: {took or 'these rounds cannot tell'}; more rounds may decide."
    if one.use == "serial":
        return f"**Use a plain loop** for {name}: no pool is faster."
    if not took:
        return f"**Use {one.use}** for {name}."
    if one.difference.ruling.verdict == "holds":
        why = f"less than 10 % apart ({took})"
        return f"**Use threads** for {name}: processes perform the same, {why}{_memory(one)}."
    return f"**Use {one.use}** for {name}: {took}{_memory(one)}."


def _memory(one: Answer) -> str:
    """Return the memory of both pools, where it is known."""
    known = {pool.mode: pool.memory_mb for pool in one.pools if pool.memory_mb == pool.memory_mb}
    if not {"threads", "processes"} <= known.keys():
        return ""
    threads, processes = (digits(known[mode]) for mode in ("threads", "processes"))
    return f". Threads need {threads} MB, processes {processes} MB"


def _gains(results: RunResults, one: Answer) -> str:
    size = results.study.pool_size
    parts = [
        f"{size} workers in {pool.mode} are {pool.speed_up.shown} times as fast as a plain "
        f"loop{pool.speed_up.beside}"
        for pool in one.pools
    ]
    cpu = one.call_cpu_ms
    on_cpu = f", {cpu.shown} ms of it on the CPU" if cpu.rounds else ""
    call = f" A call takes {digits(one.call_s.value * 1000)} ms in serial{on_cpu}."
    return f"{'; '.join(parts)}.{call if one.call_s.rounds else ''}"


def _limits(results: RunResults, one: Answer) -> list[str]:
    return [f"- What limits {pool.mode}: {_limit(results, pool)}" for pool in one.pools]


def _limit(results: RunResults, pool: PoolResult) -> str:
    if pool.limit == "not known":
        return f"{LIMITS[pool.limit]}."
    return (
        f"{LIMITS[pool.limit]} ({digits(pool.cores_used)} of {results.cores} cores in use, "
        f"workers busy {percent(pool.utilisation)} of the time)."
    )


def _failures(results: RunResults, client: str) -> list[str]:
    fetches = results.fetches[results.fetches["client"] == client]
    failed = fetches["error"].dropna()
    if failed.empty:
        return []
    counted = ", ".join(
        f"{markup.escape(str(reason))} {count}" for reason, count in failed.value_counts().items()
    )
    return [
        f"- {len(failed)} of {len(fetches)} calls failed ({counted}); their trials do not count."
    ]


def table(results: RunResults) -> pd.DataFrame:
    """Return what was measured of each function, a row for each mode; means of the rounds."""
    names = [client for client in results.study.clients if is_function(client)]
    cells = itertools.product(names, MODES)
    measured = set(results.rounds[["client", "mode"]].itertuples(index=False, name=None))
    return pd.DataFrame([_row(results, *cell) for cell in cells if cell in measured])


def _row(results: RunResults, client: str, mode: str) -> dict[str, str]:
    def mean(column: str, factor: float = 1) -> str:
        """Return the mean of a quantity over rounds."""
        value = summary.mean(summary.of_cell(results.rounds, client, mode, column)).value
        return digits(value * factor)

    cpu, span = (
        summary.of_cell(results.rounds, client, mode, name) for name in ("fetch_cpu_s", "span_s")
    )
    speed_up = summary.speed_up(results.rounds, client, mode)
    seconds = summary.fetch_times(results.complete_fetches, client, mode)
    return {
        "function": client,
        "mode": mode,
        "total (s)": mean("span_s"),
        "times as fast [95 %]": "1" if mode == "serial" else str(speed_up),
        "a call (ms)": mean("fetch_mean_s", 1000),
        "95 % within (ms)": digits(float(seconds.quantile(0.95)) * 1000),
        "CPU of a call (ms)": mean("fetch_cpu_mean_ms"),
        "cores in use": digits(summary.mean(cpu / span).value),
        "memory (MB)": mean("python_pss_mb"),
    }


@dataclass(frozen=True, repr=False)
class Compared:
    """The comparison of the modes for one function, which a notebook shows."""

    results: RunResults

    def __repr__(self) -> str:
        return answer(self.results).replace("**", "").replace("`", "")

    def _repr_html_(self) -> str:
        from nbconvert.filters import markdown2html

        said = "\n\n".join(filter(None, [answer(self.results), headline.disturbed(self.results)]))
        shown = table(self.results).to_html(index=False, border=0)
        return f"{markdown2html(said)}{shown}{_picture(self.results)}"


def _picture(results: RunResults) -> str:
    """Return the swim lanes of a run as an image; nothing where no round is complete."""
    from experiment.report import figures

    figure = figures.drawn(figures.swim_lanes, results)
    if figure is None:
        return ""
    alt = "What each worker did when, by mode"
    return markup.image(figures.png(figure, 100), alt, "max-width: 100%")
