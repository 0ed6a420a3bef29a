"""Open the sources of a study, and plan what each trial fetches from them."""

import itertools
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace

from experiment.measure import machine, network, schedule, sources, wikipedia
from experiment.measure.clients.base import ClientSettings
from experiment.measure.trial import Plan
from experiment.records import TrialKey
from experiment.study import Study
from experiment.vocabulary import CLUSTERED

Origin = tuple[bool, float]
"""The TLS and the latency of an origin; any other source has those of its study."""

Sources = dict[Origin, sources.Source]
"""Where pages come from, by the origin that a trial needs."""


@contextmanager
def open_sources(study: Study, urls: Sequence[str], controls: bool = True) -> Iterator[Sources]:
    """Open the study's source and, for the controls, each embedded origin that they need.

    Embedded origins have a network of their own, so that no one else is in it; workers of a
    scheduler and browsers of a Grid could not reach them there.
    """
    with ExitStack() as stack:
        alone = study.source == "embedded" and not study.is_elsewhere
        holder = stack.enter_context(network.private() if alone else nullcontext())
        opened: Sources = {}
        for origin in _origins(study) if controls else [(study.tls, study.latency)]:
            tls, latency = origin
            own = study.model_copy(update={"tls": tls, "latency": latency})
            opened[origin] = stack.enter_context(sources.open_source(own, urls, holder))
        yield opened


def _origins(study: Study) -> list[Origin]:
    keys = itertools.chain.from_iterable(schedule.launches(study, 1, machine.cores()))
    return list(dict.fromkeys(_origin(study, key) for key in keys if key.client))


def _origin(study: Study, key: TrialKey) -> Origin:
    """Return the origin of a trial.

    What a connection costs in serial needs no latency; pools need it, or their workers would only
    wait for the cores.
    """
    costs = key.arm in ("tls_context", "no_tls") and key.mode == "serial"
    latency = 0.0 if costs or key.arm == "no_latency" else study.latency
    return study.tls and key.arm != "no_tls", latency


def of_trial(study: Study, opened: Sources, key: TrialKey) -> Plan:
    """Return the plan of a trial, with the pages of its round."""
    source = opened[_origin(study, key)] if key.client else None
    paced = study.source == "wikipedia" and key.arm == "main"
    return Plan(
        arm=key.arm,
        client=key.client,
        mode=key.mode,
        pool_size=key.pool_size,
        chunk_size=study.chunk(),
        start_method=study.start_method,
        timeout_s=study.timeout,
        settings=_settings(study, source, key),
        starts_a_second=wikipedia.starts_a_second(key.client) if key.client and paced else None,
        pages=source.pages(key.round, study.pages) if source else (),
        cores=machine.cores(),
        seed=f"{study.seed}/{key.round}",
        origin=source.process_id if source else None,
        scheduler=study.scheduler if key.mode in CLUSTERED else None,
    )


def _settings(study: Study, source: sources.Source | None, key: TrialKey) -> ClientSettings:
    settings = source.settings if source else ClientSettings()
    if key.client in study.at_grid:
        name = f"threads-or-processes-{secrets.token_hex(8)}"
        settings = replace(settings, grid=study.grid, session_name=name)
    return replace(settings, reuse=key.reuse == "on", one_tls_context=key.arm == "tls_context")
