"""Provide the pages of a round."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from experiment import records
from experiment.errors import FULL, UserError
from experiment.fetches import Fetch, Page
from experiment.measure import environment, wikipedia
from experiment.measure.clients.base import ClientSettings
from experiment.measure.origin import OriginSettings
from experiment.measure.shortages import no_room, nothing_left, room_for_temporary_files
from experiment.measure.suspension import was_stopped
from experiment.records import Run
from experiment.redaction import count_users, is_redacted, redacted, redacted_item, redacted_text
from experiment.study import Study
from experiment.values import web_url

ORIGIN_END_S = 2.0


class Source:
    """Provide pages; `settings` tells clients what they have to know of this source."""

    settings: ClientSettings

    @property
    def process_id(self) -> int | None:
        """Return the process that serves the pages, if this study started it."""
        return None

    def pages(self, round_number: int, count: int) -> list[Page]:
        """Return the pages of a round."""
        raise NotImplementedError

    def check(self) -> bool:
        """Return whether it was stopped since the last call; raises an error if it has ended."""
        return False


@dataclass(frozen=True)
class Embedded(Source):
    """Provide the pages of the embedded origin, which runs."""

    origin_settings: OriginSettings
    url: str
    settings: ClientSettings
    process: subprocess.Popen[str]

    @property
    def process_id(self) -> int:
        """Return the process that serves the pages."""
        return self.process.pid

    def pages(self, round_number: int, count: int) -> list[Page]:
        """Return pages of this round only, with their planned delays."""
        planned_s = self.origin_settings.planned_s
        return [
            Page(page, f"{self.url}/{round_number}/{page}", planned_s(round_number, page) * 1000)
            for page in range(1, count + 1)
        ]

    def check(self) -> bool:
        """Return whether a signal stopped the origin since the last call; raises if it ended."""
        if self.process.poll() is not None:
            raise UserError(
                f"source: the embedded origin ended (status {self.process.returncode}); "
                "the same command goes on with the round that was under way"
            )
        return was_stopped(self.process.pid)


@dataclass(frozen=True)
class Listed(Source):
    """Provide a list of URLs of any server, repeated from its start as often as needed."""

    urls: Sequence[str]
    settings: ClientSettings

    def pages(self, round_number: int, count: int) -> list[Page]:
        """Return the next slice of the list."""
        urls = islice(cycle(self.urls), (round_number - 1) * count, round_number * count)
        return [Page(number, url) for number, url in enumerate(urls, start=1)]


def open_source(
    study: Study, urls: Sequence[str], network: int | None = None
) -> AbstractContextManager[Source]:
    """Open the source of a study; `urls` belong to any source but the embedded origin.

    That one runs in the network that the process `network` holds, or in the system's.
    """
    if study.source == "embedded":
        own = OriginSettings(study.seed, study.latency, study.tls, study.origin_host)
        return _embedded(own, network)
    user_agent = wikipedia.user_agent(study) if study.source == "wikipedia" else None
    return nullcontext(Listed(urls, ClientSettings(user_agent=user_agent)))


def urls_of(study: Study, kept: Path | None = None) -> list[str]:
    """Return the URLs of a source; raises `UserError` for one that cannot be used.

    `kept` is the run's own copy of a file of URLs, without their secrets: the file must still
    hold the same, but may be gone.
    """
    if study.source == "embedded":
        return []
    environment.check_bundle()
    if study.source == "wikipedia":
        if kept is None or not kept.exists():
            return wikipedia.draw(study)
        urls = read_urls(kept)
        wikipedia.check_kept(study, urls, kept)
        return urls
    urls = [study.source] if "://" in study.source else _of_file(study, kept)
    _refuse_ruled(urls)
    return urls


def as_written(study: Study, urls: Sequence[str]) -> list[str]:
    """Return the URLs as they are written: without secrets."""
    return [redacted_item(url, study.keep_query) for url in urls]


def check_real(own: Run, study: Study, urls: Sequence[str]) -> None:
    """Raise `UserError` for URLs without the secrets with which the run began."""
    if any(map(is_redacted, urls)) or count_users(urls) != own.urls_with_user:
        kind = "" if "://" in study.source else "the file "
        raise UserError(
            f"source: {kind}{study.written().source} is needed as it was at first: user names, "
            "passwords and query values are not kept with a run"
        )


def check_unchanged(study: Study, kept: Path) -> None:
    """Raise `UserError` where a file of URLs is not what its run began with; it may be gone."""
    is_file = study.source not in ("embedded", "wikipedia") and "://" not in study.source
    if is_file and kept.exists():
        _of_file(study, kept)


def _of_file(study: Study, kept: Path | None) -> list[str]:
    """Return the URLs of a file; raises `UserError` if they changed since the run began."""
    file = Path(study.source)
    read = read_items if study.only_functions else read_urls
    if kept is None or not kept.exists():
        return read(file)
    if not file.exists():
        return read(kept)
    urls = read(file)
    if as_written(study, urls) != as_written(study, read(kept)):
        raise UserError(
            f"source: {file} has changed since the run {kept.parent.name} began; name another run"
        )
    return urls


def resolve_redirects(url: str, count: str) -> Iterator[str]:
    """Request a URL `count` times and yield the final URLs; raises `UserError` if one fails."""
    import requests

    if not count.isdecimal() or not 1 <= int(count) <= 100_000:
        raise UserError(f"-n: {count} is not a whole number from 1 to 100,000")
    _check_web_url(url, "url: ")
    _refuse_ruled([url])
    environment.check_bundle()
    for _ in range(int(count)):
        try:
            with environment.without_credentials():
                response = requests.get(url, timeout=60, stream=True)
            with response:
                response.raise_for_status()
                _refuse_ruled([response.url])
                yield response.url
        except requests.RequestException as error:
            words = " ".join(redacted_text(str(error), url).split())[:200]
            raise UserError(f"url: {redacted(url)} leads nowhere: {words}") from None


def check_arrival(study: Study, fetches: Sequence[Fetch]) -> None:
    """Raise `UserError` where a source led to a site with rules that it does not keep."""
    if study.source != "wikipedia":
        _refuse_ruled([fetch.final_url for fetch in fetches if fetch.final_url])


def check_answered(folder: Path, own: Run) -> None:
    """Raise `UserError` where every fetch of a run failed, those of each client for one reason."""
    errors: dict[str | None, set[str | None]] = {}
    for row in records.read_fetches(folder):
        if row.arm == "main":
            errors.setdefault(row.client, set()).add(row.error)
    if not errors or any(None in reasons or len(reasons) > 1 for reasons in errors.values()):
        return
    words = ", ".join(dict.fromkeys(str(reason) for [reason] in errors.values()))
    then = "name another run" if own.finished_at else "give the same command again, which goes on"
    what = "items" if own.study.only_functions else "pages"
    raise UserError(
        f"source: every fetch failed ({words}); see that {what} of {own.study.source} can be "
        f"fetched, then {then}; the rounds measured are kept in data/{folder.name}"
    )


def _refuse_ruled(urls: Sequence[str]) -> None:
    for url in filter(wikipedia.has_robot_rules, urls):
        raise UserError(
            f"source: {redacted(url)} is of a site that has rules for robots; use wikipedia, which "
            "keeps them"
        )


def read_urls(path: Path) -> list[str]:
    """Return the URLs of a text file, one per line; blank lines and # comments are skipped."""
    urls = []
    for number, line in enumerate(_lines(path), start=1):
        if (url := line.strip(" \t\r")) and not url.startswith("#"):
            _check_web_url(url, f"source: {path}, line {number}: ")
            urls.append(url)
    if not urls:
        raise UserError(f"source: the file {path} holds no URL; it takes one a line")
    return urls


