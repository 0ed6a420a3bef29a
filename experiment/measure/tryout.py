"""Try the clients of a study out, before anything is measured."""

import sys
from collections.abc import Iterator
from dataclasses import replace

from experiment.errors import UserError
from experiment.measure import clients, functions, plans, shortages, sources
from experiment.measure.launch import Launched, launch
from experiment.measure.trial import Plan
from experiment.records import TrialKey
from experiment.redaction import redacted
from experiment.study import Study
from experiment.vocabulary import CLUSTERED, ClientName, is_function


def try_out(study: Study, opened: plans.Sources) -> None:
    """Fetch a page with each client; raise `UserError` for what cannot work."""
    for key in _keys(study):
        client = key.client
        assert client is not None
        plan = plans.of_trial(study, opened, key)
        plan = replace(plan, pages=plan.pages[:1])
        launched = launch(plan)
        outcome = launched.outcome
        if outcome.wait_s:
            raise UserError(
                f"source: {study.wiki} asks to wait {outcome.wait_s:.0f} s; try again then"
            )
        sources.check_arrival(study, outcome.fetches)
        if short := shortages.shortage(RuntimeError(outcome.reason)):
            raise UserError(short)
        if error := outcome.reason or outcome.fetches[0].error:
            _check_error(client, plan, launched, error, client == study.clients[0])


def _keys(study: Study) -> Iterator[TrialKey]:
    """Yield a trial of each client, and one at the workers of a scheduler."""
    for client in study.clients:
        able = functions.modes_of(client)
        first = TrialKey(arm="main", client=client, mode=able[0], pool_size=1, round=1, repeat=1)
        yield first
        if study.scheduler and {*CLUSTERED} & {*able}:
            yield replace(first, mode=CLUSTERED[0], pool_size=study.sizes[0])


def _check_error(
    client: ClientName, plan: Plan, launched: Launched, error: str, is_first: bool
) -> None:
    """Raise `UserError` where a client cannot run, or the first one gets no answer."""
    log = " ".join(launched.log.split())[:300]
    fetches = launched.outcome.fetches
    loaded = fetches and fetches[0].load_s is not None
    if loaded and is_function(client):
        print(f"note: {client} failed for the first item: {log or error}", file=sys.stderr)
        return
    if plan.settings.embedded and (plan.settings.grid or plan.scheduler):
        raise UserError(
            f"origin_host: {client} of {plan.settings.grid or plan.scheduler} got no page of the "
            f"embedded origin at {plan.settings.host} ({error}); give an address of this machine "
            "that is reached from there"
        )
    if not loaded or plan.settings.embedded:  # then it is not for the server
        clients.of(client).check_allowed()
        more = "" if log == error else f": {log}"
        raise UserError(f"clients: {client} cannot run ({error}){more}")
    if is_first and (error in ("connection", "timeout", "tls") or error.startswith("unexpected")):
        url = redacted(plan.pages[0].url)
        raise UserError(f"source: {url} does not answer {client} ({error}): {log}")
