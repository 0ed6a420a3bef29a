"""Convert the article's published timings into a run, and fit what the embedded origin needs.

Reads `raw.jsonl` beside this file; writes `run.json`, `fetches.csv`, `trials.csv` and
`derived.json`, the same bytes each time.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, TypedDict, get_args

import numpy as np
from scipy import optimize, stats

from experiment import records
from experiment.analysis import article
from experiment.fetches import library_chunk_size
from experiment.records import FetchRow, Machine, Run, TrialKey, TrialRow
from experiment.study import Study
from experiment.vocabulary import ClientName, Mode

URL = "https://en.wikipedia.org/wiki/Special:Random"
PAGES, WORKERS = 100, 10

CLIENTS: dict[str, ClientName] = {"request_func": "requests", "selenium_func": "phantomjs"}
MODES: dict[str, Mode] = {
    "serial": "serial",
    "multithread": "threads",
    "multiprocess": "processes",
}

VARIANCE_FLOOR = 0.02**2
"""Added to each variance of logarithms, so that no component shrinks to a few equal delays."""


class Timing(TypedDict):
    """A line of `raw.jsonl`; `start` and `end` are in seconds since 1970."""

    i: int
    start: float
    end: float
    length: int
    func: str
    parallel: str


def main() -> None:
    """Write the run, then what is derived from it."""
    trials = read_trials()
    for name in ("fetches.csv", "trials.csv"):  # a round is added to what is there
        (article.FOLDER / name).unlink(missing_ok=True)
    records.write_run(article.FOLDER, run_of(trials))
    fetches = [row for trial in trials for row in fetch_rows(trial)]
    rows = [trial_row(trial, position) for position, trial in enumerate(trials, start=1)]
    records.add_round(article.FOLDER, fetches, rows)
    text = json.dumps(derived(fetches), indent=2) + "\n"
    records.replace_text(article.FOLDER / "derived.json", text)


def read_trials() -> list[list[Timing]]:
    """Return the timings of each trial by page, the trials in the order of their start."""
    lines = (article.FOLDER / "raw.jsonl").read_text(encoding="utf-8").splitlines()
    timings: list[Timing] = sorted(map(json.loads, lines), key=_trial_and_page)
    trials = [list(own) for _, own in groupby(timings, lambda one: _trial_and_page(one)[:2])]
    return sorted(trials, key=_start)


def _trial_and_page(timing: Timing) -> tuple[str, str, int]:
    return timing["func"], timing["parallel"], timing["i"]


def _start(trial: Sequence[Timing]) -> float:
    return min(timing["start"] for timing in trial)


def _end(trial: Sequence[Timing]) -> float:
    return max(timing["end"] for timing in trial)


def run_of(trials: Sequence[Sequence[Timing]]) -> Run:
    """Return the study and the machine, as far as the article tells them."""
    machine = Machine(
        cpu="an unnamed machine",
        cores=None,
        memory_gb=None,
        system="not named",
        python="2.7",
        gil=True,
        start_method="fork",
        packages={"requests": "not named", "selenium": "3"},
        browsers={"phantomjs": "PhantomJS, version not named"},
    )
    study = Study(
        pool_size=WORKERS,
        pages=PAGES,
        rounds=1,
        repeats=1,
        clients=("requests", "phantomjs"),
        source=URL,
        run=article.FOLDER.name,
    )
    return Run(
        study=study,
        machine=machine,
        kernel="not named",
        clock_resolution_s=1e-6,
        commit=None,
        interfaces=None,
        locked=False,
        controls=False,
        started_at=_moment(min(map(_start, trials))),
        finished_at=_moment(max(map(_end, trials))),
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _key(trial: Sequence[Timing]) -> dict[str, Any]:
    """Return the columns that say which trial it is."""
    mode = MODES[trial[0]["parallel"]]
    client, size = CLIENTS[trial[0]["func"]], 1 if mode == "serial" else WORKERS
    key = TrialKey(arm="main", client=client, mode=mode, pool_size=size, round=1, repeat=1)
    return asdict(key)


def trial_row(trial: Sequence[Timing], position: int) -> TrialRow:
    """Return a trial's row."""
    return TrialRow(
        **_key(trial),
        position=position,
        started_at=_moment(_start(trial)),
        span_s=_end(trial) - _start(trial),
        failed=0,
        state="ok",
    )


def fetch_rows(trial: Sequence[Timing]) -> list[FetchRow]:
    """Return the rows of a trial's fetches, in the order of their pages."""
    key, first = _key(trial), _start(trial)
    return [
        FetchRow(
            **key,
            page=timing["i"] + 1,
            url=URL,
            worker=worker,
            start_s=timing["start"] - first,
            end_s=timing["end"] - first,
            fetch_s=timing["end"] - timing["start"],
            length=timing["length"],
        )
        for timing, worker in zip(trial, workers(trial, key["pool_size"]), strict=True)
    ]


