"""A client is one new file and its name, a pool one line and its name: nothing else is touched."""

import json
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from experiment.report import styles
from experiment.study import PROJECT
from experiment.vocabulary import MODES
from tests.conftest import Copy

PLAIN = '''
"""Fetch with the standard library alone."""

import ssl
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import urlopen

from experiment.measure.clients import base, sockets


class Client(base.Client):
    """Fetch with `urllib.request.urlopen`."""

    def get(
        self, url: str, phases: base.Phases, deadline: base.Deadline, response: base.Response
    ) -> None:
        """Fetch the page."""
        trusted = ssl.create_default_context(cafile=self.settings.bundle)
        with sockets.opened_here() as opened, phases.timed("load"):
            deadline.stop = lambda: sockets.shut(opened)
            with urlopen(url, timeout=self.timeout_s, context=trusted) as received:
                response.body = received.read(base.SIZE_LIMIT)
        response.length, response.final_url = len(response.body), received.url
        response.status = received.status
        response.origin_ms = base.server_timing_ms(received.headers.get("Server-Timing", ""))

    def reason(self, error: BaseException) -> str | None:
        """Return the vocabulary's word for an exception of urllib."""
        if isinstance(error, HTTPError):
            return f"http {error.code}"
        return "connection" if isinstance(error, OSError | HTTPException) else None
'''

EXECUTOR = """    "executor": PoolKind(lambda size, begin, _: ThreadPool(size, begin), False),
"""

MADE_UP = """
from experiment.study import PROJECT, Study
from tests.made_up import World, even, write

study = Study(
    clients=("requests", "phantomjs", "plain"),
    modes=("serial", "threads", "processes", "executor"),
    rounds=3, pages=20, repeats=3,
)
write(PROJECT / "data" / "doors", study, World(even(study, executor=1.4)))
"""

SIZES = """
from experiment.study import PROJECT, Study
from tests.made_up import World, even, write

study = Study(
    clients=("plain",), modes=("serial", "threads", "executor"),
    pool_sizes=(2, 5), rounds=3, pages=20,
)
write(PROJECT / "data" / "sizes", study, World(even(study), controls=False))
"""


def insert(path: Path, before: str, line: str) -> None:
    """Insert words into a file before the words given, which are in it once."""
    text = path.read_text()
    assert text.count(before) == 1, before
    path.write_text(text.replace(before, line + before))


@pytest.fixture
def extended(copy: Copy) -> Copy:
    """A copy of the project with one more client and one more pool."""
    package = copy.path / "experiment"
    own = {path: path.read_bytes() for path in copy.path.rglob("*") if path.is_file()}
    (package / "measure" / "clients" / "plain.py").write_text(PLAIN.lstrip())
    insert(package / "vocabulary.py", "]\nMode =", ', "plain"')
    insert(package / "vocabulary.py", "]\nArm =", ', "executor"')
    insert(package / "measure" / "modes.py", '}\n"""The pools of', EXECUTOR)
    changed = {
        str(path.relative_to(package))
        for path in copy.path.rglob("*")
        if path.is_file() and own.get(path) != path.read_bytes()
    }
    assert changed == {"measure/clients/plain.py", "vocabulary.py", "measure/modes.py"}
    return copy


def run_here(copy: Copy, program: str) -> None:
    """Run a program with the packages of a copy."""
    ended = copy.run(sys.executable, "-c", program)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
def test_a_new_client_and_a_new_pool_are_measured(extended: Copy) -> None:
    options = ("--pages", "4", "--pool-size", "2", "--rounds", "1", "--latency", "0.1")
    modes = "serial threads executor"
    ended = extended.experiment(
        "run", *options, "--clients", "requests plain", "--modes", modes, "--run", "doors"
    )
    assert ended.returncode == 0, ended.stderr
    fetches, trials = (
        pd.read_csv(extended.path / "data" / "doors" / f"{name}.csv")
        for name in ("fetches", "trials")
    )
    assert fetches["error"].isna().all()
    main = fetches[fetches["arm"] == "main"]
    counts = main.groupby(["client", "mode"]).size()
    assert len(counts) == 6
    assert (counts == 4).all()
    assert main.groupby("page")["sha256"].nunique().eq(1).all()
    assert main["origin_ms"].notna().all()
    arms = trials.loc[trials["mode"] == "executor", "arm"]
    assert set(arms) >= {"main", "startup", "no_latency"}
    assert (trials["state"] == "ok").all()
    extended.assert_nothing_left()


@pytest.mark.faults
def test_a_new_client_and_a_new_pool_are_in_the_whole_report(extended: Copy) -> None:
    run_here(extended, MADE_UP)
    ended = extended.experiment("report", "--run", "doors")
    assert ended.returncode == 0, ended.stderr
    figures = {path.stem[0] for path in (extended.path / "figures" / "doors").glob("*.png")}
    assert figures == set("123456789")
    page = (extended.path / "reports" / "doors.html").read_text()
    page = re.sub(r"(?s)<pre.*?</pre>", "", page)  # code
    words = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    bounds = words.partition("Total and lower bounds of each pool")[2].partition("speed-up")[0]
    assert re.search(r"plain .*executor [\d.]+ ", bounds)
    assert re.search(r"- plain: .*executor \d.* as fast as serial", " ".join(ended.stdout.split()))
    assert not {"nan", "None"} & set(words.split())
    printed = extended.experiment("verdicts", "data/doors", "--json")
    cells = json.loads(printed.stdout)
    assert "executor" not in {cell["mode"] for cell in cells}
    slower = [cell for cell in cells if cell["id"] == "fetch-slower"]
    assert {(cell["client"], cell["mode"]) for cell in slower} == {
        (client, mode)
        for client in ("requests", "phantomjs", "plain")
        for mode in ("threads", "processes")
    }
    then = {cell["client"]: cell["article_2018"] for cell in slower}
    assert then["plain"] is None
    assert then["requests"] == pytest.approx(1.04, abs=0.01)
    assert then["phantomjs"] == pytest.approx(2.37, abs=0.01)


@pytest.mark.faults
def test_a_new_client_and_a_new_pool_are_in_a_sweep(extended: Copy) -> None:
    run_here(extended, SIZES)
    ended = extended.experiment("sweep", "--run", "sizes")
    assert ended.returncode == 0, ended.stderr
    page = (extended.path / "reports" / "sizes.html").read_text()
    assert "plain, executor: " in page
    assert (extended.path / "figures" / "sizes" / "1-speed-up-by-pool-size.svg").exists()


def test_modes_are_drawn_apart() -> None:
    known = [styles.of_mode(mode) for mode in MODES]
    looks = [*known, *styles.OTHERS]
    assert len({look.colour for look in looks}) == len(looks)
    assert len({look.light for look in looks}) == len(looks)
    assert (
        len({(look.line, look.hatch) for look in known[1:] + list(styles.OTHERS)}) == len(looks) - 1
    )
    assert len({look.shift for look in looks[1:]}) == len(looks) - 1


def test_no_module_asks_by_name_whether_a_client_is_a_browser() -> None:
    asked = re.compile(r'[!=]= *\(?"(requests|phantomjs|chrome|firefox)"')
    for path in (PROJECT / "experiment").rglob("*.py"):
        assert not asked.search(path.read_text()), path
