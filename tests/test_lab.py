"""Every notebook works where it is used: in JupyterLab, and through nbconvert without a browser."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests import lab
from tests.conftest import Copy, need
from tests.lab import Lab


@pytest.fixture
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser."""
    need("chrome")
    with lab.browser() as driver:
        yield driver


@pytest.mark.slow
def test_the_explorer_redraws_and_measures_live(
    copy: Copy, chromium: webdriver.Chrome, tmp_path: Path
) -> None:
    with lab.server(copy) as url:
        notebook = Lab(chromium, url, "explore")
        notebook.run_all()
        assert notebook.errors() == []
        [lanes] = notebook.images('img[alt^="swim lanes, requests"]')
        live, plot = notebook.images(".jp-RenderedImage img")
        assert live.startswith("data:image/png")
        assert plot.startswith("data:image/png")
        [width] = notebook.told(".jp-MarkdownOutput img", "naturalWidth")
        assert int(width) > 0
        notebook.slide(3)
        notebook.wait_for(
            lambda: notebook.images('img[alt^="swim lanes"]') not in ([], [lanes]), 10
        )
        table = ".widget-html table"
        notebook.wait_for(lambda: "page\t4\t4\t4" in notebook.told(table, "innerText")[0], 10)
        notebook.picture(tmp_path / "explore-lanes.png")
        notebook.choose("figure", "one fetch")
        notebook.wait_for(lambda: notebook.images('img[alt^="one fetch, requests"]'), 10)
        notebook.choose("client", "phantomjs")
        notebook.wait_for(lambda: notebook.images('img[alt^="one fetch, phantomjs"]'), 10)
        notebook.picture(tmp_path / "explore-fetch.png")
        assert notebook.errors() == []
        chromium.get("about:blank")
    copy.assert_nothing_left()


@pytest.mark.faults
@pytest.mark.parametrize(
    ("notebook", "run", "figures"),
    [("report", "reference", 8), ("sweep", "reference-sweep", 1)],
)
def test_a_report_can_be_run_in_the_lab(
    copy: Copy, chromium: webdriver.Chrome, tmp_path: Path, notebook: str, run: str, figures: int
) -> None:
    path = copy.path / "notebooks" / f"{notebook}.ipynb"
    path.write_text(path.read_text().replace("run = None", f'run = \\"{run}\\"'))
    with lab.server(copy) as url:
        opened = Lab(chromium, url, notebook)
        opened.run_all()
        assert opened.errors() == []
        assert len(opened.images(".jp-RenderedImage img")) == figures
        opened.picture(tmp_path / f"{notebook}.png")
        chromium.get("about:blank")


@pytest.mark.faults
def test_the_explorer_runs_without_a_browser_and_from_any_folder(
    copy: Copy, tmp_path: Path
) -> None:
    ended = copy.run(
        "env", f"PYTHONPATH={copy.path}", sys.executable, "-m", "jupyter", "nbconvert",
        "--execute", "--to=notebook", f"--output-dir={tmp_path}",
        str(copy.path / "notebooks" / "explore.ipynb"), cwd=tmp_path,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    text = (tmp_path / "explore.ipynb").read_text()
    assert "What each worker of the live trial did when" in text
    assert '"output_type": "error"' not in text
    copy.assert_nothing_left()
