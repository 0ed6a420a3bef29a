"""Parameters: checked once, the same at every door."""

import ast
import json
import re
import subprocess
import sys
from typing import Any

import pytest

from experiment.errors import UserError
from experiment.study import (
    PARAMETERS,
    PROJECT,
    SWEEP,
    Study,
    default_clients,
    from_notebook,
    sweep_of,
)
from experiment.values import as_words


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("pool_size", 0, "a whole number from 1 to 500"),
        ("pool_size", -3, "a whole number from 1 to 500"),
        ("pool_size", "ten", "a whole number from 1 to 500"),
        ("pool_size", 10**6, "a whole number from 1 to 500"),
        ("pool_size", 2.5, "a whole number from 1 to 500"),
        ("pool_size", "5 6", "a whole number from 1 to 500"),
        ("pool_size", None, "a whole number from 1 to 500"),
        ("pages", 0, "a whole number from 1 to 100,000"),
        ("repeats", 0, "a whole number from 1 to 9, or none"),
        ("repeats", 10, "a whole number from 1 to 9, or none"),
        ("latency", "nan", "a number from 0 to 100"),
        ("timeout", 0, "a number from 1 to 600"),
        (
            "clients",
            "requests lynx",
            "one or more of requests, httpx2, aiohttp, phantomjs, chrome, firefox",
        ),
        ("clients", "requests requests", "each once"),
        ("clients", [], "one or more of"),
        ("modes", "fibers", "one or more of serial, threads, processes"),
        ("modes", '["serial"', "one or more of"),
        ("tls", "maybe", "on or off"),
        ("chunk_size", 101, "a whole number from 1 to 100, the number of pages"),
        ("start_method", "clone", "fork, spawn, forkserver or none"),
        ("source", "ftp://127.0.0.1/", "an http or https URL"),
        ("source", "file:///etc/passwd", "an http or https URL"),
        ("source", "javascript:alert(1)", "an http or https URL"),
        ("source", "http://", "an http or https URL"),
        ("run", "../elsewhere", "a name that starts with a letter"),
        ("run", "2018", "a name that starts with a letter"),
        ("contact", "me@example.org", "goes with source=wikipedia"),
    ],
)
def test_a_bad_value_is_named_with_what_would_be_right(name: str, value: Any, right: str) -> None:
    with pytest.raises(UserError) as caught:
        Study.of({name: value})
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert right in message
    assert "\n" not in message
    if value:
        assert as_words(value).split()[-1].strip('"[') in message


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        (
            {"pool_size": "ten", "pages": 0, "clients": "lynx requests links"},
            {"pool_size": "ten", "pages": "0", "clients": "lynx links"},
        ),
        (
            {"scheduler": "tcp://192.0.2.1:8786", "chunk_size": 101, "wiki": "de.wikipedia.org"},
            {"scheduler": "tcp://192.0.2.1:8786", "chunk_size": "101", "wiki": "de.wikipedia.org"},
        ),
        (
            {"pool_sizes": "2 3", "pool_size": 5, "chunk_size": 3},
            {"pool_size": "5", "chunk_size": "3"},
        ),
    ],
)
def test_all_that_is_wrong_is_named_at_once(
    parameters: dict[str, Any], named: dict[str, str]
) -> None:
    with pytest.raises(UserError) as caught:
        Study.of(parameters)
    said = {
        part.partition(": ")[0]: part.partition(": ")[2] for part in str(caught.value).split("; ")
    }
    assert {
        name: words for name, words in said.items() if name in PARAMETERS
    }.keys() == named.keys()
    for name, value in named.items():
        assert said[name].startswith((f"{value} is not ", f"{value} has no use "))


def test_an_unknown_parameter_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="pol_size: no such parameter"):
        Study.of({"pol_size": 20})
    with pytest.raises(UserError, match="pol_size, page: no such parameter"):
        Study.of({"pol_size": 20, "pages": 3, "page": 3})


