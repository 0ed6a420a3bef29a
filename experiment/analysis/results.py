"""The results of a run: its rows, and what every estimate is made from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from experiment import records
from experiment.analysis import rules, summary
from experiment.records import Run
from experiment.study import Study
from experiment.vocabulary import BROWSERS, Arm, ClientName, is_function


@dataclass(frozen=True, eq=False)
class RunResults:
    """The rows of a run (data/README.md), and the frames made from them.

    The latter have a row for each trial or round, with the columns of `summary.per_trial`. Two
    results are equal only if they are the same object, so that they can be keys of a cache.
    """

    run: Run
    fetches: pd.DataFrame
    trials: pd.DataFrame
    folder: Path | None = None  # where they were read, if they are those of one folder

    @property
    def name(self) -> str:
        """Return the name of the run's folder, or the one that its study would give it."""
        return self.folder.name if self.folder else self.study.run_name()

    @property
    def study(self) -> Study:
        """Return the run's study."""
        return self.run.study

    @property
    def cores(self) -> int | None:
        """Return the cores of the machine that measured, if they are known."""
        return self.run.machine.cores

    @property
    def browsers(self) -> list[ClientName]:
        """Return the browsers of the study."""
        return [client for client in self.study.clients if client in BROWSERS]

    @property
    def known_clients(self) -> list[ClientName]:
        """Return the clients of the study that are no functions of the user's."""
        return [client for client in self.study.clients if not is_function(client)]

    @property
    def levels(self) -> rules.Levels:
        """Return the levels of the intervals by which the run is judged."""
        return self._levels(1 + len(self.run.looks))

    @property
    def next_levels(self) -> rules.Levels:
        """Return the levels by which the run would be judged once it were given more rounds."""
        return self._levels(2 + len(self.run.looks))

    def _levels(self, looks: int) -> rules.Levels:
        return rules.EVERY_ROUND if self.study.precision else rules.levels_after(looks)

    @cached_property
    def round_s(self) -> float:
        """Return the median time (s) of a round, from its start to its end; NaN if not known."""
        ends = self.trials["started_at"] + pd.to_timedelta(self.trials["wall_s"], unit="s")
        by_round = self.trials.assign(end=ends).groupby("round")
        took = by_round["end"].max() - by_round["started_at"].min()
        return float(took.dt.total_seconds().median())

    @cached_property
    def main_trials(self) -> pd.DataFrame:
        """Return the trials of the main arm, complete or not; of the article's way if both are."""
        trials = summary.per_trial(self.fetches, self.trials, "main")
        decides_itself = trials["client"].map(is_function).astype(bool)
        return trials[(trials["reuse"] == self.study.reuse[0]) | decides_itself]

    @cached_property
    def complete_fetches(self) -> pd.DataFrame:
        """Return the fetches of the main arm's complete trials."""
        return summary.of_complete_trials(self.fetches, self.main_trials)

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """Return the complete rounds of the main arm."""
        return summary.per_round(self.main_trials)

    @cached_property
    def ways(self) -> pd.DataFrame:
        """Return the complete rounds of every way to fetch, of the main arm and of today's."""
        arms: tuple[Arm, ...] = ("main", "today")
        trials = [summary.per_trial(self.fetches, self.trials, arm) for arm in arms]
        return summary.per_round(pd.concat([own for own in trials if len(own)] or trials[:1]))

    @cached_property
    def fetches_of_ways(self) -> pd.DataFrame:
        """Return the fetches of the main arm's complete trials, of every way."""
        trials = summary.per_trial(self.fetches, self.trials, "main")
        return summary.of_complete_trials(self.fetches, trials)

    @cached_property
    def no_latency(self) -> pd.DataFrame:
        """Return the complete rounds of the control without latency."""
        return self._control("no_latency")

    @cached_property
    def tls_context(self) -> pd.DataFrame:
        """Return the complete rounds of the control with one TLS context for all pages."""
        return self._control("tls_context")

    @cached_property
    def no_tls(self) -> pd.DataFrame:
        """Return the complete rounds of the control without TLS."""
        return self._control("no_tls")

    @cached_property
    def cpu(self) -> pd.DataFrame:
        """Return the complete rounds of the CPU-bound control."""
        return self._control("cpu")

    @cached_property
    def startup(self) -> pd.DataFrame:
        """Return the complete rounds of the control of start-up."""
        return self._control("startup")

    def _control(self, arm: Arm) -> pd.DataFrame:
        return summary.per_round(summary.per_trial(self.fetches, self.trials, arm))


def load(folder: Path) -> RunResults:
    """Read and check a run; raise `UserError` where there is none or it is damaged."""
    run = records.read_run(folder)
    return RunResults(run, *records.load_rows(folder, run), folder)
