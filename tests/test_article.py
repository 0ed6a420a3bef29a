"""The article's own measurements: converted as committed, judged, listed and drawn like any run."""

import itertools
import json
import re
import sys
from pathlib import Path

import pytest

from experiment import records
from experiment.analysis import article, claims, many_runs, runs
from experiment.analysis.article import FOLDER
from experiment.analysis.results import RunResults, load
from experiment.measure import origin
from experiment.report import answers, figures, sentences, widgets
from experiment.report import many_runs as said
from experiment.study import Study
from tests import made_up
from tests.conftest import Copy
from tests.made_up import World, even

WRITTEN = ("fetches.csv", "trials.csv", "run.json", "derived.json")


@pytest.fixture(scope="module")
def theirs() -> RunResults:
    """The article's run."""
    return load(FOLDER)


def test_the_script_writes_what_is_committed_each_time(copy: Copy) -> None:
    folder = copy.path / "data" / FOLDER.name
    command = ("env", f"PYTHONPATH={copy.path}", sys.executable, str(folder / "convert.py"))
    for name in WRITTEN:
        (folder / name).unlink()
    for _ in range(2):
        ended = copy.run(*command, cwd=copy.path / "tests")
        assert ended.returncode == 0, ended.stderr
        for name in WRITTEN:
            assert (folder / name).read_bytes() == (FOLDER / name).read_bytes(), name


def test_every_timing_is_there_and_no_worker_does_two_things_at_once() -> None:
    raw = [json.loads(line) for line in (FOLDER / "raw.jsonl").read_text().splitlines()]
    rows = records.read_fetches(FOLDER)
    assert len(rows) == len(raw) == 600
    assert sorted(row.length or 0 for row in rows) == sorted(line["length"] for line in raw)
    assert sum(row.fetch_s for row in rows) == pytest.approx(
        sum(line["end"] - line["start"] for line in raw), abs=1e-3
    )
    lanes: dict[tuple[object, ...], list[tuple[float, float]]] = {}
    for row in rows:
        lane = (row.client, row.mode, row.worker)
        lanes.setdefault(lane, []).append((row.start_s, row.end_s))
    assert len(lanes) == 2 * (1 + 10 + 10)
    for spans in map(sorted, lanes.values()):
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


@pytest.mark.parametrize(
    ("client", "mode", "faster", "slower"),
    [
        ("requests", "threads", 7.538, 1.249),
        ("requests", "processes", 8.243, 1.044),
        ("phantomjs", "threads", 3.926, 2.341),
        ("phantomjs", "processes", 3.777, 2.367),
        ("requests", "serial", 1, 1),
    ],
)
def test_ratios_are_the_articles(client: str, mode: str, faster: float, slower: float) -> None:
    assert article.measured(client, mode, "speed_up") == pytest.approx(faster, abs=5e-4)
    assert article.measured(client, mode, "slow_down") == pytest.approx(slower, abs=5e-4)


def test_seconds_are_the_articles() -> None:
    assert article.measured("phantomjs", "threads", "span_s") == pytest.approx(40.97, abs=0.01)
    assert article.measured("requests", "serial", "span_s") == pytest.approx(23.28, abs=0.01)
    assert article.measured("requests", "serial", "fetch_mean_s") == pytest.approx(0.2328, abs=1e-4)


def test_what_the_article_did_not_measure_is_empty(tmp_path: Path) -> None:
    assert article.measured("requests", "asyncio", "speed_up") is None
    assert article.measured("httpx", "threads", "span_s") is None
    assert article.measured("chrome", "threads", "span_s") is None
    study = Study(clients=("requests",), rounds=3, pages=12)
    made_up.write(tmp_path / "run", study, World(even(study)))
    fetches, trials = (
        rows.replace({"client": {"requests": "httpx"}}) for rows in records.load(tmp_path / "run")
    )
    run = made_up.run_of(study.model_copy(update={"clients": ("httpx",)}))
    results = RunResults(run, fetches, trials)
    assert set(sentences.means(results)["speed-up in 2018"]) == {"-"}
    figure = figures.drawn(figures.fetch_times, results)
    assert figure is not None
    [ax] = figure.axes
    assert "2018" not in [text.get_text() for text in ax.texts]
    judged = claims.judge(results)
    assert {cell.article_2018 for cell in claims.cells_of(judged, "fetch-slower")} == {None}


