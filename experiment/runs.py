"""The runs that are here: listed, set side by side, and pooled where they are alike."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from experiment import claims, records, summary
from experiment.claims import PARALLEL, Evidence
from experiment.errors import UserError
from experiment.records import Run
from experiment.study import PROJECT, Study, as_words
from experiment.summary import digits

DATA = PROJECT / "data"

MAIN_CLAIMS = ("requests-8x", "selenium-4x", "fetch-slower", "no-difference")
"""The claims whose verdicts the list of runs shows."""

NO_DIFFERENCE = ("run", "rounds", "contact")
"""What may differ between two studies that are alike."""


def there(folder: Path = DATA) -> list[Path]:
    """The folders of the runs that are here, in the order of their names."""
    return sorted(path for path in folder.iterdir() if (path / "run.json").exists())


def studies(folder: Path = DATA) -> list[str]:
    """The names of the runs of one pool size that are here and can be read."""
    names = []
    for path in there(folder):
        with suppress(UserError):
            names += [] if records.read_run(path).study.is_sweep else [path.name]
    return names


def of_names(names: Sequence[str] | None) -> dict[str, Evidence]:
    """The runs of these names, or all that are here and can be read; by name."""
    if names is not None:
        return {name: read(DATA / name) for name in names}
    found = {}
    for folder in there():
        with suppress(UserError):  # `python -m experiment runs` says what is wrong with it
            found[folder.name] = read(folder)
    return found


def read(folder: Path) -> Evidence:
    """A run; raises `UserError` where there is none or it is damaged."""
    run = records.read_run(folder)
    return claims.evidence(run, *records.load(folder))


def overview(folders: Sequence[Path]) -> pd.DataFrame:
    """A row of words for each run; one that is damaged says so."""
    return pd.DataFrame([_in_a_row(folder) for folder in folders]).fillna("")


def _in_a_row(folder: Path) -> dict[str, str]:
    try:
        seen = read(folder)
    except UserError as mistake:
        return {"run": folder.name, "study": str(mistake).replace(f"{folder}/", "")}
    run, study = seen.run, seen.study
    done = seen.trials["round"].nunique()
    return {
        "run": folder.name,
        "measured": f"{run.started_at:%Y-%m-%d}",
        "study": study.in_short(),
        "machine": f"{run.machine.cpu}, {run.machine.cores} cores",
        "rounds": f"{done} of {study.rounds}",
        **_verdicts(seen),
    }


def _verdicts(seen: Evidence) -> dict[str, str]:
    """The verdicts of the main claims; a sweep has none."""
    if seen.study.is_sweep:
        return dict.fromkeys(MAIN_CLAIMS, "-")
    found = {claim.id: claim.ruling.verdict for claim in claims.judge(seen)}
    return {name: found[name] for name in MAIN_CLAIMS}


def side_by_side(runs: Mapping[str, Evidence]) -> pd.DataFrame:
    """A row for each run, client, and pool size: totals, speed-ups, slow-downs, and the machine."""
    rows = [
        {"run": name, **row}
        for name, seen in runs.items()
        for client in seen.study.clients
        for size in seen.study.sizes
        if (row := _compared(seen, client, size))
    ]
    return pd.DataFrame(rows)


def _compared(seen: Evidence, client: str, size: int) -> dict[str, str] | None:
    """What one run says of one client and pool size; None where no round is complete."""
    rounds = summary.of_size(seen.main, size)
    gains = {mode: summary.speed_up(rounds, client, mode) for mode in PARALLEL}
    if not any(gain.rounds for gain in gains.values()):
        return None
    losses = {mode: summary.slow_down(rounds, client, mode) for mode in PARALLEL}
    totals = (summary.of_cell(rounds, client, mode, "total_s") for mode in PARALLEL)
    return {
        "client": client,
        "workers": str(size),
        "rounds": str(max(gain.rounds for gain in gains.values())),
        "threads / processes": str(summary.ratio(*totals)),
        **{f"speed-up, {mode}": str(gain) for mode, gain in gains.items()},
        **{f"slow-down, {mode}": digits(loss.value) for mode, loss in losses.items()},
        "study": seen.study.in_short(),
        "machine": f"{seen.run.machine.cpu}, {seen.run.machine.cores} cores",
    }


def pooled(runs: Mapping[str, Evidence]) -> Evidence:
    """All rounds of runs that are alike, as those of one run.

    Raises `UserError` that names what differs where they are not alike: another study, another
    machine, other versions; or the same seed, with which their rounds share their pages.
    """
    (first, one), *others = runs.items()
    for name, other in others:
        if unlike := differences(one.run, other.run):
            raise UserError(f"pooled: {first} and {name} are not alike: {'; '.join(unlike)}")
    _check_seeds(runs)
    parts = list(runs.values())
    frames = {
        field: _after_each_other([getattr(seen, field) for seen in parts])
        for field in ("fetches", "trials", "main", "no_latency", "cpu", "startup")
    }
    return Evidence(one.run, **frames)


def _check_seeds(runs: Mapping[str, Evidence]) -> None:
    """Pages of the embedded origin follow from the seed, so rounds of one seed are not new ones."""
    seen: dict[int, str] = {}
    for name, run in runs.items():
        study = run.study
        if study.source == "embedded" and study.seed in seen:
            raise UserError(
                f"pooled: {seen[study.seed]} and {name} have the same seed, {study.seed}, so their "
                "rounds share their pages and do not count twice; measure one with another SEED"
            )
        seen[study.seed] = name


def _after_each_other(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all, their rounds numbered on."""
    numbered, before = [], 0
    for frame in frames:
        numbered.append(frame.assign(round=frame["round"] + before))
        before += ROUNDS_APART
    return pd.concat(numbered, ignore_index=True)


ROUNDS_APART = 1_000
"""More rounds than any study has."""


def differences(one: Run, other: Run) -> list[str]:
    """What keeps two runs from being alike, in words: "tls on, off"."""
    names = [name for name in Study.model_fields if name not in (*NO_DIFFERENCE, "seed")]
    study = _unlike(names, one.study, other.study)
    return study + _unlike(type(one.machine).model_fields, one.machine, other.machine)


def _unlike(names: Sequence[str] | Mapping[str, Any], one: Any, other: Any) -> list[str]:
    values = ((name, getattr(one, name), getattr(other, name)) for name in names)
    return [
        f"{name} {_shown(was, now)}, {_shown(now, was)}" for name, was, now in values if was != now
    ]


def _shown(value: Any, other: Any) -> str:
    """A value; of several versions those that the other does not have."""
    if not isinstance(value, dict):
        return as_words(value)
    own = [f"{name} {words}" for name, words in value.items() if other.get(name) != words]
    return " ".join(own) or "none"


def alike_said(runs: Mapping[str, Evidence]) -> str:
    """Which of the runs could be pooled with the first, and what keeps the others from it."""
    (first, one), *others = runs.items()
    lines = []
    for name, other in others:
        unlike = differences(one.run, other.run)
        words = f"not alike: {'; '.join(unlike)}" if unlike else "alike"
        lines.append(f"- {first} and {name}: {words}.")
    return "\n".join(lines) or "There is one run only, so nothing to compare it with."
