"""Say on a terminal what a run of any kind answers: the whole answer, or a few lines of it."""

from collections.abc import Hashable, Iterator, Sequence

import pandas as pd

from experiment.analysis import claims, crossover, runs, summary, sweeps
from experiment.analysis.claims import JudgedClaim
from experiment.analysis.results import RunResults
from experiment.analysis.rules import Verdict
from experiment.report import console, headline, own, sweep, today
from experiment.report import crossover as work
from experiment.report.console import BLUE, ORANGE
from experiment.vocabulary import POOLS

COLOURS = {"✓": BLUE, "~": ORANGE, "✗": ORANGE}


def whole(results: RunResults, wide: bool = False) -> str:
    """Return the answer of a run: what it says of the claims, or what was asked of its kind."""
    width = console.width()
    if results.study.kind != "report" or results.study.only_functions:
        said = [_of_its_kind(results), caveats(results)]
        return "\n\n".join(console.prose(text, width) for text in said if text)
    judged = claims.judge(results)
    table = whole_table(judged) if wide else table_of_claims(judged, width)
    before = console.prose(today.advice(results, judged), width)
    after = [headline.tally(judged), own.answer(results), caveats(results)]
    said = [console.prose(text, width) for text in after if text]
    return "\n\n".join([before, table, *said])


def short(results: RunResults) -> str:
    """Return the answer in about five lines."""
    study = results.study
    if study.kind == "sweep":
        said = [sweep.in_short(results, sweeps.compare_sizes(results))]
    elif study.kind == "crossover":
        said = [_of_its_kind(results)]
    else:
        said = [] if study.only_functions else _of_claims(results)
        said.append(own.in_short(results))
    text = "\n".join(filter(None, [*said, caveats(results)]))
    return console.prose(text, console.width())


def caveats(results: RunResults) -> str:
    """Return what makes the results of a run doubtful, as Markdown."""
    on_claims = results.study.kind == "report" and not results.study.only_functions
    doubts = headline.caveats(results) if on_claims else headline.disturbed(results)
    return "\n\n".join(filter(None, [headline.left_out(results), doubts]))


def _of_its_kind(results: RunResults) -> str:
    """Return the answer of a sweep, a crossover, or a run of functions alone, as Markdown."""
    match results.study.kind:
        case "sweep":
            found = sweeps.compare_sizes(results)
            return f"{sweep.answer(results, found)}\n\n{sweep.best(results, found)}"
        case "crossover":
            return work.answer(results, crossover.crossovers(results))
    return own.answer(results)


def _of_claims(results: RunResults) -> list[str]:
    judged = claims.judge(results)
    clients = (_of_client(results, client) for client in results.known_clients)
    return [today.advice(results, judged), headline.tally(judged), *clients]


def _of_client(results: RunResults, client: str) -> str:
    gains = {mode: summary.speed_up(results.rounds, client, mode) for mode in POOLS}
    said = [f"{mode} {gain}" for mode, gain in gains.items() if gain.rounds]
    if said and not claims.paced(results.study):
        return f"- {client}: {', '.join(said)} times as fast as serial"
    cells = {
        mode: summary.of_cell(results.rounds, client, mode, "span_s")
        for mode in results.study.modes
    }
    totals = [f"{mode} took {summary.mean(own)} s" for mode, own in cells.items() if len(own)]
    return f"- {client}: {', '.join(totals) or 'no round was complete'}"


def whole_table(judged: Sequence[JudgedClaim]) -> str:
    """Return the table of claims with a line for each comparison, however long."""
    head = (
        "claim",
        "verdict",
        "measured",
        headline.value_heading(judged[0].levels),
        "2018",
        "in detail",
    )
    rows = [head]
    for claim in judged:
        verdict = claim.ruling.verdict
        for place, cell in enumerate(claim.cells):
            value = headline.value(cell, claim.levels)
            then, detail = headline.in_2018(claim, cell), headline.detail(cell, verdict)
            rows.append((claim.id, "" if place else verdict, cell.words, value, then, detail))
    return console.aligned(rows)


def table_of_claims(judged: Sequence[JudgedClaim], width: int, styled: bool | None = None) -> str:
    """Return the table of claims, a block each: verdict and claim, then what was measured."""
    styled = console.is_styled() if styled is None else styled
    head = (
        f"{'  ' if styled else ''}verdict",
        "the article says",
        headline.value_heading(judged[0].levels),
        "2018",
    )
    blocks = [[*_block(claim, styled)] for claim in judged]
    widths = console.fitting([head, *(row for block in blocks for _, row in block)], width)
    shown = [console.lines(head, widths)]
    for block in blocks:
        shown.append([])
        for verdict, row in block:
            colour = COLOURS.get(headline.SIGNS[verdict]) if styled else None
            shown.append([_painted(line, widths[0], colour) for line in console.lines(row, widths)])
    return "\n".join("\n".join(part) for part in shown)


def _block(claim: JudgedClaim, styled: bool) -> Iterator[tuple[Verdict, console.Row]]:
    """Yield the rows of a claim, each with the verdict that decides its colour."""
    verdict, indent = claim.ruling.verdict, "  " if styled else ""
    sign = f"{headline.SIGNS[verdict]} " if styled else ""
    yield verdict, (f"{sign}{verdict}", claim.words, "", "")
    is_common = len({cell.ruling.reason for cell in claim.cells}) == 1
    for cell in claim.cells:
        differs = cell.ruling.verdict != verdict
        own_verdict = f"{indent}{cell.ruling.verdict}" if differs else ""
        value = headline.value(cell, claim.levels)
        then = headline.in_2018(claim, cell)
        yield cell.ruling.verdict, (own_verdict, f"  {cell.words}", value, then.strip("-"))
        if cell.ruling.reason and (not is_common or cell is claim.cells[-1]):
            yield verdict, ("", f"    {cell.ruling.reason}", "", "")


def _painted(line: str, first: int, colour: int | None) -> str:
    """Return a line whose first column is coloured."""
    return f"{console.painted(line[:first], colour)}{line[first:]}"


def of_runs(table: pd.DataFrame, wide: bool = False) -> str:
    """Return the list of runs: a row each, and below it the answer, the study and the machine."""
    if wide:
        return console.aligned([list(table.columns), *table.to_numpy().tolist()])
    columns, width = ["run", "measured", "rounds", *runs.TIMES.values()], console.width()
    whole_parts = table[columns].replace(r"(?<!,) ", console.NO_BREAK, regex=True)
    rows = whole_parts.to_numpy().tolist()
    widths = console.fitting([columns, *rows], width)
    shown = console.lines(columns, widths)
    for row, run in zip(rows, table.to_dict("records"), strict=True):
        shown += ["", *console.lines(row, widths)]
        shown += [line for text in _below(run) for line in console.folded(text, width, "  ")]
    return "\n".join(shown)


def _below(run: dict[Hashable, str]) -> Iterator[str]:
    """Yield what is said of a run below its row; a damaged run says what is wrong."""
    if run["answer"]:
        yield f"  answer: {run['answer']}"
    yield f"  study: {run['study']}; {run['machine']}" if run["measured"] else f"  {run['study']}"