@pytest.mark.parametrize(
    ("parameters", "kind", "sizes"),
    [
        ({}, "report", (10,)),
        ({"pool_size": "20", "pool_sizes": None}, "report", (20,)),
        ({"pool_size": 20.0}, "report", (20,)),
        ({"pool_sizes": 4}, "sweep", (4,)),
        ({"pool_size": "10", "pool_sizes": "5 2"}, "sweep", (2, 5)),
    ],
)
def test_sizes_of_pools_are_stored_once_and_written_under_the_names_that_users_know(
    parameters: dict[str, Any], kind: str, sizes: tuple[int, ...]
) -> None:
    study = Study.of(parameters)
    assert (study.kind, study.sizes) == (kind, sizes)
    written = study.model_dump_json()
    assert list(json.loads(written)) == list(PARAMETERS)
    assert Study.model_validate_json(written) == study


@pytest.mark.parametrize("name", ["kind", "sizes"])
def test_what_is_stored_under_another_name_is_no_parameter(name: str) -> None:
    with pytest.raises(UserError, match=f"{name}: no such parameter"):
        Study.of({name: "sweep"})


@pytest.mark.parametrize(
    "written",
    [["requests", "chrome"], '["requests", "chrome"]', "requests chrome", "requests,chrome"],
)
def test_lists_may_be_written_in_any_way(written: Any) -> None:
    assert Study.of({"clients": written}).clients == ("requests", "chrome")


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({}, "default"),
        ({"pool_size": 20}, "pool_size-20"),
        ({"clients": "requests", "tls": "off"}, "clients-requests_tls-off"),
        ({"pool_size": 20, "run": "mine"}, "mine"),
    ],
)
def test_a_run_is_named_after_what_is_not_the_default(
    parameters: dict[str, Any], name: str
) -> None:
    assert Study.of(parameters).run_name() == name


def test_different_sources_have_different_runs_with_names_for_folders() -> None:
    urls = [f"http://127.0.0.1:8080/random?content=a&b={x}/../" for x in ("1", "2", "$HOME")]
    names = {Study.of({"source": url}).run_name() for url in urls}
    assert len(names) == 3
    assert all(re.fullmatch(r"source-127\.0\.0\.1-[A-Za-z0-9.-]+", name) for name in names)


def test_a_run_that_exists_brings_its_own_study() -> None:
    own = Study.of({"pool_size": 20, "run": "mine"})
    assert Study.of({"run": "mine"}).joined_to(own) == own
    assert Study.of({"run": "mine", "pool_size": 20}).joined_to(own) == own
    with pytest.raises(UserError, match="pool_size: 30 was asked for, but the run mine has 20"):
        Study.of({"run": "mine", "pool_size": 30}).joined_to(own)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Study.of({"run": "p20", "pool_size": "10"}), "pool_size: 10 was asked for, but the run"),
        (Study.of({"run": "p20", "chunk_size": "none"}), "chunk_size: none was asked for"),
        (Study(run="p20", pool_size=10), "pool_size: 10 was asked for"),
        (
            from_notebook(
                {"run": "p20", "pool_size": 10, "In": ["# Parameters\npool_size = 10\n"]}
            ),
            "pool_size: 10 was asked for",
        ),
        (from_notebook({"run": "p20", "pool_size": 30, "In": []}), "pool_size: 30 was asked for"),
    ],
)
def test_what_was_given_must_be_the_runs_own_also_where_it_is_the_default(
    given: Study, words: str
) -> None:
    own = Study.of({"pool_size": 20, "chunk_size": 2, "run": "p20"})
    with pytest.raises(UserError, match=words):
        given.joined_to(own)


