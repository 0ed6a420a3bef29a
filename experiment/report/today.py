"""Write what would be faster today: advice, a table of the ways, and the code that differs."""

import ast
from collections.abc import Sequence
from textwrap import dedent

import pandas as pd

from experiment.analysis import summary, ways
from experiment.analysis.claims import Comparison, JudgedClaim, cells_of
from experiment.analysis.results import RunResults
from experiment.analysis.summary import Estimate, digits
from experiment.analysis.ways import Way
from experiment.report import markup
from experiment.study import PROJECT
from experiment.vocabulary import AWAITED, BROWSERS

NO_ADVICE = "**No advice yet**: it takes threads and processes, and three complete rounds."
NOT_MEASURED = "This run measured no other way to fetch than the article's."

CODE = {
    "A new connection for each page, or a session that a worker keeps": (
        "clients/requests.py",
        "Client.get",
    ),
    "Tasks of one event loop, over connections that they share": (
        "clients/aiohttp.py",
        "Client.get_async",
    ),
    "The pools of threads, processes and tasks": ("modes.py", "POOLS"),
}
"""The parts of the package that differ between the ways, by what they show."""


def advice(results: RunResults, judged: Sequence[JudgedClaim]) -> str:
    """Return one line of advice that follows from the verdicts and the ways of the run."""
    client = results.known_clients[0]
    cells = cells_of(judged, "no-difference")
    cell = next((cell for cell in cells if cell.client == client), None)
    if cell is None or cell.estimate is None or not cell.estimate.has_enough_rounds:
        return NO_ADVICE
    needs_more = any(it.ruling.verdict == "holds" for it in cells_of(judged, "memory"))
    mode, said = _pool(results, cell, needs_more)
    found = [way for own in ways.groups(results).values() for way in own]
    new, kept = (
        next((it for it in found if (it.client, it.mode, it.reuse) == (client, mode, reuse)), None)
        for reuse in ("off", "on")
    )
    tasks = next((it for it in found if it.mode in AWAITED and it.reuse == "on"), None)
    if new and kept:
        said += f" {_reuse(results, new, kept)}"
    if kept and tasks and client not in BROWSERS:
        said += f" {_asyncio(results, kept, tasks)}"
    return said


def _pool(results: RunResults, cell: Comparison, needs_more: bool) -> tuple[str, str]:
    """Return the mode to use, and why; `needs_more` is whether processes need more memory."""
    ratio = cell.estimate
    assert ratio is not None
    times = f"threads took {ratio.shown} times as long{ratio.beside}"
    if cell.ruling.verdict == "holds":
        more = ", and need more memory" if needs_more else ""
        why = f"processes perform the same for {cell.client}{more} ({times})"
    elif not _differs(results, ratio):
        return "threads", f"**Use threads** for now: processes may be as fast or not ({times})."
    elif ratio.value < 1:
        why = f"they are faster than processes for {cell.client} ({times})"
    else:
        less = "; threads need less memory" if needs_more else ""
        return "processes", f"**Use processes** where time counts: {times}{less}."
    return "threads", f"**Use threads**: {why}."


def _differs(results: RunResults, ratio: Estimate) -> bool:
    wide = ratio.interval(results.levels.difference) if ratio.has_enough_rounds else None
    return wide is not None and not wide[0] <= 1 <= wide[1]


def _reuse(results: RunResults, new: Way, kept: Way) -> str:
    thing = "browser" if new.client in BROWSERS else "session"
    gain = ways.ratio(results, new, kept)
    took = (
        f"{results.study.pages} pages took {kept.total.shown} s in place of {new.total.shown} s, "
        f"{gain.shown} times as fast{gain.beside}"
    )
    if not _differs(results, gain):
        return f"A kept {thing} is not shown to be faster ({took})."
    return f"{f'**Keep a {thing}**' if gain.value > 1 else f'A kept {thing} is slower'}: {took}."


def _asyncio(results: RunResults, kept: Way, tasks: Way) -> str:
    gain = ways.ratio(results, kept, tasks)
    than = f"{gain.shown} times as fast as kept sessions in {kept.mode}{gain.beside}"
    if not _differs(results, gain):
        return f"asyncio with {tasks.client} is not shown to be faster ({than})."
    return f"asyncio with {tasks.client} is {'faster' if gain.value > 1 else 'slower'}: {than}."


def sentence(results: RunResults) -> str:
    """Return the fastest way of each group, and what it is compared with."""
    lines = []
    for name, own in ways.of_today(results).items():
        best, base = own[0], name or ways.base_of(results, own[0].client)
        lines.append(
            f"- {name or 'The bytes of the pages'}: fastest was **{best.words}**, "
            f"{best.total.shown} s for {results.study.pages} pages, {best.speed_up.shown} times as "
            f"fast as the serial loop of {base}{best.speed_up.beside}."
        )
    return "\n".join([*lines, *_failed(results)]) or NOT_MEASURED


def _failed(results: RunResults) -> list[str]:
    """Name the ways that have trials but no complete round."""
    tried = results.trials[results.trials["arm"].isin(["main", "today"])]
    cells = tried.drop_duplicates(summary.CELL)[summary.CELL].itertuples(index=False)
    whole = set(results.ways[summary.CELL].itertuples(index=False, name=None))
    return [
        f"- {client}, {mode}, {ways.reuse_words(client, reuse)}: no round was complete."
        for client, mode, size, reuse in cells
        if (client, mode, size, reuse) not in whole
    ]


def table(results: RunResults) -> pd.DataFrame:
    """Return what each way takes and costs, fastest first in each group."""
    rows = [
        {
            "client": way.client,
            "mode": way.mode,
            "opens": ways.reuse_words(way.client, way.reuse),
            "total (s) [95 %]": str(way.total),
            "times as fast as serial [95 %]": "1" if way.speed_up.value == 1 else str(way.speed_up),
            "CPU of a page (ms)": way.cpu_ms.shown,
            "memory (MB)": digits(way.memory_mb),
        }
        for own in ways.of_today(results).values()
        for way in own
    ]
    return pd.DataFrame(rows)


def table_html(results: RunResults) -> str:
    """Return the table of the ways as HTML that folds out; empty where there are none."""
    words = "Total, CPU and memory of each way"
    note = (
        "CPU is that of all processes while pages are fetched. Memory is that of Python when its "
        "workers are ready, and of browsers at its highest."
    )
    return markup.folded_tables(words, note, table(results), index=False)


def code(results: RunResults) -> str:
    """Return the lines of the package that differ between a run's ways, as Markdown."""
    if not ways.of_today(results):
        return ""
    parts = (
        f"{words} (`experiment/measure/{file}`):\n\n```python\n{source(file, name)}\n```"
        for words, (file, name) in CODE.items()
    )
    fold = ["<details><summary>The code of these ways</summary>", *parts, "</details>"]
    return "\n\n".join(fold)


def source(file: str, name: str) -> str:
    """Return the source of a function, method or constant of the measuring part, by its name."""
    text = (PROJECT / "experiment" / "measure" / file).read_text(encoding="utf-8")
    node: ast.AST = ast.parse(text)
    for part in name.split("."):
        [node] = [child for child in ast.iter_child_nodes(node) if part in _names(child)]
    segment = ast.get_source_segment(text, node, padded=True)
    assert segment is not None
    return dedent(segment)


def _names(node: ast.AST) -> list[str]:
    """Return the names that a statement defines."""
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return [node.name] if hasattr(node, "name") and isinstance(node.name, str) else []
