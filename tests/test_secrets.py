"""Secrets in URLs: fetched with, and found in nothing that is written."""

import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from experiment import records
from experiment.errors import UserError
from experiment.measure import sources
from experiment.redaction import redacted, redacted_text
from experiment.study import Study
from tests import made_up
from tests.conftest import Copy, need
from tests.servers import PRIVATE, Server

SECRETS = [*PRIVATE.split(":"), "t0ken", "s3ssion", "fr4gment"]
"""User, password, a query value that is asked for, and what a redirect leads to."""

SMALL = ("--pages", "3", "--pool-sizes", "2", "--rounds", "1", "--modes", "serial threads",
         "--reuse", "off")  # fmt: skip
"""A sweep, which has no controls."""


def private(server: Server, path: str) -> str:
    """The address of a path, asked for by a user with a password."""
    return server.url(path).replace("//", f"//{PRIVATE}@")


def written(copy: Copy) -> Iterator[str]:
    """The names and the texts of all files of runs."""
    for name in ("data", "figures", "reports"):
        for path in (copy.path / name).rglob("*"):
            yield str(path.relative_to(copy.path))
            if path.is_file():
                yield path.read_bytes().decode(errors="replace")


def assert_no_secret(texts: Sequence[str]) -> None:
    """None of the secrets is in any of the texts."""
    found = [(secret, text[:80]) for text in texts for secret in SECRETS if secret in text.lower()]
    assert not found


def run(copy: Copy, *arguments: str) -> str:
    """Run a command that succeeds and tells no secret; returns what it prints."""
    ended = copy.experiment(*arguments)
    assert ended.returncode == 0, ended.stderr
    assert_no_secret([ended.stdout, ended.stderr, *written(copy)])
    return ended.stdout


def refused(copy: Copy, *arguments: str) -> str:
    """The only line of a command that is refused; it tells no secret."""
    ended = copy.experiment(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert_no_secret([line, *written(copy)])
    return line


def interrupt(folder: Path) -> None:
    """Leave the run as if its last round had been cut off."""
    made_up.forget_round(folder, max(records.rounds_done(folder)))


def digest(value: str) -> str:
    """What stands for a value."""
    return f"sha256-{hashlib.sha256(value.encode()).hexdigest()[:12]}"


T0KEN, ONE, TWO = digest("t0ken"), digest("1"), digest("2")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9/a;b=c/@d", "http://127.0.0.1:9/a;b=c/@d"),
        ("http://alice:p4ssword@[::1]:80/", "http://[::1]:80/"),
        ("http://alice@b\xfccher.example/", "http://b\xfccher.example/"),
        ("http://al%69ce:p4ss@word@host/", "http://host/"),
        ("http://alice:p4ss?word@host/", "http://host/"),
        ("http://alice:p4ss/word#@host/x", "http://host/x"),
        ("//alice:p4ssword@host/", "//host/"),
        ("alice:p4ssword@host/", "host/"),
        ("http://host/?a=t0ken&b=t0ken", f"http://host/?a={T0KEN}&b={T0KEN}"),
        ("http://host/?a=1;b=2", f"http://host/?a={ONE};b={TWO}"),
        ("http://host/?t0ken", f"http://host/?{T0KEN}"),
        ("http://host/?dDBrZW4==", f"http://host/?{digest('dDBrZW4==')}"),
        ("http://host/?&a=1&", f"http://host/?&a={ONE}&"),
        ("http://host/#t0ken", f"http://host/#{T0KEN}"),
        ("http://host/?#", "http://host/?#"),
    ],
)  # fmt: skip
def test_a_url_keeps_its_place_and_the_names_of_its_query(url: str, words: str) -> None:
    assert redacted(url) == words
    assert redacted(words) == words
    kept = redacted(url, keep_query=True)
    assert redacted(kept) == words
    assert "alice" not in kept


