"""Write what a report says of all claims: their tally, how certain they are, and caveats."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple

import pandas as pd

from experiment.analysis import article, precision, rules, summary
from experiment.analysis.claims import NOT_JUDGED, SIDES, Comparison, JudgedClaim
from experiment.analysis.results import RunResults
from experiment.analysis.rules import Levels, Verdict
from experiment.analysis.summary import digits, percent, percent_of
from experiment.report import markup
from experiment.study import Study
from experiment.values import as_words

OTHERS_CPU, DISTURBED_TRIALS = 0.10, 0.10
"""CPU share of other programs that disturbs a trial; share of such trials that is too many."""

FALSE_VERDICTS = 0.05
"""The share of studies in which a rule decides wrongly, at most."""

TALLY: dict[Verdict, tuple[str, str]] = {
    "holds": ("holds", "hold"),
    "stronger": ("is stronger than claimed", "are stronger than claimed"),
    "weaker": ("is weaker than claimed", "are weaker than claimed"),
    "less than claimed": ("is less than claimed", "are less than claimed"),
    "does not hold": ("does not hold", "do not hold"),
    "mixed": ("is mixed", "are mixed"),
    "partly open": ("is partly open", "are partly open"),
    "inconclusive": ("is inconclusive", "are inconclusive"),
    "too few rounds": ("has too few rounds", "have too few rounds"),
    "not applicable": ("is not applicable", "are not applicable"),
    "not measured": ("was not measured", "were not measured"),
}


SIGNS: dict[Verdict, str] = {
    "holds": "✓",
    "stronger": "✓",
    "weaker": "~",
    "less than claimed": "~",
    "does not hold": "✗",
    "mixed": "~",
    "partly open": "?",
    "inconclusive": "?",
    "too few rounds": "?",
    "not applicable": "-",
    "not measured": "-",
}
"""What stands before each verdict, where signs can be shown."""


def certainty(results: RunResults, judged: Sequence[JudgedClaim]) -> str:
    """Say how far the verdicts can be trusted: chance, rounds, looks, and what more would do."""
    said = [_by_chance(judged), _rounds_said(results), looks_said(results)]
    return " ".join(filter(None, [*said, _more_rounds_said(judged)]))


def looks_said(results: RunResults) -> str:
    """Say why the run stopped, and which intervals its verdicts use, if not the usual ones."""
    asked, looks = results.study.precision, results.run.looks
    if asked is None and not looks:
        return ""
    wide, narrow = (percent_of(level) for level in astuple(results.levels))
    used = f"its verdicts use intervals of {wide} and {narrow} in place of 95 % and 90 %"
    if asked is None:
        before = " and ".join(map(str, looks))
        return f"This run was finished with {before} rounds before it was given more, so {used}."
    name, width = precision.widest(results)
    reached = "stopped at" if width <= asked else "did not reach"
    return (
        f"This run {reached} the precision of {percent_of(asked)}: the main ratio that is known "
        f"least ({name}) is known within {percent_of(width)}. It looked after every round, so "
        f"{used}."
    )


def _more_rounds_said(judged: Sequence[JudgedClaim]) -> str:
    """Say how to give a run more rounds, where these may decide."""
    if all(cell.ruling.verdict != "inconclusive" for cell in _cells(judged)):
        return ""
    return (
        "Each claim that is inconclusive says how many rounds would decide it with a chance of "
        f"{percent(rules.POWER)}; `ROUNDS=10` adds to this run."
    )


def _by_chance(judged: Sequence[JudgedClaim]) -> str:
    """Say how many verdicts may be wrong; `test_calibration` simulates rules and reports."""
    decided = sum(cell.zone is not None and cell.ruling.verdict in SIDES for cell in _cells(judged))
    said = (
        f"Each verdict is wrong by chance in at most {percent(FALSE_VERDICTS)} of such studies: "
        f"of the {decided} comparisons decided here, expect at most {decided * FALSE_VERDICTS:.1f} "
        "to be. Of simulated studies like the reference run, 9 in 10 have none."
    )
    return said if decided else ""


def _cells(judged: Sequence[JudgedClaim]) -> list[Comparison]:
    return [cell for claim in judged for cell in claim.cells]


def tally(judged: Sequence[JudgedClaim]) -> str:
    """Return a sentence that counts the claims by verdict."""
    counts = Counter(claim.ruling.verdict for claim in judged)
    known = [(counts[name], words) for name, words in TALLY.items() if counts[name]]
    counted = joined([f"{count} {words[count > 1]}" for count, words in known])
    return f"Of the article's {len(judged)} claims, on this machine, {counted}."


def joined(words: Sequence[str]) -> str:
    """Return words as a sentence lists them: "a, b and c"."""
    *others, last = words
    return " and ".join(filter(None, [", ".join(others), last]))


def _rounds_said(results: RunResults) -> str:
    study, cells = results.study, results.rounds.groupby(["client", "mode"]).size()
    least, most = (int(cells.min()), int(cells.max())) if len(cells) else (0, 0)
    count = f"{most} complete round{'s' if most != 1 else ''}"
    if most >= summary.ENOUGH_ROUNDS:
        few = f"{least} to {count}, fewer where trials do not count" if least < most else count
        return f"In brackets: 95 % intervals over {few}."
    planned = study.rounds >= summary.ENOUGH_ROUNDS or article.is_article(study)
    more = "" if planned else " (`ROUNDS=5`)"
    return f"Only {count}: too few to judge; it takes {summary.ENOUGH_ROUNDS}{more}."


def left_out(results: RunResults) -> str:
    """Say which clients of a default study could not run, and what installs them."""
    return "\n\n".join(
        f"**Without {name}**: {markup.escape(words)}. Then measure again with another `RUN`."
        for name, words in results.run.left_out.items()
    )


def caveats(results: RunResults) -> str:
    """Return what makes the results doubtful or unlike the article's, a paragraph each."""
    controls = [_failed_control(results, client) for client in results.study.clients]
    said = [*controls, disturbed(results), _unlike_2018(results.study)]
    return "\n\n".join(filter(None, said))


