"""Threads or processes for work that waits on the network: run trials, read what they measured."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from experiment.analysis.results import RunResults
    from experiment.report.own import Compared
    from experiment.study import Study

__all__ = ["compare", "load", "run"]


def load(folder: str | Path) -> "RunResults":
    """Read and check a run such as `data/default`.

    Its `fetches` and `trials` are DataFrames, whose columns data/README.md describes. Raises
    `UserError` for a damaged file.
    """
    from experiment.analysis import results

    return results.load(Path(folder))


def run(study: "Study | None" = None, **parameters: Any) -> Path:
    """Measure what a study has not measured yet; returns the folder of its run.

    The parameters are those of `experiment.study.Study`: `run(pool_size=20, clients="requests")`.
    A study with a precision stops after the first round, from the fifth on, that reaches it.
    """
    from experiment.measure import runner
    from experiment.study import Study

    study = study or Study.of(parameters)
    folder = runner.run(study, _is_precise)
    if study.precision is not None:
        from experiment.report import headline

        print(headline.looks_said(load(folder)), file=sys.stderr)
    return folder


def compare(
    function: "Callable[[str], Any] | str",
    items: "Iterable[object] | None" = None,
    *,
    pool_size: int = 10,
    rounds: int = 5,
    **parameters: Any,
) -> "Compared":
    """Measure a function in serial and in pools, and say which to use; a notebook shows it.

    The function is named `module:function`, or imported from a file; it is called with each of
    the items as text, by default with URLs of the embedded origin. The run is kept in data/, so
    that the same call shows it again. Raises `UserError` for a function that cannot be imported.
    """
    from experiment.measure import functions
    from experiment.report.own import Compared

    chosen = functions.study_of(
        function, items, {**parameters, "pool_size": pool_size, "rounds": rounds}
    )
    return Compared(load(run(chosen)))


def _is_precise(folder: Path) -> bool:
    from experiment import records

    has_run = (folder / "run.json").exists()
    if not has_run or records.read_run(folder).study.precision is None:
        return False
    from experiment.analysis import precision

    return precision.is_reached(folder)
