"""Made-up runs: rows as a study would have written them, with known truths."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiment import load, records
from experiment.analysis import claims
from experiment.analysis.claims import JudgedClaim
from experiment.analysis.results import RunResults
from experiment.measure import controls
from experiment.records import FetchRow, Machine, Run, TrialKey, TrialRow
from experiment.study import Study
from experiment.vocabulary import ARTICLE_PAIR, BROWSERS, Arm

MACHINE = Machine(
    cpu="made up",
    cores=2,
    memory_gb=4,
    system="none",
    python="3.11.7",
    gil=True,
    start_method="fork",
    packages={"requests": "0"},
    browsers={},
)
MOMENT = datetime(2026, 1, 2, tzinfo=UTC)
PLAIN_S, BROWSER_S = 0.2, 1.0


@dataclass(frozen=True)
class ConnectionCost:
    """What the parts of a connection take of a fetch (ms); of CPU they take half as much."""

    bundle: float
    handshake: float
    rest: float

    def of(self, key: TrialKey) -> float:
        """Return what a fetch takes in a trial."""
        if key.arm == "no_tls" or key.reuse == "on":
            return self.rest
        return self.rest + self.handshake + (self.bundle if key.arm != "tls_context" else 0)


@dataclass(frozen=True)
class World:
    """What is true of a made-up run: factors of fetch times by client and mode, and failures."""

    factors: dict[tuple[str, str], float]
    noise: float = 0.02
    failing: str | None = None
    cpu_s: tuple[tuple[str, float], ...] = (("serial", 1.0), ("threads", 1.0), ("processes", 0.5))
    cpu_cores: tuple[tuple[str, float], ...] = (("threads", 1.02), ("processes", 1.9))
    startup_s: tuple[tuple[str, float], ...] = (("threads", 0.005), ("processes", 0.03))
    refusing: tuple[str, ...] = ("processes",)
    controls: bool = True
    machine_cpu: float = 0.2
    cores: float = 0.1
    origin_cores: float = 0.05
    kept: float = 0.8
    """What of a fetch's time is left with reuse."""
    today: bool = False
    """Whether there are the arms `today`, `tls_context` and `no_tls`."""
    costs: tuple[tuple[str, ConnectionCost], ...] = ()
    """What requests takes beyond the origin's delay, by mode; nothing: fetches take `factors`."""


def even(study: Study, **special: float) -> dict[tuple[str, str], float]:
    """A factor for each client and mode, 1 unless a mode has its own."""
    return {
        (client, mode): special.get(mode, 1.0) for client in study.clients for mode in study.modes
    }


def run_of(study: Study, machine: Machine = MACHINE) -> Run:
    """The `run.json` of a made-up run."""
    return Run(
        study=study,
        machine=machine,
        kernel="none",
        clock_resolution_s=1e-9,
        commit=None,
        interfaces=controls.interfaces(),
        started_at=MOMENT,
        finished_at=MOMENT,
    )


def write(folder: Path, study: Study, world: World) -> Path:
    """Write a run whose fetches take 0.2 s (browsers 1 s) times their factor, and its controls."""
    folder.mkdir(parents=True)
    records.write_run(folder, run_of(study))
    chance = random.Random(1)
    for number in range(1, study.rounds + 1):
        fetches: list[FetchRow] = []
        trials: list[TrialRow] = []
        for key in _keys(study, world, number):
            noise = chance.lognormvariate(0, world.noise)
            rows = list(_fetches(study, key, world, noise)) if key.client else []
            fetches += rows
            trials.append(_trial(key, rows, world, noise, len(trials) + 1))
        records.add_round(folder, fetches, trials)
    return folder


def forget_round(folder: Path, number: int) -> None:
    """Leave a run as it was before a round of it was finished."""
    run = records.read_run(folder)
    fetches, trials = records.read_fetches(folder), records.read_trials(folder)
    records.write_run(folder, run.model_copy(update={"finished_at": None}))
    empty(folder)
    records.add_round(
        folder,
        [row for row in fetches if row.round != number],
        [row for row in trials if row.round != number],
    )


def empty(folder: Path) -> None:
    """Remove the rows of a run."""
    run = records.read_run(folder)
    for name in ("fetches.csv", "trials.csv"):
        (folder / name).unlink()
    records.write_run(folder, run.model_copy(update={"extents": None}))


def judged(folder: Path) -> tuple[RunResults, dict[str, JudgedClaim]]:
    """What the claims come to, by their names."""
    results = load(folder)
    return results, {claim.id: claim for claim in claims.judge(results)}


def _keys(study: Study, world: World, number: int) -> Iterator[TrialKey]:
    main = TrialKey(arm="main", client=None, mode="serial", pool_size=1, round=number, repeat=1)
    for client, mode in itertools.product(study.clients, study.modes):
        if (mode == "asyncio") != (client == "aiohttp"):
            continue
        is_serial = mode == "serial"
        sizes, repeats = ((1,), 1) if is_serial else (study.sizes, study.repeats_of(client))
        reuses = study.reuse[:1] if is_serial and study.kind == "sweep" else study.reuse
        for size, repeat, reuse in itertools.product(sizes, range(1, repeats + 1), reuses):
            way = replace(main, client=client, mode=mode, reuse=reuse)
            yield replace(way, pool_size=size, repeat=repeat)
    if world.today:
        yield from _today(study, main)
    for mode in study.modes if world.controls else ():
        yield replace(main, arm="cpu", mode=mode, pool_size=1 if mode == "serial" else 2)
        if mode != "serial":
            yield replace(main, arm="startup", mode=mode, pool_size=10)
        if "requests" in study.clients:
            size = 1 if mode == "serial" else study.pool_size
            yield replace(main, arm="no_latency", client="requests", mode=mode, pool_size=size)


