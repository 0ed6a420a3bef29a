"""Write the report's sentences and tables: what the figures show, and how it was measured.

They are made from the numbers and the verdicts, so they cannot contradict them.
"""

import hashlib
import itertools
from collections.abc import Sequence
from urllib.parse import quote

import numpy as np
import pandas as pd

from experiment import records
from experiment.analysis import article, rules, runs, summary
from experiment.analysis.claims import Comparison, JudgedClaim, cells_of
from experiment.analysis.results import RunResults
from experiment.analysis.summary import digits, percent
from experiment.report import headline, markup
from experiment.study import PARAMETERS
from experiment.values import as_words
from experiment.vocabulary import ARTICLE_PAIR, AWAITED, MODES, POOLS

NOTHING_TO_COMPARE = "There are no complete rounds of a pool and of serial to compare."


def about(results: RunResults) -> str:
    """Return a sentence about the run: pools, pages, rounds, clients, date, machine."""
    run, study = results.run, results.study
    sizes = " ".join(map(str, study.sizes))
    pools = f"{study.size_parameter.replace('_', ' ')} **{sizes}**"
    done = results.trials["round"].nunique()
    return (
        f"This run: {pools}, {study.pages} pages a trial, {done} of {study.rounds} rounds, "
        f"{headline.joined(study.clients)}; measured on {run.started_at:%Y-%m-%d}, "
        f"{markup.escape(run.machine.hardware)}, Python {markup.escape(run.machine.python)}."
    )


def means(results: RunResults) -> pd.DataFrame:
    """Return the means of the rounds, a row for each client and mode, beside those of 2018."""
    cells = itertools.product(results.study.clients, results.study.modes)
    rows = {cell: _means(results, *cell) for cell in cells}
    return pd.DataFrame.from_dict(rows, orient="index")


def _means(results: RunResults, client: str, mode: str) -> dict[str, str]:
    rounds, fetches = results.rounds, results.complete_fetches
    total, fetch = (
        summary.mean(summary.of_cell(rounds, client, mode, column))
        for column in ("span_s", "fetch_mean_s")
    )
    own = summary.fetch_times(fetches, client, mode)
    shown = {
        "total (s)": total.shown,
        "speed-up [95 %]": str(summary.speed_up(rounds, client, mode)),
        "speed-up in 2018": digits(article.measured(client, mode, "speed_up")),
        "one fetch (s)": fetch.shown,
        "median (s)": digits(float(own.median())),
        "95 % within (s)": digits(float(own.quantile(0.95))),
        "slow-down [95 %]": str(summary.slow_down(rounds, client, mode)),
        "slow-down in 2018": digits(article.measured(client, mode, "slow_down")),
    }
    if mode == "serial":
        shown |= {name: "1" for name, value in shown.items() if name[-3:] != "(s)" and value != "-"}
    return shown


def origin_share(used: float, cores: int | None) -> str:
    """Return how many cores the embedded origin used; nothing where that is not known."""
    if not np.isfinite(used) or cores is None:
        return ""
    return f"the origin used {digits(used)} of {cores} cores"


def origin_load(results: RunResults) -> str:
    """Say how many cores the embedded origin used while pools fetched; empty where unknown."""
    pools = results.rounds[results.rounds["mode"].isin(POOLS)]
    share = origin_share(summary.origin_cores(pools), results.cores)
    return share and f"{share.capitalize()} (mean); a real study would not run it here."


def lower_bounds_html(results: RunResults) -> str:
    """Return each pool's total beside its lower bounds, as HTML that folds out."""
    words = "Total and lower bounds of each pool"
    folded = markup.folded_tables(words, "Means of the rounds.", lower_bounds(results))
    return folded or "<p>No lower bounds are known.</p>"


