"""What the figures and the controls show, and how it was measured: sentences and tables.

They are built from the numbers and the verdicts, so that they cannot contradict them.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence

import pandas as pd

from experiment.analysis import runs, summary
from experiment.analysis.claims import Comparison, JudgedClaim, cells_of
from experiment.analysis.results import RunResults
from experiment.analysis.rules import Ruling
from experiment.analysis.summary import Estimate, digits, percent
from experiment.records import Run
from experiment.report import headline, markup
from experiment.study import Study, as_words
from experiment.vocabulary import ARTICLE_PAIR, BROWSERS, MODES, POOLS

NOTHING_TO_COMPARE = "There are no complete rounds of a pool and of serial to compare."


def about(run: Run, rounds_done: int) -> str:
    """What the run is about, in a sentence: pools, pages, rounds, machine."""
    study, machine = run.study, run.machine
    sizes = " ".join(map(str, study.sizes))
    pools = f"pool sizes **{sizes}**" if study.is_sweep else f"pool size **{sizes}**"
    return (
        f"This run: {pools}, {study.pages} pages a trial, {rounds_done} of {study.rounds} rounds, "
        f"{' and '.join(study.clients)}; measured on {run.started_at:%Y-%m-%d}, "
        f"{markup.escape(machine.cpu)}, {machine.cores} cores, "
        f"Python {markup.escape(machine.python)}."
    )


def answers(rounds: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The answer as a table: a row for each client and mode, beside the article's figures."""
    rows = [_answer(rounds, client, mode) for client in study.clients for mode in study.modes]
    return pd.DataFrame(rows).set_index(["client", "mode"]).rename_axis([None, None])


def _answer(rounds: pd.DataFrame, client: str, mode: str) -> dict[str, str]:
    then = functools.partial(summary.in_2018, client, mode)
    total = summary.mean(summary.of_cell(rounds, client, mode, "span_s"))
    fetch = summary.mean(summary.of_cell(rounds, client, mode, "fetch_mean_s"))
    faster, slower = (
        function(rounds, client, mode) for function in (summary.speed_up, summary.slow_down)
    )
    serial = mode == "serial"
    return {
        "client": client,
        "mode": mode,
        "total (s)": total.shown,
        "speed-up [95 %]": "1" if serial else str(faster),
        "speed-up in 2018": "1" if serial else digits(then("speedup_vs_serial")),
        "one fetch (s)": fetch.shown,
        "slow-down [95 %]": "1" if serial else str(slower),
        "slow-down in 2018": "1" if serial else digits(then("fetch_mean_ratio_vs_serial")),
    }


def fetch_times_read(judged: Sequence[JudgedClaim]) -> str:
    """What figure 1 shows."""
    lines = [
        f"- {cell.client}: one fetch in {cell.mode} took {cell.found.shown} times as "
        f"long as in serial{cell.found.beside}{_slower(cell.ruling)}."
        for cell in cells_of(judged, "fetch-slower")
        if cell.found
    ]
    return "\n".join(lines) or NOTHING_TO_COMPARE


def _slower(ruling: Ruling) -> str:
    words = {
        "holds": ": slower",
        "weaker": f": slower, but {ruling.reason}",
        "does not hold": ": not slower",
        "inconclusive": ": whether that is slower is open",
    }
    return words.get(ruling.verdict, "")


def distribution_read(fetches: pd.DataFrame, study: Study) -> str:
    """What figure 3 shows: the median and the slowest twentieth of the fetches."""
    seconds = {cell: rows["fetch_s"] for cell, rows in fetches.groupby(["client", "mode"])}
    lines = []
    for client in study.clients:
        parts = [
            f"{digits(own.median())} and {digits(float(own.quantile(0.95)))} s in {mode}"
            for mode in study.modes
            if (own := seconds.get((client, mode))) is not None
        ]
        lines += [f"- {client}: {', '.join(parts)}."] if parts else []
    if not lines:
        return "No trial was complete."
    return "Half of the fetches, and 95 % of them, were done within\n\n" + "\n".join(lines)


