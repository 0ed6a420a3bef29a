"""Functions of a user's as clients: measured in every mode, interrupted, refused, compared."""

import gzip
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

import experiment
from experiment.analysis.own import answers
from experiment.errors import UserError
from experiment.measure import functions
from experiment.measure.clients.deadline import STUCK_WORDS
from experiment.study import PROJECT
from tests.conftest import Copy

MODULE = """
import asyncio, json, socket, sys, threading, time
import requests

print("imported")
value = 3

def fetch(url):
    return requests.get(url, timeout=30).text

async def fetch_async(item):
    await asyncio.sleep(0.05)
    return f"{item}!"

def upper(item):
    if item == "bad":
        raise ValueError(f"not {item}")
    return item.upper()

def lock(item):
    return threading.Lock()

def leave(item):
    sys.exit(3)

class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no words")

def silent(item):
    raise Silent

def wait_for_server(port):
    with socket.create_connection(("127.0.0.1", int(port))) as connection:
        return connection.recv(1)

def spin(item):
    while True:
        pass

def sleep(item):
    time.sleep(100)

async def sleep_async(item):
    await asyncio.sleep(100)

def stubborn(item):
    if item == "fine":
        return item
    while True:
        try:
            time.sleep(100)
        except BaseException:
            pass

def two(first, second): ...
def none(): ...
def generator(item): yield item
"""

QUICK = ("--pages", "4", "--pool-size", "2", "--rounds", "1", "--latency", "0.1")


@pytest.fixture
def mine(copy: Copy) -> Copy:
    """A copy of the project with a module of the user's."""
    (copy.path / "mine.py").write_text(MODULE)
    return copy


def measure(copy: Copy, clients: str, *options: str, run: str = "own") -> pd.DataFrame:
    """Measure functions; return the fetches of the main arm."""
    arguments = (*QUICK, "--clients", clients, "--run", run, *options)
    ended = copy.experiment("run", *arguments)
    assert ended.returncode == 0, ended.stderr
    return fetches_of(copy, run)


def fetches_of(copy: Copy, run: str = "own") -> pd.DataFrame:
    """Return the fetches of the main arm of a run, with the items as they were."""
    return experiment.load(copy.path / "data" / run).fetches.query("arm == 'main'")


def items(copy: Copy, *lines: str) -> tuple[str, str]:
    """Write a file of items; return the option that names it."""
    file = copy.path / "items.txt"
    file.write_bytes("\n".join(lines).encode() + b"\n")
    return "--source", str(file)


def refusal(copy: Copy, client: str, *options: str) -> str:
    """Return the line with which a function is refused, before anything is measured."""
    ended = copy.experiment("run", *QUICK, "--clients", client, "--run", "refused", *options)
    assert ended.returncode == 2, ended.stderr
    assert not (copy.path / "data" / "refused").exists()
    [line] = ended.stderr.splitlines()
    return line


@pytest.mark.slow
def test_functions_are_measured_on_the_embedded_origin(mine: Copy) -> None:
    clients = "mine:fetch examples.httpx2_shared:fetch examples.curl_command:fetch"
    if shutil.which("curl") is None:
        assert os.environ.get("CI") != "true"
        pytest.skip("curl is not installed (apt install curl)")
    fetches = measure(mine, clients)
    assert fetches["error"].isna().all()
    assert fetches.groupby(["client", "mode"]).size().to_dict() == {
        (client, mode): 4
        for client in clients.split()
        for mode in ("serial", "threads", "processes")
    }
    assert fetches.groupby("page")["sha256"].nunique().eq(1).all()
    assert fetches.groupby("page")["length"].nunique().eq(1).all()
    own = json.loads((mine.path / "data" / "own" / "run.json").read_text())["functions"]
    digest = hashlib.sha256((mine.path / "mine.py").read_bytes()).hexdigest()
    assert own["mine:fetch"] == {"file": "mine.py", "sha256": digest}
    assert own["examples.curl_command:fetch"]["file"] == "examples/curl_command.py"
    mine.assert_nothing_left()


@pytest.mark.faults
def test_a_function_is_measured_beside_requests(mine: Copy) -> None:
    fetches = measure(mine, "requests mine:fetch")
    assert fetches["error"].isna().all()
    assert fetches.groupby(["page", "mode"])["length"].nunique().eq(1).all()
    ended = mine.experiment("report", "--run", "own")
    assert ended.returncode == 0, ended.stderr
    printed = mine.experiment("verdicts", "data/own", "--json")
    clients = {cell["client"] for cell in json.loads(printed.stdout)}
    assert clients <= {"requests", "browser", None}


