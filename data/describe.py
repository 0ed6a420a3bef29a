"""Write the data dictionary: `datapackage.json`, and the schema of each of the two CSV files.

Names, types and constraints are those of the rows in `experiment.records`, descriptions those of
`README.md`. Run it after a change of either and when a run is added; it writes the same bytes
each time. The format is that of Data Package 2.1, https://datapackage.org.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from experiment.records import FILES, replace_text

DATA = Path(__file__).parent
PROFILES = "https://datapackage.org/profiles/2.1"
RUNS = ("article-2018", "reference*")
"""The folders that are under version control, as .gitignore has them."""

UNITS = {"_s": "s", "_ms": "ms", "_mb": "MB"}
CONSTRAINTS = ("enum", "minimum", "maximum")

MIT = {"name": "MIT", "path": "https://opensource.org/license/mit"}
APACHE = {"name": "Apache-2.0", "path": "https://www.apache.org/licenses/LICENSE-2.0"}
PUBLISHED = {
    "title": "python-multi-benchmark by The Data Incubator",
    "path": "https://github.com/thedataincubator/python-multi-benchmark",
}


def main() -> None:
    """Write the package and its schemas."""
    _write("datapackage.json", package())
    for kind, file in FILES.items():
        _write(schema_name(file), schema(kind))


def package() -> dict[str, Any]:
    """Return the description of all runs here."""
    folders = sorted(folder for pattern in RUNS for folder in DATA.glob(pattern))
    return {
        "$schema": f"{PROFILES}/datapackage.json",
        "name": "threads-or-processes",
        "title": "Threads or processes? The measurements",
        "description": "Fetches and trials of runs; README.md explains runs, columns and files.",
        "licenses": [MIT],
        "resources": [resource(folder.name, file) for folder in folders for file in FILES.values()],
    }


def resource(run: str, file: str) -> dict[str, Any]:
    """Return the description of a file of a run."""
    own = {"licenses": [APACHE], "sources": [PUBLISHED]} if run == "article-2018" else {}
    return {
        "name": f"{run}-{Path(file).stem}",
        "path": f"{run}/{file}",
        "type": "table",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": schema_name(file),
        **own,
    }


def schema_name(file: str) -> str:
    """Return the name of the schema of a file; it is beside this one."""
    return f"{Path(file).stem}.schema.json"


def schema(kind: type) -> dict[str, Any]:
    """Return the schema of the rows of a kind; older runs lack some of its columns."""
    rows, meanings = TypeAdapter(kind).json_schema(), descriptions()
    return {
        "$schema": f"{PROFILES}/tableschema.json",
        "fieldsMatch": "superset",
        "fields": [
            field(name, shape, meanings[name], name in rows["required"])
            for name, shape in rows["properties"].items()
        ],
    }


def field(name: str, shape: Mapping[str, Any], meaning: str, is_given: bool) -> dict[str, Any]:
    """Return the description of a column, from the JSON Schema of its values."""
    shapes = shape.get("anyOf", [shape])
    values = shapes[0]
    constraints = {key: values[key] for key in CONSTRAINTS if key in values}
    if is_given and {"type": "null"} not in shapes:
        constraints["required"] = True
    described = {
        "name": name,
        "type": "datetime" if values.get("format") == "date-time" else values["type"],
        "unit": next((unit for end, unit in UNITS.items() if name.endswith(end)), None),
        "description": meaning,
        "constraints": constraints,
    }
    return {key: value for key, value in described.items() if value}


def descriptions() -> dict[str, str]:
    """Return what README.md says of each column, in Markdown."""
    text = (DATA / "README.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\| column \| meaning \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.M)
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", "".join(tables), re.M))


def _write(name: str, content: dict[str, Any]) -> None:
    replace_text(DATA / name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
