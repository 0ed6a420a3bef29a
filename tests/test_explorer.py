"""The widgets choose what is drawn, and draw what there is."""

import base64
import html
import io
import re
import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from experiment.analysis import runs
from experiment.report import figures, styles, widgets
from experiment.report.widgets import Explorer
from experiment.study import Study, sweep_of
from tests.made_up import World, even, write


@pytest.fixture
def shown() -> Explorer:
    """The widgets, showing the reference run."""
    return widgets.Explorer()


def test_every_choice_is_drawn_anew(shown: Explorer) -> None:
    pictures = {shown.picture.value}
    for name in list(widgets.FIGURES)[1:]:
        shown.client.value = "phantomjs"
        shown.figure.value = name
        assert f'<img alt="{name}, phantomjs' in shown.picture.value
        pictures.add(shown.picture.value)
    shown.figure.value = "one fetch"
    before = shown.picture.value
    shown.modes.value = ("serial", "threads")
    without = shown.picture.value
    shown.round.value = "2"
    assert len({before, without, shown.picture.value}) == 3
    assert len(pictures) == len(widgets.FIGURES)


def test_a_chosen_page_is_told_in_every_mode(shown: Explorer) -> None:
    shown.round.value = "3"
    before = shown.picture.value
    shown.page.value = 17
    assert shown.picture.value != before
    text = re.sub(r"<[^>]+>|\s+", " ", shown.fetch.value)
    assert all(f"{mode}, round 3" in text for mode in ("serial", "threads", "processes"))
    assert text.count("/3/17") == 3
    assert "1 of 1" in text
    assert "of 10" in text
    fetches = shown.choice.results.complete_fetches
    place = (fetches["client"] == "requests") & (fetches["mode"] == "serial")
    [seconds] = fetches[place & (fetches["round"] == 3) & (fetches["page"] == 17)]["fetch_s"]
    assert f"{seconds:.3f}" in text
    shown.client.value = "phantomjs"
    assert "browser_start_s" in shown.fetch.value


def test_each_block_of_the_swim_lanes_tells_its_fetch_on_hover(shown: Explorer) -> None:
    told = re.findall(
        r'<rect x="(.+?)" y="(.+?)" width="(.+?)" height="(.+?)".*?><title>(.+?)</title>',
        shown.picture.value,
    )
    trials = list(shown.choice.trials.values())
    assert len(told) == sum(map(len, trials)) == 300
    [encoded] = re.findall(r"base64,([^\"]+)", shown.picture.value)
    picture = plt.imread(io.BytesIO(base64.b64decode(encoded)))
    high, wide = picture.shape[:2]
    looks = [styles.of_mode(mode) for mode in shown.modes.value]
    colours = {colour for look in looks for colour in (look.colour, look.light)}
    seen: list[bool] = []
    for fetch, (*place, words) in zip(pd.concat(trials).itertuples(), told, strict=True):
        x, y, width, height = map(float, place)
        assert min(width, height) > 0
        pixel = picture[int((y + height / 2) * high), int((x + width / 2) * wide), :3]
        if width * wide > 4:  # in narrower blocks the white edges are blended in
            seen.append("#{:02X}{:02X}{:02X}".format(*(255 * pixel).round().astype(int)) in colours)
        assert words.startswith(f"page {fetch.page}: {fetch.fetch_s:.3f} s, from ")
    assert sum(seen) > 0.95 * len(seen) > 200  # the line of no idle workers crosses some
    shown.figure.value = "one fetch"
    assert "<title>" not in shown.picture.value


def test_what_is_drawn_are_the_runs_own_rounds(shown: Explorer) -> None:
    shown.client.value, shown.modes.value = "chrome", ("serial", "processes")
    rounds = shown.choice.run.rounds
    chosen = (rounds["client"] == "chrome") & rounds["mode"].isin(["serial", "processes"])
    assert shown.choice.results.rounds["span_s"].tolist() == rounds.loc[chosen, "span_s"].tolist()
    shown.round.value = "2"
    drawn = shown.choice.results
    assert drawn.rounds[["mode", "round"]].to_numpy().tolist() == [["processes", 2], ["serial", 2]]
    assert len(drawn.fetches) == 100 * (1 + 2)  # each pool of browsers ran twice


def test_what_cannot_be_drawn_says_so(shown: Explorer) -> None:
    shown.figure.value = "browser phases"
    assert "nothing to draw" in shown.picture.value
    shown.figure.value = "one fetch"
    shown.modes.value = ()
    assert "nothing to draw" in shown.picture.value


