"""The report of a run: the notebook executed by papermill, and made a page by nbconvert."""

import os
from pathlib import Path

from experiment.study import PROJECT

NOTEBOOK = PROJECT / "notebooks" / "report.ipynb"


def write(run: str) -> Path:
    """Execute the report's notebook on a run; returns the HTML, beside which the notebook lies."""
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # this environment's kernel, not another one's
    import papermill
    from traitlets.config import Config

    folder = PROJECT / "reports"
    folder.mkdir(exist_ok=True)
    partial = folder / f"{run}.partial.ipynb"
    papermill.execute_notebook(
        NOTEBOOK,
        partial,
        {"run": run},
        kernel_name="python3",
        progress_bar=False,
        cwd=PROJECT,
        config=Config({"KernelManager": {"transport": "ipc"}}),
    )
    executed = partial.replace(folder / f"{run}.ipynb")
    partial.write_text(_page(executed), encoding="utf-8")
    return partial.replace(folder / f"{run}.html")


def _page(notebook: Path) -> str:
    """The executed notebook as one HTML page, without its code."""
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import TagRemovePreprocessor
    from traitlets.config import Config

    config = Config()
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_cell_tags = {"not-in-page"}
    config.HTMLExporter.preprocessors = [TagRemovePreprocessor]
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        config=config,
        template_name="template",
        extra_template_basedirs=[str(NOTEBOOK.parent)],
        exclude_input=True,
        exclude_output_prompt=True,
    )
    return str(exporter.from_filename(str(notebook))[0])
