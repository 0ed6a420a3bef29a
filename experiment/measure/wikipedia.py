"""Fetch from live Wikipedia by its rules for robots.

Its robot policy, User-Agent policy and robots.txt (as found in 2026) ask for fewer than ten
requests at once and fewer than twenty a second, five for a browser that runs scripts; for a
User-Agent that names the program and a contact; to stay away from Special pages; and to wait as
told after a 429 or 503.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from pydantic import AnyUrl, ValidationError

from experiment.errors import UserError
from experiment.measure import environment
from experiment.measure.rate_limit import REFUSALS, wait_s
from experiment.redaction import redacted
from experiment.study import Study, version
from experiment.vocabulary import BROWSERS, ClientName

PROJECTS = (
    "wikipedia", "wikimedia", "wiktionary", "wikibooks", "wikidata", "wikinews", "wikiquote",
    "wikisource", "wikiversity", "wikivoyage", "mediawiki",
)  # fmt: skip
"""Domains (.org) whose pages these rules are for."""

STARTS_A_SECOND, BROWSER_STARTS_A_SECOND = 18.0, 5.0
TITLES_A_REQUEST = 500
MOST_REFUSALS = 3


def starts_a_second(client: ClientName) -> float:
    """Return how many fetches a client may start in a second."""
    return BROWSER_STARTS_A_SECOND if client in BROWSERS else STARTS_A_SECOND


def user_agent(study: Study) -> str:
    """Return the User-Agent header, to which the client adds its library."""
    return f"threads-or-processes/{version()} ({study.contact})"


def has_robot_rules(url: str) -> bool:
    """Return whether a URL belongs to a site with these rules."""
    try:
        host = (AnyUrl(url).host or "").rstrip(".").rsplit(".", 2)
    except ValidationError:  # nobody can be there
        return False
    return host[-1] == "org" and len(host) > 1 and host[-2] in PROJECTS


def draw(study: Study) -> list[str]:
    """Draw URLs of random articles through the API, one for each page of each round."""
    count = study.rounds * study.pages
    titles: list[str] = []
    while len(titles) < count:
        titles += _titles(study, min(TITLES_A_REQUEST, count - len(titles)))
    return [f"https://{study.wiki}/wiki/{quote(title.replace(' ', '_'))}" for title in titles]


def check_kept(study: Study, urls: Sequence[str], kept: Path) -> None:
    """Raise `UserError` unless all URLs are articles of the study's wiki."""
    start = f"https://{study.wiki}/wiki/"
    for number, url in enumerate(urls, start=1):
        if not url.startswith(start) or "special:" in url.lower():
            raise UserError(
                f"source: {kept}, line {number}: {redacted(url)[:100]} is no article of {start}"
            )


def _titles(study: Study, count: int) -> list[str]:
    """Return the titles of one request; waits as the server asks."""
    import requests

    query = f"action=query&format=json&list=random&rnnamespace=0&rnlimit={count}"
    headers = {"User-Agent": f"{user_agent(study)} {requests.utils.default_user_agent()}"}
    address = f"https://{study.wiki}/w/api.php"
    try:
        for refusals in range(1, MOST_REFUSALS + 1):
            with environment.without_credentials():
                response = requests.get(address, query, headers=headers, timeout=study.timeout)
            if response.status_code not in REFUSALS:
                response.raise_for_status()
                titles = [str(page["title"]) for page in response.json()["query"]["random"]]
                if not titles:
                    raise ValueError("the list is empty")
                return titles[:count]
            seconds = wait_s(response.headers.get("Retry-After"))
            if refusals < MOST_REFUSALS:
                pause(study.wiki, seconds)
    except (requests.RequestException, KeyError, TypeError, ValueError) as error:
        words = " ".join(f"{type(error).__name__} {error}".split())[:200]
        raise UserError(f"wiki: {address} gave no titles: {words}") from None
    raise refused(study, seconds)


def pause(wiki: str, seconds: float) -> None:
    """Wait as told."""
    print(f"\n{wiki} asks to wait {seconds:.0f} s", file=sys.stderr)
    time.sleep(seconds)


def refused(study: Study, seconds: float) -> UserError:
    """Return the error that ends a study after too many refusals."""
    return UserError(
        f"source: {study.wiki} refused {MOST_REFUSALS} times; finished rounds are kept, the same "
        f"command goes on, not before {seconds:.0f} s have passed"
    )
