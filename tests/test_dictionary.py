"""The data dictionary, data/datapackage.json: it says of each column what is so."""

import json
import subprocess
import sys
from dataclasses import fields
from datetime import datetime
from itertools import chain
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pandas as pd
import pytest

from experiment.records import ADDED, FILES
from experiment.study import PROJECT
from tests.conftest import Copy

TYPES = {str: "string", int: "integer", float: "number", datetime: "datetime"}
WRITTEN = {
    "string": r"(?s:.+)",
    "integer": r"\d+",
    "number": r"\d+\.\d+",
    "datetime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00",
}
"""How the values of each type are written here."""


def described(name: str) -> dict[str, Any]:
    """What a file of the dictionary says."""
    found: dict[str, Any] = json.loads((PROJECT / "data" / name).read_text(encoding="utf-8"))
    return found


def type_of(hint: Any) -> str:
    """The type that a field has where it is not absent."""
    [first, *_] = [it for it in get_args(hint) if it is not NoneType] or [hint]
    return TYPES[first if isinstance(first, type) else type(first)]


def is_fit(cells: "pd.Series[str]", field: dict[str, Any]) -> bool:
    """Whether the cells of a column are what its field says."""
    rules = field.get("constraints", {})
    values = pd.Series(cells.unique(), dtype=str)
    given = values[values != ""]
    if not given.str.fullmatch(WRITTEN[field["type"]]).all():
        return False
    least, most = rules.get("minimum"), rules.get("maximum", float("inf"))
    return bool(
        not (rules.get("required") and len(given) < len(values))
        and ("enum" not in rules or given.isin(rules["enum"]).all())
        and (least is None or given.astype(float).between(least, most).all())
    )


def test_the_dictionary_is_what_its_script_writes(copy: Copy) -> None:
    folder = copy.path / "data"
    written = ["datapackage.json", "fetches.schema.json", "trials.schema.json"]
    before = [(folder / name).read_bytes() for name in written]
    for name in written:
        (folder / name).unlink()
    script = ("env", f"PYTHONPATH={copy.path}", sys.executable, str(folder / "describe.py"))
    ended = copy.run(*script, cwd=copy.path.parent)
    assert ended.returncode == 0, ended.stderr
    assert [(folder / name).read_bytes() for name in written] == before


@pytest.mark.parametrize("kind", FILES)
def test_a_schema_has_the_columns_of_the_rows(kind: type) -> None:
    found = described(f"{Path(FILES[kind]).stem}.schema.json")["fields"]
    hints = get_type_hints(kind)
    expected = [(field.name, type_of(hints[field.name])) for field in fields(kind)]
    assert [(field["name"], field["type"]) for field in found] == expected
    required = {field["name"] for field in found if field.get("constraints", {}).get("required")}
    assert {"arm", "mode", "round"} < required
    assert not required & set(chain.from_iterable(ADDED))
    readme = (PROJECT / "data" / "README.md").read_text(encoding="utf-8")
    for field in found:
        assert f"| `{field['name']}` | {field['description']} |\n" in readme
        assert field.get("unit") == next(
            (unit for unit in ("s", "ms", "MB") if field["name"].endswith(f"_{unit.lower()}")), None
        )


def test_every_committed_file_is_there_and_as_described() -> None:
    command = ["git", "ls-files", "data/*.csv"]
    listed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    resources = described("datapackage.json")["resources"]
    paths = {f"data/{resource['path']}": resource["schema"] for resource in resources}
    assert set(paths) == set(listed.stdout.split())
    for path, schema in paths.items():
        table = pd.read_csv(PROJECT / path, dtype=str, keep_default_na=False)
        known = {field["name"]: field for field in described(schema)["fields"]}
        assert list(table) == [name for name in known if name in table], path
        assert set(known) - set(table) <= set(chain.from_iterable(ADDED)), path
        assert [name for name in table if not is_fit(table[name], known[name])] == [], path