def totals_read(rounds: pd.DataFrame, study: Study, cores: int) -> str:
    """What figure 2 shows: how near each parallel total comes to its lower bounds."""
    limits = summary.bounds(rounds, cores)
    lines = []
    for client in study.clients:
        for mode in POOLS:
            total = summary.mean(summary.of_cell(rounds, client, mode, "span_s"))
            if not total.rounds:
                continue
            cell = limits[(limits["client"] == client) & (limits["mode"] == mode)]
            waiting, cpu = cell["waiting_s"].mean(), cell["cpu_s"].mean()
            known = (
                f"{digits(waiting)} s is the least for the waiting, " if pd.notna(waiting) else ""
            )
            lines.append(
                f"- {client}, {mode}: {total.shown} s; {known}"
                f"{digits(cpu)} s is the least for the CPU work on {cores} cores."
            )
    return "\n".join(lines) or "No parallel mode was measured."


def swim_lanes(rounds: pd.DataFrame, study: Study) -> list[tuple[str, str, int, int, int]]:
    """The lanes to draw: client, mode, round nearest the median, its repeat, pages in a chunk."""
    lanes: list[tuple[str, str, int, int, int]] = []
    for client in study.clients:
        for mode in POOLS:
            number = summary.typical_round(rounds, client, mode)
            if number is not None:
                repeat = int(summary.of_cell(rounds, client, mode, "repeat")[number])
                lanes.append((client, mode, number, repeat, study.pages_in_a_chunk()))
    return lanes


def swim_lanes_read(rounds: pd.DataFrame, study: Study) -> str:
    """What figure 4 shows: how much of the pool's time was idle."""
    lines = [
        f"- {client}, {mode}: workers were busy {percent(busy.value)} of the time."
        for client, mode in itertools.product(study.clients, POOLS)
        if (busy := summary.mean(summary.of_cell(rounds, client, mode, "utilisation"))).rounds
    ]
    return "\n".join(lines) or "No parallel trial was complete."


def compared(rounds: pd.DataFrame, study: Study) -> list[tuple[str, str]]:
    """The clients and modes of figure 5: those that have a speed-up."""
    return [
        cell
        for cell in itertools.product(study.clients, POOLS)
        if summary.speed_up(rounds, *cell).rounds
    ]


def losses_title(rounds: pd.DataFrame, cells: Sequence[tuple[str, str]]) -> str:
    """What figure 5 shows, in a line."""
    lost = [summary.losses(rounds, *cell) for cell in cells]
    left, measured = ([step[place] for step in lost] for place in (1, 2))
    size = max(step[0] for step in lost)
    return (
        f"Of {size:.0f} times, idle workers leave {_range(left)}, slower fetches {_range(measured)}"
    )


def _range(values: Sequence[float]) -> str:
    ends = dict.fromkeys(map(digits, (min(values), max(values))))
    return " to ".join(ends)


def losses_read(rounds: pd.DataFrame, study: Study) -> str:
    """What figure 5 shows: the factors by which the ideal shrinks."""
    lines = []
    for client, mode in compared(rounds, study):
        size, left, measured = summary.losses(rounds, client, mode)
        slower = left / measured
        lines.append(
            f"- {client}, {mode}: of {size:.0f} times, idle workers leave {digits(left)}; "
            f"fetches that take {digits(slower)} times as long leave {digits(measured)}."
        )
    return "\n".join(lines) or NOTHING_TO_COMPARE


