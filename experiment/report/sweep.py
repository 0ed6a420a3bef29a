"""Write the sentences and the table of a sweep's report."""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiment.analysis import claims, runs, sweeps, ways
from experiment.analysis.results import RunResults
from experiment.analysis.rules import MOST_ROUNDS, POWER
from experiment.analysis.summary import ENOUGH_ROUNDS, digits, percent
from experiment.analysis.sweeps import WORTHWHILE_GAIN, EnoughWorkers, Gain, SizeResult
from experiment.report.sentences import origin_share
from experiment.vocabulary import ARTICLE_PAIR, BROWSERS, CLIENTS, is_function

ASKED = (
    "The smallest pool for which no larger one measured here is more than "
    f"{percent(WORTHWHILE_GAIN - 1)} faster:"
)


def answer(results: RunResults, sizes: Sequence[SizeResult]) -> str:
    """Return the plain answer, a line for each client and mode."""
    if claims.paced(results.study):
        return f"Not applicable: {claims.paced(results.study)}, not what a pool can do."
    cores = results.cores
    by_size = {(*item.way, item.size): item for item in sizes}
    lines = [
        f"**{_way(results, *way)}: {enough.words}**. {_evidence(enough)} "
        f"{_ends([by_size[*way, it] for it in sorted({enough.low, enough.high})], cores)}"
        for way, enough in sweeps.enough_workers(results, sizes).items()
    ]
    lines += [
        f"{_way(results, *way)}: {size} workers have no complete round and do not count."
        for *way, size in sweeps.wanted(results)
        if (*way, size) not in by_size
    ]
    return "\n".join([ASKED, "", *(f"- {line}" for line in lines)])


def in_short(results: RunResults, sizes: Sequence[SizeResult]) -> str:
    """Return the answer in a few lines: the sizes that are enough, and the fastest way."""
    if claims.paced(results.study):
        return answer(results, sizes)
    fastest = [f"Fastest: {way}" for way in _by_rate(results, sizes)[:1]]
    return "\n".join([ASKED, f"- {runs.answer(results)}", *fastest])


def _way(results: RunResults, client: str, mode: str, reuse: str) -> str:
    """Return a way in words; what it opens is said where the run has more than the article's."""
    if results.study.reuse == ("off",):
        return f"{client}, {mode}"
    return ways.in_words(client, mode, reuse)


def best(results: RunResults, sizes: Sequence[SizeResult]) -> str:
    """Say how fast each way is at its best size, and how it compares with the article's way."""
    lines = [f"- {way}" for way in _by_rate(results, sizes)]
    return "\n".join(["At the best size of each way:", "", *lines]) if lines else ""


def _by_rate(results: RunResults, sizes: Sequence[SizeResult]) -> list[str]:
    """Return what `best` says of each way, fastest first."""
    bests = [
        min(own, key=lambda item: item.total.value)
        for _, own in itertools.groupby(sizes, key=lambda item: item.way)
    ]
    lines = []
    for item in sorted(bests, key=lambda item: item.total.value):
        rate = digits(results.study.pages / item.total.value)
        unit = "calls" if is_function(item.client) else "pages"
        words = f"{_way(results, *item.way)}: {rate} {unit}/s with {item.size} workers"
        lines.append(f"{words}{_against_article(results, item, bests)}.")
    return lines


def _against_article(results: RunResults, item: SizeResult, bests: Sequence[SizeResult]) -> str:
    """Compare a way that keeps what it opens with the best of those that do not."""
    group = {item.client} if item.client in BROWSERS else {*CLIENTS} - {*BROWSERS}
    anew = [it for it in bests if it.reuse == "off" and it.mode in ARTICLE_PAIR]
    other = min(
        (it for it in anew if it.client in group), key=lambda it: it.total.value, default=item
    )
    if item.reuse == "off" or other is item:
        return ""
    gain = sweeps.gain_of(results, item, other)
    return f", **{gain.shown} times** as many as {other.words} with {other.size}{gain.beside}"


