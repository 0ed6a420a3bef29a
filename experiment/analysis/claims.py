"""The article's claims, judged by a run's numbers.

Every claim is judged cell by cell (a client in a mode), each cell by one rule; what was not
measured, does not apply or has too few rounds is said before a rule is asked.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from experiment.analysis import article, summary
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
from experiment.vocabulary import ClientName, Mode

PARALLEL: tuple[Mode, ...] = ("threads", "processes")
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
    estimate = cell.estimate
    return {
        "id": claim.id,
        "client": cell.client,
        "mode": cell.mode,
        "quantity": cell.quantity,
        "estimate": estimate and estimate.value,
        "ci95": estimate and estimate.ci95,
        "ci90": estimate and estimate.ci90,
        "rounds": estimate.rounds if estimate else 0,
        "verdict": cell.ruling.verdict,
        "reason": cell.ruling.reason,
        "article_2018": cell.article_2018,
        "claim_verdict": claim.ruling.verdict,
    }


def _guarded(
    estimate: Estimate, rule: Callable[[Estimate], Ruling], lacking: str, unless: str
) -> Ruling:
    """The ruling, unless something was not measured, does not apply, or has too few rounds."""
    if lacking:
        return Ruling("not measured", lacking)
    if unless:
        return Ruling("not applicable", unless)
    if not estimate.enough:
        count = f"{estimate.rounds} complete round{'' if estimate.rounds == 1 else 's'}"
        return Ruling("too few rounds", f"{count}; it takes {ENOUGH_ROUNDS}")
    return rule(estimate)


def _known(estimate: Estimate) -> Estimate | None:
    return estimate if estimate.rounds else None


def _lacking(study: Study, *modes: Mode) -> str:
    missing = [mode for mode in modes if mode not in study.modes]
    return f"the study has no {' and no '.join(missing)}" if missing else ""


def _lacking_control(results: RunResults, *modes: Mode) -> str:
    return (
        _lacking(results.study, *modes) if results.run.controls else "the run has no control trials"
    )


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
    estimate, rule = summary.speed_up(results.rounds, client, "threads"), roughly(times)
    lacking = _lacking(results.study, "serial", "threads")
    unless = paced(results.study) or _not_ten(results.study) or _no_wait(results.study)
    ruling = _guarded(estimate, rule.judge, lacking, unless)
    then = article.measured(client, "threads", "speed_up")
    return Comparison(client, "threads", "speed-up", ruling, _known(estimate), rule.zone, then)


def _slower(
    results: RunResults, client: ClientName, mode: Mode, rule: Rule, unless: str
) -> Comparison:
    estimate = summary.slow_down(results.rounds, client, mode)
    ruling = _guarded(estimate, rule.judge, _lacking(results.study, "serial", mode), unless)
    then = article.measured(client, mode, "slow_down")
    return Comparison(client, mode, "slow-down", ruling, _known(estimate), rule.zone, then)


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
        for mode in PARALLEL:
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
        estimate = summary.start_share(results.rounds, client, "threads")
        clear = slower.ci95 is not None and slower.ci95[0] > 1
        unless = "" if clear or not slower.enough else "its fetches are not clearly slower"
        unless = _alone(results.study) or unless
        lacking = _lacking(results.study, "serial", "threads")
        if slower.rounds and not summary.has_phases(results.rounds, client):
            lacking = "the start of the browser was not timed"
        ruling = _guarded(estimate, MORE_THAN_HALF.judge, lacking, unless)
        yield Comparison(client, "threads", quantity, ruling, _known(estimate), MORE_THAN_HALF.zone)


def _requests_lighter(results: RunResults) -> Iterator[Comparison]:
    quantity, zone = "mean fetch, browser / requests", MORE_THAN_ONE.zone
    if not results.browsers or "requests" not in results.study.clients:
        yield _none("requests" if results.browsers else "browser", quantity)
        return
    for client, mode in itertools.product(results.browsers, ("serial", *PARALLEL)):
        pair = [(client, mode), ("requests", mode)]
        estimate = summary.ratio(
            *(summary.of_cell(results.rounds, *cell, "fetch_mean_s") for cell in pair)
        )
        ruling = _guarded(estimate, MORE_THAN_ONE.judge, _lacking(results.study, mode), "")
        then = _ratio_2018(pair, "fetch_mean_s")
        yield Comparison(client, mode, quantity, ruling, _known(estimate), zone, then)


def _no_difference(results: RunResults) -> Iterator[Comparison]:
    quantity, zone = "total, threads / processes", NO_DIFFERENCE.zone
    for client in results.study.clients:
        pair = [(client, mode) for mode in PARALLEL]
        estimate = summary.ratio(
            *(summary.of_cell(results.rounds, *cell, "span_s") for cell in pair)
        )
        lacking = _lacking(results.study, *PARALLEL)
        unless = paced(results.study) or _alone(results.study)
        ruling = _guarded(estimate, NO_DIFFERENCE.judge, lacking, unless)
        then = _ratio_2018(pair, "span_s")
        yield Comparison(client, None, quantity, ruling, _known(estimate), zone, then)


def _ratio_2018(
    pair: Sequence[tuple[str, str]], quantity: Literal["span_s", "fetch_mean_s"]
) -> float | None:
    above, below = (article.measured(client, mode, quantity) for client, mode in pair)
    return above / below if above and below else None


def _cpu_bound(results: RunResults) -> Iterator[Comparison]:
    machine = results.run.machine
    unless = "" if machine.gil else "this Python has no GIL"
    unless = "this machine has one core" if machine.cores == 1 else unless
    threads, processes = (summary.speed_up(results.cpu, "", mode) for mode in PARALLEL)
    ruling = _guarded(
        min(threads, processes, key=lambda estimate: estimate.rounds),
        lambda _: cpu_bound(threads, processes),
        _lacking_control(results, "serial", *PARALLEL),
        unless,
    )
    quantity = "CPU-bound speed-up" + (f", {machine.cores} cores" if machine.cores else "")
    yield Comparison(None, "threads", quantity, ruling, _known(threads), NO_GAIN)
    yield Comparison(None, "processes", quantity, ruling, _known(processes), GAIN)


def _latency(results: RunResults) -> Iterator[Comparison]:
    study, quantity = results.study, "speed-up, with latency / without"
    faster, control = (
        summary.of_cell(rounds, "requests", "serial", "span_s")
        / summary.of_cell(rounds, "requests", "threads", "span_s")
        for rounds in (results.rounds, results.no_latency)
    )
    estimate = summary.ratio(faster, control)
    if "requests" not in study.clients:
        lacking = "the study has no requests"
    elif study.source != "embedded":
        lacking = "its control needs the embedded origin"
    else:
        lacking = _lacking(study, "serial", "threads")
    ruling = _guarded(estimate, MORE_THAN_ONE.judge, lacking, _no_wait(study) or _alone(study))
    yield Comparison("requests", "threads", quantity, ruling, _known(estimate), MORE_THAN_ONE.zone)


def _pools(results: RunResults, column: str, what: str) -> Comparison:
    quantity = f"{what}, processes ({results.run.machine.start_method}) / threads"
    processes, threads = (
        summary.of_cell(results.startup, "", mode, column) for mode in ("processes", "threads")
    )
    estimate = summary.ratio(processes, threads)
    lacking = _lacking_control(results, *PARALLEL)
    if len(processes) and processes.isna().all():
        lacking = "this system does not tell it"
    ruling = _guarded(estimate, MORE_THAN_ONE.judge, lacking, "")
    return Comparison(None, None, quantity, ruling, _known(estimate), MORE_THAN_ONE.zone)


def _memory(results: RunResults) -> Iterator[Comparison]:
    yield _pools(results, "python_pss_mb", "memory")


def _start_up(results: RunResults) -> Iterator[Comparison]:
    yield _pools(results, "startup_s", "time until ready")


def _pickling(results: RunResults) -> Iterator[Comparison]:
    claims: dict[Mode, str] = {"threads": "taken", "processes": "refused"}
    for mode, claimed in claims.items():
        errors = results.startup.loc[results.startup["mode"] == mode, "pickling_error"]
        refusals = errors.dropna()
        lacking = _lacking_control(results, mode) or (
            "" if len(errors) else "no trial was complete"
        )
        shown = len(refusals) == (len(errors) if claimed == "refused" else 0)
        words = f"refused: {refusals.iloc[0].partition(':')[0]}" if len(refusals) else "taken"
        ruling = Ruling("holds" if shown else "does not hold", words)
        ruling = Ruling("not measured", lacking) if lacking else ruling
        yield Comparison(None, mode, "a function without wraps", ruling)


def _same_interface(results: RunResults) -> Iterator[Comparison]:
    quantity = "public methods"
    if results.run.interfaces is None:
        ruling = Ruling("not measured", "the run did not note them")
        yield Comparison(None, None, quantity, ruling)
        return
    pool, threads = (set(results.run.interfaces[name]) for name in ("Pool", "ThreadPool"))
    same = f"{len(pool)} methods that take the same"
    different = f"not in both: {', '.join(sorted(pool ^ threads))}"
    ruling = Ruling("does not hold", different) if pool ^ threads else Ruling("holds", same)
    yield Comparison(None, None, quantity, ruling)


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
