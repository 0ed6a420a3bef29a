"""The pages of the reports as people meet them: contents, screen readers, paper."""

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from selenium import webdriver

from experiment.report import figures
from experiment.report import page as page_module
from experiment.study import PROJECT
from tests import lab
from tests.conftest import need

AXE = "axe-core@4.14.1"
"""The checks of accessibility, of npm."""

PAPER = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": True}


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core."""
    folder, npm = tmp_path_factory.mktemp("axe"), shutil.which("npm")
    command = [npm or "npm", "install", "--silent", "--no-save", "--prefix", str(folder), AXE]
    ended = npm and subprocess.run(command, capture_output=True, text=True, check=False)
    if not ended or ended.returncode:
        words = f"npm cannot install {AXE}; it comes with: sudo apt install npm"
        pytest.fail(words) if os.environ.get("CI") == "true" else pytest.skip(words)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


COMMITTED = sorted(path.stem for path in (PROJECT / "reports").glob("reference*.html"))
TITLES = (
    "Threads or processes?",
    "Threads or processes for your function?",
    "How many workers?",
    "How much Python may a fetch contain?",
)


@pytest.fixture
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser as wide as a laptop."""
    need("chrome")
    with lab.browser(1280, 900) as driver:
        yield driver


@pytest.mark.parametrize("run", COMMITTED)
def test_a_page_is_for_everyone(run: str, chromium: webdriver.Chrome, axe: str) -> None:
    chromium.get((PROJECT / "reports" / f"{run}.html").as_uri())
    chromium.execute_script(axe)
    _check_axe(chromium)
    assert chromium.title in TITLES
    _check_contents(chromium)
    _check_phone(chromium)
    _check_axe(chromium)
    _check_paper(chromium)


def test_a_section_that_a_cell_writes_is_in_the_contents() -> None:
    section = {"text/markdown": "## Found here\n\nWords."}
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": "## No"},
        {"output_type": "display_data", "data": {"image/svg+xml": "<svg></svg>"}, "metadata": {}},
        {"output_type": "display_data", "data": section, "metadata": {}},
        {"output_type": "display_data", "data": {"text/html": ""}, "metadata": {}},
    ]
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "source": "# A page"},
        {"cell_type": "markdown", "source": "## Always"},
        {"cell_type": "code", "source": "", "outputs": outputs, "execution_count": None},
    ]
    for number, cell in enumerate(cells):
        cell |= {"id": f"cell-{number}", "metadata": {}}
    notebook = {"cells": cells, "metadata": {"title": "A page"}, "nbformat": 4, "nbformat_minor": 5}
    html = page_module._page(json.dumps(notebook))
    contents = html[html.index("<nav") : html.index("</nav>")]
    assert re.findall('href="#([^"]+)">([^<]+)<', contents) == [
        ("Always", "Always"),
        ("Found-here", "Found here"),
    ]
    assert 'id="Found-here"' in html
    assert 'role="group"' not in html  # of a cell whose HTML is empty


def _check_axe(chromium: webdriver.Chrome) -> None:
    found = chromium.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    violations = [
        (item["id"], item["impact"], item["nodes"][0]["html"][:200]) for item in found["violations"]
    ]
    assert violations == []
    assert len(found["passes"]) > 15


def _check_contents(chromium: webdriver.Chrome) -> None:
    """Every section is in the contents, and each entry leads to its section."""
    titles, entries = chromium.execute_script(
        "return [[...document.querySelectorAll('h2')].map(item => item.id),"
        "[...document.querySelectorAll('nav a')].map("
        "item => decodeURIComponent(item.hash.slice(1)))]"
    )
    assert len(titles) >= 4
    assert titles == entries
    requests = "return performance.getEntriesByType('resource').map(item => item.name)"
    assert [name for name in chromium.execute_script(requests) if "data:" not in name] == []


def _check_phone(chromium: webdriver.Chrome) -> None:
    """Nothing is wider than a phone, folded out or not; its figures are those drawn for it."""
    fold_out = "document.querySelectorAll('details').forEach(item => item.open = true)"
    chromium.execute_script(fold_out)
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= 390
    sizes = chromium.execute_script(
        "return [...document.querySelectorAll('source + img')].map("
        "item => [item.naturalWidth, item.getBoundingClientRect().right])"
    )
    assert sizes
    assert {wide for wide, _ in sizes} == {figures.NARROW * figures.PHONE_DPI}
    assert max(right for _, right in sizes) <= 390


def _check_paper(chromium: webdriver.Chrome) -> None:
    """No figure is higher than a sheet or may be cut; nothing is wider."""
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    width = int((PAPER["paperWidth"] - 2 * 16 / 25.4) * 96)
    chromium.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False},
    )
    printed_figures: list[dict[str, Any]] = chromium.execute_script(
        "return [...document.images].map(item => ({height: item.height,"
        "right: item.getBoundingClientRect().right, cut: getComputedStyle(item).breakInside}))"
    )
    sheet = (PAPER["paperHeight"] - 2 * 18 / 25.4) * 96
    for figure in printed_figures:
        assert 0 < figure["height"] < sheet
        assert figure["right"] <= width + 1
        assert figure["cut"] == "avoid"
    widest = chromium.execute_script("return document.documentElement.scrollWidth")
    assert widest <= width + 1
    printed = chromium.execute_cdp_cmd("Page.printToPDF", PAPER)["data"]
    assert base64.b64decode(printed).startswith(b"%PDF")
