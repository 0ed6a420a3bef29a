"""The report's sentences and tables, built from the numbers so that they cannot contradict them."""

import functools
import html
import itertools

import pandas as pd

from experiment import summary
from experiment.records import Run
from experiment.study import Study, as_words, library_chunk_size
from experiment.summary import Estimate, digits

MODES = ("serial", "threads", "processes")
PARALLEL = ("threads", "processes")
BUSY, BUSY_TRIALS = 0.10, 0.10
"""Use of the CPU by others, and the share of trials that met it, above which a run is doubtful."""

NOTHING_TO_COMPARE = "There are no complete rounds of a pool and of serial to compare."


def headline(rounds: pd.DataFrame, trials: pd.DataFrame, study: Study) -> str:
    """The answer in a few sentences, a paragraph for each client, and what to beware of."""
    paragraphs = [_of_client(rounds, study, client) for client in study.clients]
    beware = [_busy_said(trials), _unlike_2018(study)]
    return "\n\n".join(filter(None, [*paragraphs, _rounds_said(rounds, study), *beware]))


def _busy_said(trials: pd.DataFrame) -> str:
    """Whether something else used the machine, so that the figures are of little worth."""
    busy = int((trials["other_cpu"] > BUSY).sum())
    if busy <= len(trials) * BUSY_TRIALS:
        return ""
    return (
        f"**The machine was busy**: before {busy} of {len(trials)} trials other programs used more "
        f"than {BUSY:.0%} of its CPU. Measure again when nothing else runs."
    )


def _unlike_2018(study: Study) -> str:
    """What of this study differs from the article's, whose figures stand beside it."""
    unlike = [
        f"{words} {getattr(study, name)}, not {there}"
        for name, there, words in (("pool_size", 10, "workers:"), ("pages", 100, "pages:"))
        if getattr(study, name) != there
    ]
    if study.source != "embedded":
        unlike.append("pages of another source")
    if not unlike:
        return ""
    return f"The figures of 2018 are of another experiment than this one ({'; '.join(unlike)})."


def _of_client(rounds: pd.DataFrame, study: Study, client: str) -> str:
    totals = _totals(rounds, client)
    if not totals:
        return f"**{client}**: no round was complete, so nothing can be said of it."
    parts = [
        f"{_pool(study, mode)} {'was' if study.pool_size == 1 else 'were'} "
        f"**{digits(ratio.value)} times** as fast as serial{ratio.beside}"
        for mode in PARALLEL
        if (ratio := summary.speed_up(rounds, client, mode)).rounds
    ]
    sooner = "; ".join(parts) or _list_of(totals)
    return f"**{client}**: {sooner}. {_threads_or_processes(rounds, client)}".strip()


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
    said = f"Threads took {digits(ratio.value)} times as long as processes{ratio.beside}"
    if not ratio.enough or ratio.ci95 is None:
        return f"{said}."
    if ratio.ci95[0] <= 1 <= ratio.ci95[1]:
        return f"{said}: these rounds cannot tell them apart."
    return f"{said}: {'processes' if ratio.value > 1 else 'threads'} were faster."


def _pool(study: Study, mode: str) -> str:
    names = {"threads": "thread", "processes": "process"}
    return f"{study.pool_size} {mode}" if study.pool_size > 1 else f"1 {names[mode]}"


def _rounds_said(rounds: pd.DataFrame, study: Study) -> str:
    """Over how many rounds the intervals are."""
    cells = rounds.groupby(["client", "mode"]).size()
    least, most = (int(cells.min()), int(cells.max())) if len(cells) else (0, 0)
    count = f"{most} complete round{'s' if most != 1 else ''}"
    if most >= summary.ENOUGH_ROUNDS:
        few = f"{least} to {count}, fewer where trials were not complete" if least < most else count
        return f"In brackets: 95 % intervals over {few}."
    more = " (`ROUNDS=5`)" if study.rounds < summary.ENOUGH_ROUNDS else ""
    return f"Only {count}: too few to judge by; it takes {summary.ENOUGH_ROUNDS}{more}."


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
        "speed-up in 2018": "1" if serial else digits(then("speedup_vs_serial")),
        "one fetch (s)": digits(fetch.value),
        "slow-down [95 %]": "1" if serial else str(slower),
        "slow-down in 2018": "1" if serial else digits(then("fetch_mean_ratio_vs_serial")),
    }


