"""The article's claims, judged by a run's numbers.

Every claim is judged cell by cell (a client in a mode), each cell by one rule; what was not
measured, does not apply or has too few rounds is said before a rule is asked.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from experiment import article, summary
from experiment.errors import UserError
from experiment.records import Run
from experiment.rules import (
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
from experiment.study import ClientName, Mode, Study
from experiment.summary import ENOUGH_ROUNDS, Estimate

PARALLEL: tuple[Mode, ...] = ("threads", "processes")
WORKERS_2018 = 10


@dataclass(frozen=True)
class Cell:
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
class Judged:
    """A claim of the article with its cells, and the verdict that they come to."""

    id: str
    words: str
    cells: Sequence[Cell]

    @property
    def ruling(self) -> Ruling:
        """The verdict of the cells where they agree; else `mixed`, with what differs."""
        groups: dict[Verdict, list[Cell]] = {}
        for cell in self.cells:
            groups.setdefault(cell.ruling.verdict, []).append(cell)
        if len(groups) == 1:
            reasons = dict.fromkeys(cell.ruling.reason for cell in self.cells)
            return Ruling(next(iter(groups)), "; ".join(filter(None, reasons)))
        parts = (f"{verdict}: {_listed(cells)}" for verdict, cells in groups.items())
        return Ruling("mixed", "; ".join(parts))


def _listed(cells: Sequence[Cell]) -> str:
    names = (", ".join(filter(None, [cell.client, cell.mode])) or "all" for cell in cells)
    return " and ".join(names)


@dataclass(frozen=True)
class Evidence:
    """What a run has to say: its main fetches and trials, its rounds by arm, what measured it.

    `fetches` are those that count; `trials` are all of the main arm.
    """

    run: Run
    fetches: pd.DataFrame
    trials: pd.DataFrame
    main: pd.DataFrame
    no_latency: pd.DataFrame
    cpu: pd.DataFrame
    startup: pd.DataFrame

    @property
    def study(self) -> Study:
        """The run's study."""
        return self.run.study

    @property
    def browsers(self) -> list[ClientName]:
        """The browsers of the study."""
        return [client for client in self.study.clients if client != "requests"]


def evidence(run: Run, fetches: pd.DataFrame, trials: pd.DataFrame) -> Evidence:
    """The main trials with their fetches, and the rounds of each arm."""
    main, *controls = (
        summary.per_trial(fetches, trials, arm) for arm in ("main", "no_latency", "cpu", "startup")
    )
    counting, rounds = summary.that_count(fetches, main), summary.per_round(main)
    return Evidence(run, counting, main, rounds, *map(summary.per_round, controls))


def judge(seen: Evidence) -> list[Judged]:
    """All the claims of the article, judged; raises `UserError` for a sweep."""
    if seen.study.is_sweep:
        raise UserError(
            "run: the claims are about one pool size, and this run is a sweep; see make sweep"
        )
    return [Judged(name, words, list(cells(seen))) for name, (words, cells) in CLAIMS.items()]


def cells_of(judged: Sequence[Judged], name: str) -> Sequence[Cell]:
    """The cells of the claim of that name."""
    return next(claim.cells for claim in judged if claim.id == name)