def read_items(path: Path) -> list[str]:
    """Return the lines of a text file that are not blank, each an item as it is."""
    items = [line for line in _lines(path) if line.strip()]
    if not items:
        raise UserError(f"source: the file {path} holds no item; it takes one a line")
    return items


def _lines(path: Path) -> list[str]:
    """Return the lines of a file, which is UTF-8, with a byte order mark or without.

    Only \\n and \\r\\n end a line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # read as text, lines would end at \r, too
    except (OSError, UnicodeDecodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise UserError(f"source: the file {path} cannot be read: {words}") from None
    return [line.removesuffix("\r") for line in text.split("\n")]


def _check_web_url(url: str, where: str) -> None:
    try:
        web_url(url)
    except ValueError:
        raise UserError(f"{where}{redacted(url)[:100]} is not an http or https URL") from None


@contextmanager
def _embedded(origin_settings: OriginSettings, network: int | None) -> Iterator[Embedded]:
    arguments = [json.dumps(asdict(origin_settings)), str(network or "")]
    with ExitStack() as stack:
        with room_for_temporary_files():
            temporary = tempfile.TemporaryDirectory(prefix="origin-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(temporary))
            log = (folder / "log.txt").open("wb")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", "experiment.measure.origin", str(folder), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Linux shares CPU by session, and browsers take a lot
            )
        stack.callback(_end, process)
        started = _read_start(process, folder)
        settings = ClientSettings(
            bundle=started["bundle"], embedded=True, host=origin_settings.host, network=network
        )
        yield Embedded(origin_settings, started["url"], settings, process)


def _read_start(process: subprocess.Popen[str], folder: Path) -> dict[str, Any]:
    """Return URL and bundle of the origin; raises an error if it did not start."""
    assert process.stdout is not None
    started: dict[str, Any] = json.loads(process.stdout.readline() or "{}")
    if "url" in started:
        return started
    if started.get("errno") in FULL:
        raise no_room()
    if process.wait() == -signal.SIGABRT:  # its event loop goes so, and says nothing
        raise nothing_left("the embedded origin aborted")
    reason = started.get("error") or (folder / "log.txt").read_text()
    raise RuntimeError(f"the embedded origin did not start:\n{reason}")


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(ORIGIN_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
