"""The report of a run: a notebook executed by papermill, and made a page by nbconvert."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from experiment import tree
from experiment.records import replace_text
from experiment.study import PROJECT

NOTEBOOKS = PROJECT / "notebooks"


def write(notebook: str, run: str) -> Path:
    """Execute a notebook on a run; returns the HTML, beside which the executed notebook lies."""
    folder = PROJECT / "reports"
    folder.mkdir(exist_ok=True)
    partial = folder / f"{run}.partial.ipynb"
    try:
        _execute(notebook, partial, run)
        executed = partial.replace(folder / f"{run}.ipynb")
    finally:
        partial.unlink(missing_ok=True)
    page = folder / f"{run}.html"
    replace_text(page, _page(executed))
    return page


def _execute(notebook: str, target: Path, run: str) -> None:
    """Have papermill execute a notebook, in this environment's kernel, not another one's."""
    source = NOTEBOOKS / f"{notebook}.ipynb"
    paths = [str(path.relative_to(PROJECT)) for path in (source, target)]  # both are kept in it
    command = ["papermill", *paths, "-p", "run", run, "--no-progress-bar"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "-k", "python3"],
            cwd=PROJECT,
            env={**os.environ, "JUPYTER_PREFER_ENV_PATH": "1", "TMPDIR": temporary},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            _, errors = process.communicate()
        finally:
            tree.end()  # the kernel would outlive a papermill that is interrupted
    if process.returncode:
        raise RuntimeError(f"the notebook failed:\n{errors}")


def _page(notebook: Path) -> str:
    """The executed notebook as one HTML page, without its code."""
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import TagRemovePreprocessor

    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="template",
        extra_template_basedirs=[str(NOTEBOOKS)],
        exclude_input=True,
        exclude_output_prompt=True,
    )
    remove = TagRemovePreprocessor(  # type: ignore[no-untyped-call]
        remove_cell_tags={"not-in-page"}, enabled=True
    )
    exporter.register_preprocessor(remove, enabled=True)  # type: ignore[no-untyped-call]
    return str(exporter.from_filename(str(notebook))[0])
