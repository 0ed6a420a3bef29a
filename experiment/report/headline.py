"""The first screen: what a run answers, in sentences and a table built from its verdicts."""

from collections import Counter
from collections.abc import Sequence
from unicodedata import category

import pandas as pd

from experiment.analysis import summary
from experiment.analysis.claims import Comparison, JudgedClaim, cells_of
from experiment.analysis.results import RunResults
from experiment.analysis.rules import Verdict
from experiment.analysis.summary import digits, percent
from experiment.records import Run
from experiment.report import markup
from experiment.study import Study, as_words
from experiment.vocabulary import BROWSERS, POOLS

BUSY, BUSY_TRIALS = 0.10, 0.10
"""Use of the CPU by others, and the share of trials that met it, above which a run is doubtful."""

TALLY: dict[Verdict, tuple[str, str]] = {
    "holds": ("holds", "hold"),
    "stronger": ("is stronger than claimed", "are stronger than claimed"),
    "weaker": ("is weaker than claimed", "are weaker than claimed"),
    "does not hold": ("does not hold", "do not hold"),
    "mixed": ("is mixed", "are mixed"),
    "inconclusive": ("is inconclusive", "are inconclusive"),
    "too few rounds": ("has too few rounds", "have too few rounds"),
    "not applicable": ("is not applicable", "are not applicable"),
    "not measured": ("was not measured", "were not measured"),
}


def headline(results: RunResults, judged: Sequence[JudgedClaim]) -> str:
    """The answer in a few sentences: the claims counted, then a paragraph for each client."""
    lines = [f"- {_of_client(results, judged, client)}" for client in results.study.clients]
    return "\n".join([f"{tally(judged)} {_rounds_said(results)}", "", *lines])


def tally(judged: Sequence[JudgedClaim]) -> str:
    """How many claims came to which verdict."""
    counts = Counter(claim.ruling.verdict for claim in judged)
    parts = [f"{counts[name]} {words[counts[name] > 1]}" for name, words in TALLY.items()]
    known = [part for part in parts if not part.startswith("0 ")]
    return f"Of the article's {len(judged)} claims, on this machine, {_and(known)}."