def disturbed(results: RunResults) -> str:
    """Return what makes any run doubtful: no lock, a busy machine, modes with other pages."""
    said, trials = [], results.trials
    if not results.run.locked and not article.is_article(results.study):
        said.append(
            "**No lock**: the lock of this machine could not be used, so another study may have "
            "been measured at the same time."
        )
    busy = int((trials["other_cpu"] > OTHERS_CPU).sum())
    if busy > len(trials) * DISTURBED_TRIALS:
        said.append(
            f"**The machine was busy**: before {busy} of {len(trials)} trials other programs used "
            f"more than {percent(OTHERS_CPU)} of its CPU. Measure again when nothing else runs."
        )
    if refused := _refused_rounds(results):
        said.append(
            f"**The modes did not fetch the same pages** ({refused}). These rounds are excluded."
        )
    return "\n\n".join(said)


def _failed_control(results: RunResults, client: str) -> str:
    alike = summary.aa_control(results.main_trials, client)
    if rules.aa_control(alike) != "fails":
        return ""
    return (
        f"**The A/A control fails**: {client} in threads took {alike.shown} times as long at the "
        f"start of a round as at its end ({summary.brackets(alike.ci99)}, 99 %). Something "
        "disturbed the measurement, or it is the one run in a hundred where chance does this. Do "
        "not trust differences of that size."
    )


def _refused_rounds(results: RunResults) -> str:
    places = ["arm", "client", "round"]
    return "; ".join(
        f"{client}{'' if arm == 'main' else ' (control)'}, round {number}: "
        f"page{'s' if len(pages) > 1 else ''} {_few(pages['page'])}"
        for (arm, client, number), pages in summary.different_pages(results.fetches).groupby(places)
    )


def _few(pages: "pd.Series[int]") -> str:
    more = f" and {len(pages) - 10} more" if len(pages) > 10 else ""
    return f"{', '.join(map(str, pages[:10]))}{more}"


def _unlike_2018(study: Study) -> str:
    if article.is_article(study):
        return article.OWN_FIGURES
    theirs = Study(clients=("requests", "phantomjs"))
    unlike = [
        f"{name} {as_words(ours)}, not {as_words(then)}"
        for name in ("pool_size", "pages", "latency", "tls", "chunk_size")
        if (ours := getattr(study, name)) != (then := getattr(theirs, name))
    ]
    unlike += ["kept connections and browsers, not new ones"] if study.reuse == ("on",) else []
    unlike += ["pages of another source"] if study.source != "embedded" else []
    said = f"The 2018 figures come from a different experiment ({'; '.join(unlike)})."
    return said if unlike else ""


def value_heading(levels: Levels) -> str:
    """Return the heading of the column of values, which names the level of their intervals."""
    return f"value [{percent_of(levels.difference)}]"


def value(cell: Comparison, levels: Levels) -> str:
    """Return what was measured, with its interval."""
    if cell.estimate is None:
        return ""
    interval = cell.estimate.interval(levels.difference)
    return f"{cell.estimate.shown} {summary.brackets(interval)}".strip()


def in_2018(claim: JudgedClaim, cell: Comparison) -> str:
    """Return what the article measured; it guessed one cause."""
    if cell.article_2018 is None:
        return "a guess" if claim.id == "contention" else "-"
    return digits(cell.article_2018)


def detail(cell: Comparison, verdict: Verdict) -> str:
    """Return the cell's own verdict where it is not the claim's, and the reason."""
    own = "" if cell.ruling.verdict == verdict else cell.ruling.verdict
    return ": ".join(filter(None, [own, cell.ruling.reason]))


def beside_2018(results: RunResults) -> str:
    """Return the caveats about the 2018 figures that this run can quantify, as Markdown."""
    lines = list(filter(None, [_chunks_2018(results), _sleep_2018(results)]))
    count = "A caveat" if len(lines) == 1 else "Two caveats"
    return "\n".join([f"{count} about the 2018 figures:", "", *lines]) if lines else ""


def _chunks_2018(results: RunResults) -> str:
    study = results.study
    ceilings = {
        chunk: summary.ceiling(results.complete_fetches, "requests", study.pool_size, chunk)
        for chunk in (study.pages_in_a_chunk(), 1)
    }
    parts = [f"{most.shown} (chunks of {chunk})" for chunk, most in ceilings.items()]
    said = (
        "- A pool hands out pages in chunks, so some workers finish before the last one. If "
        "`requests` fetches took no longer in a pool than in serial, the speed-up would be "
        f"{' or '.join(parts)}."
    )
    return said if ceilings[1].rounds else ""


def _sleep_2018(results: RunResults) -> str:
    parts = [
        f"{without} for {client}"
        for client in results.browsers
        if summary.has_phases(results.rounds, client)
        and (without := summary.speed_up_without_start(results.rounds, client, "threads")).rounds
    ]
    said = (
        "- Selenium of 2018 slept for a second while its driver started. Sleeping costs no CPU, so "
        "a pool gains more from it. Without the start of the browser the speed-up in threads would "
        f"be {' and '.join(parts)}."
    )
    return said if parts else ""


def not_judged() -> str:
    """Return the article's statements that no study can test, with the reasons, as HTML."""
    lines = (f"<li>“{markup.escape(said)}”: {why}.</li>" for said, why in NOT_JUDGED.items())
    words = "Statements of the article that this study cannot test"
    return markup.folded(words, f"<ul>{''.join(lines)}</ul>")
