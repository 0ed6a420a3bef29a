"""Figures are drawn from the data, and saved as PNG and SVG with a text that says the same."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from experiment import load, plots, story, summary
from experiment.study import Study
from tests import made_up

STUDY = Study(clients=("requests", "phantomjs"), rounds=3, pages=30)


@pytest.fixture
def data(tmp_path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fetches and rounds of a made-up run."""
    factors: dict[tuple[str, str], float] = {
        (client, mode): 1.0 for client in STUDY.clients for mode in STUDY.modes
    }
    made_up.write(tmp_path / "run", STUDY, factors)
    fetches, trials = load(tmp_path / "run")
    return fetches, summary.per_round(summary.per_trial(fetches, trials))


def test_bars_stand_on_zero_at_the_means(data: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    rounds = data[1]
    ax = plots.total_times(rounds, "requests", 2, ax=plt.figure().add_subplot())
    heights = [bar.get_height() for bar in ax.patches]  # type: ignore[attr-defined]
    means = [summary.of_cell(rounds, "requests", mode, "total_s").mean() for mode in STUDY.modes]
    assert heights == pytest.approx(means)
    assert ax.get_ylim()[0] == 0
    words = {text.get_text() for text in ax.texts}
    assert {f"{summary.digits(mean)} s" for mean in means} <= words
    assert "2018" in words


def test_lanes_hold_every_fetch_of_their_trial(data: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    fetches, rounds = data
    lane = story.swim_lanes(rounds, STUDY)[0]
    ax = plots.swim_lanes(fetches, *lane, ax=plt.figure().add_subplot())
    blocks = sum(len(item.get_paths()) for item in ax.collections)
    assert blocks == STUDY.pages


def test_a_figure_is_saved_twice_with_its_text(
    data: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path
) -> None:
    figure = plots.panels(plots.phases, [(data[1], "phantomjs")], 1, 2.5)
    picture = plots.save(figure, tmp_path / "figures", "6-phases", "what is seen")
    assert (tmp_path / "figures" / "6-phases.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "figures" / "6-phases.svg").read_text()
    assert picture.alt == "what is seen"
