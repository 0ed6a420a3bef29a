"""Judge the article's claims by a run's numbers.

Each comparison of a claim (a client in a mode) is judged by one rule. A comparison that was not
measured, does not apply or has too few rounds gets that verdict instead.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from math import ceil, isfinite
from typing import Any, Literal

from experiment.analysis import article, rules, summary
from experiment.analysis.results import RunResults
from experiment.analysis.rules import Levels, Rule, Ruling, Verdict, Zone
from experiment.analysis.summary import ENOUGH_ROUNDS, Estimate
from experiment.errors import UserError
from experiment.study import Study
from experiment.vocabulary import ARTICLE_PAIR, ClientName, Mode

WORKERS_2018 = 10


@dataclass(frozen=True)
class Comparison:
    """One client in one mode, judged for one claim."""

    client: str | None
    mode: str | None
    quantity: str
    ruling: Ruling
    estimate: Estimate | None = None  # None where no round is complete
    zone: Zone | None = None
    article_2018: float | None = None

    @property
    def words(self) -> str:
        """Return the client, the mode and the quantity, as a label."""
        who = ", ".join(filter(None, [self.client, self.mode]))
        return ": ".join(filter(None, [who, self.quantity]))


@dataclass(frozen=True)
class JudgedClaim:
    """A claim of the article with its comparisons, judged by intervals of some levels."""

    id: str
    words: str
    cells: Sequence[Comparison]
    levels: Levels

    @property
    def ruling(self) -> Ruling:
        """Return the cells' common verdict, or what they come to together, with their names."""
        names: dict[Verdict, list[str]] = {}
        for cell in self.cells:
            name = ", ".join(filter(None, [cell.client, cell.mode])) or "all"
            names.setdefault(cell.ruling.verdict, []).append(name)
        if len(names) == 1:
            reasons = dict.fromkeys(cell.ruling.reason for cell in self.cells)
            return Ruling(next(iter(names)), "; ".join(filter(None, reasons)))
        parts = (f"{verdict}: {' and '.join(cells)}" for verdict, cells in names.items())
        return Ruling(_together(names), "; ".join(parts))


SIDES: Mapping[Verdict, Verdict] = {
    "holds": "holds",
    "stronger": "holds",
    "weaker": "weaker",
    "less than claimed": "weaker",
    "does not hold": "does not hold",
}
"""What a decided verdict says of a claim; two that differ contradict each other."""


