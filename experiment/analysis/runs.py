"""List the runs in data/, and find those that are alike."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from experiment import records
from experiment.analysis import claims, crossover, own, summary, sweeps
from experiment.analysis.results import RunResults, load
from experiment.analysis.rules import Verdict
from experiment.analysis.summary import digits
from experiment.analysis.sweeps import EnoughWorkers
from experiment.errors import UserError
from experiment.records import Machine, Run
from experiment.redaction import redacted
from experiment.study import PARAMETERS, PROJECT
from experiment.values import as_words, listed
from experiment.vocabulary import ARTICLE_PAIR, POOLS, Mode

DATA = PROJECT / "data"

TIMES: dict[Mode, str] = {mode: f"{mode} x" for mode in ARTICLE_PAIR}
"""The columns of the list of runs that say how many times as fast as serial a mode is."""

MAY_DIFFER = ("run", "rounds", "precision", "seed", "contact", "keep_query")
"""The parameters that may differ between runs to combine."""

ENOUGH_RUNS = 3
"""Runs below which they are not combined."""


def run_folders() -> list[Path]:
    """Return the folders of the runs in data/, by name."""
    return sorted(path.parent for path in DATA.glob("*/run.json"))


def readable() -> list[str]:
    """Return the names of the readable runs."""
    names = []
    for path in run_folders():
        with suppress(UserError):
            records.read_run(path)
            names.append(path.name)
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


def folder_of(name: str) -> Path:
    """Return the folder of a run, by its name in data/ or by its path; refuse any other."""
    for folder in (Path(name), DATA / name):
        if records.run_is_there(folder):
            return folder
    names = ", ".join(path.name for path in run_folders())
    there = f"there are {names}" if names else "none is here yet; make report measures one"
    raise UserError(f"run: {name} is neither a run in data/ nor the path of one; {there}")


def overview(folders: Sequence[Path]) -> pd.DataFrame:
    """Return a table of the runs, a row each; the row of a damaged run says so."""
    columns = ["run", "measured", "rounds", *TIMES.values(), "answer", "study", "machine"]
    return pd.DataFrame([_in_a_row(folder) for folder in folders], columns=columns).fillna("")


def _in_a_row(folder: Path) -> dict[str, str]:
    try:
        results = load(folder)
    except UserError as mistake:
        return {"run": folder.name, "study": str(mistake).replace(f"{folder}/", "")}
    run, study = results.run, results.study
    done = results.main_trials["round"].nunique()
    return {
        "run": folder.name,
        "measured": f"{run.started_at:%Y-%m-%d}",
        "rounds": f"{done} of {study.rounds}",
        **{name: _most_times(results, mode) for mode, name in TIMES.items()},
        "answer": answer(results),
        "study": study.in_short(),
        "machine": run.machine.hardware,
    }


def _most_times(results: RunResults, mode: Mode) -> str:
    """Return how many times as fast as serial a mode is, for each client at its best size."""
    best = _best_times(results, mode)
    if len(best) == 1 == len(results.study.clients):
        return "".join(map(digits, best.values()))
    return ", ".join(f"{client} {digits(value)}" for client, value in best.items()) or "-"


def _best_times(results: RunResults, mode: Mode) -> dict[str, float]:
    best: dict[str, float] = {}
    for client, size in itertools.product(results.study.clients, results.study.sizes):
        rounds = summary.of_size(results.rounds, size)
        speed_up = summary.speed_up(rounds, client, mode)
        if speed_up.rounds:
            best[client] = max(best.get(client, 0.0), speed_up.value)
    return best


def answer(results: RunResults) -> str:
    """Return the answer of a run in a few words: of a sweep, how many workers are enough."""
    if results.study.kind == "crossover":
        return "; ".join(
            f"{one.pool_size} workers: processes from {digits(one.processes_ms)} ms on"
            for one in crossover.crossovers(results)
        )
    if results.study.kind == "sweep":
        enough = sweeps.enough_workers(results, sweeps.compare_sizes(results))
        return ", ".join(f"{_way(results, *way)} {it.words}" for way, it in enough.items())
    if results.study.only_functions:
        return ", ".join(f"use {it.use}" if it.use else "open" for it in own.answers(results))
    counts = _verdicts(results)
    return ", ".join(f"{counts[name]} {name}" for name in ("holds", "mixed") if counts[name])


def _verdicts(results: RunResults) -> Counter[Verdict]:
    return Counter(claim.ruling.verdict for claim in claims.judge(results))


def described(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the runs as plain values, for programs; a damaged run has an error alone."""
    return [_described(folder) for folder in folders]