def against_each_other(results: RunResults) -> list[tuple[str, Estimate, bool]]:
    """The lines of figure 7: label, ratio, and whether it is the A/A control."""
    lines: list[tuple[str, Estimate, bool]] = []
    for client in results.study.clients:
        totals = (summary.of_cell(results.rounds, client, mode, "span_s") for mode in ARTICLE_PAIR)
        alike, first = summary.aa_control(results.main_trials, client)
        middle = ", median repeats" if alike.rounds else ""
        lines += [
            (f"{client}: threads / processes{middle}", summary.ratio(*totals), False),
            (f"{client}: threads / processes, repeat 1", first, False),
            (f"{client}: threads / threads, repeats 1 / 2", alike, True),
        ]
    return [line for line in lines if line[1].rounds]


def against_each_other_read(
    lines: Sequence[tuple[str, Estimate, bool]], judged: Sequence[JudgedClaim], study: Study
) -> str:
    """What figure 7 shows, and whether its control is what it should be."""
    said = [
        f"- {client}: {words}"
        for client in study.clients
        if (words := headline.threads_or_processes(judged, client))
    ]
    controls = [(label, found) for label, found, is_control in lines if is_control]
    for label, found in controls:
        said.append(
            f"- {label}: {found.shown} {summary.brackets(found.ci99)} (99 %){_as_it_should(found)}."
        )
    if said and not controls:
        said.append("- No A/A control: a pool ran once a round; `REPEATS=3` repeats it.")
    return "\n".join(said) or "There are no complete rounds of both pools to compare."


def against_each_other_title(judged: Sequence[JudgedClaim]) -> str:
    """What figure 7 shows, in a line."""
    words = {"holds": "the same within 10 %", "does not hold": "not the same"}
    parts = [
        f"{cell.client} {words.get(cell.ruling.verdict, cell.ruling.verdict)}"
        for cell in cells_of(judged, "no-difference")
        if cell.found
    ]
    return f"Threads and processes: {', '.join(parts)}"


def _as_it_should(control: Estimate) -> str:
    if not control.enough or control.ci99 is None:
        return ", too few rounds"
    if control.ci99[0] <= 1 <= control.ci99[1]:
        return ", which holds 1, as it should"
    return ", which should hold 1 and does not: something disturbed the measurement"


def phases_read(rounds: pd.DataFrame, judged: Sequence[JudgedClaim], study: Study) -> str:
    """What figure 6 shows: how much of a fetch's extra time falls in the start of the browser."""
    if not set(study.clients) & set(BROWSERS):
        return "This study has no browser."
    lines = [
        _phases_read(rounds, cell)
        for cell in cells_of(judged, "contention")
        if cell.client and summary.slow_down(rounds, cell.client, "threads").rounds
    ]
    return "\n".join(lines) or NOTHING_TO_COMPARE


def _phases_read(rounds: pd.DataFrame, cell: Comparison) -> str:
    assert cell.client is not None
    longer = summary.mean(
        summary.of_cell(rounds, cell.client, "threads", "fetch_mean_s")
        - summary.of_cell(rounds, cell.client, "serial", "fetch_mean_s")
    ).value
    said = f"- {cell.client}: in threads a fetch took {_signed(longer)} than in serial"
    ends = {
        "holds": ": most of the extra time, as the article guessed",
        "does not hold": ": less than half of the extra time, unlike the article's guess",
        "inconclusive": ": whether that is most of the extra time is open",
        "not applicable": "",
    }
    if cell.ruling.verdict not in ends or cell.estimate is None:
        return f"{said} ({cell.ruling.verdict})."
    if cell.ruling.verdict == "not applicable":
        return f"{said}. How much of it is the start is not judged: {cell.ruling.reason}."
    share = f"{percent(cell.estimate.value)}{_percents(cell.estimate.ci95)}"
    return f"{said}, {share} of it in the start of the browser{ends[cell.ruling.verdict]}."


def _percents(interval: summary.Interval | None) -> str:
    return f" [{percent(interval[0])}, {percent(interval[1])}]" if interval else ""


def _signed(seconds: float) -> str:
    return f"{digits(abs(seconds))} s {'longer' if seconds > 0 else 'less'}"


