"""A report is safe to open: no text of a run, whatever it holds, is markup in a page."""

import copy as copies
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import pytest
from pydantic import ValidationError
from selenium import webdriver

from experiment import records
from experiment.analysis import runs
from experiment.errors import UserError
from experiment.records import FetchRow, Run, TrialRow
from experiment.report import answers, markup
from experiment.study import Study
from tests import lab, made_up
from tests.conftest import Copy, need
from tests.made_up import World, even
from tests.servers import Server

Row = TypeVar("Row", FetchRow, TrialRow)

LONG = (
    "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\"> "
    "<img src=//{server}/image> ![a](http://{server}/picture) [a](javascript:alert(1)) "
    "[b](http://{server}/link) http://{server}/bare www.{server} <http://{server}/angle> "
    "<a href=javascript:alert(1)>c</a> <iframe src=//{server}/frame></iframe> <svg/onload=alert(1)>"
    " `code` ``` **bold** _em_ __strong__ ~~gone~~ &lt;b&gt; &#60;b&#62; \\<b> $\\frac$ $x$ $$y$$ "
    "| a | b | [x]: http://{server}/reference <!-- --> </td></table></code></main> ' \" \n\n"
    "# heading\n\n    code\n\n- item\n\n<style>* {{ display: none }}</style>\n\n===\n"
)
SHORT = "<img/src=//{server}/short/onerror=document.title=1>`[a](javascript:1)"
ADDRESS = "<img/src=//{server}/address>@example.org"
"""Texts that a page must show as they are; the shorter ones for fields that are choosy."""

ALIVE = """
const own = 'img[src^="data:"], source[srcset^="data:image/png"], '
  + 'link[href^="data:"], a[href^="#"], a[href^="../"], '
  + 'a[href="https://github.com/thedataincubator/python-multi-benchmark"]';
const loading = [...document.querySelectorAll('[src], [href], [srcset], [data], [action]')];
const active = [...document.querySelectorAll('script, iframe, object, embed, svg, form, base')];
const handling = [...document.querySelectorAll('*')].filter(
  item => [...item.attributes].some(attribute => attribute.name.startsWith('on')));
return [...loading.filter(item => !item.matches(own)), ...active, ...handling].map(
  item => item.outerHTML.slice(0, 200));
"""

POLICY = re.compile('<meta [^>]*"Content-Security-Policy"[^>]*>')


def texts(server: Server) -> list[str]:
    """The hostile texts, which lead to a server that counts who follows."""
    address = "{}:{}".format(*server.server_address[:2])
    return [text.format(server=address) for text in (LONG, SHORT, ADDRESS)]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a text could stand in values of JSON: each text, each nothing, a new name in a table.

    Walked through, not listed, so that a field that is new is not forgotten.
    """
    if isinstance(value, str | None):
        yield path
    if isinstance(value, dict):
        yield (*path, "a new name")
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def with_markup(run: Run, hostile: list[str]) -> tuple[Run, dict[str, str]]:
    """A run with markup wherever its schema takes a text, and these texts by their places."""
    values, taken = json.loads(run.model_dump_json()), {}
    for path in places(copies.deepcopy(values)):
        name = ".".join(map(str, path))
        for text in (f"{name} {hostile[0]}", *hostile[1:]):
            changed = copies.deepcopy(values)
            put(changed, path, text)
            try:
                Run.model_validate_json(json.dumps(changed))
            except (ValidationError, UserError):
                continue
            values, taken[name] = changed, text
            break
    return Run.model_validate_json(json.dumps(values)), taken


def put(values: Any, path: tuple[Any, ...], text: str) -> None:
    """Put a text into its place."""
    *outer, last = path
    for key in outer:
        values = values[key]
    values[text if last == "a new name" else last] = text


def row_with_markup(row: Row, hostile: str) -> Row:
    """A row with markup in each of its texts."""
    kinds = get_type_hints(type(row), include_extras=True).items()
    names = [name for name, kind in kinds if kind is str or str in get_args(kind)]
    changes: dict[str, Any] = {name: f"{name} {hostile}" for name in names}
    return replace(row, **changes)


def spoil(folder: Path, hostile: list[str]) -> dict[str, str]:
    """Put markup into all texts of a run, its last round failed; returns those of run.json."""
    run, taken = with_markup(records.read_run(folder), hostile)
    fetches, trials = records.read_fetches(folder), records.read_trials(folder)
    records.write_run(folder, run)
    last = run.study.rounds
    gone = next(row for row in trials if row.round == last and row.client)
    spoiled = [
        row_with_markup(row, hostile[0]) if row.round == last or row.arm == "startup" else row
        for row in trials
    ]
    spoiled = [
        replace(row, state="failed") if row.position == gone.position and row.round == last else row
        for row in spoiled
    ]
    kept = [row for row in fetches if records.trial_key(row) != records.trial_key(gone)]
    made_up.empty(folder)
    rows = [row_with_markup(row, hostile[0]) if row.round == last else row for row in kept]
    records.add_round(folder, rows, spoiled)
    return taken


@pytest.fixture
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser."""
    need("chrome")
    with lab.browser() as driver:
        yield driver


def plain(text: str) -> str:
    """A text with its white space as HTML has it, and without the line ends that pandas names."""
    return " ".join(text.replace("\\n", " ").split())


