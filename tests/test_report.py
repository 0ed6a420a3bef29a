"""The report through its real doors: make, papermill, nbconvert, from any folder."""

import json
import re
import site
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from experiment import records
from experiment.analysis import summary
from experiment.redaction import redacted
from experiment.report import headline
from experiment.study import PROJECT, Study
from experiment.vocabulary import ARTICLE_PAIR
from tests import made_up
from tests.conftest import ODD_NAME, Copy, need
from tests.made_up import World, even

SMALL = ("PAGES=6", "POOL_SIZE=3", "ROUNDS=1", "LATENCY=0.3")


def make(copy: Copy, *arguments: str) -> tuple[int, str, str]:
    """Run make as a user does, in the environment that runs the tests."""
    environment = Path(sys.executable).parent.parent
    ended = copy.run("env", f"VIRTUAL_ENV={environment}", "make", "-o", "setup", *arguments)
    return ended.returncode, ended.stdout, ended.stderr


class Page(HTMLParser):
    """What a page shows and asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.headings: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.addresses: list[str] = []
        self._in: list[str] = []
        self.feed(text)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._in:
            del self._in[len(self._in) - 1 - self._in[::-1].index(tag) :]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self._in.append(tag)
        if tag == "img":
            self.images.append(values)
        for name in ("src", "href"):
            self.addresses += [value] if (value := values.get(name)) else []

    def handle_data(self, data: str) -> None:
        if {"style", "script", "nav"} & set(self._in):
            return
        self.words.append(data)
        if self._in and re.fullmatch("h[1-6]", self._in[-1]):
            self.headings.append(data)


@pytest.fixture
def page(copy: Copy) -> Page:
    """The page of a whole `make report` on small numbers, which is then asked for again."""
    need("phantomjs")
    status, out, err = make(copy, "report", *SMALL)
    assert status == 0, err
    name = "pool_size-3_pages-6_latency-0.3"
    assert f"report:   reports/{name}.html" in out
    for figure in (
        "1-speed-ups", "2-claims", "3-fetch-times", "4-distribution", "5-total-times",
        "6-where-it-goes", "7-swim-lanes", "8-threads-against-processes", "9-browser-phases",
    ):  # fmt: skip
        assert (copy.path / "figures" / name / f"{figure}.png").stat().st_size > 10_000
        assert "<svg" in (copy.path / "figures" / name / f"{figure}.svg").read_text()
    _, trials = records.load(copy.path / "data" / name)
    assert (trials["arm"] == "main").sum() == 8
    assert not list((copy.path / "reports").glob("*partial*"))
    rows = (copy.path / "data" / name / "fetches.csv").read_bytes()
    begun = time.monotonic()
    assert make(copy, "report", *SMALL)[0] == 0
    assert time.monotonic() - begun < 60
    assert (copy.path / "data" / name / "fetches.csv").read_bytes() == rows
    copy.assert_nothing_left()
    notebook = json.loads((copy.path / "reports" / f"{name}.ipynb").read_text())
    kinds = {
        output["output_type"] for cell in notebook["cells"] for output in cell.get("outputs", [])
    }
    assert "error" not in kinds
    return Page((copy.path / "reports" / f"{name}.html").read_text())


def test_make_report_measures_draws_and_tells(page: Page) -> None:
    text = re.sub(r"\s+", " ", "".join(page.words))
    assert page.headings[0] == "Threads or processes?"
    assert page.headings[1] == "The answer"
    assert page.headings[-1] == "Limits"
    assert "Only 1 complete round: too few to judge; it takes 3" in text
    assert re.search(r"All (24|21) trials were complete: no fetch of 114 failed.", text)
    assert text.index("ThreadPool has the interface of Pool") < text.index("What was measured")
    assert "7.54" in text
    assert "3.93" in text
    assert len(page.images) == 10
    assert all(str(image["alt"]).startswith("Figure ") for image in page.images)
    assert all(
        address.startswith(("data:", "#", "../", "https://github.com/thedata"))
        for address in page.addresses
    )
    assert "nan" not in text.lower().split()
    assert "Traceback" not in text
    assert "import experiment" not in text


def told(notebook: Path) -> list[str]:
    """The sentences of an executed notebook, cell by cell."""
    return [
        "".join(output["data"]["text/markdown"])
        for cell in json.loads(notebook.read_text())["cells"]
        for output in cell.get("outputs", [])
        if "text/markdown" in output.get("data", {})
    ]


def environment_in(copy: Copy) -> Path:
    """An environment in a copy's own folder, which has this one's packages and sees the copy."""
    made = copy.path / ".venv"
    assert copy.run(sys.executable, "-m", "venv", "--without-pip", str(made)).returncode == 0
    [packages] = made.glob("lib/python*/site-packages")
    (packages / "of_the_tests.pth").write_text(f"{site.getsitepackages()[0]}\n{copy.path}\n")
    return made


@pytest.mark.faults
def test_papermill_alone_measures_from_any_folder_in_one_of_any_name(
    copy: Copy, tmp_path: Path
) -> None:
    odd, elsewhere = copy.moved_to(tmp_path / ODD_NAME), tmp_path / "elsewhere"
    elsewhere.mkdir()
    parameters = ["-p", "pool_size", "2", "-p", "clients", '["requests"]', "-p", "pages", "5"]
    parameters += ["-p", "rounds", "1", "-p", "latency", "0.1", "-p", "tls", "off"]
    ended = odd.run(
        str(environment_in(odd) / "bin/python"), "-m", "papermill",
        str(odd.path / "notebooks/report.ipynb"), "out.ipynb", *parameters, cwd=elsewhere,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    name = "pool_size-2_pages-5_clients-requests_tls-off_latency-0.1"
    fetches, trials = records.load(odd.path / "data" / name)
    assert (trials["arm"] == "main").sum() == 3
    assert (fetches["arm"] == "main").sum() == 15
    said = told(elsewhere / "out.ipynb")
    assert said[0].startswith("**No advice yet**")
    text = "\n".join(said)
    assert "This run: pool size **2**, 5 pages a trial, 1 of 1 rounds, requests" in text
    assert "Of the article's 13 claims" in text
    assert "Only 1 complete round" in text


def test_a_pool_size_through_papermill_lands_beside_the_other_runs(copy: Copy) -> None:
    report = copy.path / "notebooks" / "report.ipynb"
    small = {"pages: int = 100": "pages: int = 2", "rounds: int = 5": "rounds: int = 1"}
    text = report.read_text().replace("clients = None", 'clients = [\\"requests\\"]')
    for default, value in small.items():
        text = text.replace(default, value)
    report.write_text(text)
    before = {path.name for path in (copy.path / "data").iterdir()}
    ended = copy.run(
        "env", f"PYTHONPATH={copy.path}",
        sys.executable, "-m",
        *"papermill notebooks/report.ipynb reports/p20.ipynb -p pool_size 20".split(),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "pool size **20**" in "".join(told(copy.path / "reports" / "p20.ipynb"))
    [name] = {path.name for path in (copy.path / "data").iterdir()} - before
    assert name == "pool_size-20_pages-2_clients-requests"


@pytest.mark.parametrize(
    ("parameter", "line"),
    [
        (("pool_size", "0"), "UserError: pool_size: 0 is not a whole number from 1 to 500"),
        pytest.param(
            ("pol_size", "20"), "UserError: pol_size: no such parameter", marks=pytest.mark.slow
        ),
        pytest.param(
            ("clients", "lynx"),
            "UserError: clients: lynx is not one or more of",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_papermill_ends_with_our_line(copy: Copy, parameter: tuple[str, str], line: str) -> None:
    before = sorted((copy.path / "data").iterdir())
    ended = copy.run(
        sys.executable, "-m", "papermill", "notebooks/report.ipynb", "out.ipynb", "-p", *parameter
    )
    assert ended.returncode == 1
    assert ended.stderr.rstrip().splitlines()[-1].startswith(line)
    assert sorted((copy.path / "data").iterdir()) == before


def test_make_refuses_in_one_line(copy: Copy) -> None:
    url = "ftp://127.0.0.1/?a=$HOME&b"
    for argument, words in {
        "POOL_SIZE=ten": "error: pool_size: ten is not a whole number from 1 to 500",
        f"SOURCE={url}": f"error: source: {redacted(url)} is not",  # of what was typed
        "CLIENTS=lynx": "error: clients: lynx is not one or more of",
        "RUN=it's": "error: run: it's is not a name",
        "POL_SIZE=3": "error: unrecognized arguments: --pol-size=3",
    }.items():
        status, out, err = make(copy, "report", argument)
        assert status == 2
        assert out == ""
        first, *rest = err.splitlines()
        assert first.startswith(words)
        assert all(other.startswith("make: ") for other in rest)


def test_make_alone_lists_targets_and_variables(copy: Copy) -> None:
    ended = copy.run("make")
    assert ended.returncode == 0
    for word in ("report", "quick", "test", "setup", "POOL_SIZE", "CONTACT", "WIKI", "RUN"):
        assert re.search(rf"^  {word} +\S", ended.stdout, re.M), word
    assert not (copy.path / ".venv").exists()


def test_a_damaged_run_is_one_line_in_the_report_too(copy: Copy) -> None:
    study = Study(clients=("requests",), rounds=1, pages=2)
    path = made_up.write(copy.path / "data" / "small", study, World(even(study))) / "trials.csv"
    path.write_text(path.read_text()[:-30])
    ended = copy.experiment("report", "--run", "small")
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert re.search(r"trials.csv: damaged: row \d+, column", line)


@pytest.mark.parametrize(
    ("lacking", "line"),
    [
        ("version_info", "is not Python 3.11 or later; name one that is: make PYTHON=python3.12"),
        ("ensurepip", "install what lacks with: sudo apt install python3-venv"),
    ],
)
def test_make_says_what_the_system_lacks(copy: Copy, lacking: str, line: str) -> None:
    python = copy.temporary / "python3"
    python.write_text(
        f'#!/bin/sh\ncase "$2" in *{lacking}*) exit 1;; esac\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    ended = copy.run("env", "-u", "VIRTUAL_ENV", "make", "setup", f"PYTHON={python}")
    assert ended.returncode == 2
    first, *rest = ended.stderr.splitlines()
    assert first.startswith("error: ")
    assert first.endswith(line)
    assert all(other.startswith("make: ") for other in rest)
    assert not (copy.path / ".venv").exists()


def test_the_committed_run_can_be_read_and_drawn_without_measuring(
    copy: Copy, tmp_path: Path
) -> None:
    odd = copy.moved_to(tmp_path / ODD_NAME)
    fetches, trials = records.load(odd.path / "data" / "reference")
    assert len(fetches) == 25_000
    assert (trials["state"] == "ok").all()
    before = {path: path.read_bytes() for path in (odd.path / "data" / "reference").iterdir()}
    status, out, err = make(odd, "report", "RUN=reference")
    assert status == 0, err
    answer, _, paths = out.partition("\n\n")
    assert answer.startswith("Use threads: ")
    assert "\nOf the article's 13 claims, on this machine, 11 hold and 2 are mixed.\n" in answer
    assert "\n- chrome: threads 2.13 [2.05, 2.22], processes " in answer
    assert paths.startswith("report:   reports/reference.html\n")
    assert {path: path.read_bytes() for path in before} == before
    assert_drawn_as_committed(odd, "reference")


def assert_drawn_as_committed(copy: Copy, run: str) -> None:
    """A page says what the committed one says; pictures may differ in a pixel elsewhere."""
    drawn, committed = (
        re.sub(r'data:image/[^"]*', "", (folder / "reports" / f"{run}.html").read_text())
        for folder in (copy.path, PROJECT)
    )
    assert drawn == committed


@pytest.mark.faults
@pytest.mark.parametrize("run", ["dask", "functions", "sweep", "reuse", "crossover"])
def test_the_other_committed_pages_are_those_that_are_drawn(copy: Copy, run: str) -> None:
    name = f"reference-{run}"
    kind = records.read_run(copy.path / "data" / name).study.kind
    ended = copy.experiment(kind, "--run", name, "--quiet")
    assert ended.returncode == 0, ended.stderr
    assert_drawn_as_committed(copy, name)


STUDY = Study(clients=("requests", "phantomjs"), rounds=3, pages=20)
ONE_CLIENT = Study(clients=("requests",), rounds=3, pages=20)
ONE_ROUND = STUDY.model_copy(update={"rounds": 1, "repeats": 3})
NO_PROCESSES = Study(
    clients=("requests", "phantomjs"), modes=("serial", "threads"), rounds=3, pages=20
)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("study", "world", "said", "unsaid"),
    [
        pytest.param(
            STUDY, World(even(STUDY, threads=20.0)),
            ["Use processes where time", "does not hold", "the two differ, processes were faster"],
            ["the two perform the same"], id="threads slower than serial",
        ),
        pytest.param(
            STUDY, World(even(STUDY), failing="phantomjs"),
            ["0 complete rounds; it takes 3", "browser 300"],
            ["phantomjs: The two", "phantomjs, threads: ideal"], id="no selenium",
        ),
        pytest.param(
            ONE_ROUND, World(even(ONE_ROUND)),
            ["Only 1 complete round: too few to judge", "1 complete round; it takes 3"],
            ["perform the same, less", "were faster"], id="a single round",
        ),
        pytest.param(
            ONE_CLIENT, World(even(ONE_CLIENT)),
            ["the study has no browser", "This study has no browser."], ["phantomjs:"],
            id="one client",
        ),
        pytest.param(
            NO_PROCESSES, World(even(NO_PROCESSES)),
            ["the study has no processes", "A/A control, phantomjs"],
            ["the two perform", "the two differ"], id="no processes",
        ),
    ],
)  # fmt: skip
def test_the_report_of_any_data_says_what_the_data_say(
    copy: Copy, study: Study, world: World, said: list[str], unsaid: list[str]
) -> None:
    made_up.write(copy.path / "data" / "made-up", study, world)
    before = (copy.path / "data" / "made-up" / "fetches.csv").read_bytes()
    ended = copy.experiment("report", "--run", "made-up")
    assert ended.returncode == 0, ended.stderr
    assert (copy.path / "data" / "made-up" / "fetches.csv").read_bytes() == before
    html = (copy.path / "reports" / "made-up.html").read_text()
    page = Page(html)
    text = re.sub(r"\s+", " ", "".join(page.words))
    assert page.headings[:2] == ["Threads or processes?", "The answer"]
    for words in said:
        assert words in text, words
    for words in unsaid:
        assert words not in text, words
    assert not {"nan", "nan,", "nan]", "None"} & set(text.split())
    printed = copy.experiment("verdicts", "made-up", "--wide")
    assert printed.returncode == 0, printed.stderr
    judged = json.loads(copy.experiment("verdicts", "data/made-up", "--json").stdout)
    lines = re.split(r"^claim .*\n", printed.stdout, flags=re.M)[1].splitlines()[: len(judged)]
    for row, line in zip(judged, lines, strict=True):
        assert line.startswith(row["id"])
        assert row["reason"] in line
    shown = re.findall(r'class="verdict \w+"><span aria-hidden="true">.</span> ([^<]+)<', html)
    claims = {row["id"]: row["claim_verdict"] for row in judged}
    assert shown == list(claims.values())


def test_the_readme_says_what_the_committed_run_says() -> None:
    _, judged = made_up.judged(PROJECT / "data" / "reference")
    words = " ".join((PROJECT / "README.md").read_text().split())
    assert headline.tally(list(judged.values())) in words
    said = ("requests-8x", "no-difference", "cpu-bound", "memory", "start-up")
    assert {judged[name].ruling.verdict for name in said} == {"holds"}
    cores = [cell.estimate.shown for cell in judged["cpu-bound"].cells if cell.estimate]
    assert "two of them used {} of two cores, two processes {}".format(*cores) in words
    browsers = {cell.client: cell.ruling.verdict for cell in judged["selenium-4x"].cells}
    assert browsers == {"phantomjs": "stronger", "chrome": "weaker"}


def test_the_readme_says_how_much_faster_pools_were() -> None:
    run, judged = made_up.judged(PROJECT / "data" / "reference")
    words = " ".join((PROJECT / "README.md").read_text().split())
    threads, processes = (
        {client: summary.speed_up(run.rounds, client, mode).shown for client in run.study.clients}
        for mode in ARTICLE_PAIR
    )
    assert (
        f"10 threads are {threads['requests']} times as fast as a loop and 10 processes "
        f"{processes['requests']} times"
    ) in words
    assert f"PhantomJS is {threads['phantomjs']} times as fast in threads" in words
    assert f"which keeps both cores busy, {threads['chrome']} times" in words
    memory, start = (judged[name].cells[0].estimate for name in ("memory", "start-up"))
    assert memory is not None
    assert start is not None
    assert (
        f"Processes need {memory.shown} times the memory and take {start.shown} times as long to "
        "start"
    ) in words


def test_the_verdicts_of_a_folder_without_a_run_are_refused(copy: Copy) -> None:
    for arguments in (("no-such-run",), ("data",), ("data/reference", "--jason")):
        ended = copy.experiment("verdicts", *arguments)
        assert ended.returncode == 2
        assert ended.stdout == ""
        [line] = ended.stderr.splitlines()
        assert line.startswith("error: ")
        assert "; there are article-2018, reference, " in line or "--jason" in line