ODD = ["a\tb", '"quoted"', "=1+1", "'quote", "# no comment", " spaces ", "é", "bad"]


def test_items_are_any_lines_and_an_exception_is_a_row(mine: Copy) -> None:
    source = items(mine, *ODD[:4], "", *ODD[4:])
    fetches = measure(mine, "mine:upper mine:lock", "--pages", "8", *source)
    for _, own in fetches.groupby(["client", "mode"]):
        assert list(own.sort_values("page")["url"]) == ODD
    upper = fetches[fetches["client"] == "mine:upper"].set_index("url")
    assert set(upper.loc[["bad"], "error"]) == {"raised ValueError"}
    assert upper.drop("bad")["error"].isna().all()
    digest = hashlib.sha256("É".encode()).hexdigest()
    assert set(upper.loc[["é"], "sha256"]) == {digest}
    assert set(upper.loc[["é"], "length"]) == {2}
    other = fetches[fetches["client"] == "mine:lock"]
    assert other[["error", "length", "sha256"]].isna().all(axis=None)
    assert (mine.path / "data" / "own" / "pages.txt").read_text().splitlines() == ODD


def test_a_module_is_found_in_the_python_path_and_items_end_as_on_windows(mine: Copy) -> None:
    elsewhere = mine.path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "other.py").write_text("def same(item):\n    return item\n")
    (mine.path / "items.txt").write_bytes(b"a\r\nb b\r\n\r\n")
    command = [sys.executable, "-m", "experiment", "run", *QUICK, "--run", "own"]
    asked = ["--clients", "other:same", "--source", str(mine.path / "items.txt")]
    ended = mine.run("env", f"PYTHONPATH={elsewhere}", *command, *asked)
    assert ended.returncode == 0, ended.stderr
    assert set(fetches_of(mine)["url"]) == {"a", "b b"}
    assert set(fetches_of(mine)["length"]) == {1, 3}


def test_secrets_of_items_that_are_urls_are_not_written(mine: Copy) -> None:
    fetches = measure(mine, "mine:upper", *items(mine, "ftp://me:word@here/?key=1", "me:word@x"))
    assert set(fetches["url"]) == {"ftp://here/?key=sha256-6b86b273ff34", "me:word@x"}
    for path in (mine.path / "data" / "own").iterdir():
        assert "me:word@here" not in path.read_text()


def test_a_coroutine_function_is_measured_in_serial_and_in_an_event_loop(mine: Copy) -> None:
    modes = ("--modes", "serial asyncio")
    fetches = measure(mine, "mine:fetch_async", *items(mine, "a", "b"), *modes)
    assert fetches.groupby("mode").size().to_dict() == {"serial": 4, "asyncio": 4}
    assert fetches["error"].isna().all()
    assert set(fetches["length"]) == {2}


@pytest.mark.slow
def test_what_a_call_does_to_python_is_a_row(mine: Copy) -> None:
    source = items(mine, "a")
    ended = mine.experiment(
        "run", *QUICK, "--clients", "mine:leave mine:silent", "--run", "own", *source
    )
    assert ended.returncode == 2
    assert "every fetch failed (raised SystemExit, raised Silent)" in ended.stderr
    reasons = fetches_of(mine).groupby("client")["error"].unique()
    assert reasons.map(list).to_dict() == {
        "mine:leave": ["raised SystemExit"],
        "mine:silent": ["raised Silent"],
    }


def test_a_call_that_waits_too_long_is_interrupted(mine: Copy) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        source = items(mine, str(silent.getsockname()[1]))
        options = (*QUICK, "--timeout", "1", "--pages", "2", *source)
        ended = mine.experiment(
            "run", *options, "--clients", "mine:wait_for_server", "--run", "own"
        )
    assert "every fetch failed (timeout)" in ended.stderr
    fetches = fetches_of(mine)
    assert fetches.groupby("mode").size().to_dict() == {"serial": 2, "threads": 2, "processes": 2}
    assert fetches["fetch_s"].between(0.9, 5).all()


@pytest.mark.faults
def test_a_call_that_works_or_sleeps_too_long_is_interrupted(mine: Copy) -> None:
    modes = ("--modes", "serial processes asyncio")
    options = (*QUICK, "--timeout", "1", "--pages", "1", *items(mine, "a"), *modes)
    clients = "mine:spin mine:sleep mine:sleep_async"
    ended = mine.experiment("run", *options, "--clients", clients, "--run", "own")
    assert "every fetch failed (timeout)" in ended.stderr
    assert set(fetches_of(mine)["error"]) == {"timeout"}
    assert len(fetches_of(mine)) == 6
    mine.assert_nothing_left()


