"""Say in words what is measured, and roughly how long it takes, for the progress bar only."""

from collections.abc import Sequence

from experiment.measure import clients
from experiment.records import TrialKey
from experiment.study import Study

TYPICAL_SPEED_UP = 7
TYPICAL_OVERHEAD_S, TYPICAL_CONNECTION_S = 0.8, 0.02
"""Rough figures for the first guess of the time left; nothing else depends on them."""


def label(keys: Sequence[TrialKey]) -> str:
    """Return the trials of a launch in words, for the progress bar."""
    arm = None if keys[0].arm == "main" else keys[0].arm.replace("_", " ")
    modes = (f"{key.mode} ({key.pool_size})" if key.pool_size > 1 else key.mode for key in keys)
    reuse = "reuse" if keys[0].reuse == "on" else None
    return ", ".join(filter(None, [arm, keys[0].client, *modes, reuse]))


def typical_s(study: Study, key: TrialKey) -> float:
    """Return roughly how long a trial takes (s), for the progress bar."""
    if key.client is None:
        return TYPICAL_OVERHEAD_S
    if key.arm == "no_latency" or (key.arm in ("tls_context", "no_tls") and key.mode == "serial"):
        return TYPICAL_OVERHEAD_S + study.pages * TYPICAL_CONNECTION_S
    fetches_s = study.pages * clients.of(key.client).typical_fetch_s
    return TYPICAL_OVERHEAD_S + fetches_s / min(key.pool_size, TYPICAL_SPEED_UP)
