"""The article's claims, judged by a run's numbers.

Every claim is judged cell by cell (a client in a mode), each cell by one rule; what was not
measured, does not apply or has too few rounds is said before a rule is asked.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from experiment.analysis import summary
from experiment.analysis.results import RunResults
from experiment.analysis.rules import (
    GAIN,
    MORE_THAN_HALF,
    MORE_THAN_ONE,
    MORE_THAN_TWO,
    NO_DIFFERENCE,
    NO_GAIN,
    Rule,
    Ruling,
    Verdict,
    Zone,
    cpu_bound,
    roughly,
)
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
    estimate: Estimate | None = None
    zone: Zone | None = None
    article_2018: float | None = None

    @property
    def found(self) -> Estimate | None:
        """The estimate, if there is any round to it."""
        return self.estimate if self.estimate and self.estimate.rounds else None

    @property
    def words(self) -> str:
        """Of which client and mode it is, and what was measured."""
        who = ", ".join(filter(None, [self.client, self.mode]))
        return ": ".join(filter(None, [who, self.quantity]))


@dataclass(frozen=True)
class JudgedClaim:
    """A claim of the article with its cells, and the verdict that they come to."""

    id: str
    words: str
    cells: Sequence[Comparison]

    @property
    def ruling(self) -> Ruling:
        """The verdict of the cells where they agree; else `mixed`, with what differs."""
        groups: dict[Verdict, list[Comparison]] = {}
        for cell in self.cells:
            groups.setdefault(cell.ruling.verdict, []).append(cell)
        if len(groups) == 1:
            reasons = dict.fromkeys(cell.ruling.reason for cell in self.cells)
            return Ruling(next(iter(groups)), "; ".join(filter(None, reasons)))
        parts = (f"{verdict}: {_listed(cells)}" for verdict, cells in groups.items())
        return Ruling("mixed", "; ".join(parts))


def _listed(cells: Sequence[Comparison]) -> str:
    names = (", ".join(filter(None, [cell.client, cell.mode])) or "all" for cell in cells)
    return " and ".join(names)


def judge(results: RunResults) -> list[JudgedClaim]:
    """All the claims of the article, judged; raises `UserError` for a sweep."""
    if results.study.is_sweep:
        raise UserError(
            "run: the claims are about one pool size, and this run is a sweep; see make sweep"
        )
    return [
        JudgedClaim(name, words, list(cells(results))) for name, (words, cells) in CLAIMS.items()
    ]


def cells_of(judged: Sequence[JudgedClaim], name: str) -> Sequence[Comparison]:
    """The cells of the claim of that name."""
    return next(claim.cells for claim in judged if claim.id == name)


def rows(judged: Sequence[JudgedClaim]) -> list[dict[str, Any]]:
    """The cells of all claims as plain values, for programs."""
    return [_row(claim, cell) for claim in judged for cell in claim.cells]


def _row(claim: JudgedClaim, cell: Comparison) -> dict[str, Any]:
    found = cell.found
    return {
        "id": claim.id,
        "client": cell.client,
        "mode": cell.mode,
        "quantity": cell.quantity,
        "estimate": found and found.value,
        "ci95": found and found.ci95,
        "ci90": found and found.ci90,
        "rounds": found.rounds if found else 0,
        "verdict": cell.ruling.verdict,
        "reason": cell.ruling.reason,
        "article_2018": cell.article_2018,
        "claim_verdict": claim.ruling.verdict,
    }


def _guarded(
    found: Estimate, rule: Callable[[Estimate], Ruling], lacking: str, unless: str
) -> Ruling:
    """The ruling, unless something was not measured, does not apply, or has too few rounds."""
    if lacking:
        return Ruling("not measured", lacking)
    if unless:
        return Ruling("not applicable", unless)
    if not found.enough:
        count = f"{found.rounds} complete round{'' if found.rounds == 1 else 's'}"
        return Ruling("too few rounds", f"{count}; it takes {ENOUGH_ROUNDS}")
    return rule(found)


def _lacking(study: Study, *modes: Mode) -> str:
    missing = [mode for mode in modes if mode not in study.modes]
    return f"the study has no {' and no '.join(missing)}" if missing else ""


def _none(what: str, quantity: str) -> Comparison:
    return Comparison(None, None, quantity, Ruling("not measured", f"the study has no {what}"))


def _not_ten(study: Study) -> str:
    """The premise of claims about how much ten workers gain or lose."""
    if study.pool_size == WORKERS_2018:
        return ""
    return f"the claim is about {WORKERS_2018} workers, and this study has {study.pool_size}"


def _alone(study: Study) -> str:
    """The premise of claims about fetches that run at the same time."""
    return "a pool of one worker fetches nothing in parallel" if study.pool_size == 1 else ""


def paced(study: Study) -> str:
    """The premise of claims about total times."""
    if study.source != "wikipedia":
        return ""
    return "its starts are paced, so totals measure the pace"


def _no_wait(study: Study) -> str:
    """The premise of claims about what a pool gains while others wait."""
    return "" if study.latency else "this study has no latency"


def _sooner(results: RunResults, client: ClientName, times: float) -> Comparison:
    found, rule = summary.speed_up(results.rounds, client, "threads"), roughly(times)
    lacking = _lacking(results.study, "serial", "threads")
    unless = paced(results.study) or _not_ten(results.study) or _no_wait(results.study)
    ruling = _guarded(found, rule.judge, lacking, unless)
    then = summary.in_2018(client, "threads", "speedup_vs_serial")
    return Comparison(client, "threads", "speed-up", ruling, found, rule.zone, then)


def _slower(
    results: RunResults, client: ClientName, mode: Mode, rule: Rule, unless: str
) -> Comparison:
    found = summary.slow_down(results.rounds, client, mode)
    ruling = _guarded(found, rule.judge, _lacking(results.study, "serial", mode), unless)
    then = summary.in_2018(client, mode, "fetch_mean_ratio_vs_serial")
    return Comparison(client, mode, "slow-down", ruling, found, rule.zone, then)


def _requests_8x(results: RunResults) -> Iterator[Comparison]:
    if "requests" not in results.study.clients:
        yield _none("requests", "speed-up")
    else:
        yield _sooner(results, "requests", 8)


def _selenium_4x(results: RunResults) -> Iterator[Comparison]:
    if not results.browsers:
        yield _none("browser", "speed-up")
    for client in results.browsers:
        yield _sooner(results, client, 4)


def _fetch_slower(results: RunResults) -> Iterator[Comparison]:
    for client in results.study.clients:
        for mode in ARTICLE_PAIR:
            yield _slower(results, client, mode, MORE_THAN_ONE, _alone(results.study))


def _selenium_twice(results: RunResults) -> Iterator[Comparison]:
    if not results.browsers:
        yield _none("browser", "slow-down")
    for client in results.browsers:
        yield _slower(results, client, "threads", MORE_THAN_TWO, _not_ten(results.study))


def _contention(results: RunResults) -> Iterator[Comparison]:
    quantity = "share of extra time in the start"
    if not results.browsers:
        yield _none("browser", quantity)
    for client in results.browsers:
        slower = summary.slow_down(results.rounds, client, "threads")
        found = summary.start_share(results.rounds, client, "threads")
        clear = slower.ci95 is not None and slower.ci95[0] > 1
        unless = "" if clear or not slower.enough else "its fetches are not clearly slower"
        unless = _alone(results.study) or unless
        lacking = _lacking(results.study, "serial", "threads")
        ruling = _guarded(found, MORE_THAN_HALF.judge, lacking, unless)
        yield Comparison(client, "threads", quantity, ruling, found, MORE_THAN_HALF.zone)


def _requests_lighter(results: RunResults) -> Iterator[Comparison]:
    quantity, zone = "mean fetch, browser / requests", MORE_THAN_ONE.zone
    if not results.browsers or "requests" not in results.study.clients:
        yield _none("requests" if results.browsers else "browser", quantity)
        return
    for client, mode in itertools.product(results.browsers, ("serial", *ARTICLE_PAIR)):
        column, pair = "fetch_mean_s", [(client, mode), ("requests", mode)]
        found = summary.ratio(*(summary.of_cell(results.rounds, *cell, column) for cell in pair))
        ruling = _guarded(found, MORE_THAN_ONE.judge, _lacking(results.study, mode), "")
        yield Comparison(client, mode, quantity, ruling, found, zone, _ratio_2018(pair, "mean_s"))


def _no_difference(results: RunResults) -> Iterator[Comparison]:
    quantity, zone = "total, threads / processes", NO_DIFFERENCE.zone
    for client in results.study.clients:
        pair = [(client, mode) for mode in ARTICLE_PAIR]
        found = summary.ratio(*(summary.of_cell(results.rounds, *cell, "span_s") for cell in pair))
        lacking = _lacking(results.study, *ARTICLE_PAIR)
        unless = paced(results.study) or _alone(results.study)
        ruling = _guarded(found, NO_DIFFERENCE.judge, lacking, unless)
        then = _ratio_2018(pair, "span_s")
        yield Comparison(client, None, quantity, ruling, found, zone, then)


def _ratio_2018(pair: Sequence[tuple[str, str]], column: str) -> float | None:
    above, below = (summary.in_2018(client, mode, column) for client, mode in pair)
    return above / below if above and below else None


def _cpu_bound(results: RunResults) -> Iterator[Comparison]:
    machine = results.run.machine
    unless = "" if machine.gil else "this Python has no GIL"
    unless = "this machine has one core" if machine.cores == 1 else unless
    threads, processes = (summary.speed_up(results.cpu, "", mode) for mode in ARTICLE_PAIR)
    ruling = _guarded(
        min(threads, processes, key=lambda estimate: estimate.rounds),
        lambda _: cpu_bound(threads, processes),
        _lacking(results.study, "serial", *ARTICLE_PAIR),
        unless,
    )
    quantity = f"CPU-bound speed-up, {machine.cores} cores"
    yield Comparison(None, "threads", quantity, ruling, threads, NO_GAIN)
    yield Comparison(None, "processes", quantity, ruling, processes, GAIN)


def _latency(results: RunResults) -> Iterator[Comparison]:
    study, quantity = results.study, "speed-up, with latency / without"
    faster, control = (
        summary.of_cell(rounds, "requests", "serial", "span_s")
        / summary.of_cell(rounds, "requests", "threads", "span_s")
        for rounds in (results.rounds, results.no_latency)
    )
    found = summary.ratio(faster, control)
    if "requests" not in study.clients:
        lacking = "the study has no requests"
    elif study.source != "embedded":
        lacking = "its control needs the embedded origin"
    else:
        lacking = _lacking(study, "serial", "threads")
    ruling = _guarded(found, MORE_THAN_ONE.judge, lacking, _no_wait(study) or _alone(study))
    yield Comparison("requests", "threads", quantity, ruling, found, MORE_THAN_ONE.zone)


def _pools(results: RunResults, column: str, what: str) -> Comparison:
    quantity = f"{what}, processes ({results.run.machine.start_method}) / threads"
    processes, threads = (
        summary.of_cell(results.startup, "", mode, column) for mode in ("processes", "threads")
    )
    found = summary.ratio(processes, threads)
    lacking = _lacking(results.study, *ARTICLE_PAIR)
    if len(processes) and processes.isna().all():
        lacking = "this system does not tell it"
    ruling = _guarded(found, MORE_THAN_ONE.judge, lacking, "")
    return Comparison(None, None, quantity, ruling, found, MORE_THAN_ONE.zone)


def _memory(results: RunResults) -> Iterator[Comparison]:
    yield _pools(results, "python_pss_mb", "memory")


def _start_up(results: RunResults) -> Iterator[Comparison]:
    yield _pools(results, "startup_s", "time until ready")


def _pickling(results: RunResults) -> Iterator[Comparison]:
    claims: dict[Mode, str] = {"threads": "taken", "processes": "refused"}
    for mode, claimed in claims.items():
        errors = results.startup.loc[results.startup["mode"] == mode, "pickling_error"]
        refusals = errors.dropna()
        lacking = _lacking(results.study, mode) or ("" if len(errors) else "no trial was complete")
        shown = len(refusals) == (len(errors) if claimed == "refused" else 0)
        words = f"refused: {refusals.iloc[0].partition(':')[0]}" if len(refusals) else "taken"
        ruling = Ruling("holds" if shown else "does not hold", words)
        ruling = Ruling("not measured", lacking) if lacking else ruling
        yield Comparison(None, mode, "a function without wraps", ruling)


def _same_interface(results: RunResults) -> Iterator[Comparison]:
    pool, threads = (set(results.run.interfaces[name]) for name in ("Pool", "ThreadPool"))
    same = f"{len(pool)} methods that take the same"
    different = f"not in both: {', '.join(sorted(pool ^ threads))}"
    ruling = Ruling("does not hold", different) if pool ^ threads else Ruling("holds", same)
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
        "no amount of overhead is named that could be judged; fetch times, start-up and memory are"
    ),
    "is really easy, or at least as easy as using the multiprocessing.pool.Pool interface": (
        "said of ThreadPool; ease is no measurement, but that the interfaces are the same is judged"
    ),
    "can increase the execution speed of single-threaded programs": (
        "said of the GIL; it would take another Python to compare with"
    ),
    "the exact performance details are likely to depend on your specific application": (
        "true of any measurement; other pools, clients and pages can be tried"
    ),
}
"""What the article says and no measurement here can judge, each with the reason."""