def lower_bounds(results: RunResults) -> pd.DataFrame:
    """Return each pool's total and lower bounds (s), by client and mode; empty without bounds."""
    groups = ["client", "mode"]
    limits = summary.bounds(results.rounds, results.cores)
    means = limits.groupby(groups)[["waiting_s", "cpu_s"]].mean()
    bounds = means.dropna(axis="columns", how="all").map(digits)
    if bounds.empty:
        return pd.DataFrame()
    spans = results.rounds.groupby(groups)["span_s"]
    totals = spans.agg(lambda seconds: summary.mean(seconds).shown).to_frame()
    cells = itertools.product(results.study.clients, POOLS)
    shown = totals.join(bounds).loc[[cell for cell in cells if cell in totals.index]]
    names = {"span_s": "total", "waiting_s": "waiting", "cpu_s": f"CPU on {results.cores} cores"}
    return shown.rename(columns=lambda name: f"{names[name]} (s)").rename_axis([None, None])


def compared(results: RunResults) -> list[tuple[str, str]]:
    """Return the clients and pools that have a speed-up."""
    cells = itertools.product(results.study.clients, POOLS)
    return [cell for cell in cells if summary.speed_up(results.rounds, *cell).rounds]


def differences(results: RunResults, judged: Sequence[JudgedClaim]) -> str:
    """Return whether threads and processes perform the same, a line for each answer."""
    said: dict[str, list[str]] = {}
    for cell in cells_of(judged, "no-difference"):
        if cell.estimate and cell.client:
            said.setdefault(_difference(results, cell), []).append(cell.client)
    return "\n".join(f"- {headline.joined(clients)}: {words}" for words, clients in said.items())


def _difference(results: RunResults, cell: Comparison) -> str:
    ratio = cell.estimate
    if ratio is None:
        return ""
    faster = "processes" if ratio.value > 1 else "threads"
    wide = ratio.interval(results.levels.difference)
    differ = wide is not None and not wide[0] <= 1 <= wide[1]
    match cell.ruling.verdict:
        case "holds" if differ:
            return f"the two are less than 10 % apart, with {faster} a little faster."
        case "holds":
            return "the two perform the same, less than 10 % apart."
        case "does not hold":
            return f"the two differ, {faster} were faster."
        case "inconclusive" if differ:
            return f"here {faster} were faster, but it is open by how much."
        case "inconclusive":
            return "it is open whether the two perform the same."
    return f"threads took {ratio.shown} times as long as processes{ratio.beside}."


AA_CONTROL = {
    "fails": "does not cover 1: something disturbed the measurement",
    "passes": "covers 1, as expected, and the 90 % interval lies within 10 % of it",
    "too imprecise": "covers 1, but the control is too imprecise to tell: its 90 % interval {} "
    "does not lie within 10 % of 1",
    "too few rounds": "has too few rounds to be judged",
}
"""What an A/A control comes to."""


def aa_controls(results: RunResults) -> str:
    """Return the A/A controls, and what they come to, a line for each client."""
    lines = [
        f"- A/A control, {client}: {control.shown} {summary.brackets(control.ci99)} (99 %), which "
        f"{AA_CONTROL[rules.aa_control(control)].format(summary.brackets(control.ci90))}."
        for client in results.study.clients
        if (control := summary.aa_control(results.main_trials, client)).rounds
    ]
    if lines:
        return "\n".join(lines)
    if not set(ARTICLE_PAIR) <= set(results.rounds["mode"]):
        return "There are no complete rounds of both pools."
    if article.is_article(results.study):
        return ""
    return "There is no A/A control: each pool ran once a round. `REPEATS=2` repeats it."


def browser_starts(results: RunResults, judged: Sequence[JudgedClaim]) -> str:
    """Return how much of a fetch's extra time is the start of the browser, a line a browser."""
    if not results.browsers:
        return "This study has no browser."
    lines = [
        _browser_start(results, cell)
        for cell in cells_of(judged, "contention")
        if cell.client and summary.slow_down(results.rounds, cell.client, "threads").rounds
    ]
    return "\n".join(lines) or NOTHING_TO_COMPARE


def _browser_start(results: RunResults, cell: Comparison) -> str:
    assert cell.client is not None
    parallel, serial = (
        summary.of_cell(results.rounds, cell.client, mode, "fetch_mean_s")
        for mode in ("threads", "serial")
    )
    longer = summary.mean(parallel - serial).value
    signed = f"{digits(abs(longer))} s {'longer' if longer > 0 else 'less'}"
    said = f"- {cell.client}: a fetch took {signed} in threads than in serial"
    if cell.ruling.verdict not in ("holds", "does not hold", "inconclusive") or not cell.estimate:
        return f"{said}. The share of the start is not judged: {cell.ruling.reason}."
    share = percent(cell.estimate.value)
    return (
        f"{said}, {share} of it in the start of the browser "
        f"(the article's guess: {cell.ruling.verdict})."
    )