def test_the_origin_draws_from_what_the_article_measured() -> None:
    derived = json.loads((FOLDER / "derived.json").read_text())
    delays = [tuple(part.values()) for part in derived["delays"]["components"]]
    assert tuple(delays) == origin.DELAY_MIXTURE
    lengths = [derived["lengths"][name] for name in ("least", "mu", "sigma")]
    drawn = (origin.LENGTH_LEAST, origin.LENGTH_MU, origin.LENGTH_SIGMA)
    assert lengths == pytest.approx(drawn, rel=2e-4)


def test_claims_have_too_few_rounds_or_were_not_measured(theirs: RunResults) -> None:
    found = {claim.id: claim.ruling for claim in claims.judge(theirs)}
    controlled = {"cpu-bound", "memory", "start-up", "pickling"}
    not_measured = controlled | {"contention", "latency", "same-interface"}
    for name, ruling in found.items():
        expected = "not measured" if name in not_measured else "too few rounds"
        assert ruling.verdict == expected, name
    assert {found[name].reason for name in controlled} == {"the run has no control trials"}
    assert found["contention"].reason == "the start of the browser was not timed"


def test_the_command_line_shows_its_numbers_and_lists_it(copy: Copy) -> None:
    ended = copy.experiment("verdicts", "data/article-2018", "--wide")
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"requests-8x +too few rounds .* 7\.54 .* 1 complete round", ended.stdout)
    assert "This is the article itself" in ended.stdout
    assert "different experiment" not in " ".join(ended.stdout.split())
    listed = answers.of_runs(runs.overview([FOLDER]))
    assert re.search(r"^article-2018 +2018-03-18 +1 of 1 ", listed, re.M)
    assert listed.endswith("; an unnamed machine")


def test_it_stands_beside_other_runs() -> None:
    table = said.table(many_runs.of_names("page", "article-2018 reference"))
    row = table[(table["run"] == "article-2018") & (table["client"] == "phantomjs")].iloc[0]
    assert row["threads: times as fast [95 %]"] == "3.93 (too few rounds)"


def test_the_explorer_draws_it() -> None:
    shown = widgets.Explorer("article-2018")
    assert shown.client.options == ("requests", "phantomjs")
    pictures = set()
    for client in shown.client.options:
        shown.client.value = client
        for name in ("swim lanes", "one fetch", "all fetches", "distribution"):
            shown.figure.value = name
            assert f'<img alt="{name}, {client}' in shown.picture.value
            pictures.add(shown.picture.value)
        shown.figure.value = "browser phases"
        assert "nothing to draw" in shown.picture.value
    assert len(pictures) == 8
    shown.page.value = 100
    assert "Special:Random" in shown.fetch.value


@pytest.mark.slow
def test_its_report_measures_nothing_and_says_nothing_untrue(copy: Copy) -> None:
    folder = copy.path / "data" / FOLDER.name
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    ended = copy.experiment("report", "--run", "article-2018")
    assert ended.returncode == 0, ended.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    page = (copy.path / "reports" / "article-2018.html").read_text()
    text = re.sub(r"<style.*?</style>|<script.*?</script>|<[^>]+>", " ", page, flags=re.S)
    assert "This is the article itself" in text
    assert "an unnamed machine, Python 2.7" in text
    assert "the final URLs are not known" in text
    assert "No lower bounds are known." in text
    assert "not judged: the start of the browser was not timed" in text
    assert not re.search(
        r"\bNone\b|\bnan\b|Warning|none succeeded|different experiment|known security holes", text
    )
    assert not re.search(r"\bseed\b|ROUNDS=5|REPEATS=3", text)
    drawn = {path.stem for path in (copy.path / "figures" / "article-2018").glob("*.png")}
    assert {"1-speed-ups", "2-claims", "7-swim-lanes"} <= drawn
    assert "9-browser-phases" not in drawn
