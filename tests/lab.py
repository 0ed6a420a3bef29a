"""A real JupyterLab server, and a browser that works in it as a person does."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from experiment.measure.clients import chrome
from tests.conftest import Copy, eventually

SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@contextmanager
def server(copy: Copy) -> Iterator[str]:
    """JupyterLab of this environment on a copy of the project; yields its address."""
    folder = copy.path.parent / "jupyter"
    for name, values in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    process = copy.start(
        "env", f"JUPYTER_RUNTIME_DIR={folder}", f"JUPYTER_CONFIG_DIR={folder}",
        f"JUPYTERLAB_SETTINGS_DIR={folder / 'settings'}", f"IPYTHONDIR={folder}",
        f"JUPYTERLAB_WORKSPACES_DIR={folder}", "JUPYTER_PREFER_ENV_PATH=1",
        f"PYTHONPATH={copy.path}", sys.executable, "-m", "jupyterlab", "--no-browser",
        "--ip=127.0.0.1", "--port=0", "--allow-root", "--log-level=CRITICAL",
        "--IdentityProvider.token=",
    )  # fmt: skip
    try:
        assert eventually(lambda: list(folder.glob("jpserver-*.json")), 60)
        [told] = folder.glob("jpserver-*.json")
        assert eventually(lambda: told.read_text().endswith("}"), 5)
        yield str(json.loads(told.read_text())["url"])
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextmanager
def browser(width: int = 1400, height: int = 1800) -> Iterator[webdriver.Chrome]:
    """Headless Chromium."""
    found = chrome.Client.find()
    options = webdriver.ChromeOptions()
    options.binary_location = str(found.browser)
    for argument in ("--headless", "--no-sandbox", f"--window-size={width},{height}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, Service(str(found.driver)))
    try:
        yield driver
    finally:
        driver.quit()


class Lab:
    """A notebook that is open in JupyterLab."""

    def __init__(self, driver: webdriver.Chrome, url: str, notebook: str) -> None:
        self.driver = driver
        driver.get(f"{url}lab/tree/notebooks/{notebook}.ipynb?reset")
        self.wait_for(lambda: self.all(".jp-Notebook .jp-CodeCell"), 60)
        self.wait_for(
            lambda: "| Idle" in "".join(self.told(".jp-StatusBar-TextItem", "innerText")), 60
        )
        self.wait_for(lambda: not self.all("#jupyterlab-splash, .jp-Dialog"), 60)

    def all(self, selector: str) -> list[WebElement]:
        """The elements that a CSS selector finds."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def wait_for(self, happened: Callable[[], Any], seconds: float) -> None:
        """Wait until something is so."""
        assert eventually(happened, seconds), (self.prompts(), self.errors())

    def run_all(self) -> None:
        """Choose Run All Cells from the menu and wait until every cell has run."""
        menu = "//div[contains(@class,'lm-MenuBar-itemLabel') and text()='Run']"
        item = 'li[data-command="runmenu:run-all"]'
        self.driver.find_element(By.XPATH, menu).click()
        self.wait_for(lambda: self.all(item), 10)
        self.all(item)[0].click()
        self.wait_for(lambda: all(text[1:-2].isdigit() for text in self.prompts()), 90)

    def told(self, selector: str, name: str) -> list[str]:
        """A property of all elements that a CSS selector finds, at one moment."""
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e[arguments[1]])"
        return [str(item) for item in self.driver.execute_script(script, selector, name)]

    def prompts(self) -> list[str]:
        """What stands before each cell of code: `[3]:` once it has run."""
        return self.told(".jp-CodeCell .jp-InputArea-prompt", "textContent")

    def errors(self) -> list[str]:
        """The errors that cells show."""
        return self.told('[data-mime-type="application/vnd.jupyter.error"]', "textContent")

    def images(self, selector: str) -> list[str]:
        """What the images are that a CSS selector finds in the outputs."""
        return self.told(f".jp-OutputArea {selector}", "src")

    def choose(self, description: str, value: str) -> float:
        """Choose from the widget of that description; returns the clock at that moment."""
        path = f"//label[text()='{description}']/following-sibling::select"
        Select(self.driver.find_element(By.XPATH, path)).select_by_visible_text(value)
        return time.monotonic()

    def slide(self, steps: int) -> None:
        """Move the slider so many steps to the right."""
        handle = self.all(".widget-slider .noUi-handle")[0]
        for _ in range(steps):
            handle.send_keys(Keys.ARROW_RIGHT)

    def picture(self, path: Path) -> None:
        """Keep what the browser shows."""
        self.driver.save_screenshot(str(path))