def controls(results: RunResults) -> pd.DataFrame:
    """What the controls measured, means of the rounds, by mode."""
    pool = "-" if results.startup.empty else results.startup["pool_size"].max()
    rows = {
        f"CPU-bound work on {results.cores} cores (s)": (results.cpu, "", "span_s", 1),
        "all pages, without latency (s)": (results.no_latency, "requests", "span_s", 1),
        f"pool of {pool} ready after (ms)": (results.startup, "", "startup_s", 1000),
        f"memory of the ready pool of {pool} (MB)": (results.startup, "", "python_pss_mb", 1),
    }
    cells = {
        name: [
            digits(summary.mean(summary.of_cell(rounds, client, mode, column)).value * factor)
            for mode in MODES
        ]
        for name, (rounds, client, column, factor) in rows.items()
    }
    return pd.DataFrame.from_dict(cells, orient="index", columns=list(MODES))


def controls_read(judged: Sequence[JudgedClaim]) -> str:
    """What the controls say: the verdicts of the claims that need them."""
    return "\n".join(
        f"- *{claim.words}*: {_control_read(cell)}."
        for claim in judged
        if claim.id in CONTROLLED
        for cell in claim.cells
    )


def _control_read(cell: Comparison) -> str:
    reason = f" ({markup.escape(cell.ruling.reason)})" if cell.ruling.reason else ""
    return (
        f"{markup.escape(cell.words)} {cell.found or ''}".rstrip()
        + f": {cell.ruling.verdict}{reason}"
    )


CONTROLLED = ("latency", "cpu-bound", "memory", "start-up", "pickling", "same-interface")
"""The claims that the controls are for."""


def exclusions(fetches: pd.DataFrame, trials: pd.DataFrame, run: Run) -> str:
    """What went wrong and does not count."""
    failed = fetches["error"].dropna().value_counts()
    died = trials.loc[trials["state"] == "failed", "reason"].value_counts()
    refused = len(summary.different_pages(fetches).drop_duplicates(["arm", "client", "round"]))
    also = f" Rounds refused, since their pages differ by mode: {refused}." if refused else ""
    also += _anew_said(run)
    if failed.empty and died.empty:
        return f"All {len(trials)} trials were complete: no fetch of {len(fetches):,} failed.{also}"
    touched = trials[(trials["state"] == "failed") | (trials["failed"] > 0)]
    causes = [f"{markup.escape(str(name))} {count}" for name, count in failed.items()]
    ends = [f"{markup.escape(str(name))} {count}" for name, count in died.items()]
    return (
        f"{len(touched)} of {len(trials)} trials were not complete and do not count. "
        f"Failed fetches: {', '.join(causes) or 'none'}. Ended trials: {', '.join(ends) or 'none'}."
        f"{also}"
    )


def _anew_said(run: Run) -> str:
    """Which rounds were measured again, as a sentence that follows others."""
    times = {1: "once", 2: "twice"}
    rounds = [
        f"round {number} {times.get(count, f'{count} times')}"
        for number, count in sorted(run.measured_anew.items())
    ]
    if not rounds:
        return ""
    return (
        f" Measured again, since the machine or a process was suspended: {', '.join(rounds)}; "
        "what was seen before does not count."
    )


def pages_said(fetches: pd.DataFrame, study: Study, listed: int | None) -> str:
    """What pages were fetched, and what follows; `listed` is the number of URLs of a list."""
    said = _origin_said(fetches, study, listed)
    if study.source != "embedded" and "phantomjs" in study.clients:
        said += (
            " PhantomJS, a browser of 2016 with known security holes that nobody mends, fetched "
            "them, too: this study asks for it by name."
        )
    return said


