"""What a connection costs: the parts are those that are true of a run, made up or measured."""

import math
import ssl
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from experiment import load
from experiment.analysis import connection
from experiment.analysis.connection import Cost, Quantity
from experiment.analysis.results import RunResults
from experiment.analysis.summary import percent
from experiment.report import connection as words
from experiment.report import markup
from experiment.study import PROJECT, Study
from experiment.vocabulary import ARTICLE_PAIR, Mode
from tests import made_up
from tests.conftest import Copy
from tests.made_up import ConnectionCost, World, even

COSTS = (
    ("serial", ConnectionCost(bundle=15, handshake=4, rest=3)),
    ("threads", ConnectionCost(bundle=30, handshake=8, rest=3)),
    ("processes", ConnectionCost(bundle=24, handshake=4, rest=5)),
)
STUDY = Study(clients=("requests",), rounds=5, pages=20)
PARTS = ("bundle", "handshake", "rest")


def results_of(
    folder: Path,
    study: Study = STUDY,
    costs: tuple[tuple[str, ConnectionCost], ...] = COSTS,
    noise: float = 0.01,
) -> RunResults:
    """Return a made-up run whose connections cost this."""
    world = World(even(study), noise=noise, today=bool(costs), costs=costs)
    return load(made_up.write(folder, study, world))


def known(cost: Cost | None) -> Cost:
    """Return a cost that was measured."""
    assert cost is not None
    return cost


@pytest.mark.parametrize(("quantity", "share"), [("time_ms", 1.0), ("cpu_ms", 0.5)])
def test_the_true_parts_are_found(tmp_path: Path, quantity: Quantity, share: float) -> None:
    results, true = results_of(tmp_path / "run"), dict(COSTS)
    for mode, own in true.items():
        cost = known(connection.cost(results, mode, quantity))  # type: ignore[arg-type]
        for part in PARTS:
            low, high = getattr(cost, part).ci99
            assert low < share * getattr(own, part) < high
    for mode in ARTICLE_PAIR:
        extra = known(connection.extra_cost(results, mode, quantity))
        for part in PARTS:
            low, high = getattr(extra, part).ci99
            assert low < share * (getattr(true[mode], part) - getattr(true["serial"], part)) < high


@pytest.mark.parametrize("quantity", connection.COLUMNS)
def test_the_parts_add_up_to_the_whole(tmp_path: Path, quantity: Quantity) -> None:
    results = results_of(tmp_path / "run", noise=0.2)
    costs = [known(connection.cost(results, mode, quantity)) for mode in connection.MODES]
    costs += [known(connection.extra_cost(results, mode, quantity)) for mode in ARTICLE_PAIR]
    for cost in costs:
        parts = [getattr(cost, part) for part in PARTS]
        assert math.fsum(part.value for part in parts) == pytest.approx(cost.whole.value)
        assert math.fsum(map(cost.share, parts)) == pytest.approx(1)
    get, serial = costs[1].whole.value, costs[0].whole.value
    assert costs[3].whole.value == pytest.approx(get - serial)


def beyond_ms(results: RunResults, arm: str, mode: Mode) -> "pd.Series[float]":
    """Return the mean time of a fetch beyond the origin's delay, by round."""
    rows = results.fetches
    own = rows[(rows["arm"] == arm) & (rows["mode"] == mode) & (rows["client"] == "requests")]
    return (own["fetch_s"] * 1000 - own["origin_ms"]).groupby(own["round"]).mean()


def test_the_intervals_are_those_of_paired_rounds(tmp_path: Path) -> None:
    results = results_of(tmp_path / "run", noise=0.1)
    get, one = (beyond_ms(results, arm, "threads") for arm in ("main", "tls_context"))
    cost = known(connection.cost(results, "threads", "time_ms"))
    assert cost.bundle.ci95 == pytest.approx(stats.ttest_rel(get, one).confidence_interval(0.95))
    before = beyond_ms(results, "no_latency", "serial") - beyond_ms(
        results, "tls_context", "serial"
    )
    extra = known(connection.extra_cost(results, "threads", "time_ms"))
    paired = stats.ttest_rel(get - one, before).confidence_interval(0.95)
    assert extra.bundle.ci95 == pytest.approx(paired)


def test_what_a_kept_session_saves_is_found_in_pools(tmp_path: Path) -> None:
    results = results_of(tmp_path / "run")
    saved = connection.saved(results, "threads", "time_ms")
    assert saved.value == pytest.approx(38, abs=1)
    assert connection.saved(results, "serial", "time_ms").rounds == 0
    row = words.table(results).loc["saved by a kept session"]
    times = row[words.QUANTITIES["time_ms"]]
    assert times["serial"] == "-"
    assert times["threads"] == str(saved)


def test_the_slow_down_is_split_in_words(tmp_path: Path) -> None:
    results = results_of(tmp_path / "run")
    said = words.sentences(results)
    extra = known(connection.extra_cost(results, "threads", "time_ms"))
    assert (
        "- Of the time by which a fetch takes longer in threads than in serial, 79 % goes to "
        "reading the bundle of certificates, 21 % to the TLS handshake and encryption, a share not "
        "shown to differ from 0 to the rest."
    ) in said
    table = words.table_of_pools(results)
    assert words.tables_html(results).count("<table ") == 2
    cells = table[words.QUANTITIES["time_ms"], "threads"]
    assert cells["TLS handshake and encryption"].endswith("], 21 %")
    assert cells["all of requests.get"] == str(extra.whole)


