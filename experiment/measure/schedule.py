"""Plan a round: which trials it has, in which order, and how long each will take, roughly.

Nothing is read or measured here: the same arguments always give the same plan.
"""

import itertools
import random
from collections.abc import Iterator

from experiment.measure import clients
from experiment.measure.controls import STARTUP_WORKERS
from experiment.records import TrialKey
from experiment.study import Study
from experiment.vocabulary import Arm, ClientName

TYPICAL_SPEED_UP = 6
TYPICAL_OVERHEAD_S, TYPICAL_CONNECTION_S = 1.2, 0.02
"""Rough figures for the first guess of the time left; nothing else depends on them."""


def trials(study: Study, number: int, cores: int) -> list[TrialKey]:
    """Return the trials of a round in random order: every client in every mode, and controls."""
    keys = [*main_trials(study, number), *control_trials(study, number, cores)]
    random.Random(f"{study.seed}/{number}").shuffle(keys)
    return keys


def main_trials(study: Study, number: int) -> Iterator[TrialKey]:
    """Yield every client in every mode, the parallel modes repeated."""
    for client, mode in itertools.product(study.clients, study.modes):
        sizes, repeats = ((1,), 1) if mode == "serial" else (study.sizes, study.repeats)
        for size, repeat in itertools.product(sizes, range(1, repeats + 1)):
            yield TrialKey(
                arm="main", client=client, mode=mode, pool_size=size, round=number, repeat=repeat
            )


def control_trials(study: Study, number: int, cores: int) -> Iterator[TrialKey]:
    """Yield each control once in every mode; arm `startup` is of pools alone."""
    if study.kind == "sweep":
        return
    sizes: dict[Arm, int] = {"startup": STARTUP_WORKERS}
    if cores > 1:
        sizes["cpu"] = cores
    if has_no_latency(study):
        sizes["no_latency"] = study.pool_size
    for (arm, size), mode in itertools.product(sizes.items(), study.modes):
        if (arm, mode) != ("startup", "serial"):
            client: ClientName | None = "requests" if arm == "no_latency" else None
            pool_size = 1 if mode == "serial" else size
            yield TrialKey(
                arm=arm, client=client, mode=mode, pool_size=pool_size, round=number, repeat=1
            )


def has_no_latency(study: Study) -> bool:
    """Return whether the study has arm `no_latency`: there is a latency that it can leave out."""
    fitting = study.source == "embedded" and "requests" in study.clients
    return fitting and study.latency > 0 and study.kind == "report"


def label(key: TrialKey) -> str:
    """Return a trial in words, for the progress bar."""
    arm = None if key.arm == "main" else key.arm.replace("_", " ")
    size = f"{key.mode} ({key.pool_size})" if key.pool_size > 1 else key.mode
    return ", ".join(filter(None, [arm, key.client, size]))


def typical_s(study: Study, key: TrialKey) -> float:
    """Return roughly how long a trial takes (s), for the progress bar."""
    if key.client is None:
        return 2 * TYPICAL_OVERHEAD_S
    if key.arm == "no_latency":
        return TYPICAL_OVERHEAD_S + study.pages * TYPICAL_CONNECTION_S
    fetches_s = study.pages * clients.of(key.client).typical_fetch_s
    return TYPICAL_OVERHEAD_S + fetches_s / min(key.pool_size, TYPICAL_SPEED_UP)