def _described(folder: Path) -> dict[str, Any]:
    try:
        results = load(folder)
    except UserError as mistake:
        return {"run": folder.name, "error": str(mistake)}
    run, study = results.run, results.study
    return {
        "run": folder.name,
        "kind": study.kind,
        "started_at": run.started_at.isoformat(),
        "rounds": results.main_trials["round"].nunique(),
        "rounds_asked": study.rounds,
        "times_as_fast_as_serial": {
            mode: it for mode in POOLS if (it := _best_times(results, mode))
        },
        "answer": answer(results),
        **_values(results),
        "parameters": study.written().model_dump(mode="json"),
        "machine": {name: getattr(run.machine, name) for name in ("cpu", "cores", "memory_gb")},
    }


def _values(results: RunResults) -> dict[str, Any]:
    """Return the answer of a run as values, by what was asked."""
    match results.study.kind:
        case "crossover":
            found = crossover.crossovers(results)
            names = ("pool_size", "alike_ms", "processes_ms")
            return {"crossovers": [{name: getattr(one, name) for name in names} for one in found]}
        case "sweep":
            enough = sweeps.enough_workers(results, sweeps.compare_sizes(results))
            return {"enough_workers": [_size(*way, it) for way, it in enough.items()]}
    functions = [{"client": it.client, "use": it.use} for it in own.answers(results)]
    verdicts = {} if results.study.only_functions else dict(_verdicts(results))
    return {"functions": functions, "claims_by_verdict": verdicts}


def _size(client: str, mode: str, reuse: str, enough: EnoughWorkers) -> dict[str, Any]:
    """Return the sizes between which the smallest one that is enough lies; None is unknown."""
    least = enough.low if enough.low > enough.sizes[0] else None
    most = enough.high if enough.enough else None
    way = {"client": client, "mode": mode, "reuse": reuse}
    return {**way, "workers_at_least": least, "workers_at_most": most}


def _way(results: RunResults, client: str, mode: str, reuse: str) -> str:
    """Return a way in few words: "kept requests threads" where a sweep has several of each."""
    said = [client] if len(results.study.clients) > 1 else []
    return " ".join([*(["kept"] if reuse == "on" else []), *said, mode])


def like(results: RunResults) -> dict[str, RunResults]:
    """Return the other runs in data/ of the same design and machine, by name.

    Beside a committed run, whose name starts with "reference", only such runs are looked at.
    """
    committed = results.name.startswith("reference")
    found = {}
    for folder in run_folders():
        if folder.name != results.name and (folder.name.startswith("reference") or not committed):
            with suppress(UserError):
                if not unlike_design(results.run, records.read_run(folder)):
                    found[folder.name] = load(folder)
    return found


def first_difference(runs: Mapping[str, RunResults]) -> str:
    """Return which two runs are not alike, and why; empty if all may be combined."""
    for (first, one), (second, other) in itertools.combinations(runs.items(), 2):
        if unlike := differences(one, other):
            return f"{first} and {second} are not alike: {'; '.join(unlike)}"
    return ""


def differences(one: RunResults, other: RunResults) -> list[str]:
    """Return what two runs differ in, such as "tls on, off"; empty if they are alike."""
    return [*unlike_design(one.run, other.run), *_shared(one, other)]


def unlike_design(one: Run, other: Run, but: Sequence[str] = ()) -> list[str]:
    """Return what differs in the design and the machine of two runs, but for some parameters."""
    names = [name for name in PARAMETERS if name not in (*MAY_DIFFER, *but)]
    redact = {"keep_query": False}
    studies = (run.study.model_copy(update=redact).written() for run in (one, other))
    machine = _unlike(Machine.model_fields, one.machine, other.machine)
    return [*_unlike(names, *studies), *machine]


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