def _evidence(enough: EnoughWorkers) -> str:
    """Return which sizes are too few, which are enough, with the bounds that show it."""
    parts = {
        "Too few": [
            f"{size} ({gain.larger} are at least {digits(gain.low)} times as fast)"
            for size, gain in enough.too_few.items()
        ],
        "Undecided": [f"{size} ({_open(gain)})" for size, gain in enough.undecided.items()],
        "Enough": [
            f"{size} (no larger pool is more than {digits(gain.high)} times as fast)"
            for size, gain in enough.enough.items()
        ],
    }
    words = [f"{what}: {', '.join(items)}." for what, items in parts.items() if items]
    if not enough.enough:
        words.append(f"Nothing is known of pools larger than {enough.high}.")
    return " ".join([*words, *_rounds_to_settle(enough.rounds_to_settle())])


def _open(gain: Gain) -> str:
    if not gain.estimate.has_enough_rounds:
        return f"{ENOUGH_ROUNDS} complete rounds are needed to compare it with {gain.larger}"
    return f"{gain.larger} are {digits(gain.low)} to {digits(gain.high)} times as fast"


def _rounds_to_settle(rounds: int | None) -> list[str]:
    if rounds is None:
        return []
    how_many = f"More than {MOST_ROUNDS}" if rounds > MOST_ROUNDS else f"About {rounds}"
    return [
        f"{how_many} rounds in all would settle it (with {percent(POWER)} power for each size, if "
        "the gains and their spread are as measured)."
    ]


def _ends(sizes: Sequence[SizeResult], cores: int | None) -> str:
    """Return the speed-up and the limit at each end of the range."""
    return " ".join(
        f"With {item.size} the speed-up is {item.speed_up} and the limit is {item.limit}"
        f"{_without_origin(item, cores)}."
        for item in sizes
    )


def _without_origin(item: SizeResult, cores: int | None) -> str:
    """Return the CPU use of the origin, and what the limit would be without it, if it is known."""
    used = origin_share(item.origin_cores, cores)
    if not used:
        return ""
    is_same = item.limit_without_origin == item.limit
    without = "the same" if is_same else item.limit_without_origin
    return f" ({used}; without it the limit would be {without})"


def table(results: RunResults, sizes: Sequence[SizeResult]) -> pd.DataFrame:
    """Return a row for each client, mode and pool size."""
    more_than_new = results.study.reuse != ("off",)
    return pd.DataFrame([_row(item, results.cores, more_than_new) for item in sizes]).fillna("-")


def overheads(results: RunResults, sizes: Sequence[SizeResult]) -> pd.DataFrame:
    """Return how much longer each pool takes than its schedule, and a fetch than its delay."""
    rows = [
        {
            "way": _way(results, *item.way),
            "workers": str(item.size),
            "above its schedule": f"{100 * item.over_schedule.value:.1f} %",
            "fetch less delay (ms)": item.beyond_delay_ms.shown,
        }
        for item in sizes
    ]
    return pd.DataFrame(rows)


def _row(item: SizeResult, cores: int | None, more_than_new: bool) -> dict[str, str]:
    by_origin = {
        "cores used by the origin": digits(item.origin_cores),
        "limit without it": item.limit_without_origin,
    }
    return {
        "client": item.client,
        "mode": item.mode,
        **({"reuse": item.reuse} if more_than_new else {}),
        "workers": str(item.size),
        "total (s)": item.total.shown,
        "speed-up [95 %]": str(item.speed_up),
        "at most": item.ceiling.shown,
        "slow-down [95 %]": str(item.slow_down),
        f"cores used{f', of {cores}' if cores else ''}": digits(item.cores),
        "machine busy": percent(item.machine_cpu),
        "limit": item.limit,
        **(by_origin if np.isfinite(item.origin_cores) else {}),
    }