def test_another_run_brings_its_own_choices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "DATA", tmp_path)
    for name, clients in (("a", "requests"), ("b", "chrome phantomjs")):
        study = Study.of({"pages": 6, "clients": clients, "modes": "serial threads"})
        write(tmp_path / name, study, World(even(study)))
    shown = widgets.Explorer("a")
    assert shown.run.options == ("a", "b")
    shown.page.value = 6
    shown.run.value = "b"
    assert shown.client.options == ("chrome", "phantomjs")
    assert shown.modes.options == ("serial", "threads")
    assert shown.page.max == 6
    shown.other.value = "a"
    assert _heading(shown.picture).startswith("b: round ")
    assert _heading(shown.beside).startswith("a: round ")
    assert "width: 480px" in shown.picture.value
    assert "width: 480px" in shown.beside.value
    assert '<img alt="swim lanes, requests' in shown.beside.value
    shown.figure.value = "one fetch"
    assert '<img alt="one fetch, requests, serial and threads' in shown.beside.value
    shown.other.value = widgets.NO_RUN
    assert shown.beside.value == ""
    assert "width: 960px" in shown.picture.value
    shown.figure.value = "swim lanes"
    assert '<img alt="swim lanes, chrome' in shown.picture.value


def test_the_other_run_is_shown_as_far_as_it_has_what_is_chosen(shown: Explorer) -> None:
    shown.run.value, shown.other.value = "reference-dask", "article-2018"
    shown.round.value, shown.figure.value = "5", "one fetch"
    assert _heading(shown.picture) == "reference-dask: round 5, pools of 10, reuse off"
    assert _heading(shown.beside) == "article-2018: all rounds, pools of 10, reuse off"
    assert (
        '<img alt="one fetch, requests, serial, threads, processes and dask"' in shown.picture.value
    )
    assert '<img alt="one fetch, requests, serial, threads and processes"' in shown.beside.value


def test_the_heading_names_the_round_of_the_swim_lanes(shown: Explorer) -> None:
    numbers = {trial.partition("round ")[2] for trial in shown.choice.trials}
    assert [_heading(shown.picture)] == [
        f"reference: round {number}, pools of 10, reuse off" for number in numbers
    ]
    shown.figure.value = "one fetch"
    assert _heading(shown.picture) == "reference: all rounds, pools of 10, reuse off"


def _heading(picture: Any) -> str:
    return html.unescape(picture.value.removeprefix("<b>").partition("</b>")[0])


def test_the_buttons_say_which_modes_are_drawn(shown: Explorer) -> None:
    [_, threads, _] = shown.modes.children
    threads.value = False
    assert shown.modes.value == ("serial", "processes")
    assert "serial and processes" in shown.picture.value
    shown.modes.value = ("threads",)
    assert [button.value for button in shown.modes.children] == [False, True, False]


def test_a_sweep_is_explored_by_size_and_reuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "DATA", tmp_path)
    study = sweep_of({"pool_sizes": "1 5", "pages": 20, "clients": "requests"})
    write(tmp_path / "sweep", study, World(even(study)))
    shown = widgets.Explorer("sweep")
    assert shown.pool_size.options == (1, 5)
    assert shown.reuse.options == ("off", "on")
    shown.modes.value = ("threads",)
    shown.pool_size.value = 5
    assert set(shown.choice.results.complete_fetches["pool_size"]) == {5}
    before = shown.choice.results.complete_fetches["fetch_s"].mean()
    shown.reuse.value = "on"
    fetches = shown.choice.results.complete_fetches
    assert set(fetches["reuse"]) == {"on"}
    assert fetches["fetch_s"].mean() < before
    for name in list(widgets.FIGURES)[:-1]:
        shown.figure.value = name
        assert f'<img alt="{name}, requests, threads' in shown.picture.value


def test_a_chosen_page_is_outlined_in_every_lane_of_the_same_picture(shown: Explorer) -> None:
    shown.round.value = "3"
    [picture] = re.findall("<img.+?>", shown.picture.value)
    for page in (17, 100):
        shown.page.value = page
        assert picture in shown.picture.value
        outlined = re.findall(r"<rect [^>]*stroke[^>]*><title>(.+?):", shown.picture.value)
        assert outlined == [f"page {page}"] * 3


def test_another_page_and_going_back_draw_nothing(
    shown: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown.round.value, shown.other.value = "2", "article-2018"
    shown.round.value = "3"
    drawn: list[Any] = []
    monkeypatch.setattr(figures, "panels", lambda *_args, **_more: drawn.append(1))
    shown.page.value = 17
    shown.round.value = "2"
    assert not drawn
    shown.round.value = "4"
    assert drawn


@pytest.mark.slow
def test_a_choice_is_drawn_at_once(shown: Explorer) -> None:
    shown.client.value = "chrome"
    times = []
    for number in "23456":
        begun = time.perf_counter()
        shown.round.value = number
        times.append(time.perf_counter() - begun)
    assert min(times) < 1.5  # a person waits for it: 0.5 s on a slow machine
