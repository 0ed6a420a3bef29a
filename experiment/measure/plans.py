"""Open the sources of a study, and plan what each trial fetches from them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from experiment.measure import machine, network, schedule, sources, wikipedia
from experiment.measure.clients.base import ClientSettings
from experiment.measure.trial import Plan
from experiment.records import TrialKey
from experiment.study import Study
from experiment.vocabulary import Arm

Sources = dict[Arm, sources.Source]
"""Where each arm that fetches has its pages from."""


@contextmanager
def open_sources(study: Study, urls: Sequence[str], controls: bool = True) -> Iterator[Sources]:
    """Open the study's source and, for a control, the embedded origin without its latency.

    An embedded origin has a network of its own, so that no one else is in it.
    """
    with ExitStack() as stack:
        embedded = study.source == "embedded"
        holder = stack.enter_context(network.private() if embedded else nullcontext())
        main = stack.enter_context(sources.open_source(study, urls, holder))
        opened: Sources = {"main": main, "today": main, "tls_context": main}
        others: dict[Arm, dict[str, Any]] = {
            "no_latency": {"latency": 0.0},
            "no_tls": {"tls": False},
        }
        for arm in {*schedule.fetching_arms(study)} & others.keys() if controls else ():
            other = study.model_copy(update=others[arm])
            opened[arm] = stack.enter_context(sources.open_source(other, urls, holder))
        yield opened


def of_trial(study: Study, opened: Sources, key: TrialKey) -> Plan:
    """Return the plan of a trial, with the pages of its round."""
    source = opened.get(key.arm)
    paced = study.source == "wikipedia" and key.arm == "main"
    return Plan(
        arm=key.arm,
        client=key.client,
        mode=key.mode,
        pool_size=key.pool_size,
        chunk_size=study.chunk(),
        start_method=study.start_method,
        timeout_s=study.timeout,
        settings=_settings(source, key),
        starts_a_second=wikipedia.starts_a_second(key.client) if key.client and paced else None,
        pages=source.pages(key.round, study.pages) if source else (),
        cores=machine.cores(),
        seed=f"{study.seed}/{key.round}",
        origin=source.process_id if source else None,
    )


def _settings(source: sources.Source | None, key: TrialKey) -> ClientSettings:
    settings = source.settings if source else ClientSettings()
    return replace(settings, reuse=key.reuse == "on", one_tls_context=key.arm == "tls_context")