def workers(trial: Sequence[Timing], pool_size: int) -> list[int]:
    """Return who fetched each page, numbered from 1: the only worker that was free.

    A pool hands a worker several pages at a time, which it fetches one after another. Raises
    `ValueError` where not exactly one of the workers that had begun was free.
    """
    size = library_chunk_size(len(trial), pool_size)
    chunks = [trial[first : first + size] for first in range(0, len(trial), size)]
    free_at: list[float] = []
    found: dict[int, int] = {}
    for chunk in sorted(chunks, key=_start):
        free = [number for number, end in enumerate(free_at, 1) if end <= chunk[0]["start"]]
        if not free and len(free_at) < pool_size:
            free_at.append(0.0)
            free = [len(free_at)]
        [worker] = free
        free_at[worker - 1] = chunk[-1]["end"]
        found |= dict.fromkeys((timing["i"] for timing in chunk), worker)
    return [found[timing["i"]] for timing in trial]


def derived(fetches: Sequence[FetchRow]) -> dict[str, Any]:
    """Return the two distributions that the origin draws from, and the article's ratios."""
    requests = [row for row in fetches if row.client == "requests"]
    delays = np.array([row.fetch_s for row in requests if row.mode == "serial"])
    lengths = np.array([float(row.length or 0) for row in requests])
    return {
        "delays": {
            "of": "seconds of the 100 serial fetches by requests",
            "model": "mixture of lognormals, fitted by expectation-maximisation",
            "components": mixture(np.log(delays)),
        },
        "lengths": {
            "of": "characters of the 300 pages fetched by requests",
            "model": "least + exp(normal(mu, sigma)), fitted by maximum product of spacings",
            **shifted_lognormal(np.sort(lengths)),
        },
        "ratios": [ratios(client, mode) for client in CLIENTS.values() for mode in MODES.values()],
    }


def mixture(logs: "np.ndarray", components: int = 3) -> list[dict[str, float]]:
    """Return weight, median (s) and sigma of each lognormal, the smallest median first.

    Expectation-maximisation (Dempster, Laird and Rubin 1977,
    doi:10.1111/j.2517-6161.1977.tb01600.x),
    begun at the middles of the thirds.
    """
    weights = np.full(components, 1 / components)
    means = np.quantile(logs, (np.arange(components) + 0.5) / components)
    sigmas = np.full(components, logs.std() / components)
    for _ in range(500):
        shares = weights * stats.norm.pdf(logs[:, None], means, sigmas)
        shares /= shares.sum(axis=1, keepdims=True)
        counts = shares.sum(axis=0)
        weights, means = counts / len(logs), (shares * logs[:, None]).sum(axis=0) / counts
        variances = (shares * (logs[:, None] - means) ** 2).sum(axis=0) / counts
        sigmas = np.sqrt(variances + VARIANCE_FLOOR)
    fitted = zip(weights, np.exp(means), sigmas, strict=True)
    return [
        {"weight": round(float(w), 3), "median_s": round(float(m), 4), "sigma": round(float(s), 4)}
        for w, m, s in fitted
    ]


def shifted_lognormal(lengths: "np.ndarray") -> dict[str, float]:
    """Return the fit to sorted lengths, none of which is there twice.

    Maximum product of spacings (Cheng and Amin 1983, doi:10.1111/j.2517-6161.1983.tb01268.x): the
    likelihood of a lognormal whose least value is free has no maximum.
    """

    def minus_spacings(values: "np.ndarray") -> float:
        """Return minus the sum of the logarithms of the spacings."""
        least, mu, sigma = 1000 * values[0], values[1], values[2]
        shares = stats.lognorm.cdf(lengths, sigma, least, np.exp(mu))
        spacings = np.diff(np.concatenate([[0.0], shares, [1.0]]))
        return float(-np.log(np.maximum(spacings, 1e-300)).sum())

    best = optimize.minimize(
        minus_spacings,
        [0.9 * lengths[0] / 1000, 10.0, 1.0],
        method="Nelder-Mead",
        options={"xatol": 1e-10, "fatol": 1e-10, "maxiter": 5_000, "maxfev": 5_000},
    )
    least, mu, sigma = map(float, best.x)
    return {"least": round(1000 * least), "mu": round(mu, 3), "sigma": round(sigma, 4)}


def ratios(client: ClientName, mode: Mode) -> dict[str, Any]:
    """Return total (s), mean fetch (s), speed-up and slow-down of a client in a mode."""
    shown: dict[str, Any] = {"client": client, "mode": mode}
    for quantity in get_args(article.Quantity):
        value = article.measured(client, mode, quantity)
        shown[quantity] = value and round(value, 6)
    return shown


if __name__ == "__main__":
    main()