def controls(results: RunResults) -> pd.DataFrame:
    """Return what the controls measured, means of the rounds, by mode."""
    cores = results.cores or "all"
    modes = [mode for mode in MODES if mode in results.study.modes and mode not in AWAITED]
    pool = "-" if results.startup.empty else results.startup["pool_size"].max()
    rows = {
        f"CPU-bound work on {cores} cores (ms)": (results.cpu, "", "span_s", 1000),
        "all pages, without latency (s)": (results.no_latency, "requests", "span_s", 1),
        f"start-up of a pool of {pool} (ms)": (results.startup, "", "startup_s", 1000),
        f"memory of a ready pool of {pool} (MB)": (results.startup, "", "python_pss_mb", 1),
    }
    if results.no_latency["origin_cpu_s"].notna().any():
        name = "CPU of the embedded origin meanwhile (s)"
        rows[name] = (results.no_latency, "requests", "origin_cpu_s", 1)
    cells = {
        mode: [
            digits(summary.mean(summary.of_cell(rounds, client, mode, column)).value * factor)
            for rounds, client, column, factor in rows.values()
        ]
        for mode in modes
    }
    table = pd.DataFrame(cells, index=list(rows))
    used = [digits(summary.cores_used(results.cpu, "", mode).value) for mode in modes]
    table.loc["cores used by CPU-bound work"] = used
    return table


def exclusions(results: RunResults) -> str:
    """Return what went wrong and is excluded, and which rounds were measured again."""
    fetches, trials = results.fetches, results.trials
    is_failed = trials["state"] == "failed"
    refused = len(summary.different_pages(fetches).drop_duplicates(["arm", "client", "round"]))
    also = f" Rounds excluded because their pages differ by mode: {refused}." if refused else ""
    also += _measured_again(results)
    if not is_failed.any() and fetches["error"].isna().all():
        return f"All {len(trials)} trials were complete: no fetch of {len(fetches):,} failed.{also}"
    incomplete = int((is_failed | (trials["failed"] > 0)).sum())
    return (
        f"{incomplete} of {len(trials)} trials were not complete and do not count. "
        f"Failed fetches: {_counted(fetches['error'])}. "
        f"Ended trials: {_counted(trials.loc[is_failed, 'reason'])}.{also}"
    )


def _counted(reasons: "pd.Series[str]") -> str:
    counts = reasons.dropna().value_counts()
    parts = [f"{markup.escape(str(reason))} {count}" for reason, count in counts.items()]
    return ", ".join(parts) or "none"


def _measured_again(results: RunResults) -> str:
    times = {1: "once", 2: "twice"}
    rounds = ", ".join(
        f"round {number} {times.get(count, f'{count} times')}"
        for number, count in sorted(results.run.measured_anew.items())
    )
    why = "Measured again, since the machine or a process was suspended"
    return f" {why}: {rounds}; the earlier attempts do not count." if rounds else ""


def pages(results: RunResults) -> str:
    """Return where the pages came from, and what that means for the intervals."""
    study, said = results.study, _origin(results)
    risky = study.source != "embedded" and "phantomjs" in study.clients
    if risky and not article.is_article(study):
        said += (
            " PhantomJS fetched them, too, because this study asks for it by name: a browser of "
            "2016 with known security holes that are not fixed any more."
        )
    return said