def _today(study: Study, main: TrialKey) -> Iterator[TrialKey]:
    size = study.pool_size
    for client, mode in itertools.product(study.clients, ARTICLE_PAIR):
        yield replace(main, arm="today", client=client, mode=mode, pool_size=size, reuse="on")
    aiohttp = replace(main, arm="today", client="aiohttp", mode="asyncio", reuse="on")
    yield replace(aiohttp, pool_size=size)
    arms: tuple[Arm, ...] = ("tls_context", "no_tls")
    for arm, mode in itertools.product(arms, study.modes):
        size = 1 if mode == "serial" else study.pool_size
        yield replace(main, arm=arm, client="requests", mode=mode, pool_size=size)


def _fetches(study: Study, key: TrialKey, world: World, noise: float) -> Iterator[FetchRow]:
    chance = random.Random(f"{key.round}")
    free = [0.0] * key.pool_size
    for page in range(1, study.pages + 1):
        seconds = noise * _fetch_s(key, world) * chance.lognormvariate(0, 0.15)
        if cost_ms := _cost_ms(key, world):
            seconds = (_origin_ms(key) + noise * cost_ms) / 1000
        worker = min(range(key.pool_size), key=free.__getitem__)
        start = free[worker]
        free[worker] += seconds
        yield FetchRow(
            **asdict(key),
            page=page,
            url=f"http://127.0.0.1/{key.round}/{page}",
            worker=worker + 1,
            start_s=start,
            end_s=free[worker],
            fetch_s=seconds,
            check_s=0.0,
            error="browser" if key.client == world.failing else None,
            **_phases(key, seconds),
        )


def _origin_ms(key: TrialKey) -> float:
    """Return the delay of the origin, which is longer without TLS, as it is in a study."""
    return 131.0 if key.arm == "no_tls" else 101.0


def _cost_ms(key: TrialKey, world: World) -> float:
    """Return what a connection costs a fetch; 0 where the world does not say."""
    costs = dict(world.costs)
    return costs[key.mode].of(key) if key.client == "requests" and costs else 0.0


def _fetch_s(key: TrialKey, world: World) -> float:
    """Without latency a pool gains nothing: each fetch takes as many times longer."""
    assert key.client is not None
    if key.arm == "no_latency":
        return 0.02 * key.pool_size
    if key.reuse == "on":
        return world.kept * _fetch_s(replace(key, reuse="off", arm="main"), world)
    if key.client == "aiohttp":
        return PLAIN_S
    return world.factors[(key.client, key.mode)] * (
        BROWSER_S if key.client in BROWSERS else PLAIN_S
    )


def _phases(key: TrialKey, seconds: float) -> dict[str, Any]:
    if key.client not in BROWSERS:
        return {
            "load_s": seconds,
            "planned_ms": 100.0,
            "origin_ms": _origin_ms(key),
            "sha256": "0" * 64,
        }
    start_s = 0.2 if key.mode == "serial" else 0.2 + 0.8 * (seconds - 1)
    start_s = min(max(start_s, 0.0), seconds)
    return {"browser_start_s": start_s, "load_s": seconds - start_s, "close_s": 0.0}


def _trial(
    key: TrialKey, rows: list[FetchRow], world: World, noise: float, position: int
) -> TrialRow:
    span = max(row.end_s for row in rows) - min(row.start_s for row in rows) if rows else None
    if key.arm == "cpu":
        span = dict(world.cpu_s).get(key.mode, 1.0) * noise
    startup_s = dict(world.startup_s).get(key.mode, 0.005) * noise if key.arm == "startup" else 0.01
    cores = dict(world.cpu_cores).get(key.mode, 1.0) if key.arm == "cpu" else world.cores
    refused = key.arm == "startup" and key.mode in world.refusing
    fetch_cpu_s = (span or 0) * cores * noise
    if cost_ms := _cost_ms(key, world):
        fetch_cpu_s = len(rows) * noise * cost_ms / 2 / 1000
    return TrialRow(
        **asdict(key),
        position=position,
        started_at=MOMENT,
        wall_s=(span or 0) + 0.1,
        span_s=span,
        startup_s=startup_s,
        startup_cpu_s=0.3,
        cpu_s=0.3 + (span or 0) * cores * noise,
        fetch_cpu_s=fetch_cpu_s if rows else None,
        origin_cpu_s=(span or 0) * world.origin_cores if rows else None,
        python_pss_mb={"serial": 30.0, "processes": 53.0}.get(key.mode, 31.0) * noise,
        machine_cpu=world.machine_cpu if rows else None,
        other_cpu=0.0,
        pickling_error="AttributeError: Can't pickle it" if refused else None,
        failed=sum(row.error is not None for row in rows),
        state="ok",
    )