def test_a_url_of_any_length_is_redacted_at_once() -> None:
    for part in ("a", ":", "a:@", "?a=b&", "//", "#"):
        long = "http://" + part * 100_000
        assert redacted(redacted(long)) == redacted(long)
        assert len(redacted_text(f"{long} t0ken?")) > 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no URL: really? (?) column ?: 3", "no URL: really? (?) column ?: 3"),
        ("'http://alice:p4ssword@host/' is", "'http://host/' is"),
        ("with url: /page?a=1 (Caused by", f"with url: /page?a={ONE} (Caused by"),
        (f"x?a={ONE}: no", f"x?a={ONE}: no"),
    ],
)
def test_a_message_is_kept_but_for_its_urls(text: str, words: str) -> None:
    assert redacted_text(text) == words
    assert str(UserError(text)) == words


def command_lines(copy: Copy) -> list[str]:
    """The command lines of what a study has started."""
    found = []
    for process in copy.processes():
        with suppress(psutil.Error):  # it has just ended
            found.append(" ".join(process.cmdline()))
    return found


def trial_rights(copy: Copy) -> set[int]:
    """Who may read what the trial that runs is told."""
    with suppress(FileNotFoundError):  # it has just ended
        return {path.stat().st_mode & 0o777 for path in copy.temporary.glob("trial-*")}
    return set()


@pytest.mark.slow
def test_a_report_has_no_secret_of_its_url(copy: Copy, server: Server) -> None:
    url = private(server, "session?token=t0ken")
    small = ("--pages", "2", "--rounds", "1", "--modes", "serial threads", "--clients", "requests")
    asked = ("report", *small, "--source", url)
    process = copy.start(sys.executable, "-m", "experiment", *asked)
    started: set[str] = set()
    rights: set[int] = set()
    while process.poll() is None:
        started |= {line for line in command_lines(copy) if url not in line}
        rights |= trial_rights(copy)
        time.sleep(0.02)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert any("experiment.measure.trial" in line for line in started)
    assert rights == {0o700}
    assert_no_secret([out, err, *started, *written(copy)])

    [folder] = copy.path.glob("data/*source-*")
    fetches, _ = records.load(folder)
    place = server.url("")
    assert set(fetches["url"]) == {f"{place}session?token={T0KEN}"}
    led = f"{place}page?session={digest('s3ssion')}#{digest('fr4gment')}"
    assert set(fetches["final_url"]) == {led}
    assert set(server.asked) == {"/session?token=t0ken", "/page?session=s3ssion"}
    assert f"session?token={T0KEN}" in (copy.path / "reports" / f"{folder.name}.html").read_text()
    assert folder.name in run(copy, "runs", "--wide")

    count = len(server.asked)
    run(copy, "run", *asked[1:])  # is measured already
    run(copy, "run", "--run", folder.name)
    assert len(server.asked) == count


@pytest.mark.faults
def test_a_list_with_secrets_is_kept_without_and_read_again(copy: Copy, server: Server) -> None:
    need("phantomjs")
    dead = f"http://{PRIVATE}@127.0.0.1:9/page?token=t0ken"
    urls = [private(server, "private?token=t0ken"), private(server, "session?token=t0ken"), dead]
    path, folder = copy.path / "urls.txt", copy.path / "data" / "listed"
    path.write_bytes(b"\xef\xbb\xbf# mine\r\n" + "".join(f"{url}\r\n" for url in urls).encode())
    asked = ("--source", "urls.txt", "--clients", "requests phantomjs", "--run", "listed")
    run(copy, "run", *SMALL, *asked)
    assert (folder / "pages.txt").read_text().splitlines() == [redacted(url) for url in urls]
    assert records.urls_listed(folder) == 3

    interrupt(folder)
    run(copy, "run", "--run", "listed", "--pool-sizes", "2")
    fetches, _ = records.load(folder)
    assert set(fetches.loc[fetches["page"] < 3, "status"]) == {200}
    assert set(fetches.loc[fetches["page"] == 3, "error"]) == {"connection"}

    interrupt(folder)
    path.write_bytes((folder / "pages.txt").read_bytes())
    line = refused(copy, "run", "--run", "listed", "--pool-sizes", "2")
    assert f"source: the file {path} is needed as it was at first" in line
    path.unlink()
    assert refused(copy, "run", "--run", "listed", "--pool-sizes", "2") == line


