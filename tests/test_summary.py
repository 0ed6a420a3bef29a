"""Statistics: the unit is the round, the interval is Student's t on logarithms."""

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from experiment import records
from experiment.analysis import summary
from experiment.study import PROJECT, Study
from tests import made_up
from tests.made_up import World, even

WORLD = World(
    {
        ("requests", "serial"): 1.0,
        ("requests", "threads"): 1.25,
        ("requests", "processes"): 1.05,
    }
)


def rounds_of(folder: Path, study: Study) -> pd.DataFrame:
    """The rounds of a made-up run."""
    made_up.write(folder, study, WORLD)
    return summary.per_round(summary.per_trial(*records.load(folder)))


def test_a_ratio_is_students_t_on_the_logarithms_of_the_rounds() -> None:
    above = pd.Series([8.0, 9.0, 8.5, 7.5], index=[1, 2, 3, 4])
    below = pd.Series([1.0, 1.1, 0.9, 1.0], index=[1, 2, 3, 4])
    found = summary.ratio(above, below)
    expected = stats.ttest_rel(np.log(above), np.log(below))
    assert found.value == pytest.approx(math.exp(np.log(above / below).mean()))
    assert found.ci95 == pytest.approx(tuple(np.exp(expected.confidence_interval(0.95))))
    assert found.ci90 == pytest.approx(tuple(np.exp(expected.confidence_interval(0.90))))
    assert found.rounds == 4


def test_a_round_that_one_side_lacks_does_not_count() -> None:
    found = summary.ratio(pd.Series([2.0, 4.0], index=[1, 2]), pd.Series([1.0, 9.0], index=[1, 3]))
    assert (found.value, found.ci95, found.rounds) == (2.0, None, 1)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    chance = np.random.default_rng(2018)
    hits = 0
    for _ in range(1_000):
        above, below = (pd.Series(np.exp(chance.normal(0, 0.05, 5))) for _ in range(2))
        low, high = summary.ratio(above * 8, below).ci95 or (0, 0)
        hits += low <= 8 <= high
    assert 930 <= hits <= 970


def test_speed_up_is_pool_size_times_utilisation_over_slow_down(tmp_path: Path) -> None:
    rounds = rounds_of(tmp_path / "run", Study(clients=("requests",), rounds=5))
    serial, threads = (
        rounds[rounds["mode"] == mode].set_index("round") for mode in ("serial", "threads")
    )
    identity = 10 * (threads["utilisation"] / serial["utilisation"])
    identity /= threads["fetch_mean_s"] / serial["fetch_mean_s"]
    assert np.allclose(serial["span_s"] / threads["span_s"], identity, rtol=1e-3)
    assert summary.slow_down(rounds, "requests", "threads").value == pytest.approx(1.25, rel=0.05)
    assert 6 < summary.speed_up(rounds, "requests", "threads").value < 8
    without = summary.speed_up_without_start(rounds, "requests", "threads").value
    assert without == pytest.approx(summary.speed_up(rounds, "requests", "threads").value)


def test_the_geometric_mean_of_its_repeats_stands_for_a_round() -> None:
    trials = pd.DataFrame(
        {
            "client": "requests",
            "mode": "threads",
            "pool_size": 10,
            "reuse": "off",
            "round": [1, 1, 1, 2, 2, 2],
            "repeat": [1, 2, 3, 1, 2, 3],
            "span_s": [3.0, 1.0, 2.0, 5.0, 6.0, 7.0],
            "fetch_mean_s": [0.3, 0.1, 0.2, 0.5, 0.6, 0.7],
            "complete": [True, True, True, True, False, True],
        }
    )
    rounds = summary.per_round(trials)
    assert rounds["round"].tolist() == [1]
    assert rounds["span_s"].tolist() == pytest.approx([6 ** (1 / 3)])
    assert rounds["fetch_mean_s"].tolist() == pytest.approx([0.006 ** (1 / 3)])


def test_a_quantity_that_may_be_zero_is_averaged_as_it_is() -> None:
    trial = {"client": "requests", "mode": "threads", "pool_size": 10, "reuse": "off", "round": 1}
    numbers = {"span_s": [1.0, 4.0], "check_mean_s": [0.0, 4.0], "late_s": [-1.0, 4.0]}
    trials = pd.DataFrame({**trial, "repeat": [1, 2], "complete": True, **numbers})
    [found] = summary.per_round(trials).to_dict("records")
    assert [found[name] for name in numbers] == pytest.approx([2.0, 2.0, 1.5])