def _origin_said(fetches: pd.DataFrame, study: Study, listed: int | None) -> str:
    if study.source == "embedded":
        return (
            f"Pages came from the embedded origin ({'HTTPS' if study.tls else 'plain HTTP'}, "
            f"latency factor {study.latency:g}): {study.pages} pages a round, new ones each round, "
            "the same for every mode. It waits as Wikipedia did for the article in 2018, but on "
            "this machine: no packet is lost, no name is looked up, no link is shared, and it "
            "takes a little of the CPU that the clients use."
        )
    if listed is None:
        return _asked_said(fetches, study)
    said = f"Pages came from a list of {listed} URLs, the same for every mode."
    if study.source == "wikipedia":
        said = (
            f"Pages were {listed} articles of {markup.escape(study.wiki)}, drawn at random through "
            "its API, the same for every mode. Starts were paced evenly, as its rules for robots "
            "ask, so totals measure the pace; fetch times do not contain it."
        )
    if listed < study.pages * study.rounds and study.rounds > 1:
        said += " Rounds shared pages, so the intervals hold for these pages only."
    if listed < study.pages:
        said += f" The list is shorter than {study.pages}, so a trial went through it again."
    return said


def _asked_said(fetches: pd.DataFrame, study: Study) -> str:
    address, different = markup.escape(study.source), fetches["final_url"].nunique()
    said = f"Every fetch asked <code>{address}</code> and followed where it led"
    if different == 0:
        return f"{said}; none arrived."
    if different == 1:
        return f"{said}: always the same page, so the intervals hold for this page only."
    return f"{said}: {different} different pages, so the pages differ by mode and round."


def clients_said(run: Run) -> str:
    """Where Chrome stands in for the article's browser."""
    if "chrome" in run.study.clients and "aarch64" in run.machine.system:
        return "PhantomJS has no build for this machine; Chrome stands in for it."
    return ""


def instrument(fetches: pd.DataFrame, trials: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The instrument's own error, by client and mode."""
    main = trials[trials["arm"] == "main"]
    busy = main.groupby(["client", "mode"])["other_cpu"].max().map(percent)
    table = pd.DataFrame({"other use of the CPU before a trial, at most": busy})
    errors = summary.delay_error(fetches)
    names = {
        "late_median_ms": "origin late (ms): median",
        "late_p99_ms": "origin late (ms): 99 %",
        "above_median_ms": "fetch less origin's delay (ms): median",
        "above_p99_ms": "fetch less origin's delay (ms): 99 %",
    }
    shown = table.join(errors[list(names)].map(digits).rename(columns=names)).fillna("-")
    order = [cell for cell in itertools.product(study.clients, MODES) if cell in shown.index]
    return shown.loc[order].rename_axis([None, None])


def instrument_read(trials: pd.DataFrame, run: Run) -> str:
    """How fine the clock is, and how quiet the machine was."""
    busy = trials["other_cpu"]
    above = int((busy > headline.BUSY).sum())
    return (
        f"The clock resolves {run.clock_resolution_s * 1e9:g} ns. In the half second before a "
        f"trial other programs used {percent(busy.median())} of the CPU (median) and "
        f"{percent(busy.max())} at most, more than {percent(headline.BUSY)} before {above} of "
        f"{len(trials)} trials."
    )


def environment(run: Run) -> pd.DataFrame:
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
    rows = {name: as_words(getattr(study, name)) for name in study.parameters if name != "run"}
    meanings = [fields[name].description for name in rows]
    return pd.DataFrame({"value": rows.values(), "meaning": meanings}, index=list(rows))


def alike(name: str, results: RunResults, others: Mapping[str, RunResults]) -> str:
    """Which of the others could be counted as one with a run, and what keeps the rest from it."""
    lines = [
        f"- {markup.escape(other)}: {markup.escape('; '.join(unlike)) or 'alike'}."
        for other, run in others.items()
        if other != name and (unlike := runs.differences(results, run)) is not None
    ]
    return (
        "\n".join([f"Compared with {markup.escape(name)}:", "", *lines])
        if lines
        else "There is no other run."
    )
