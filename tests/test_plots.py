"""Figures are drawn from the data, and saved as PNG and SVG with a text that says the same."""

from pathlib import Path
from typing import get_args

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from experiment import records
from experiment.analysis import summary
from experiment.analysis.rules import Verdict
from experiment.report import figures, sentences
from experiment.study import Study
from tests import made_up
from tests.made_up import World, even

STUDY = Study(clients=("requests", "phantomjs"), rounds=3, pages=30)


@pytest.fixture
def data(tmp_path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fetches and rounds of a made-up run."""
    made_up.write(tmp_path / "run", STUDY, World(even(STUDY)))
    fetches, trials = records.load(tmp_path / "run")
    return fetches, summary.per_round(summary.per_trial(fetches, trials))


def test_bars_stand_on_zero_at_the_means(data: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    rounds = data[1]
    ax = figures.total_times(rounds, "requests", 2, ax=plt.figure().add_subplot())
    heights = [bar.get_height() for bar in ax.patches]  # type: ignore[attr-defined]
    means = [summary.of_cell(rounds, "requests", mode, "span_s").mean() for mode in STUDY.modes]
    assert heights == pytest.approx(means)
    assert ax.get_ylim()[0] == 0
    words = {text.get_text() for text in ax.texts}
    assert {f"{summary.digits(mean)} s" for mean in means} <= words
    assert "2018" in words


def test_lanes_hold_every_fetch_of_their_trial(data: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    fetches, rounds = data
    lane = sentences.swim_lanes(rounds, STUDY)[0]
    ax = figures.swim_lanes(fetches, *lane, ax=plt.figure().add_subplot())
    blocks = sum(len(item.get_paths()) for item in ax.collections)
    assert blocks == STUDY.pages


def test_a_distribution_rises_to_all_fetches(data: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    fetches = data[0]
    counting = fetches[fetches["arm"] == "main"]
    ax = figures.distribution(counting, "requests", ax=plt.figure().add_subplot())
    main = fetches[(fetches["arm"] == "main") & (fetches["client"] == "requests")]
    assert len(ax.lines) == 3
    main = main[main["error"].isna()]
    for line, mode in zip(ax.lines, STUDY.modes, strict=True):
        seconds, shares = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        own = main.loc[main["mode"] == mode, "fetch_s"]
        assert shares.max() == 1
        assert seconds.max() == pytest.approx(own.max())
        assert len(seconds) >= len(own)
    assert ax.get_xscale() == "log"


def test_the_losses_lead_from_the_pool_size_to_the_speed_up(tmp_path: Path) -> None:
    made_up.write(tmp_path / "run", STUDY, World(even(STUDY, threads=1.3)))
    rounds = made_up.judged(tmp_path / "run")[0].rounds
    ax = figures.where_it_goes(rounds, [("requests", "threads")], ax=plt.figure().add_subplot())
    idle, slower, measured = ax.lines
    assert "slower fetches" in {text.get_text() for text in ax.texts}
    assert idle.get_xdata()[0] == STUDY.pool_size  # type: ignore[index]
    assert idle.get_xdata()[1] == slower.get_xdata()[0]  # type: ignore[index]
    speed_up = summary.speed_up(rounds, "requests", "threads").value
    assert slower.get_xdata()[1] == measured.get_xdata()[0] == pytest.approx(speed_up)  # type: ignore[index]


def test_quicker_fetches_lead_back(tmp_path: Path) -> None:
    results, _ = made_up.judged(
        made_up.write(tmp_path / "run", STUDY, World(even(STUDY, threads=0.8)))
    )
    cells = [("requests", "threads")]
    ax = figures.where_it_goes(results.rounds, cells, ax=plt.figure().add_subplot())
    words = {text.get_text() for text in ax.texts}
    assert "quicker fetches" in words
    assert "slower fetches" not in words


def test_the_claims_stand_where_they_were_measured(tmp_path: Path) -> None:
    made_up.write(tmp_path / "run", STUDY, World(even(STUDY, threads=1.3)))
    judged = list(made_up.judged(tmp_path / "run")[1].values())
    cells = [cell for claim in judged for cell in claim.cells if figures.is_drawn(cell)]
    assert len(cells) == 18
    ax = figures.claims(judged, ax=plt.figure().add_subplot())
    dots = [line.get_xdata()[0] for line in ax.lines if line.get_markersize() == 7]  # type: ignore[index]
    expected = [
        cell.estimate.value / cell.zone.claimed for cell in cells if cell.estimate and cell.zone
    ]
    assert dots == pytest.approx(expected)
    said = [text.get_text() for text in ax.texts]
    assert [words for words in said if words in get_args(Verdict)] == [
        cell.ruling.verdict for cell in cells
    ]
    beyond = [value for value in expected if not 0.5 <= value <= 5]
    marks = [words for words in said if "▶" in words or "◀" in words]
    assert len([words for words in marks if "2018" not in words]) == len(beyond) > 0
    assert len([words for words in marks if "2018" in words]) == 3


def test_the_band_and_the_control_are_drawn(tmp_path: Path) -> None:
    study = STUDY.model_copy(update={"repeats": 3})
    results, _ = made_up.judged(made_up.write(tmp_path / "run", study, World(even(study))))
    lines = sentences.against_each_other(results)
    assert [is_control for _, _, is_control in lines] == [False, False, True] * 2
    ax = figures.against_each_other(lines, ax=plt.figure().add_subplot())
    assert len(ax.get_yticklabels()) == 6
    controls = [found for _, found, is_control in lines if is_control]
    dotted = [tuple(line.get_xdata()) for line in ax.lines if line.get_linestyle() == ":"]  # type: ignore[arg-type]
    assert dotted == [found.ci99 for found in controls]


def test_a_figure_is_saved_twice_with_its_text(
    data: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    figure = figures.panels(figures.phases, [(data[1], "phantomjs")], 1, 2.5)
    picture = figures.save(figure, tmp_path / "figures", "6-phases", "what is seen")
    assert (tmp_path / "figures" / "6-phases.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "figures" / "6-phases.svg").read_text()
    assert picture.alt == "what is seen"
