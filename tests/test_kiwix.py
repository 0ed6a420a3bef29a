"""Offline Wikipedia: a small ZIM file, served by the real kiwix-serve."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from libzim.writer import Creator, Hint, Item, StringProvider

from experiment import records
from tests.conftest import Copy, eventually, need

ARTICLES = 12


class Article(Item):  # type: ignore[misc]
    """A page of the ZIM file."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def get_path(self) -> str:
        """Where it lies."""
        return f"A/{self.number}"

    def get_title(self) -> str:
        """Its title."""
        return f"Article {self.number}"

    def get_mimetype(self) -> str:
        """Its kind."""
        return "text/html"

    def get_contentprovider(self) -> StringProvider:
        """Its text."""
        words = f"about {self.number} " * 200
        title = self.get_title()
        return StringProvider(f"<!DOCTYPE html><title>{title}</title><h1>{title}</h1><p>{words}")

    def get_hints(self) -> dict[Hint, bool]:
        """An article, so that it may be drawn."""
        return {Hint.FRONT_ARTICLE: True}


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def kiwix(tmp_path: Path) -> Iterator[str]:
    """The address of a running kiwix-serve."""
    program = shutil.which("kiwix-serve")
    if program is None:
        message = "kiwix-serve is missing; install it with: sudo apt install kiwix-tools"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    book = tmp_path / "small.zim"
    with Creator(book).config_indexing(True, "eng") as creator:
        creator.set_mainpath("A/1")
        for number in range(1, ARTICLES + 1):
            creator.add_item(Article(number))
        for name in ("Title", "Creator", "Publisher", "Description"):
            creator.add_metadata(name, "Small")
        creator.add_metadata("Name", "small")
        creator.add_metadata("Language", "eng")
        creator.add_metadata("Date", "2026-01-02")
    port = free_port()
    process = subprocess.Popen(
        [program, f"--port={port}", "--address=127.0.0.1", str(book)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert eventually(lambda: is_listening(port), 20)
    yield f"http://127.0.0.1:{port}/random?content=small"
    process.kill()
    process.wait()


def is_listening(port: int) -> bool:
    """Whether somebody answers at a port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    time.sleep(0.05)
    return False


@pytest.mark.faults
def test_a_zim_file_is_a_source_by_chance_and_by_list(copy: Copy, kiwix: str) -> None:
    for client in ("phantomjs", "chrome"):
        need(client)
    options = ("--pages", "6", "--pool-sizes", "3", "--rounds", "1")  # without controls
    both = ("--clients", "requests phantomjs")
    asked = copy.experiment("run", *options, *both, "--source", kiwix, "--run", "asked")
    assert asked.returncode == 0, asked.stderr
    fetches, _ = records.load(copy.path / "data" / "asked")
    assert fetches["error"].isna().all()
    assert fetches["final_url"].str.contains("/A/").all()
    assert fetches["final_url"].nunique() > 3

    printed = copy.experiment("pages", kiwix, "-n", "8")
    assert printed.returncode == 0, printed.stderr
    urls = printed.stdout.splitlines()
    assert len(urls) == 8
    (copy.path / "pages.txt").write_text(printed.stdout)
    clients = ("--clients", "requests phantomjs chrome")
    listed = copy.experiment("run", *options, *clients, "--source", "pages.txt", "--run", "listed")
    assert listed.returncode == 0, listed.stderr
    fetches, trials = records.load(copy.path / "data" / "listed")
    main = trials[trials["arm"] == "main"]
    assert set(zip(main["client"], main["mode"], strict=True)) == {
        (client, mode)
        for client in ("requests", "phantomjs", "chrome")
        for mode in ("serial", "threads", "processes")
    }
    assert fetches["error"].isna().all()
    assert fetches.sort_values("page")["url"].unique().tolist() == list(dict.fromkeys(urls[:6]))


def test_what_leads_nowhere_is_one_line(copy: Copy) -> None:
    for arguments, words in (
        (("http://127.0.0.1:9/",), "url: http://127.0.0.1:9/ leads nowhere"),
        (("ftp://127.0.0.1/",), "url: ftp://127.0.0.1/ is not an http or https URL"),
        (("http://127.0.0.1:9/", "-n", "0"), "-n: 0 is not a whole number"),
    ):
        ended = copy.experiment("pages", *arguments)
        assert ended.returncode == 2
        assert ended.stdout == ""
        [line] = ended.stderr.splitlines()
        assert words in line
