"""Write the report of a run: papermill executes a notebook, nbconvert makes it a page."""

import io
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from experiment import process_tree
from experiment.errors import FULL, UserError, writing
from experiment.records import remove_partials, replace_text
from experiment.study import PROJECT

NOTEBOOKS = PROJECT / "notebooks"
FIGURES, REPORTS = PROJECT / "figures", PROJECT / "reports"
STYLE = Path(__file__).with_name("figures.mplstyle")

KERNEL_OPTIONS = [
    "--HistoryManager.enabled=False",
    "--IPKernelApp.code_to_run=import logging; logging.getLogger('matplotlib').setLevel('ERROR')",
]
"""Options of the kernel. matplotlib would warn, in the page, where it cannot keep its font list."""


def check_writable(run: str) -> None:
    """Raise `UserError` where the figures or the report of a run cannot be written."""
    own = FIGURES / run
    for what, folder in (("figures", own if own.exists() else FIGURES), ("reports", REPORTS)):
        with writing(what, folder):
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()


def write(notebook: str, run: str, **parameters: str) -> Path:
    """Execute a notebook on a run; return the HTML page, with the executed notebook beside it.

    A page on several runs gets their names as a parameter, and `run` is its own name.

    Raises `UserError` where the notebook does, and where a folder cannot be written.
    """
    check_writable(run)
    try:
        executed = _execute(notebook, {"run": run, **parameters})
    finally:
        remove_partials(FIGURES / run)
        remove_partials(REPORTS)
    page = REPORTS / f"{run}.html"
    with writing("reports", REPORTS):
        replace_text(page.with_suffix(".ipynb"), executed)
        replace_text(page, _page(executed))
    return page


def _execute(notebook: str, parameters: Mapping[str, str]) -> str:
    """Have papermill execute a notebook in this interpreter's kernel; return the result."""
    source = str((NOTEBOOKS / f"{notebook}.ipynb").relative_to(PROJECT))  # papermill records it
    given = itertools.chain.from_iterable(("-r", *item) for item in parameters.items())
    command = ["papermill", source, "-", *given, "-k", "python3", "--no-progress-bar"]
    with writing("report", Path(tempfile.gettempdir())):
        temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        environment = _environment(Path(temporary.name))
    with temporary:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,
        )
        try:
            executed, errors = process.communicate()
        finally:
            if process.poll() is None:  # its kernel would outlive an interrupted papermill
                process_tree.end(process.pid)
                process.wait()
    if process.returncode:
        raise _failure(errors)
    return _without_times(executed)


def _without_times(executed: str) -> str:
    """Return a notebook without times and random names, so that a run always gives the same."""
    notebook = json.loads(executed)
    for part in (notebook, *notebook["cells"]):
        for name in ("execution", "papermill"):
            part["metadata"].pop(name, None)
        if "injected-parameters" in part["metadata"].get("tags", []):
            part["id"] = "injected-parameters"
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment for papermill and its kernel without the user's settings.

    Jupyter looks for kernels in JUPYTER_PATH first, so it finds this interpreter's. What Jupyter
    and IPython store goes into a temporary folder, so HOME need not be writable.
    """
    from ipykernel.kernelspec import write_kernel_spec

    write_kernel_spec(folder / "kernels" / "python3", extra_arguments=KERNEL_OPTIONS)
    names = ("TMPDIR", "IPYTHONDIR", "JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR")
    own = dict.fromkeys((*names, "JUPYTER_RUNTIME_DIR"), str(folder))
    return {**os.environ, **own, "MPLBACKEND": "agg", "MATPLOTLIBRC": str(STYLE)}


def _failure(errors: str) -> Exception:
    """Return what ended papermill: a mistake of the user, or an error of ours with its output."""
    last = (errors.rstrip().splitlines() or [""])[-1]
    if last.startswith("UserError: "):
        return UserError(last.removeprefix("UserError: "))
    full = re.match(r"OSError: \[Errno (\d+)\] ", last)
    if full and int(full[1]) in FULL:
        return UserError(f"report: {tempfile.gettempdir()} cannot be written: {last[full.end() :]}")
    return RuntimeError(f"the notebook failed:\n{errors}")


def _page(notebook: str) -> str:
    """Return the executed notebook as one HTML page, without its code."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="template",
        extra_template_basedirs=[str(NOTEBOOKS)],
        exclude_input=True,
        exclude_output_prompt=True,
    )
    return str(exporter.from_file(io.StringIO(notebook))[0])
