"""The report's sentences and tables, built from the numbers so that they cannot contradict them."""

import functools
import html
import itertools
import math
from collections.abc import Sequence

import pandas as pd

from experiment import summary
from experiment.records import Run
from experiment.study import Study, as_words
from experiment.summary import Estimate, brackets, digits

MODES = ("serial", "threads", "processes")
PARALLEL = ("threads", "processes")


def headline(rounds: pd.DataFrame, study: Study) -> str:
    """The answer in a few sentences, a paragraph for each client."""
    paragraphs = [_of_client(rounds, study, client) for client in study.clients]
    return "\n\n".join([*paragraphs, _few(rounds, study)]).strip()


def _of_client(rounds: pd.DataFrame, study: Study, client: str) -> str:
    totals = _totals(rounds, client)
    if not totals:
        return f"**{client}**: no round was complete, so nothing can be said of it."
    parts = [
        f"{_pool(study, mode)} were **{digits(ratio.value)} times** as fast as serial"
        f"{_in_brackets(ratio)}"
        for mode in PARALLEL
        if (ratio := summary.speed_up(rounds, client, mode)).rounds
    ]
    sooner = f"{'; '.join(parts)}. " if parts else f"{_list_of(totals)}. "
    return f"**{client}**: {sooner}{_threads_or_processes(rounds, client)}".strip()


def _totals(rounds: pd.DataFrame, client: str) -> dict[str, Estimate]:
    found = {mode: summary.mean(summary.of_cell(rounds, client, mode, "total_s")) for mode in MODES}
    return {mode: estimate for mode, estimate in found.items() if estimate.rounds}


def _list_of(totals: dict[str, Estimate]) -> str:
    return ", ".join(f"{mode} took {digits(total.value)} s" for mode, total in totals.items())


def _threads_or_processes(rounds: pd.DataFrame, client: str) -> str:
    """Which of the two was faster, and whether the rounds can tell."""
    threads, processes = (
        summary.of_cell(rounds, client, mode, "total_s") for mode in ("threads", "processes")
    )
    ratio = summary.ratio(threads, processes)
    if not ratio.rounds:
        return ""
    said = f"Threads took {digits(ratio.value)} times as long as processes{_in_brackets(ratio)}"
    if ratio.rounds < summary.ENOUGH_ROUNDS or ratio.ci95 is None:
        return f"{said}."
    if ratio.ci95[0] <= 1 <= ratio.ci95[1]:
        return f"{said}: these rounds cannot tell them apart."
    return f"{said}: {'processes' if ratio.value > 1 else 'threads'} were faster."


def _in_brackets(ratio: Estimate) -> str:
    return f" {brackets(ratio.ci95)}" if ratio.ci95 else ""


def _pool(study: Study, mode: str) -> str:
    names = {"threads": "thread", "processes": "process"}
    return f"{study.pool_size} {mode}" if study.pool_size > 1 else f"1 {names[mode]}"


def _few(rounds: pd.DataFrame, study: Study) -> str:
    done = rounds["round"].nunique()
    if done >= summary.ENOUGH_ROUNDS:
        return f"In brackets: 95 % intervals over {done} rounds."
    return (
        f"Only {done} complete round{'s' if done != 1 else ''}: too few to judge by; "
        f"a study needs {summary.ENOUGH_ROUNDS} (`ROUNDS={max(study.rounds, 5)}`)."
    )


