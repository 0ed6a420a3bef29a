"""List the runs in data/, set them side by side, and combine those that are alike."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from experiment import records
from experiment.analysis import claims, summary
from experiment.analysis.results import RunResults, load
from experiment.errors import UserError
from experiment.records import Machine, Run
from experiment.redaction import redacted
from experiment.study import PROJECT, Study, as_words, listed
from experiment.vocabulary import ARTICLE_PAIR, POOLS

DATA = PROJECT / "data"

MAIN_CLAIMS = ("requests-8x", "selenium-4x", "fetch-slower", "no-difference")
"""The claims whose verdicts the list of runs shows."""

MAY_DIFFER = ("run", "rounds", "seed", "contact", "keep_query")
"""The parameters that may differ between runs to combine."""

ROUNDS_APART = 1_000
"""More rounds than any study has."""


def run_folders() -> list[Path]:
    """Return the folders of the runs in data/, by name."""
    return sorted(path.parent for path in DATA.glob("*/run.json"))


def studies() -> list[str]:
    """Return the names of the readable runs of one pool size."""
    names = []
    for path in run_folders():
        with suppress(UserError):
            names += [] if records.read_run(path).study.kind == "sweep" else [path.name]
    return names


def of_names(names: Any) -> dict[str, RunResults]:
    """Return the runs of these names (a list, JSON or words), or all readable ones, by name."""
    if (wanted := listed(names)) is not None:
        return {name: load(DATA / name) for name in wanted}
    readable = {}
    for folder in run_folders():
        with suppress(UserError):  # `python -m experiment runs` says what is wrong with it
            readable[folder.name] = load(folder)
    return readable


def overview(folders: Sequence[Path]) -> pd.DataFrame:
    """Return a table of the runs, a row each; the row of a damaged run says so."""
    columns = ["run", "measured", "study", "machine", "rounds", *MAIN_CLAIMS]
    return pd.DataFrame([_in_a_row(folder) for folder in folders], columns=columns).fillna("")


def _in_a_row(folder: Path) -> dict[str, str]:
    try:
        results = load(folder)
    except UserError as mistake:
        return {"run": folder.name, "study": str(mistake).replace(f"{folder}/", "")}
    run, study = results.run, results.study
    done = results.main_trials["round"].nunique()
    judged = claims.judge(results) if study.kind == "report" else []
    return {
        "run": folder.name,
        "measured": f"{run.started_at:%Y-%m-%d}",
        "study": study.in_short(),
        "machine": run.machine.hardware,
        "rounds": f"{done} of {study.rounds}",
        **dict.fromkeys(MAIN_CLAIMS, "-"),  # of a sweep
        **{claim.id: claim.ruling.verdict for claim in judged if claim.id in MAIN_CLAIMS},
    }


def side_by_side(runs: Mapping[str, RunResults]) -> pd.DataFrame:
    """Return speed-ups and slow-downs, a row for each run, client and pool size."""
    rows = [
        {"run": name, **row}
        for name, results in runs.items()
        for client in results.study.clients
        for size in results.study.sizes
        if (row := _compared(results, client, size))
    ]
    return pd.DataFrame(rows)


def _compared(results: RunResults, client: str, size: int) -> dict[str, str] | None:
    """Return the row of a client and pool size; None where no round is complete."""
    rounds = summary.of_size(results.rounds, size)
    pools = [mode for mode in POOLS if mode in ARTICLE_PAIR or mode in results.study.modes]
    gains = {mode: summary.speed_up(rounds, client, mode) for mode in pools}
    if not any(gain.rounds for gain in gains.values()):
        return None
    losses = {mode: summary.slow_down(rounds, client, mode) for mode in pools}
    totals = (summary.of_cell(rounds, client, mode, "span_s") for mode in ARTICLE_PAIR)
    paced = " (paced)" if claims.paced(results.study) else ""
    return {
        "client": client,
        "workers": str(size),
        "rounds": str(max(gain.rounds for gain in gains.values())),
        "threads / processes": f"{summary.ratio(*totals)}{paced}",
        **{f"speed-up, {mode}": f"{gain}{paced}" for mode, gain in gains.items()},
        **{f"slow-down, {mode}": loss.shown for mode, loss in losses.items()},
        "study": results.study.in_short(),
        "machine": results.run.machine.hardware,
    }


def combined_by_name(names: Any) -> dict[str, RunResults]:
    """Return the runs of these names (a list, JSON or words) combined; empty for none."""
    wanted = listed(names) or []
    if len(set(wanted)) < len(wanted):
        words = " ".join(wanted)
        raise UserError(f"combine: {words} names a run twice, which does not count twice")
    return {" + ".join(wanted): combined(of_names(wanted))} if wanted else {}


def combined(runs: Mapping[str, RunResults]) -> RunResults:
    """Combine the rounds of runs that are alike into one run.

    Raises `UserError` that names what differs where they are not alike: another study, another
    machine, other versions; or pages that they share, whose rounds are not new ones.
    """
    for (first, one), (second, other) in itertools.combinations(runs.items(), 2):
        if unlike := differences(one, other):
            raise UserError(f"combine: {first} and {second} are not alike: {'; '.join(unlike)}")
    run = _combined_run([results.run for results in runs.values()])
    fetches = _combined_rows([results.fetches for results in runs.values()])
    trials = _combined_rows([results.trials for results in runs.values()])
    return RunResults(run, fetches, trials)


def _combined_run(runs: Sequence[Run]) -> Run:
    """Return the first run with the number of rounds of all."""
    rounds = sum(run.study.rounds for run in runs)
    study = runs[0].study.model_copy(update={"rounds": rounds, "seed": Study().seed})
    locked = all(run.locked for run in runs)
    return runs[0].model_copy(update={"study": study, "locked": locked, "measured_anew": {}})


def _combined_rows(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate the rows of runs, with rounds that tell the runs apart."""
    numbered = (
        frame.assign(round=frame["round"] + place * ROUNDS_APART)
        for place, frame in enumerate(frames)
    )
    return pd.concat(numbered, ignore_index=True)


def differences(one: RunResults, other: RunResults) -> list[str]:
    """Return what two runs differ in, such as "tls on, off"; empty if they are alike."""
    names = [name for name in Study.model_fields if name not in MAY_DIFFER]
    redact = {"keep_query": False}
    studies = (results.study.model_copy(update=redact).written() for results in (one, other))
    machine = _unlike(Machine.model_fields, one.run.machine, other.run.machine)
    return [*_unlike(names, *studies), *machine, *_shared(one, other)]


def _shared(one: RunResults, other: RunResults) -> list[str]:
    """Return the pages that two runs share, by seed (embedded origin) or by URL."""
    if one.study.source == other.study.source == "embedded":
        same = one.study.seed == other.study.seed
        return [f"seed {one.study.seed} in both, so their rounds share their pages"] if same else []
    first, second = (set(run.complete_fetches["url"].map(redacted)) for run in (one, other))
    common = first & second
    return [f"their rounds share {len(common)} pages"] if common else []


def _unlike(names: Iterable[str], one: Any, other: Any) -> list[str]:
    return [
        f"{name} {_formatted(first, second)}, {_formatted(second, first)}"
        for name in names
        if (first := getattr(one, name)) != (second := getattr(other, name))
    ]


def _formatted(value: Any, other: Any) -> str:
    """Format a value; of several versions, those that differ from the other."""
    if not isinstance(value, dict):
        return as_words(value)
    own = [f"{name} {words}" for name, words in value.items() if other.get(name) != words]
    return " ".join(own) or "none"