def _origin(results: RunResults) -> str:
    study = results.study
    if study.source == "embedded":
        return (
            f"Pages came from the embedded origin ({'HTTPS' if study.tls else 'plain HTTP'}, "
            f"latency factor {study.latency:g}): {study.pages} pages a round, new ones each round, "
            "the same for every mode. It waits as long as Wikipedia did for the article in 2018, "
            "but it runs on this machine: there is no packet loss, no DNS and no shared link, and "
            "it uses a little of the CPU."
        )
    listed = records.urls_listed(results.folder) if results.folder else None
    if listed is None:
        return _one_url(results)
    said = f"Pages came from a list of {listed} URLs, the same for every mode."
    if study.only_functions:
        said = f"Items came from a list of {listed} lines, the same for every mode."
    if study.source == "wikipedia":
        said = (
            f"Pages were {listed} articles of {markup.escape(study.wiki)}, drawn at random through "
            "its API, the same for every mode. Starts were paced evenly, as its rules for robots "
            "ask, so totals measure the pace; fetch times do not contain it."
        )
    if listed < study.pages * study.rounds and study.rounds > 1:
        what = "items" if study.only_functions else "pages"
        said += f" Rounds shared {what}, so the intervals hold for these {what} only."
    if listed < study.pages:
        said += f" The list is shorter than {study.pages}, so a trial went through it again."
    return said


def _one_url(results: RunResults) -> str:
    fetches = results.fetches
    address, different = markup.escape(results.study.source), fetches["final_url"].nunique()
    said = f"Every fetch requested <code>{address}</code> and followed its redirects"
    if different == 0:
        is_unknown = fetches["error"].isna().any()
        return f"{said}; {'the final URLs are not known' if is_unknown else 'none succeeded'}."
    if different == 1:
        return f"{said}: always to the same page, so the intervals hold for this page only."
    return f"{said}: to {different} different pages, so the pages differ by mode and round."


def clients(results: RunResults) -> str:
    """Return where browsers came from that are not the article's or not of this machine."""
    study = results.study
    if study.at_grid:
        names = " and ".join(name.capitalize() for name in study.at_grid)
        return (
            f"{names} came from the Selenium Grid at {markup.escape(study.grid or '')}. "
            f"{_queue(results)} The way of a page includes the network between. The CPU and memory "
            "of these browsers are not known."
        )
    if "chrome" in results.study.clients and "aarch64" in results.run.machine.system:
        return "PhantomJS has no build for this machine; Chrome replaces it."
    return ""


def _queue(results: RunResults) -> str:
    """Return how much of the fetches' time browsers of a Grid were waited for."""
    at_grid = results.complete_fetches.dropna(subset="queue_s")
    if at_grid.empty:
        return "The start of a browser includes its wait for a slot."
    seconds = at_grid.groupby(["client", "mode"])[["queue_s", "fetch_s"]].sum()
    shares = seconds["queue_s"] / seconds["fetch_s"]
    cells = [key for key in itertools.product(results.study.at_grid, MODES) if key in shares]
    shown = ", ".join(
        f"{percent(shares[key])} for {key[0].capitalize()} in {key[1]}" for key in cells
    )
    return f"Part of the fetches' time was spent in the Grid's queue: {shown}."


INSTRUMENT_NOTE = (
    "<i>Origin late</i> is the delay that the embedded origin measured less the planned one. "
    "<i>Fetch less origin's delay</i> is the time of the connection, the client and the harness. "
    "Cells are empty where a browser cannot tell."
)
"""How to read the table of the instrument's errors."""


def instrument_html(results: RunResults) -> str:
    """Return the errors of the instrument as HTML that folds out."""
    words = "Errors of the instrument, by client and mode"
    return markup.folded_tables(words, INSTRUMENT_NOTE, instrument(results))


def instrument(results: RunResults) -> pd.DataFrame:
    """Return the errors of the instrument, by client and mode."""
    main = results.trials[results.trials["arm"] == "main"]
    busy = main.groupby(["client", "mode"])["other_cpu"].max().map(percent)
    table = pd.DataFrame({"CPU use of other programs before a trial, at most": busy})
    errors = summary.delay_error(results.complete_fetches)
    names = {
        "late_median_ms": "origin late (ms): median",
        "late_p99_ms": "origin late (ms): 99 %",
        "above_median_ms": "fetch less origin's delay (ms): median",
        "above_p99_ms": "fetch less origin's delay (ms): 99 %",
    }
    shown = table.join(errors[list(names)].map(digits).rename(columns=names)).fillna("-")
    order = itertools.product(results.study.clients, MODES)
    return shown.loc[[cell for cell in order if cell in shown.index]].rename_axis([None, None])


