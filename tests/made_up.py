"""Made-up runs: rows as a study would have written them, with known truths."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiment import records
from experiment.records import FetchRow, Machine, Run, TrialRow
from experiment.study import Study

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


def write(folder: Path, study: Study, factors: dict[tuple[str, str], float], **more: Any) -> Path:
    """A run whose fetches take 0.2 s (browsers 1 s) times the factor of their client and mode."""
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    folder.mkdir(parents=True)
    run = Run(
        study=study,
        machine=MACHINE,
        kernel="none",
        clock_resolution_s=1e-9,
        commit=None,
        started_at=moment,
    )
    records.write_run(folder, run)
    chance = random.Random(1)
    for number in range(1, study.rounds + 1):
        fetches: list[FetchRow] = []
        trials: list[TrialRow] = []
        for client, mode in ((c, m) for c in study.clients for m in study.modes):
            noise = chance.lognormvariate(0, 0.02)
            rows = list(
                _fetches(study, client, mode, number, factors[(client, mode)] * noise, **more)
            )
            fetches += rows
            trials.append(_trial(rows, len(trials) + 1, moment))
        records.add_round(folder, fetches, trials)
    return folder


def _fetches(
    study: Study, client: Any, mode: Any, number: int, factor: float, failing: str | None = None
) -> Iterable[FetchRow]:
    size = 1 if mode == "serial" else study.pool_size
    chance = random.Random(f"{number}")
    free = [0.0] * size
    for page in range(1, study.pages + 1):
        seconds = factor * (0.2 if client == "requests" else 1.0) * chance.lognormvariate(0, 0.15)
        worker = min(range(size), key=free.__getitem__)
        start = free[worker]
        free[worker] += seconds
        start_s = seconds * 0.4 * (2 if mode != "serial" else 1) / 2
        phases: dict[str, Any] = {
            "browser_start_s": start_s,
            "load_s": seconds - start_s,
            "close_s": 0.0,
        }
        plain: dict[str, Any] = {"load_s": seconds, "planned_ms": 100.0, "origin_ms": 101.0}
        yield FetchRow(
            arm="main",
            client=client,
            mode=mode,
            pool_size=size,
            round=number,
            repeat=1,
            page=page,
            url=f"http://127.0.0.1/{number}/{page}",
            worker=worker + 1,
            start_s=start,
            end_s=free[worker],
            fetch_s=seconds,
            check_s=0.0,
            error="browser" if client == failing else None,
            **(phases if client != "requests" else plain),
        )


def _trial(rows: list[FetchRow], position: int, moment: datetime) -> TrialRow:
    span = max(row.end_s for row in rows) - min(row.start_s for row in rows)
    first = rows[0]
    return TrialRow(
        arm="main",
        client=first.client,
        mode=first.mode,
        pool_size=first.pool_size,
        round=first.round,
        repeat=1,
        position=position,
        started_at=moment,
        wall_s=span + 0.1,
        span_s=span,
        startup_s=0.01,
        startup_cpu_s=0.3,
        cpu_s=0.3 + span / 10,
        other_cpu=0.0,
        failed=sum(row.error is not None for row in rows),
        state="ok",
    )