def rows(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """The cells of all claims as plain values, for programs."""
    return [_row(claim, cell) for claim in judged for cell in claim.cells]


def _row(claim: Judged, cell: Cell) -> dict[str, Any]:
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


def _lacking_control(seen: Evidence, *modes: Mode) -> str:
    return _lacking(seen.study, *modes) if seen.run.controls else "the run has no control trials"


def _none(what: str, quantity: str) -> Cell:
    return Cell(None, None, quantity, Ruling("not measured", f"the study has no {what}"))


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


def _sooner(seen: Evidence, client: ClientName, times: float) -> Cell:
    found, rule = summary.speed_up(seen.main, client, "threads"), roughly(times)
    lacking = _lacking(seen.study, "serial", "threads")
    unless = paced(seen.study) or _not_ten(seen.study) or _no_wait(seen.study)
    ruling = _guarded(found, rule.judge, lacking, unless)
    then = article.measured(client, "threads", "speed_up")
    return Cell(client, "threads", "speed-up", ruling, found, rule.zone, then)


def _slower(seen: Evidence, client: ClientName, mode: Mode, rule: Rule, unless: str) -> Cell:
    found = summary.slow_down(seen.main, client, mode)
    ruling = _guarded(found, rule.judge, _lacking(seen.study, "serial", mode), unless)
    then = article.measured(client, mode, "slow_down")
    return Cell(client, mode, "slow-down", ruling, found, rule.zone, then)


def _requests_8x(seen: Evidence) -> Iterator[Cell]:
    if "requests" not in seen.study.clients:
        yield _none("requests", "speed-up")
    else:
        yield _sooner(seen, "requests", 8)


def _selenium_4x(seen: Evidence) -> Iterator[Cell]:
    if not seen.browsers:
        yield _none("browser", "speed-up")
    for client in seen.browsers:
        yield _sooner(seen, client, 4)


def _fetch_slower(seen: Evidence) -> Iterator[Cell]:
    for client in seen.study.clients:
        for mode in PARALLEL:
            yield _slower(seen, client, mode, MORE_THAN_ONE, _alone(seen.study))


def _selenium_twice(seen: Evidence) -> Iterator[Cell]:
    if not seen.browsers:
        yield _none("browser", "slow-down")
    for client in seen.browsers:
        yield _slower(seen, client, "threads", MORE_THAN_TWO, _not_ten(seen.study))


def _contention(seen: Evidence) -> Iterator[Cell]:
    quantity = "share of extra time in the start"
    if not seen.browsers:
        yield _none("browser", quantity)
    for client in seen.browsers:
        slower = summary.slow_down(seen.main, client, "threads")
        found = summary.start_share(seen.main, client, "threads")
        clear = slower.ci95 is not None and slower.ci95[0] > 1
        unless = "" if clear or not slower.enough else "its fetches are not clearly slower"
        unless = _alone(seen.study) or unless
        lacking = _lacking(seen.study, "serial", "threads")
        if slower.rounds and not summary.has_phases(seen.main, client):
            lacking = "the start of the browser was not timed"
        ruling = _guarded(found, MORE_THAN_HALF.judge, lacking, unless)
        yield Cell(client, "threads", quantity, ruling, found, MORE_THAN_HALF.zone)


def _requests_lighter(seen: Evidence) -> Iterator[Cell]:
    quantity, zone = "mean fetch, browser / requests", MORE_THAN_ONE.zone
    if not seen.browsers or "requests" not in seen.study.clients:
        yield _none("requests" if seen.browsers else "browser", quantity)
        return
    for client, mode in itertools.product(seen.browsers, ("serial", *PARALLEL)):
        pair = [(client, mode), ("requests", mode)]
        found = summary.ratio(*(summary.of_cell(seen.main, *cell, "fetch_mean_s") for cell in pair))
        ruling = _guarded(found, MORE_THAN_ONE.judge, _lacking(seen.study, mode), "")
        yield Cell(client, mode, quantity, ruling, found, zone, _ratio_2018(pair, "fetch_mean_s"))


def _no_difference(seen: Evidence) -> Iterator[Cell]:
    quantity, zone = "total, threads / processes", NO_DIFFERENCE.zone
    for client in seen.study.clients:
        pair = [(client, mode) for mode in PARALLEL]
        found = summary.ratio(*(summary.of_cell(seen.main, *cell, "total_s") for cell in pair))
        lacking = _lacking(seen.study, *PARALLEL)
        unless = paced(seen.study) or _alone(seen.study)
        ruling = _guarded(found, NO_DIFFERENCE.judge, lacking, unless)
        then = _ratio_2018(pair, "total_s")
        yield Cell(client, None, quantity, ruling, found, zone, then)


def _ratio_2018(
    pair: Sequence[tuple[str, str]], quantity: Literal["total_s", "fetch_mean_s"]
) -> float | None:
    above, below = (article.measured(client, mode, quantity) for client, mode in pair)
    return above / below if above and below else None


def _cpu_bound(seen: Evidence) -> Iterator[Cell]:
    machine = seen.run.machine
    unless = "" if machine.gil else "this Python has no GIL"
    unless = "this machine has one core" if machine.cores == 1 else unless
    threads, processes = (summary.speed_up(seen.cpu, "", mode) for mode in PARALLEL)
    ruling = _guarded(
        min(threads, processes, key=lambda estimate: estimate.rounds),
        lambda _: cpu_bound(threads, processes),
        _lacking_control(seen, "serial", *PARALLEL),
        unless,
    )
    quantity = "CPU-bound speed-up" + (f", {machine.cores} cores" if machine.cores else "")
    yield Cell(None, "threads", quantity, ruling, threads, NO_GAIN)
    yield Cell(None, "processes", quantity, ruling, processes, GAIN)


def _latency(seen: Evidence) -> Iterator[Cell]:
    study, quantity = seen.study, "speed-up, with latency / without"
    faster, control = (
        summary.of_cell(rounds, "requests", "serial", "total_s")
        / summary.of_cell(rounds, "requests", "threads", "total_s")
        for rounds in (seen.main, seen.no_latency)
    )
    found = summary.ratio(faster, control)
    if "requests" not in study.clients:
        lacking = "the study has no requests"
    elif study.source != "embedded":
        lacking = "its control needs the embedded origin"
    else:
        lacking = _lacking(study, "serial", "threads")
    ruling = _guarded(found, MORE_THAN_ONE.judge, lacking, _no_wait(study) or _alone(study))
    yield Cell("requests", "threads", quantity, ruling, found, MORE_THAN_ONE.zone)


def _pools(seen: Evidence, column: str, what: str) -> Cell:
    quantity = f"{what}, processes ({seen.run.machine.start_method}) / threads"
    processes, threads = (
        summary.of_cell(seen.startup, "", mode, column) for mode in ("processes", "threads")
    )
    found = summary.ratio(processes, threads)
    lacking = _lacking_control(seen, *PARALLEL)
    if len(processes) and processes.isna().all():
        lacking = "this system does not tell it"
    ruling = _guarded(found, MORE_THAN_ONE.judge, lacking, "")
    return Cell(None, None, quantity, ruling, found, MORE_THAN_ONE.zone)


def _memory(seen: Evidence) -> Iterator[Cell]:
    yield _pools(seen, "python_pss_mb", "memory")


def _start_up(seen: Evidence) -> Iterator[Cell]:
    yield _pools(seen, "startup_s", "time until ready")


def _pickling(seen: Evidence) -> Iterator[Cell]:
    claims: dict[Mode, str] = {"threads": "taken", "processes": "refused"}
    for mode, claimed in claims.items():
        errors = seen.startup.loc[seen.startup["mode"] == mode, "pickling_error"]
        refusals = errors.dropna()
        lacking = _lacking_control(seen, mode) or ("" if len(errors) else "no trial was complete")
        shown = len(refusals) == (len(errors) if claimed == "refused" else 0)
        words = f"refused: {refusals.iloc[0].partition(':')[0]}" if len(refusals) else "taken"
        ruling = Ruling("holds" if shown else "does not hold", words)
        ruling = Ruling("not measured", lacking) if lacking else ruling
        yield Cell(None, mode, "a function without wraps", ruling)


def _same_interface(seen: Evidence) -> Iterator[Cell]:
    quantity = "public methods"
    if seen.run.interfaces is None:
        ruling = Ruling("not measured", "the run did not note them")
        yield Cell(None, None, quantity, ruling)
        return
    pool, threads = (set(seen.run.interfaces[name]) for name in ("Pool", "ThreadPool"))
    same = f"{len(pool)} methods that take the same"
    different = f"not in both: {', '.join(sorted(pool ^ threads))}"
    ruling = Ruling("does not hold", different) if pool ^ threads else Ruling("holds", same)
    yield Cell(None, None, quantity, ruling)


CLAIMS: dict[str, tuple[str, Callable[[Evidence], Iterator[Cell]]]] = {
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