def test_the_losses_multiply_to_the_speed_up_with_repeats_too(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=3, repeats=2)
    rounds = rounds_of(tmp_path / "run", study)
    size, left, measured = summary.losses(rounds, "requests", "threads")
    slower = summary.slow_down(rounds, "requests", "threads").value
    assert size == 10
    assert left / slower == pytest.approx(measured, rel=1e-12)


def test_a_trial_with_a_failed_fetch_does_not_count(tmp_path: Path) -> None:
    study = Study(clients=("requests", "phantomjs"), modes=("serial", "threads"), rounds=2, pages=5)
    made_up.write(tmp_path / "run", study, World(even(study), failing="phantomjs"))
    rounds = summary.per_round(summary.per_trial(*records.load(tmp_path / "run")))
    assert set(rounds["client"]) == {"requests"}


def test_the_lower_bounds_are_those_of_waiting_and_of_the_cores(tmp_path: Path) -> None:
    rounds = rounds_of(tmp_path / "run", Study(clients=("requests",), rounds=3))
    limits = summary.bounds(rounds, 2).set_index("mode")
    assert limits.loc["serial", "waiting_s"].iloc[0] == pytest.approx(10.0)  # type: ignore[union-attr]
    assert limits.loc["threads", "waiting_s"].iloc[0] == pytest.approx(1.0)  # type: ignore[union-attr]
    used = rounds.set_index("mode").loc["threads", "fetch_cpu_s"].iloc[0]  # type: ignore[union-attr]
    assert limits.loc["threads", "cpu_s"].iloc[0] == pytest.approx(used / 2)  # type: ignore[union-attr]


def test_the_identity_holds_on_what_was_measured() -> None:
    fetches, trials = records.load(PROJECT / "data" / "reference")
    rounds = summary.per_round(summary.per_trial(fetches, trials))
    for client, mode in itertools.product(
        ("requests", "phantomjs", "chrome"), ("threads", "processes")
    ):
        size, left, measured = summary.losses(rounds, client, mode)
        assert size == 10
        slower = summary.slow_down(rounds, client, mode).value
        assert left / slower == pytest.approx(measured, rel=1e-3)
        both = [
            rounds[(rounds["client"] == client) & (rounds["mode"] == one)].set_index("round")
            for one in (mode, "serial")
        ]
        assert len(both[0]) >= 5
        busy, mean, total = (
            both[0][name] / both[1][name] for name in ("utilisation", "fetch_mean_s", "span_s")
        )
        assert np.allclose(size * busy / mean, 1 / total, rtol=1e-3)


def test_controls_are_kept_apart_from_the_articles_figures(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=3, pages=20)
    made_up.write(tmp_path / "run", study, WORLD)
    fetches, trials = records.load(tmp_path / "run")
    main = fetches["arm"] == "main"
    only = summary.per_trial(fetches[main], trials[trials["arm"] == "main"])
    pd.testing.assert_frame_equal(
        summary.per_trial(fetches, trials).reset_index(drop=True), only.reset_index(drop=True)
    )
    cpu = summary.per_round(summary.per_trial(fetches, trials, "cpu"))
    assert summary.speed_up(cpu, "", "processes").value == pytest.approx(2, rel=0.1)
    assert len(summary.per_round(summary.per_trial(fetches, trials, "startup"))) == 2 * 3


@pytest.mark.parametrize(
    ("column", "value"), [("url", "http://127.0.0.1/other"), ("sha256", "1" * 64)]
)
def test_a_round_whose_modes_had_other_pages_is_refused(
    tmp_path: Path, column: str, value: str
) -> None:
    study = Study(clients=("requests", "phantomjs"), rounds=4, pages=20)
    made_up.write(tmp_path / "run", study, World(even(study)))
    fetches, trials = records.load(tmp_path / "run")
    assert summary.different_pages(fetches).empty
    place = {"arm": "main", "client": "requests", "mode": "threads", "round": 2, "page": 7}
    row = (fetches[list(place)] == pd.Series(place)).all(axis=1)
    assert row.sum() == 1
    fetches.loc[row, column] = value
    assert summary.different_pages(fetches).to_numpy().tolist() == [["main", "requests", 2, 7]]
    rounds = summary.per_round(summary.per_trial(fetches, trials))
    assert summary.speed_up(rounds, "requests", "processes").rounds == 3
    assert summary.speed_up(rounds, "phantomjs", "threads").rounds == 4


def test_a_page_that_one_mode_lacks_is_noticed(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=1, pages=5)
    made_up.write(tmp_path / "run", study, WORLD)
    fetches, _ = records.load(tmp_path / "run")
    main = fetches[fetches["arm"] == "main"]
    less = main.drop(main.index[(main["mode"] == "serial") & (main["page"] == 3)])
    assert summary.different_pages(less)["page"].tolist() == [3]