def test_what_a_notebook_or_a_sweep_has_by_default_was_not_given() -> None:
    own = Study.of({"pool_size": 20, "run": "p20"})
    cell = {"run": "p20", "pool_size": 10, "pages": 100, "clients": None, "In": []}
    assert from_notebook(cell).joined_to(own) == own
    injected = {**cell, "In": ['# Parameters\nrun = "p20"\n']}
    assert from_notebook(injected).joined_to(own) == own
    sweep = sweep_of({"pool_sizes": "2 3", "pages": 7, "run": "s"})
    assert sweep_of({"run": "s"}).joined_to(sweep) == sweep
    assert from_notebook({**SWEEP, "run": "s"}).joined_to(sweep) == sweep
    with pytest.raises(UserError, match="pages: 200 was asked for, but the run s has 7"):
        sweep_of({"run": "s", "pages": 200}).joined_to(sweep)


def test_the_clients_default_to_what_has_a_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert default_clients() == ("requests", "chrome")
    assert Study.of({"clients": None}).clients == ("requests", "chrome")


def test_phantomjs_has_to_be_named_for_pages_of_others() -> None:
    others = {"source": "http://127.0.0.1/", "clients": "none"}
    assert Study.of(others).clients == ()
    named = Study.of({**others, "clients": "requests phantomjs"})
    assert named.clients == ("requests", "phantomjs")
    assert "clients" not in Study.of(others).run_name()
    assert named.run_name().startswith("clients-requests-phantomjs_source-")
    assert Study.of({**others, "run": "a"}).joined_to(named) == named


def test_a_notebook_hands_over_its_parameters_and_refuses_unknown_ones() -> None:
    known = {"pool_size": 5, "clients": None, "figures": object(), "In": ["", "pool_size = 5"]}
    assert from_notebook(known).pool_size == 5
    injected = {**known, "pol_size": 7, "In": ["", "# Parameters\npol_size = 7\n"]}
    with pytest.raises(UserError, match="pol_size: no such parameter"):
        from_notebook(injected)


KINDS = {"report": Study(), "sweep": Study.of(SWEEP)}


def _parameters_cell(name: str) -> str:
    notebook = json.loads((PROJECT / "notebooks" / f"{name}.ipynb").read_text())
    cells = [c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", [])]
    assert len(cells) == 1
    return "".join(cells[0]["source"])


@pytest.mark.parametrize("notebook", KINDS)
def test_a_notebook_offers_every_parameter_with_its_default_and_meaning(notebook: str) -> None:
    cell, kind = _parameters_cell(notebook), KINDS[notebook]
    namespace: dict[str, Any] = {}
    exec(cell, namespace)  # noqa: S102
    names = [
        (item.target if isinstance(item, ast.AnnAssign) else item.targets[0]).id  # type: ignore[attr-defined, union-attr]
        for item in ast.parse(cell).body
    ]
    assert names == kind.parameters
    assert Study.of({name: namespace[name] for name in kind.parameters}) == kind
    for line, name in zip(cell.splitlines(), kind.parameters, strict=False):
        assert str(PARAMETERS[name].description) in line


@pytest.mark.parametrize("notebook", KINDS)
def test_papermill_explains_every_parameter(notebook: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "papermill", "--help-notebook", f"notebooks/{notebook}.ipynb"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Unable to parse" not in shown.stderr
    for name in KINDS[notebook].parameters:
        words = re.escape(PARAMETERS[name].description or "")
        assert re.search(rf"{name}: \w+ \(default .+\)\s+{words}", shown.stdout)


def test_make_offers_every_parameter_with_its_default_and_meaning() -> None:
    lines = re.findall(r"^#: (\w+) +(.*?) {2,}(.*)$", (PROJECT / "Makefile").read_text(), re.M)
    sweep = {"pool_sizes": KINDS["sweep"].pool_sizes}
    fields = {
        name: (as_words({**Study().model_dump(), **sweep}[name]), field.description)
        for name, field in PARAMETERS.items()
    }
    if "chrome" not in Study().clients:
        assert {name.lower(): (default, words) for name, default, words in lines} == fields
    assert [name.lower() for name, _, _ in lines] == list(fields)