def _together(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of a claim whose cells have several."""
    sides = {SIDES[verdict] for verdict in verdicts if verdict in SIDES}
    if len(sides) > 1:
        return "mixed"
    open_verdicts = {"inconclusive", "too few rounds"}.intersection(verdicts)
    if sides:
        return "partly open" if open_verdicts else sides.pop()
    return "inconclusive" if open_verdicts else "not measured"


def judge(results: RunResults) -> list[JudgedClaim]:
    """Judge all claims of the article; raises `UserError` for a sweep."""
    if (kind := results.study.kind) != "report":
        raise UserError(
            f"run: the claims are about one pool size, and this run is a {kind}; see make {kind}"
        )
    return [
        JudgedClaim(name, words, list(cells(results)), results.levels)
        for name, (words, cells) in CLAIMS.items()
    ]


def cells_of(judged: Sequence[JudgedClaim], name: str) -> Sequence[Comparison]:
    """Return the cells of the claim of that name."""
    return next(claim.cells for claim in judged if claim.id == name)


def rows(judged: Sequence[JudgedClaim]) -> list[dict[str, Any]]:
    """Return the cells of all claims as plain values, for programs."""
    return [
        {
            "id": claim.id,
            "client": cell.client,
            "mode": cell.mode,
            "quantity": cell.quantity,
            "estimate": cell.estimate and cell.estimate.value,
            "ci95": cell.estimate and cell.estimate.ci95,
            "ci90": cell.estimate and cell.estimate.ci90,
            "levels": astuple(claim.levels),
            "intervals": cell.estimate and [*map(cell.estimate.interval, astuple(claim.levels))],
            "rounds": cell.estimate.rounds if cell.estimate else 0,
            "verdict": cell.ruling.verdict,
            "reason": cell.ruling.reason,
            "article_2018": cell.article_2018,
            "claim_verdict": claim.ruling.verdict,
        }
        for claim in judged
        for cell in claim.cells
    ]


def _compare(
    results: RunResults,
    where: tuple[str | None, Mode | None],
    quantity: str,
    estimate: Estimate,
    rule: Rule,
    *,
    missing: str,
    unless: str = "",
    article_2018: float | None = None,
) -> Comparison:
    """Judge an estimate by a rule; `missing` and `unless` say why it cannot be."""
    ruling = _cannot_be_judged(estimate, missing, unless) or _judged(results, estimate, rule)
    known = estimate if estimate.rounds else None
    return Comparison(*where, quantity, ruling, known, rule.zone, article_2018)


def _cannot_be_judged(estimate: Estimate, missing: str, unless: str) -> Ruling | None:
    """Say what was not measured, does not apply, or has too few rounds."""
    if missing:
        return Ruling("not measured", missing)
    if unless:
        return Ruling("not applicable", unless)
    if estimate.has_enough_rounds:
        return None
    count = f"{estimate.rounds} complete round{'' if estimate.rounds == 1 else 's'}"
    return Ruling("too few rounds", f"{count}; it takes {ENOUGH_ROUNDS}")


def _judged(results: RunResults, estimate: Estimate, rule: Rule) -> Ruling:
    """Apply a rule; say how many rounds would decide what is open, and what is skewed."""
    ruling = rule.judge(estimate, results.levels)
    reasons = [ruling.reason]
    if ruling.verdict == "inconclusive":
        reasons.append(_would_decide(results, estimate, rule))
    if estimate.skewed:
        reasons.append("its rounds are skewed, so its interval may be too narrow")
    return replace(ruling, reason="; ".join(filter(None, reasons)))


def _would_decide(results: RunResults, estimate: Estimate, rule: Rule) -> str:
    """Say how many rounds would decide, as a run that was given more rounds is judged."""
    needed = rules.rounds_to_decide(estimate, rule.judge, results.next_levels)
    if needed is None:
        return f"even {rules.MOST_ROUNDS} rounds would hardly decide"
    minutes = (needed - estimate.rounds) * results.round_s / 60
    more = f" ({ceil(minutes)} min more)" if isfinite(minutes) else ""
    return f"about {needed} rounds in all would decide{more}"


def _missing(results: RunResults, *modes: Mode, control: bool = False) -> str:
    """Say which modes or controls the study does not have."""
    if control and not results.run.controls:
        return "the run has no control trials"
    missing = [mode for mode in modes if mode not in results.study.modes]
    return f"the study has no {' and no '.join(missing)}" if missing else ""


def _not_in_study(what: str, quantity: str) -> Comparison:
    return Comparison(None, None, quantity, Ruling("not measured", f"the study has no {what}"))


def _other_pool_size(study: Study) -> str:
    """Say whether a claim about ten workers applies to the study."""
    if study.pool_size == WORKERS_2018:
        return ""
    return f"the claim is about {WORKERS_2018} workers, and this study has {study.pool_size}"


def _one_worker(study: Study) -> str:
    return "a pool of one worker fetches nothing in parallel" if study.pool_size == 1 else ""


def _no_latency(study: Study) -> str:
    return "" if study.latency else "this study has no latency"


def paced(study: Study) -> str:
    """Say why totals do not measure the modes, where a rate limit spaces out the starts."""
    return "its starts are paced, so totals measure the pace" if study.source == "wikipedia" else ""


def _requests_8x(results: RunResults) -> Iterator[Comparison]:
    if "requests" not in results.study.clients:
        yield _not_in_study("requests", "speed-up")
    else:
        yield _speed_up(results, "requests", 8)


def _selenium_4x(results: RunResults) -> Iterator[Comparison]:
    if not results.browsers:
        yield _not_in_study("browser", "speed-up")
    for client in results.browsers:
        yield _speed_up(results, client, 4)


def _speed_up(results: RunResults, client: ClientName, times: float) -> Comparison:
    study = results.study
    return _compare(
        results, (client, "threads"), "speed-up",
        summary.speed_up(results.rounds, client, "threads"), rules.roughly(times),
        missing=_missing(results, "serial", "threads"),
        unless=paced(study) or _other_pool_size(study) or _no_latency(study),
        article_2018=article.measured(client, "threads", "speed_up"),
    )  # fmt: skip


def _slow_down(
    results: RunResults, client: ClientName, mode: Mode, rule: Rule, unless: str
) -> Comparison:
    estimate = summary.slow_down(results.rounds, client, mode)
    return _compare(
        results, (client, mode), "slow-down", estimate, rule,
        missing=_missing(results, "serial", mode),
        unless=unless, article_2018=article.measured(client, mode, "slow_down"),
    )  # fmt: skip


def _fetch_slower(results: RunResults) -> Iterator[Comparison]:
    for client, mode in itertools.product(results.known_clients, ARTICLE_PAIR):
        yield _slow_down(results, client, mode, rules.MORE_THAN_ONE, _one_worker(results.study))


def _selenium_twice(results: RunResults) -> Iterator[Comparison]:
    if not results.browsers:
        yield _not_in_study("browser", "slow-down")
    for client in results.browsers:
        unless = _other_pool_size(results.study)
        yield _slow_down(results, client, "threads", rules.MORE_THAN_TWO, unless)


def _contention(results: RunResults) -> Iterator[Comparison]:
    quantity = "share of extra time in the start"
    if not results.browsers:
        yield _not_in_study("browser", quantity)
    for client in results.browsers:
        slower = summary.slow_down(results.rounds, client, "threads")
        wide = slower.interval(results.levels.difference)
        clear = wide is not None and wide[0] > 1
        unclear = slower.has_enough_rounds and not clear
        unless = "its fetches are not clearly slower" if unclear else ""
        missing = _missing(results, "serial", "threads")
        if slower.rounds and not summary.has_phases(results.rounds, client):
            missing = "the start of the browser was not timed"
        estimate = summary.start_share(results.rounds, client, "threads")
        yield _compare(
            results, (client, "threads"), quantity, estimate, rules.MORE_THAN_HALF,
            missing=missing, unless=_one_worker(results.study) or unless,
        )  # fmt: skip


def _requests_lighter(results: RunResults) -> Iterator[Comparison]:
    quantity = "mean fetch, browser / requests"
    if not results.browsers or "requests" not in results.study.clients:
        yield _not_in_study("requests" if results.browsers else "browser", quantity)
        return
    for client, mode in itertools.product(results.browsers, ("serial", *ARTICLE_PAIR)):
        pair = [(client, mode), ("requests", mode)]
        yield _compare(
            results, (client, mode), quantity, _ratio(results, pair, "fetch_mean_s"),
            rules.MORE_THAN_ONE, missing=_missing(results, mode),
            article_2018=_ratio_2018(pair, "fetch_mean_s"),
        )  # fmt: skip


def _no_difference(results: RunResults) -> Iterator[Comparison]:
    for client in results.known_clients:
        yield difference(results, client)


def difference(results: RunResults, client: ClientName) -> Comparison:
    """Judge whether threads and processes perform the same for a client."""
    pair: Pair = [(client, mode) for mode in ARTICLE_PAIR]
    cell = _compare(
        results, (client, None), "total, threads / processes",
        _ratio(results, pair, "span_s"), rules.NO_DIFFERENCE,
        missing=_missing(results, *ARTICLE_PAIR),
        unless=paced(results.study) or _one_worker(results.study),
        article_2018=_ratio_2018(pair, "span_s"),
    )  # fmt: skip
    return _with_walls(results, cell, pair)


def _with_walls(results: RunResults, cell: Comparison, pair: "Pair") -> Comparison:
    """Add the ratio of the walls, which hold the start-up, where processes do not fork."""
    method = results.run.machine.start_method
    if cell.estimate is None or method == "fork":
        return cell
    words = f"with start-up ({method}) {_ratio(results, pair, 'wall_s')}"
    reason = "; ".join(filter(None, [cell.ruling.reason, words]))
    return replace(cell, ruling=replace(cell.ruling, reason=reason))


Pair = Sequence[tuple[ClientName, Mode]]


def _ratio(results: RunResults, pair: Pair, column: str) -> Estimate:
    return summary.ratio(*(summary.of_cell(results.rounds, *cell, column) for cell in pair))


def _ratio_2018(pair: Pair, quantity: Literal["span_s", "fetch_mean_s"]) -> float | None:
    above, below = (article.measured(*cell, quantity) for cell in pair)
    return above / below if above and below else None


def _cpu_bound(results: RunResults) -> Iterator[Comparison]:
    no_gil = "" if results.run.machine.gil else "this Python has no GIL"
    quantity = f"cores used by CPU work, of {results.cores}" if results.cores else "cores used"
    for mode, rule in zip(
        ARTICLE_PAIR, (rules.LESS_THAN_A_CORE, rules.MORE_THAN_A_CORE), strict=True
    ):
        cell = _compare(
            results, (None, mode), quantity, summary.cores_used(results.cpu, "", mode), rule,
            missing=_missing(results, *ARTICLE_PAIR, control=True),
            unless="this machine has one core" if results.cores == 1 else no_gil,
        )  # fmt: skip
        few_cores = cell.ruling.verdict == ("holds" if mode == "threads" else "does not hold")
        starved = _starved(results) if few_cores else ""
        yield replace(cell, ruling=Ruling("inconclusive", starved)) if starved else cell


def _starved(results: RunResults) -> str:
    """Say that CPU work may have lacked even one core, so that few cores used tell nothing."""
    serial = summary.cores_used(results.cpu, "", "serial")
    narrow = serial.interval(results.levels.equivalence)
    if narrow is None or narrow[0] > 1 / rules.ALIKE:
        return ""
    return f"other programs took the CPU: the same work in serial had {serial.shown} of one core"


def _latency(results: RunResults) -> Iterator[Comparison]:
    study = results.study
    faster, control = (
        summary.of_cell(rounds, "requests", "serial", "span_s")
        / summary.of_cell(rounds, "requests", "threads", "span_s")
        for rounds in (results.rounds, results.no_latency)
    )
    missing = _missing(results, "serial", "threads")
    if "requests" not in study.clients:
        missing = "the study has no requests"
    elif study.source != "embedded":
        missing = "its control needs the embedded origin"
    yield _compare(
        results, ("requests", "threads"), "speed-up, with latency / without",
        summary.ratio(faster, control), rules.MORE_THAN_ONE,
        missing=missing, unless=_no_latency(study) or _one_worker(study),
    )  # fmt: skip


def _memory(results: RunResults) -> Iterator[Comparison]:
    yield _start_cost(results, "python_pss_mb", "memory")


def _start_up(results: RunResults) -> Iterator[Comparison]:
    yield _start_cost(results, "startup_s", "time until ready")


def _start_cost(results: RunResults, column: str, what: str) -> Comparison:
    threads, processes = (
        summary.of_cell(results.startup, "", mode, column) for mode in ARTICLE_PAIR
    )
    missing = _missing(results, *ARTICLE_PAIR, control=True)
    if len(processes) and processes.isna().all():
        missing = "this system does not tell it"
    quantity = f"{what}, processes ({results.run.machine.start_method}) / threads"
    ratio = summary.ratio(processes, threads)
    return _compare(results, (None, None), quantity, ratio, rules.MORE_THAN_ONE, missing=missing)


def _pickling(results: RunResults) -> Iterator[Comparison]:
    for mode in ARTICLE_PAIR:
        errors = results.startup.loc[results.startup["mode"] == mode, "pickling_error"]
        refusals = errors.dropna()
        as_claimed = len(refusals) == (len(errors) if mode == "processes" else 0)
        words = f"refused: {refusals.iloc[0].partition(':')[0]}" if len(refusals) else "taken"
        ruling = Ruling("holds" if as_claimed else "does not hold", words)
        missing = _missing(results, mode, control=True)
        if missing := missing or ("" if len(errors) else "no trial was complete"):
            ruling = Ruling("not measured", missing)
        yield Comparison(None, mode, "a function without wraps", ruling)


def _same_interface(results: RunResults) -> Iterator[Comparison]:
    if results.run.interfaces is None:
        ruling = Ruling("not measured", "the run did not note them")
    else:
        pool, threads = (set(results.run.interfaces[name]) for name in ("Pool", "ThreadPool"))
        ruling = Ruling("holds", f"{len(pool)} methods that take the same")
        if different := pool ^ threads:
            ruling = Ruling("does not hold", f"not in both: {', '.join(sorted(different))}")
    yield Comparison(None, None, "public methods", ruling)


CLAIMS: dict[str, tuple[str, Callable[[RunResults], Iterator[Comparison]]]] = {
    "requests-8x": ("requests: roughly 8 times sooner in threads", _requests_8x),
    "selenium-4x": ("selenium: roughly 4 times sooner in threads", _selenium_4x),
    "fetch-slower": ("one fetch is faster in serial than in parallel", _fetch_slower),
    "selenium-twice": ("selenium: a fetch is more than twice as slow in threads", _selenium_twice),
    "contention": ("... because ten browsers start at once", _contention),
    "requests-lighter": ("requests: a fetch is quicker than selenium's", _requests_lighter),
    "no-difference": ("threads and processes perform the same", _no_difference),
    "cpu-bound": ("threads do not help on several cores", _cpu_bound),
    "latency": ("threads help by using the latency", _latency),
    "memory": ("processes need more memory", _memory),
    "start-up": ("processes need more time to start", _start_up),
    "pickling": ("without functools.wraps only threads will do", _pickling),
    "same-interface": ("ThreadPool has the interface of Pool", _same_interface),
}
"""The claims by their names, in the article's words made short, each with what judges it."""

NOT_JUDGED = {
    "this is all done without any overhead": (
        "the article gives no number for the overhead; fetch times, start-up and memory are judged"
    ),
    "is really easy, or at least as easy as using the multiprocessing.pool.Pool interface": (
        "ease of use cannot be measured; whether the two interfaces are equal is judged"
    ),
    "can increase the execution speed of single-threaded programs": (
        "this is about the GIL and needs a second Python to compare with"
    ),
    "the exact performance details are likely to depend on your specific application": (
        "this is true of any measurement; try other pools, clients and pages"
    ),
}
"""Statements of the article that this study cannot test, each with the reason."""