def test_pages_that_lead_elsewhere_each_time_are_no_difference(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=1, pages=5)
    made_up.write(tmp_path / "run", study, WORLD)
    fetches, _ = records.load(tmp_path / "run")
    asked = fetches.assign(
        url="http://127.0.0.1/random",
        planned_ms=float("nan"),
        sha256=[f"{number:064d}" for number in range(len(fetches))],
    )
    assert summary.different_pages(asked[asked["arm"] == "main"]).empty


def test_the_control_compares_the_first_threads_of_a_round_with_the_last(tmp_path: Path) -> None:
    study = Study(clients=("requests",), rounds=5, pages=30, repeats=3)
    made_up.write(tmp_path / "run", study, WORLD)
    fetches, trials = records.load(tmp_path / "run")
    rows = summary.per_trial(fetches, trials)
    alike = summary.aa_control(rows, "requests")
    assert alike.rounds == 5
    assert alike.ci99 is not None
    assert alike.ci95 is not None
    assert alike.ci99[0] < alike.ci95[0] < alike.ci95[1] < alike.ci99[1]
    threads = rows[rows["mode"] == "threads"].pivot(
        index="round", columns="repeat", values="span_s"
    )
    expected = np.exp(np.log(threads[1] / threads[3]).mean())
    assert alike.value == pytest.approx(expected)
    backwards = rows.assign(position=100 - rows["position"])
    assert summary.aa_control(backwards, "requests").value == pytest.approx(1 / expected)
    assert summary.aa_control(rows[rows["repeat"] == 1], "requests").rounds == 0
    without = rows.assign(complete=rows["complete"] & (rows["repeat"] != 3))
    expected = np.exp(np.log(threads[1] / threads[2]).mean())
    assert summary.aa_control(without, "requests").value == pytest.approx(expected)


def test_the_ceiling_is_what_perfect_workers_would_do() -> None:
    seconds = [1.0, 1.0, 1.0, 3.0]
    fetches = pd.DataFrame(
        {
            "arm": "main", "client": "requests", "mode": "serial", "round": 1,
            "repeat": 1, "page": range(1, 5), "fetch_s": seconds,
        }
    )  # fmt: skip
    assert summary.ceiling(fetches, "requests", 2, 1).value == pytest.approx(6 / 4)
    assert summary.ceiling(fetches, "requests", 2, 2).value == pytest.approx(6 / 4)
    assert summary.ceiling(fetches, "requests", 2, 4).value == pytest.approx(1)
    assert summary.ceiling(fetches, "requests", 9, 1).value == pytest.approx(6 / 3)
    assert summary.ceiling(fetches, "chrome", 2, 1).rounds == 0


def test_an_interval_near_one_shows_on_which_side_it_ends() -> None:
    assert summary.brackets((1.002, 1.08)) == "[1.002,\u00a01.08]"
    assert summary.brackets((0.91, 0.9981)) == "[0.910,\u00a00.998]"
    assert summary.brackets(None) == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (8.0823, "8.08"),
        (0.2281, "0.228"),
        (46.414, "46.4"),
        (0.0868, "0.087"),
        (1234.5, "1,234"),
        (0.0, "0"),
        (float("nan"), "-"),
    ],
)
def test_digits(value: float, shown: str) -> None:
    assert summary.digits(value) == shown


def test_rounds_that_make_no_ratio_do_not_count() -> None:
    above, below = pd.Series([2.0, 0.0, 2.0, 4.0]), pd.Series([1.0, 1.0, 0.0, 2.0])
    found = summary.ratio(above, below)
    assert found.rounds == 2
    assert found.value == 2.0
    assert summary.mean(above / below).rounds == 3
    apart = summary.ratio(pd.Series([1e12, 1.0]), pd.Series([1e-6, 1e6]))
    assert apart.ci99 is not None
    assert 0 < apart.ci99[0] < apart.value < apart.ci99[1] < float("inf")
    assert "inf" not in f"{apart}"
    assert len(f"{apart}") < 60


def test_the_typical_round_has_the_median_span() -> None:
    spans = {1: 0.3, 2: 0.1, 3: 0.4, 4: 0.2}
    rows = [{"client": "requests", "mode": "threads", "round": n} for n in spans]
    rounds = pd.DataFrame(rows).assign(span_s=list(spans.values()))
    assert summary.typical_round(rounds, "requests", "threads") == 4
    assert summary.typical_round(rounds[1:], "requests", "threads") == 4
    assert summary.typical_round(rounds, "requests", "processes") is None
    assert summary.typical_round(rounds.assign(span_s=0.1), "requests", "threads") == 2