def answers(rounds: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The answer as a table: a row for each client and mode, beside the article's figures."""
    rows = [_answer(rounds, client, mode) for client in study.clients for mode in study.modes]
    return pd.DataFrame(rows).set_index(["client", "mode"]).rename_axis([None, None])


def _answer(rounds: pd.DataFrame, client: str, mode: str) -> dict[str, str]:
    then = functools.partial(summary.in_2018, client, mode)
    total = summary.mean(summary.of_cell(rounds, client, mode, "total_s"))
    fetch = summary.mean(summary.of_cell(rounds, client, mode, "fetch_mean_s"))
    faster, slower = (
        function(rounds, client, mode) for function in (summary.speed_up, summary.slow_down)
    )
    serial = mode == "serial"
    return {
        "client": client,
        "mode": mode,
        "total (s)": digits(total.value),
        "speed-up [95 %]": "1" if serial else str(faster),
        "2018": "1" if serial else digits(then("speedup_vs_serial")),
        "one fetch (s)": digits(fetch.value),
        "slow-down [95 %]": "1" if serial else str(slower),
        "2018 ": "1" if serial else digits(then("fetch_mean_ratio_vs_serial")),
    }


def fetch_times_read(rounds: pd.DataFrame, study: Study) -> str:
    """What figure 1 shows."""
    lines = []
    for client in study.clients:
        for mode in PARALLEL:
            ratio = summary.slow_down(rounds, client, mode)
            if ratio.rounds:
                lines.append(
                    f"- {client}: one fetch in {mode} took {digits(ratio.value)} times as long as "
                    f"in serial{_in_brackets(ratio)}{_against_one(ratio)}"
                )
    return "\n".join(lines) or "There is no serial mode to compare with."


def _against_one(ratio: Estimate) -> str:
    if ratio.ci95 is None or ratio.rounds < summary.ENOUGH_ROUNDS:
        return "."
    if ratio.ci95[0] > 1:
        return ": slower."
    return ": faster." if ratio.ci95[1] < 1 else ": no clear difference."


def totals_read(rounds: pd.DataFrame, study: Study, cores: int) -> str:
    """What figure 2 shows: how near each parallel total comes to its lower bounds."""
    limits = summary.bounds(rounds, cores)
    lines = []
    for client in study.clients:
        for mode, total in _totals(rounds, client).items():
            if mode == "serial":
                continue
            cell = limits[(limits["client"] == client) & (limits["mode"] == mode)]
            waiting, cpu = cell["waiting_s"].mean(), cell["cpu_s"].mean()
            known = (
                f"{digits(waiting)} s is the least for the waiting, " if pd.notna(waiting) else ""
            )
            lines.append(
                f"- {client}, {mode}: {digits(total.value)} s; {known}"
                f"{digits(cpu)} s is the least for the CPU work on {cores} cores."
            )
    return "\n".join(lines) or "No parallel mode was measured."


def swim_lanes(rounds: pd.DataFrame, study: Study) -> list[tuple[str, str, int, int, int]]:
    """The lanes to draw: client, mode, round nearest the median, its repeat, pages in a chunk."""
    lanes: list[tuple[str, str, int, int, int]] = []
    for client in study.clients:
        for mode in PARALLEL:
            number = summary.typical_round(rounds, client, mode)
            if number is not None:
                repeat = int(summary.of_cell(rounds, client, mode, "repeat")[number])
                lanes.append((client, mode, number, repeat, chunk_size(study)))
    return lanes


def chunk_size(study: Study) -> int:
    """Pages that the pool hands to a worker at a time; the library aims at four for each."""
    return study.chunk_size or math.ceil(study.pages / (4 * study.pool_size))


def swim_lanes_read(rounds: pd.DataFrame, study: Study) -> str:
    """What figure 4 shows: how much of the pool's time was idle."""
    lines = []
    for client in study.clients:
        for mode in PARALLEL:
            busy = summary.mean(summary.of_cell(rounds, client, mode, "utilisation"))
            if busy.rounds:
                lines.append(f"- {client}, {mode}: workers were busy {busy.value:.0%} of the time.")
    return "\n".join(lines)


def phases_read(rounds: pd.DataFrame, browsers: Sequence[str]) -> str:
    """What figure 6 shows: how much of a fetch's extra time falls in the start of the browser."""
    lines = [_phases_read(rounds, client, mode) for client in browsers for mode in PARALLEL]
    if not browsers:
        return "No browser's trial was complete."
    return "\n".join(filter(None, lines)) or "There is no serial mode to compare with."


def _phases_read(rounds: pd.DataFrame, client: str, mode: str) -> str | None:
    longer, start = (
        summary.mean(
            summary.of_cell(rounds, client, mode, column)
            - summary.of_cell(rounds, client, "serial", column)
        )
        for column in ("fetch_mean_s", "browser_start_mean_s")
    )
    if not longer.rounds:
        return None
    if longer.value <= 0:
        return f"- {client}, {mode}: a fetch took no longer than in serial."
    return (
        f"- {client}, {mode}: a fetch took {digits(longer.value)} s longer than in serial, and "
        f"starting the browser {digits(start.value)} s longer, {start.value / longer.value:.0%} of "
        "that; without the start phase the speed-up would be "
        f"{summary.speed_up_without_start(rounds, client, mode)}."
    )


def left_out(fetches: pd.DataFrame, trials: pd.DataFrame) -> str:
    """What went wrong and does not count."""
    failed = fetches["error"].dropna().value_counts()
    died = trials.loc[trials["state"] == "failed", "reason"].value_counts()
    if failed.empty and died.empty:
        return f"All {len(trials)} trials were complete: no fetch of {len(fetches):,} failed."
    touched = trials[(trials["state"] == "failed") | (trials["failed"] > 0)]
    causes = [f"{html.escape(str(name))} {count}" for name, count in failed.items()]
    ends = [f"{html.escape(str(name))} {count}" for name, count in died.items()]
    return (
        f"{len(touched)} of {len(trials)} trials were not complete and do not count. "
        f"Failed fetches: {', '.join(causes) or 'none'}. Ended trials: {', '.join(ends) or 'none'}."
    )


def pages_said(fetches: pd.DataFrame, study: Study) -> str:
    """What pages were fetched, and what follows for the intervals."""
    if study.source == "embedded":
        return (
            f"Pages came from the embedded origin ({'HTTPS' if study.tls else 'plain HTTP'}, "
            f"latency factor {study.latency:g}): {study.pages} pages a round, new ones each round, "
            "the same for every mode."
        )
    if "://" in study.source:
        return (
            f"Every fetch asked <code>{html.escape(study.source)}</code> and followed where it "
            f"led: {fetches['final_url'].nunique()} different pages were seen, so the pages differ "
            "by mode."
        )
    different = fetches["url"].nunique()
    shared = different < study.pages * study.rounds
    again = " Rounds shared pages, so the intervals hold for these pages only." if shared else ""
    cycled = f" The list is shorter than {study.pages}, so a trial fetched pages more than once."
    return (
        f"Pages came from a list: {different} different URLs.{again}"
        f"{cycled if different < study.pages else ''}"
    )


def instrument(fetches: pd.DataFrame, trials: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The instrument's own error, by client and mode."""
    busy = trials.groupby(["client", "mode"])["other_cpu"].max().map("{:.0%}".format)
    table = pd.DataFrame({"other use of the CPU before a trial, at most": busy})
    errors = summary.delay_error(fetches)
    names = {
        "late_median_ms": "origin late (ms): median",
        "late_p99_ms": "99 %",
        "above_median_ms": "fetch less origin's delay (ms): median",
        "above_p99_ms": "99 % ",
    }
    shown = table.join(errors[list(names)].map(digits).rename(columns=names)).fillna("-")
    order = [cell for cell in itertools.product(study.clients, MODES) if cell in shown.index]
    return shown.loc[order].rename_axis([None, None])


def on_what(run: Run) -> pd.DataFrame:
    """The machine and the versions, a row each."""
    machine = run.machine
    rows = {
        "processor": f"{machine.cpu}, {machine.cores} cores, {machine.memory_gb} GB",
        "system": f"{machine.system}, kernel {run.kernel}",
        "Python": f"{machine.python}, GIL {'on' if machine.gil else 'off'}, "
        f"processes start by {machine.start_method}",
        **{f"{name} (browser)": words for name, words in machine.browsers.items()},
        "packages": ", ".join(f"{name} {number}" for name, number in machine.packages.items()),
        "code": run.commit or "not under git",
        "measured": f"{run.started_at:%Y-%m-%d %H:%M} UTC",
    }
    return pd.DataFrame({"": rows})


def parameters(study: Study) -> pd.DataFrame:
    """The parameters of the study, a row each."""
    fields = type(study).model_fields
    rows = {name: as_words(getattr(study, name)) for name in fields if name != "run"}
    meanings = [fields[name].description for name in rows]
    return pd.DataFrame({"value": rows.values(), "meaning": meanings}, index=list(rows))
