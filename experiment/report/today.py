"""Write what would be faster today: advice, a table of the ways, and the code that differs."""

import ast
from collections.abc import Sequence
from textwrap import dedent

import pandas as pd

from experiment.analysis import summary, ways
from experiment.analysis.claims import JudgedClaim, cells_of
from experiment.analysis.results import RunResults
from experiment.analysis.summary import digits
from experiment.analysis.ways import Way
from experiment.study import PROJECT
from experiment.vocabulary import AWAITED

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
    plain = ways.groups(results).get("", [])
    said = [_pool_advice(results, judged), _reuse_advice(results, plain)]
    said.append(_asyncio_advice(results, plain))
    return " ".join(filter(None, said))


def _pool_advice(results: RunResults, judged: Sequence[JudgedClaim]) -> str:
    cells = cells_of(judged, "no-difference")
    client = results.study.clients[0]
    cell = next((cell for cell in cells if cell.client == client), None)
    if cell is None or cell.estimate is None or not cell.estimate.has_enough_rounds:
        return "**No advice yet**: it takes threads and processes, and three complete rounds."
    verdict, ratio = cell.ruling.verdict, cell.estimate
    times = f"threads took {ratio.shown} times as long{ratio.beside}"
    memory = [it.ruling.verdict == "holds" for it in cells_of(judged, "memory")]
    more = ", and need more memory" if any(memory) else ""
    if verdict == "holds":
        return f"**Use threads**: processes perform the same for {client}{more} ({times})."
    if not _differs(results, ratio):
        return f"**Use threads** for now: it is open whether processes are as fast ({times})."
    if ratio.value < 1:
        return f"**Use threads**: they are faster than processes for {client} ({times})."
    less = "; threads need less memory" if any(memory) else ""
    return f"**Use processes** where time counts: {times}{less}."


def _differs(results: RunResults, ratio: summary.Estimate) -> bool:
    wide = ratio.interval(results.levels.difference)
    return wide is not None and not wide[0] <= 1 <= wide[1]


def _best(plain: Sequence[Way], reuse: str, awaited: bool = False) -> Way | None:
    own = [it for it in plain if it.reuse == reuse and it.mode != "serial"]
    return next((it for it in own if (it.mode in AWAITED) == awaited), None)


def _reuse_advice(results: RunResults, plain: Sequence[Way]) -> str:
    kept, new = _best(plain, "on"), _best(plain, "off")
    if kept is None or new is None:
        return ""
    gain = ways.ratio(results, new, kept)
    took = (
        f"{results.study.pages} pages took {kept.total.shown} s in place of {new.total.shown} s, "
        f"{gain.shown} times as fast{gain.beside}"
    )
    if not gain.has_enough_rounds:
        return ""
    if not _differs(results, gain):
        return f"A kept session is not shown to be faster ({took})."
    return (
        f"**Keep a session**: {took}." if gain.value > 1 else f"A kept session is slower: {took}."
    )


def _asyncio_advice(results: RunResults, plain: Sequence[Way]) -> str:
    tasks, pool = _best(plain, "on", awaited=True), _best(plain, "on")
    if tasks is None or pool is None:
        return ""
    gain = ways.ratio(results, pool, tasks)
    if not gain.has_enough_rounds:
        return ""
    than = f"{gain.shown} times as fast{gain.beside}"
    if not _differs(results, gain):
        return f"asyncio with {tasks.client} is not shown to be faster still ({than})."
    words = "is faster still" if gain.value > 1 else "is slower than that"
    return f"asyncio with {tasks.client} {words}: {than}."


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
            "times as fast as serial [95 %]": str(way.speed_up),
            "CPU of a page (ms)": way.cpu_ms.shown,
            "memory (MB)": digits(way.memory_mb),
        }
        for own in ways.of_today(results).values()
        for way in own
    ]
    return pd.DataFrame(rows)


def code() -> str:
    """Return the lines of the package that differ between the ways, as Markdown."""
    return "\n\n".join(
        f"{words} (`experiment/measure/{file}`):\n\n```python\n{source(file, name)}\n```"
        for words, (file, name) in CODE.items()
    )


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