@pytest.mark.faults
def test_a_call_that_never_ends_fails_its_trial_alone(mine: Copy) -> None:
    source = items(mine, "fine", "stuck")
    options = (*QUICK, "--timeout", "1", "--pages", "2", *source)
    ended = mine.experiment(
        "run", *options, "--clients", "mine:upper mine:stubborn", "--run", "own"
    )
    assert ended.returncode == 0, ended.stderr
    trials = experiment.load(mine.path / "data" / "own").trials.set_index("client")
    assert set(trials.loc[["mine:stubborn"], "reason"]) == {STUCK_WORDS}
    assert set(trials.loc[["mine:upper"], "state"]) == {"ok"}
    mine.assert_nothing_left()


@pytest.mark.parametrize(
    ("client", "words"),
    [
        ("absent:fetch", "there is no module absent in "),
        ("mine:absent", "the module mine has no function absent"),
        ("mine:value", "value is of type int and no function"),
        ("mine:two", "two(first, second) is not a function of one item"),
        ("mine:none", "none() is not a function of one item"),
        ("mine:generator", "generator is a generator"),
        ("raising:fetch", "its module raises KeyError: 'key' (line 1 of raising.py)"),
        ("leaving:fetch", "its module raises SystemExit: bye"),
        ("ending:fetch", "its module ends Python when it is imported (status 3)"),
        ("lacking:fetch", "its module raises ModuleNotFoundError: No module named 'nowhere'"),
    ],
)
def test_a_function_that_cannot_be_called_is_refused(
    client: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = {
        "mine": MODULE,
        "raising": "raise KeyError('key')",
        "leaving": "import sys; sys.exit('bye')",
        "ending": "import os; os._exit(3)",
        "lacking": "import nowhere",
    }
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    functions.find.cache_clear()
    with pytest.raises(UserError) as raised:
        functions.find(client)
    assert str(raised.value).startswith(f"clients: {client} cannot be called: {words}")
    assert "\n" not in str(raised.value)


def test_an_import_that_does_not_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "endless.py").write_text("import time; time.sleep(100)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(functions, "IMPORT_S", 1.0)
    with pytest.raises(UserError, match="is not imported after 1 s"):
        functions.find("endless:fetch")


def test_a_study_of_functions_is_refused_in_a_line(mine: Copy) -> None:
    assert "mine:none cannot be called" in refusal(mine, "mine:none")
    empty = items(mine, "", "  ")
    assert refusal(mine, "mine:upper", *empty).endswith("holds no item; it takes one a line")
    words = items(mine, "no url")
    assert "line 1: no url is not an http" in refusal(mine, "requests mine:upper", *words)
    wiki = ("--source", "wikipedia", "--contact", "me@example.org", "--pool-size", "2")
    assert "cannot be used with source=wikipedia" in refusal(mine, "mine:upper", *wiki)
    assert "threads processes" in refusal(mine, "mine:fetch_async", "--modes", "threads processes")


def test_threads_at_import_are_told_of_and_what_is_printed_does_no_harm(mine: Copy) -> None:
    text = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
    (mine.path / "starting.py").write_text(f"{text}print('hello')\ndef call(item): print(item)\n")
    source = items(mine, "a")
    ended = mine.experiment(
        "run", *QUICK, "--clients", "starting:call", "--modes", "serial processes", *source
    )
    assert ended.returncode == 0, ended.stderr
    assert "the module of starting:call starts a thread when it is imported" in ended.stderr
    mine.assert_nothing_left()


@pytest.mark.slow
def test_a_run_belongs_to_the_function_that_it_measured(mine: Copy) -> None:
    source = items(mine, "a")
    measure(mine, "mine:upper", *source)
    (mine.path / "mine.py").write_text(f"{MODULE}\nchanged = True\n")
    for more in ((), ("--rounds", "2")):
        ended = mine.experiment("run", "--run", "own", *more)
        assert ended.returncode == 2
        assert "mine:upper has changed since own measured it (mine.py is" in ended.stderr
    (mine.path / "mine.py").unlink()
    ended = mine.experiment("run", "--run", "own")
    assert ended.returncode == 0, ended.stderr
    assert len(fetches_of(mine)) == 12


def test_the_examples_are_found_from_any_folder_and_work(mine: Copy) -> None:
    zipped = mine.path / "some text.gz"
    zipped.write_bytes(gzip.compress(b"text" * 1000))
    source = items(mine, str(zipped))
    fetches = measure(mine, "examples.gzip_file:read", *source)
    assert set(fetches["length"]) == {4000}
    fetches = measure(mine, "examples.sqlite_query:total", *items(mine, "1", "10"), run="sums")
    totals = {"1": "1", "10": str(sum(n * n % 7 for n in range(1, 11)))}
    digests = {item: hashlib.sha256(text.encode()).hexdigest() for item, text in totals.items()}
    assert dict(zip(fetches["url"], fetches["sha256"], strict=True)) == digests
    program = "from experiment.measure.functions import find; find('examples.gzip_file:read')"
    ended = mine.run(
        "env", f"PYTHONPATH={mine.path}", sys.executable, "-c", program, cwd=mine.path / "notebooks"
    )
    assert ended.returncode == 0, ended.stderr
    for path in (mine.path / "examples").glob("*.py"):
        assert len(path.read_text().splitlines()) < 15


COMPARE = """
import sys
import experiment, mine

for _ in range(2):
    compared = experiment.compare(mine.upper, range(20), pool_size=2, rounds=3)
    assert len(compared.results.fetches) == 3 * 3 * 20
    print(compared)
print(experiment.compare("mine:fetch_async", ["a"] * 8, pool_size=2, rounds=3))
for wrong in (lambda item: item, mine.Silent.__str__, "mine:absent"):
    try:
        experiment.compare(wrong, [1])
    except Exception as error:
        print(type(error).__name__, error)
for wrong in ("text", [], ["two\\nlines"], [" "]):
    try:
        experiment.compare(mine.upper, wrong)
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_compare_says_which_mode_to_use_and_measures_once(mine: Copy) -> None:
    ended = mine.run(sys.executable, "-c", COMPARE)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("measuring mine.upper-") == 1
    assert " for mine:upper" in ended.stdout
    assert "Use asyncio for mine:fetch_async" in ended.stdout
    assert "article" not in ended.stdout
    refused = [line for line in ended.stdout.splitlines() if line.startswith("UserError ")]
    assert len(refused) == 7
    assert "%%writefile" in refused[0]
    assert "not at the top of a module" in refused[1]
    assert "item 1 ('two\\nlines') is not one line" in refused[5]
    mine.assert_nothing_left()


@pytest.mark.slow
def test_the_report_of_a_function_says_nothing_of_the_article(mine: Copy) -> None:
    source = items(mine, *map(str, range(8)))
    options = (*QUICK[:-4], "--rounds", "3", *source, "--run", "own")
    ended = mine.experiment("report", *options, "--clients", "mine:upper")
    assert ended.returncode == 0, ended.stderr
    page = (mine.path / "reports" / "own.html").read_text()
    assert "mine:upper" in page
    assert "What limits threads" in page
    assert "2018" not in page.replace("seed", "").partition("How it was measured")[0]
    assert "the article" not in page.partition("How it was measured")[0]
    names = {path.name for path in (mine.path / "figures" / "own").glob("*.png")}
    assert names == {
        "1-speed-ups.png", "4-distribution.png", "5-total-times.png", "7-swim-lanes.png",
    }  # fmt: skip


@pytest.mark.slow
def test_the_notebook_for_functions_runs_as_it_is_handed_out(mine: Copy) -> None:
    done = mine.path / "done.ipynb"
    ended = mine.run(
        sys.executable, "-m", "jupyter", "nbconvert", "--to", "notebook", "--execute",
        "notebooks/yours.ipynb", "--output", str(done),
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    notebook = nbformat.reads(done.read_text(), 4)  # type: ignore[no-untyped-call]
    shown = [
        output["data"]["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]
    assert len(shown) == 4
    assert all("<img " in html and " for <code>" in html for html in shown[:3])


def test_the_documentation_says_what_the_committed_run_says() -> None:
    results = experiment.load(PROJECT / "data" / "reference-functions")
    words = " ".join((PROJECT / "docs" / "clients.md").read_text().split())
    shared, command = answers(results)
    for one in (shared, command):
        ratio = one.difference.estimate
        assert ratio is not None
        interval = ratio.beside.replace("\xa0", " ")
        assert f"`{one.client}`: use {one.use}, " in words
        assert f"they took {ratio.shown} times as long as processes{interval}" in words
    verdicts = (shared.difference.ruling.verdict, command.difference.ruling.verdict)
    assert verdicts == ("does not hold", "holds")