def _and(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _of_client(results: RunResults, judged: Sequence[JudgedClaim], client: str) -> str:
    totals = {mode: summary.mean(_totals(results, client, mode)) for mode in results.study.modes}
    totals = {mode: total for mode, total in totals.items() if total.rounds}
    if not totals:
        return f"**{client}**: no round was complete, so nothing can be said of it."
    parts = [
        f"{_pool(results.study, mode)} {'was' if results.study.pool_size == 1 else 'were'} "
        f"**{ratio.shown} times** as fast as serial{ratio.beside}"
        for mode in POOLS
        if (ratio := summary.speed_up(results.rounds, client, mode)).rounds
    ]
    took = (f"{mode} took {total.shown} s" for mode, total in totals.items())
    sooner = "; ".join(parts) or ", ".join(took)
    return f"**{client}**: {sooner}. {threads_or_processes(judged, client)}".strip()


def _totals(results: RunResults, client: str, mode: str) -> "pd.Series[float]":
    return summary.of_cell(results.rounds, client, mode, "span_s")


def _pool(study: Study, mode: str) -> str:
    one = {"threads": "thread", "processes": "process"}
    if mode not in one:
        return f"{mode} of {study.pool_size}"
    return f"{study.pool_size} {mode}" if study.pool_size > 1 else f"1 {one[mode]}"


def threads_or_processes(judged: Sequence[JudgedClaim], client: str) -> str:
    """What a client's totals say of threads against processes."""
    cell = next(cell for cell in cells_of(judged, "no-difference") if cell.client == client)
    ratio = cell.found
    if ratio is None:
        return ""
    took = f"threads took {ratio.shown} times as long as processes{ratio.beside}"
    faster = "processes" if ratio.value > 1 else "threads"
    differ = bool(cell.ruling.reason)
    match cell.ruling.verdict:
        case "holds" if differ:
            return f"The two are less than 10 % apart, with {faster} a little faster: {took}."
        case "holds":
            return f"The two perform the same, less than 10 % apart: {took}."
        case "does not hold":
            return f"The two differ, {faster} were faster: {took}."
        case "inconclusive" if differ:
            return f"Here {faster} were faster, by how much is open: {took}."
        case "inconclusive":
            return f"Whether the two perform the same is open: {took}."
    return f"{took.capitalize()}."


def _rounds_said(results: RunResults) -> str:
    """Over how many rounds the intervals are."""
    cells = results.rounds.groupby(["client", "mode"]).size()
    least, most = (int(cells.min()), int(cells.max())) if len(cells) else (0, 0)
    count = f"{most} complete round{'s' if most != 1 else ''}"
    if most >= summary.ENOUGH_ROUNDS:
        few = f"{least} to {count}, fewer where trials do not count" if least < most else count
        return f"In brackets: 95 % intervals over {few}."
    more = " (`ROUNDS=5`)" if results.study.rounds < summary.ENOUGH_ROUNDS else ""
    return f"Only {count}: too few to judge by; it takes {summary.ENOUGH_ROUNDS}{more}."


def caveats(results: RunResults, fetches: pd.DataFrame, trials: pd.DataFrame) -> str:
    """What makes the figures doubtful, or is unlike the article: a paragraph each."""
    controls = [_control_said(results, client) for client in results.study.clients]
    said = [*controls, disturbed(results.run, fetches, trials), _unlike_2018(results.study)]
    return "\n\n".join(filter(None, said))


def disturbed(run: Run, fetches: pd.DataFrame, trials: pd.DataFrame) -> str:
    """What makes the figures of any run doubtful: a busy machine, modes with other pages."""
    said = [_unlocked_said(run), _busy_said(trials), _refused_said(fetches)]
    return "\n\n".join(filter(None, said))


def _unlocked_said(run: Run) -> str:
    """Whether another study may have been measured at the same time."""
    if run.locked:
        return ""
    return (
        "**Nothing kept other studies away**: the lock of this machine could not be used, so "
        "another study may have been measured at the same time."
    )


def _busy_said(trials: pd.DataFrame) -> str:
    """Whether something else used the machine, so that the figures are of little worth."""
    busy = int((trials["other_cpu"] > BUSY).sum())
    if busy <= len(trials) * BUSY_TRIALS:
        return ""
    return (
        f"**The machine was busy**: before {busy} of {len(trials)} trials other programs used more "
        f"than {percent(BUSY)} of its CPU. Measure again when nothing else runs."
    )


def _control_said(results: RunResults, client: str) -> str:
    """Whether threads differ from threads, which only a disturbance can make them."""
    alike, _ = summary.aa_control(results.main_trials, client)
    if not alike.enough or alike.ci99 is None or alike.ci99[0] <= 1 <= alike.ci99[1]:
        return ""
    return (
        f"**The A/A control fails**: {client} in threads took {alike.shown} times as long "
        f"as {client} in threads ({summary.brackets(alike.ci99)}, 99 %). Something disturbed the "
        "measurement, or chance did, as once in a hundred runs: differences of that size mean "
        "little here."
    )


def _refused_said(fetches: pd.DataFrame) -> str:
    """Which rounds are not compared, since the modes did not do the same work."""
    parts = [
        f"{client}{'' if arm == 'main' else ' (control)'}, round {number}: "
        f"page{'s' if len(pages) > 1 else ''} {_few(pages['page'])}"
        for (arm, client, number), pages in summary.different_pages(fetches).groupby(
            ["arm", "client", "round"]
        )
    ]
    if not parts:
        return ""
    return (
        f"**The modes did not fetch the same pages** ({'; '.join(parts)}). These rounds are "
        "refused: they are not compared, and count nowhere."
    )


def _few(pages: "pd.Series[int]") -> str:
    shown = ", ".join(map(str, pages[:10]))
    return f"{shown} and {len(pages) - 10} more" if len(pages) > 10 else shown


def _unlike_2018(study: Study) -> str:
    """What of this study differs from the article's, whose figures stand beside it."""
    article = Study(clients=("requests", "phantomjs"))
    unlike = [
        f"{name} {as_words(getattr(study, name))}, not {as_words(getattr(article, name))}"
        for name in ("pool_size", "pages", "latency", "tls", "chunk_size")
        if getattr(study, name) != getattr(article, name)
    ]
    unlike += ["pages of another source"] if study.source != "embedded" else []
    others = [name for name in study.clients if name in BROWSERS and name not in article.clients]
    unlike += [f"{' and '.join(others)}, not phantomjs"] if others else []
    if not unlike:
        return ""
    return f"The figures of 2018 are of another experiment than this one ({'; '.join(unlike)})."


def table(judged: Sequence[JudgedClaim]) -> pd.DataFrame:
    """A row for each cell that a claim was judged by; the claim itself stands in its first row."""
    return pd.DataFrame([row for claim in judged for row in _rows(claim)])


def _rows(claim: JudgedClaim) -> list[dict[str, str]]:
    verdict = claim.ruling.verdict
    rows = [
        {
            "the article says": "",
            "verdict": "",
            "measured": cell.words,
            "value [95 %]": _value(cell),
            "2018": _then(claim, cell),
            "in detail": _detail(cell, verdict),
        }
        for cell in claim.cells
    ]
    rows[0] |= {"the article says": claim.words, "verdict": verdict}
    return rows


def _value(cell: Comparison) -> str:
    found = cell.found
    return f"{found.shown} {summary.brackets(found.ci95)}".strip() if found else ""


def _then(claim: JudgedClaim, cell: Comparison) -> str:
    if cell.article_2018 is not None:
        return digits(cell.article_2018)
    return "a guess" if claim.id == "contention" else "-"


def _detail(cell: Comparison, verdict: Verdict) -> str:
    """The cell's own verdict where it is not the claim's, and why."""
    own = "" if cell.ruling.verdict == verdict else cell.ruling.verdict
    return ": ".join(filter(None, [own, cell.ruling.reason]))


def text(judged: Sequence[JudgedClaim]) -> str:
    """The same for a terminal: a line a cell, columns aligned, the claim by its name."""
    rows = table(judged)
    names = [claim.id for claim in judged for _ in claim.cells]
    shown = rows.assign(**{"the article says": names}).rename(columns={"the article says": "claim"})
    return f"{aligned(shown)}\n\n{tally(judged)}"


def aligned(table: pd.DataFrame) -> str:
    """A table of words for a terminal: a line a row, columns aligned."""
    lines = [list(table.columns), *([_printable(cell) for cell in row] for row in table.to_numpy())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _printable(text: str) -> str:
    """A text without what would steer a terminal."""
    return "".join(repr(c)[1:-1] if category(c) in _STEERING else c for c in text)


_STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""The categories of Unicode that hold control characters and changes of direction."""


def beside_2018(results: RunResults) -> str:
    """What belongs beside the figures of 2018, with what this run says of it."""
    study, lines = results.study, ["Beside the figures of 2018 belongs:", ""]
    own = study.pages_in_a_chunk()
    ceilings = {
        chunk: summary.ceiling(results.complete_fetches, "requests", study.pool_size, chunk)
        for chunk in (own, 1)
    }
    if ceilings[1].rounds:
        parts = [f"{most.shown} (chunks of {chunk})" for chunk, most in ceilings.items()]
        lines.append(
            "- A pool hands out pages in chunks, and some workers end before the last one. If the "
            "`requests` fetches of this run took just as long in a pool as in serial, pools would "
            f"be {' and '.join(parts)} times as fast."
        )
    parts = [
        f"{without} for {client}"
        for client in results.browsers
        if (without := summary.speed_up_without_start(results.rounds, client, "threads")).rounds
    ]
    if parts:
        lines.append(
            "- In 2018 Selenium slept a whole second while its driver started, which a pool shares "
            "out at no cost. Without the start of the browser the speed-up in threads would be "
            f"{' and '.join(parts)}."
        )
    return "\n".join(lines) if len(lines) > 2 else ""


def not_judged(statements: dict[str, str]) -> str:
    """What the article says and nothing here can judge."""
    return "\n".join(f"- “{markup.escape(said)}”: {why}." for said, why in statements.items())