def test_no_part_is_blamed_where_fetches_are_not_shown_to_be_slower(tmp_path: Path) -> None:
    costs = tuple((mode, COSTS[0][1]) for mode in connection.MODES)
    said = words.sentences(results_of(tmp_path / "run", costs=costs))
    for mode in ARTICLE_PAIR:
        assert f"A fetch is not shown to take longer in {mode} than in serial" in said
    assert "Of the time" not in said


def test_a_bundle_that_costs_nothing_is_not_blamed(tmp_path: Path) -> None:
    costs = tuple((mode, ConnectionCost(0, own.handshake, own.rest)) for mode, own in COSTS)
    results = results_of(tmp_path / "run", costs=costs, noise=0.0)
    trials = results.trials.copy()
    serial = (trials["arm"] == "tls_context") & (trials["mode"] == "serial")
    scatter_ms = trials["round"] - 3  # -2, -1, 0, 1, 2
    trials.loc[serial, "fetch_cpu_s"] += scatter_ms[serial] * STUDY.pages / 1000
    said = words.sentences(RunResults(results.run, results.fetches, trials))
    [line] = [line for line in said.splitlines() if line.startswith("- Of the CPU of a page")]
    assert "a share not shown to differ from 0 goes to reading the bundle of certificates" in line
    assert "an unknown version of OpenSSL" in line


def test_the_library_is_named_and_latency_that_matters_is_said(tmp_path: Path) -> None:
    results = results_of(tmp_path / "run", noise=0.0)
    assert "With the latency" not in words.sentences(results)
    machine = results.run.machine.model_copy(update={"openssl": "OpenSSL 3.0.17 1 Jul 2025"})
    run = results.run.model_copy(update={"machine": machine})
    fetches = results.fetches.copy()
    slower = (fetches["arm"] == "main") & (fetches["mode"] == "serial")
    fetches.loc[slower, "fetch_s"] += 0.004 + fetches["round"] / 1000  # 5 to 9 ms
    said = words.sentences(RunResults(run, fetches, results.trials))
    assert f"({markup.escape('OpenSSL 3.0.17 1 Jul 2025')})" in said
    assert (
        "a page in serial takes 7.0 [5.0,\xa09.0] ms of time beyond the delay more than without."
    ) in said


def test_rounds_with_failures_do_not_count_and_too_few_decide_nothing(tmp_path: Path) -> None:
    results = results_of(tmp_path / "run", noise=0.0)
    trials = results.trials.copy()
    for number, arm in ((1, "tls_context"), (2, "no_tls"), (3, "main")):
        trials.loc[(trials["round"] == number) & (trials["arm"] == arm), "failed"] = 1
    left = RunResults(results.run, results.fetches, trials)
    cost = known(connection.cost(left, "threads", "time_ms"))
    assert {getattr(cost, part).rounds for part in (*PARTS, "whole")} == {2}
    assert cost.bundle.value == pytest.approx(30)
    assert "not shown to take longer in threads" in words.sentences(left)
    assert "(too few rounds)" in words.table(left).to_string()
    trials.loc[trials["arm"] == "no_tls", "state"] = "failed"
    none = RunResults(results.run, results.fetches, trials)
    assert words.sentences(none) == words.NOT_MEASURED


def test_runs_without_the_arms_have_nothing_to_split(tmp_path: Path) -> None:
    old = results_of(tmp_path / "run", costs=())
    for results in (old, load(PROJECT / "data" / "article-2018")):
        assert not words.tables_html(results)
        assert words.sentences(results) == words.NOT_MEASURED


@pytest.mark.slow
def test_the_parts_are_found_through_http(copy: Copy) -> None:
    options = "--clients requests --modes serial --pages 15 --rounds 3 --latency 0 --run small"
    ended = copy.experiment("run", *options.split())
    assert ended.returncode == 0, ended.stderr
    results = load(copy.path / "data" / "small")
    cost = known(connection.cost(results, "serial", "cpu_ms"))
    assert cost.whole.rounds == 3
    assert cost.handshake.value > 0
    assert 0 < cost.rest.value < cost.whole.value
    if ssl.OPENSSL_VERSION_INFO[:2] == (3, 0):
        assert cost.bundle.value > 0.4 * cost.whole.value
        assert cost.bundle.ci95 is not None
        assert cost.bundle.ci95[0] > 1
    assert "Of the CPU of a page in serial, " in words.sentences(results)
    assert markup.escape(ssl.OPENSSL_VERSION) in words.sentences(results)


def test_the_documentation_says_what_the_committed_run_says() -> None:
    results = load(PROJECT / "data" / "reference")
    documented = " ".join((PROJECT / "docs" / "workers.md").read_text().split())
    cost = known(connection.cost(results, "serial", "cpu_ms"))
    extra = known(connection.extra_cost(results, "threads", "time_ms"))
    assert extra.bundle.ci95 is not None
    assert extra.bundle.ci95[0] > 0
    library = " ".join((results.run.machine.openssl or "").split()[:2])
    said = (
        f"In `data/reference` ({library}), reading the bundle takes {cost.bundle.shown} of "
        f"the {cost.whole.shown} ms of CPU of a page in serial, the handshake and encryption "
        f"{cost.handshake.shown} ms. In threads, reading the bundle is "
        f"{percent(extra.share(extra.bundle))} of the {extra.whole.shown} ms by which a fetch "
        "takes longer."
    )
    assert said in documented, said