def fetch_times_read(rounds: pd.DataFrame, study: Study) -> str:
    """What figure 1 shows."""
    lines = [
        f"- {client}: one fetch in {mode} took {digits(ratio.value)} times as long as "
        f"in serial{ratio.beside}{_against_one(ratio)}"
        for client, mode in itertools.product(study.clients, PARALLEL)
        if (ratio := summary.slow_down(rounds, client, mode)).rounds
    ]
    return "\n".join(lines) or NOTHING_TO_COMPARE


def _against_one(ratio: Estimate) -> str:
    if ratio.ci95 is None or not ratio.enough:
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
                chunk = study.chunk_size or library_chunk_size(study.pages, study.pool_size)
                lanes.append((client, mode, number, repeat, chunk))
    return lanes


def swim_lanes_read(rounds: pd.DataFrame, study: Study) -> str:
    """What figure 4 shows: how much of the pool's time was idle."""
    lines = [
        f"- {client}, {mode}: workers were busy {busy.value:.0%} of the time (mean of the rounds)."
        for client, mode in itertools.product(study.clients, PARALLEL)
        if (busy := summary.mean(summary.of_cell(rounds, client, mode, "utilisation"))).rounds
    ]
    return "\n".join(lines) or "No parallel trial was complete."


def phases_read(rounds: pd.DataFrame, study: Study) -> str:
    """What figure 6 shows: how much of a fetch's extra time falls in the start of the browser."""
    browsers = [client for client in study.clients if client != "requests"]
    if not browsers:
        return "This study has no browser."
    lines = [
        _phases_read(rounds, client, mode)
        for client, mode in itertools.product(browsers, PARALLEL)
        if summary.slow_down(rounds, client, mode).rounds
    ]
    return "\n".join(lines) or NOTHING_TO_COMPARE


def _phases_read(rounds: pd.DataFrame, client: str, mode: str) -> str:
    longer, start = (
        summary.mean(
            summary.of_cell(rounds, client, mode, column)
            - summary.of_cell(rounds, client, "serial", column)
        ).value
        for column in ("fetch_mean_s", "browser_start_mean_s")
    )
    ratio = summary.slow_down(rounds, client, mode)
    slower = ratio.enough and ratio.ci95 is not None and ratio.ci95[0] > 1
    share = f", {start / longer:.0%} of it in the start of the browser" if slower else ""
    without = summary.speed_up_without_start(rounds, client, mode)
    return (
        f"- {client}, {mode}: a fetch took {_signed(longer)} than in serial{share}. Without the "
        f"start phase the speed-up would be {without} instead of "
        f"{summary.speed_up(rounds, client, mode)}."
    )


def _signed(seconds: float) -> str:
    return f"{digits(abs(seconds))} s {'longer' if seconds > 0 else 'less'}"


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


def pages_said(fetches: pd.DataFrame, study: Study, listed: int | None) -> str:
    """What pages were fetched, and what follows; `listed` is the number of URLs of a list."""
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
    if listed < study.pages * study.rounds and study.rounds > 1:
        said += " Rounds shared pages, so the intervals hold for these pages only."
    if listed < study.pages:
        said += f" The list is shorter than {study.pages}, so a trial went through it again."
    return said


def _asked_said(fetches: pd.DataFrame, study: Study) -> str:
    address, different = html.escape(study.source), fetches["final_url"].nunique()
    said = f"Every fetch asked <code>{address}</code> and followed where it led"
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
    busy = trials.groupby(["client", "mode"])["other_cpu"].max().map("{:.0%}".format)
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
