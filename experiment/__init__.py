"""Threads or processes for work that waits on the network: run trials, read what they measured."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load", "run"]


def load(folder: str | Path) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """The fetches and the trials of a run such as `data/default`, checked, as two DataFrames.

    The columns are described in data/README.md. Raises `UserError` for a damaged file.
    """
    from experiment import records

    return records.load(Path(folder))


def run(**parameters: Any) -> Path:
    """Measure what a study has not measured yet; returns the folder of its run.

    The parameters are those of `experiment.study.Study`: `run(pool_size=20, clients="requests")`.
    """
    from experiment.measure import runner
    from experiment.study import Study

    return runner.run(Study.of(parameters))