def quiet(results: RunResults) -> str:
    """Return the resolution of the clock, and how quiet the machine was."""
    busy, limit = results.trials["other_cpu"], headline.OTHERS_CPU
    clock = f"The clock resolves {results.run.clock_resolution_s * 1e9:g} ns."
    if busy.isna().all():
        return f"{clock} The CPU use of other programs was not measured."
    return (
        f"{clock} In the moment before a trial other programs used {percent(busy.median())} "
        f"of the CPU (median), {percent(busy.max())} at most, and more than {percent(limit)} "
        f"before {int((busy > limit).sum())} of {len(busy)} trials."
    )


def environment(results: RunResults) -> pd.DataFrame:
    """Return the machine and the versions, a row each."""
    run, machine = results.run, results.run.machine
    memory = "" if machine.memory_gb is None else f", {machine.memory_gb} GB"
    rows = {
        "processor": f"{machine.hardware}{memory}",
        "system": f"{machine.system}, kernel {run.kernel}",
        "Python": f"{machine.python}, GIL {'on' if machine.gil else 'off'}, "
        f"start method {machine.start_method}",
        **{f"{name} (browser)": words for name, words in machine.browsers.items()},
        "packages": ", ".join(f"{name} {number}" for name, number in machine.packages.items()),
        **({"TLS library": machine.openssl} if machine.openssl else {}),
        "code": _code(results),
        "measured": f"{run.started_at:%Y-%m-%d %H:%M} UTC",
    }
    return pd.DataFrame({"": rows})


def _code(results: RunResults) -> str:
    """Return the commit of the code that measured, or whose it was."""
    own = "not under git" if not article.is_article(results.study) else "the article's"
    return results.run.commit or own


def settings(results: RunResults) -> str:
    """Return the parameters and the environment as HTML that folds out."""
    tables = [table.to_html(border=0) for table in (parameters(results), environment(results))]
    return markup.folded("Parameters, machine and versions", "".join(tables))


def parameters(results: RunResults) -> pd.DataFrame:
    """Return the parameters of the study with their values and meanings."""
    study = results.study
    told = article.PARAMETERS if article.is_article(study) else study.parameters
    rows = {name: as_words(getattr(study, name)) for name in told if name != "run"}
    meanings = [PARAMETERS[name].description for name in rows]
    return pd.DataFrame({"value": rows.values(), "meaning": meanings}, index=list(rows))


def about_this_run(results: RunResults) -> str:
    """Say that the intervals are about this run, how steady its host was, which runs are alike."""
    others = runs.like(results)
    names = ", ".join(markup.escape(name) for name in others)
    beside = (
        f"Alike are {names}; the figure shows them."
        if others
        else "No run of the same design and machine lies beside it in data/."
    )
    return f"{_steadiness(results)}{beside}"


def _steadiness(results: RunResults) -> str:
    for client in results.study.clients:
        scatter = summary.cpu_scatter(results.rounds, client)
        if scatter == scatter:
            return (
                f"The CPU time of the same serial work ({client}) varied by {percent(scatter)} "
                "from round to round (standard deviation). "
            )
    return ""


def sources(results: RunResults) -> str:
    """Return what the page was made from, how to make it again, and links, as Markdown."""
    name, folder = results.name, results.folder
    digests = [
        f"`{file}` SHA-256 `{hashlib.sha256((folder / file).read_bytes()).hexdigest()[:16]}`"
        for file in records.FILES.values()
        if folder is not None
    ]
    links = {
        "the data": f"../data/{quote(name)}",
        "this page as a notebook": f"../reports/{quote(name)}.ipynb",
        "rules and methods": "../docs/statistics.md",
        "how to cite": "../CITATION.cff",
    }
    if not results.study.only_functions:
        links["the article's code and timings"] = article.REPOSITORY
    linked = ", ".join(f"[{words}]({address})" for words, address in links.items())
    return (
        f"Made from {' and '.join(digests)}; code that measured: "
        f"{markup.escape(_code(results))}. <code>make {results.study.kind} "
        f"RUN={markup.escape(name)}</code> makes it again. See {linked}."
    )