def check_dead(driver: webdriver.Chrome, page: Path, title: str, server: Server) -> str:
    """Open a page, also without its policy, and find that nothing came to life; its text."""
    html = page.read_text()
    assert len(POLICY.findall(html)) == 1
    assert html.index("<head>") < POLICY.search(html).start() < html.index("<style>")  # type: ignore[union-attr]
    page.write_text(POLICY.sub("", html))
    for _ in range(2):
        driver.get(page.as_uri())
        assert driver.title == title
        assert driver.execute_script(ALIVE) == []
        assert driver.execute_script("return document.querySelectorAll('h1').length") == 1
        page.write_text(html)
    assert server.asked == []
    return plain(driver.execute_script("return document.body.textContent"))


@pytest.mark.slow
def test_no_text_of_a_run_comes_alive(
    copy: Copy, server: Server, chromium: webdriver.Chrome
) -> None:
    study = Study(clients=("requests", "phantomjs"), rounds=4, pages=4)
    folder = made_up.write(copy.path / "data" / "report", study, World(even(study)))
    taken = spoil(folder, texts(server))
    shown = {
        "study.source", "machine.cpu", "machine.system", "machine.packages.a new name",
        "machine.packages.requests", "machine.browsers.a new name", "kernel", "commit",
        "interfaces.Pool.0", "interfaces.ThreadPool.0",
    }  # fmt: skip
    assert shown <= set(taken)
    ended = copy.experiment("report", "--run", "report")
    assert ended.returncode == 0, ended.stderr
    page = copy.path / "reports" / "report.html"
    text = check_dead(chromium, page, "Threads or processes?", server)
    for name in shown:
        words = taken[name] if name != "study.source" else records.read_run(folder).study.source
        assert plain(words) in text, name
    for name in ("error", "reason"):
        assert plain(f"{name} {texts(server)[0]}") in text
    printed = copy.experiment("verdicts", "data/report")
    assert printed.returncode == 0, printed.stderr


@pytest.mark.faults
def test_no_text_of_other_runs_comes_alive(
    copy: Copy, server: Server, chromium: webdriver.Chrome
) -> None:
    study = Study.of(
        {"pool_sizes": [2, 5], "pages": 4, "source": "wikipedia", "contact": "me@example.org"}
    )
    folder = made_up.write(copy.path / "data" / "sizes", study, World(even(study), controls=False))
    (folder / "pages.txt").write_text("http://127.0.0.1/\n" * 12)
    taken = spoil(folder, texts(server))
    assert "study.contact" in taken
    name = "<img src=x onerror=alert(1)> [a](javascript:alert(1)) www.example.org `x` **b**"
    shutil.copytree(folder, folder.with_name(name))
    ended = copy.experiment("sweep", "--run", "sizes")
    assert ended.returncode == 0, ended.stderr
    page = copy.path / "reports" / "sizes.html"
    text = check_dead(chromium, page, "How many workers?", server)
    for shown in ("machine.cpu", "kernel"):
        assert plain(taken[shown]) in text
    ended = copy.experiment("compare")
    assert ended.returncode == 0, ended.stderr
    page = copy.path / "reports" / "compare.html"
    text = check_dead(chromium, page, "Several runs in one view", server)
    assert text.count(plain(name)) > 1


def test_a_page_runs_and_loads_nothing_even_if_markup_is_in_it(
    server: Server, chromium: webdriver.Chrome, tmp_path: Path
) -> None:
    template = Path(markup.__file__).parents[2] / "notebooks" / "template" / "index.html.j2"
    policy = POLICY.search(template.read_text())
    assert policy
    page = tmp_path / "page.html"
    hostile = " ".join(texts(server)[:1])
    page.write_text(f"<!DOCTYPE html><head>{policy[0]}<title>page</title></head>{hostile}")
    chromium.get(page.as_uri())
    assert chromium.title == "page"
    assert len(chromium.execute_script(ALIVE)) > 3
    assert server.asked == []


@pytest.mark.faults
def test_no_text_of_a_run_comes_alive_in_jupyterlab(
    copy: Copy, server: Server, chromium: webdriver.Chrome
) -> None:
    study = Study(clients=("requests",), rounds=4, pages=4)
    folder = made_up.write(copy.path / "data" / "report", study, World(even(study)))
    taken = spoil(folder, texts(server))
    assert copy.experiment("report", "--run", "report").returncode == 0
    shutil.copy(copy.path / "reports" / "report.ipynb", copy.path / "notebooks" / "drawn.ipynb")
    with lab.server(copy) as url:
        notebook = lab.Lab(chromium, url, "drawn")
        outputs = notebook.told(".jp-OutputArea", "textContent")
        assert plain(taken["machine.cpu"]) in plain(" ".join(outputs))
        links = notebook.told(".jp-OutputArea a", "textContent")
        assert len(links) == 5
        assert set(links) == {
            "the data", "this page as a notebook", "rules and methods", "how to cite",
            "the article's code and timings",
        }  # fmt: skip
        for alive in ("img:not([src^='data:'])", "script", "iframe", "mjx-container", "h1"):
            assert notebook.told(f".jp-OutputArea {alive}", "outerHTML") == []
    assert server.asked == []


def test_what_is_printed_steers_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(clients=("requests",), rounds=1, pages=2)
    folder = made_up.write(tmp_path / "run", study, World(even(study)))
    run = records.read_run(folder)
    machine = run.machine.model_copy(update={"cpu": "a\x1b[2Jb\u202ec\n"})
    records.write_run(folder, run.model_copy(update={"machine": machine}))
    monkeypatch.setattr(runs, "DATA", tmp_path)
    assert r"a\x1b[2Jb\u202ec\n, 2 cores" in answers.of_runs(runs.overview(runs.run_folders()))
