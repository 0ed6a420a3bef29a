"""Measure a trial for a look; nothing is kept."""

from typing import TYPE_CHECKING

from experiment import records
from experiment.errors import UserError
from experiment.measure import locks, plans, preconditions, runner, schedule, shortages, sources
from experiment.records import FetchRow
from experiment.study import Study

if TYPE_CHECKING:
    import pandas as pd


@shortages.shortage_said()
def live(study: Study) -> "pd.DataFrame":
    """Measure the first trial of a study, and return its fetches.

    Nothing is taken from the folder of a run either: the pages are drawn or read anew.
    """
    study = runner.with_clients(study).model_copy(update={"rounds": 1})
    preconditions.check(study)
    key = schedule.client_trials(study, 1, study.clients[0])[0]
    urls = sources.urls_of(study)
    with locks.of_machine(), plans.open_sources(study, urls, controls=False) as opened:
        [tried] = runner.measure_launch(study, opened, [key], 1)
    if tried.row.reason:
        raise UserError(f"clients: {key.client} could not be tried: {tried.row.reason}")
    return records.frame(FetchRow, tried.fetches)