@pytest.mark.faults
def test_a_cut_off_run_goes_on_only_with_the_url_it_had(copy: Copy, server: Server) -> None:
    url, anyone = private(server, "private?token=t0ken"), server.url("private?token=t0ken")
    asked = (*SMALL, "--clients", "requests", "--run", "asked")
    run(copy, "run", *asked, "--source", url)
    interrupt(copy.path / "data" / "asked")
    for source in ((), ("--source", anyone), ("--source", redacted(url))):
        line = refused(copy, "run", *asked, *source)
        assert f"source: {redacted(url)} is needed as it was at first" in line
    other = url.replace("t0ken", "0ther")
    assert "leave source out, or name another run" in refused(
        copy, "run", *asked, "--source", other
    )
    run(copy, "run", *asked, "--source", url)
    fetches, _ = records.load(copy.path / "data" / "asked")
    assert set(fetches["status"]) == {200}


def test_a_query_is_kept_where_that_is_asked_for(copy: Copy, server: Server) -> None:
    url = private(server, "page?shown=t0ken")
    asked = (*SMALL, "--clients", "requests", "--keep-query", "on", "--source", url)
    ended = copy.experiment("run", *asked)
    assert ended.returncode == 0, ended.stderr
    [folder] = copy.path.glob("data/sweep_*")
    fetches, _ = records.load(folder)
    assert set(fetches["url"]) == set(fetches["final_url"]) == {server.url("page?shown=t0ken")}
    study = records.read_run(folder).study
    assert study.source == server.url("page?shown=t0ken")
    assert study.keep_query
    assert not [text for text in written(copy) for word in PRIVATE.split(":") if word in text]


@pytest.mark.slow
def test_a_mistake_tells_no_secret(copy: Copy) -> None:
    dead = f"http://{PRIVATE}@127.0.0.1:9/page?token=t0ken"
    (copy.path / "bad.txt").write_text(f"ftp://{PRIVATE}@host/?token=t0ken")
    for arguments in (
        ("run", "--clients", "requests", "--source", dead),
        ("run", "--clients", "requests", "--source", f"{dead}&x=a t0ken"),
        ("run", "--source", "bad.txt"),
        ("run", "--source", f"ftp://{PRIVATE}@host/?a t0ken"),
        ("run", "--source", f"{PRIVATE}@host/?t0ken"),
        ("run", "--source", "host/page?t0ken"),
        ("run", "--source", f"http://{PRIVATE}?@host/"),
        ("run", "--sourse", dead),
        (f"--sourse={dead}",),
        ("run", "--source", dead, "--contact", "me@example.org"),
        ("run", "--source", f"http://{PRIVATE}@en.wikipedia.org/?t0ken"),
        ("pages", dead),
        ("pages", f"http://{PRIVATE}:/@host"),
    ):
        refused(copy, *arguments)


def test_a_list_is_text_as_other_programs_write_it(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    odd = "http://127.0.0.1/a\u2028b\x85c"  # other characters that Python would end a line at
    path.write_bytes(
        f"\ufeffhttp://127.0.0.1/1\r\n\r\n {odd}\u2028\t\r\nhttp://127.0.0.1/3".encode()
    )
    urls = ["http://127.0.0.1/1", f"{odd}\u2028", "http://127.0.0.1/3"]
    assert sources.read_urls(path) == urls
    records.replace_text(tmp_path / "pages.txt", "\n".join(urls) + "\n")
    assert records.urls_listed(tmp_path) == 3
    path.write_bytes(b"http://127.0.0.1/1\rhttp://127.0.0.1/2\r")
    with pytest.raises(UserError, match=r"line 1: .* is not an http or https URL"):
        sources.read_urls(path)


def test_a_long_name_is_cut_and_told_apart() -> None:
    many = {
        "pool_size": 11, "pages": 99, "rounds": 6, "repeats": 3, "clients": "firefox requests",
        "modes": "threads serial", "source": "http://127.0.0.1:9/" + "x" * 300, "latency": 2,
        "chunk_size": 2, "start_method": "spawn", "timeout": 33, "seed": 5,
    }  # fmt: skip
    names = {Study.of({**many, "seed": seed}).run_name() for seed in range(20)}
    assert len(names) == 20
    assert max(map(len, names)) <= 120
    assert all(Study.of({"run": name}).run_name() == name for name in names)
