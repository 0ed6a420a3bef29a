"""Ask Selenium Grid what it has, time its queue, and end the sessions that a trial left there.

A session carries the name of its trial and the number of its page. So a supervisor finds it in
the Grid's queue while it waits for a slot, and then in the Grid's own status.
"""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

if TYPE_CHECKING:
    from experiment.study import Study

NAME = "se:name"
"""The capability in which Selenium Grid keeps a session's name."""

SAMPLE_EVERY_S = 0.05
"""How often the queue is read."""

ANSWER_S, LATE_S, LONGEST_S = 10, 2.0, 60.0
"""How long a Grid may take to answer; how long after its trial a session may come; how long that
is waited for at most, since others may ask for sessions, too."""


class GridService:
    """Stand for a driver program that a Grid runs: there is nothing to start, a session to end."""

    process = None

    def __init__(self, address: str, name: str) -> None:
        self.service_url = address
        self.name = name
        self.session: str | None = None

    def start(self) -> None:
        """Do nothing: the Grid starts the driver."""

    def stop(self) -> None:
        """End the session, which may have ended."""
        if self.session is not None:
            end_session(self.service_url, self.session)
            self.session = None


def name_of(trial: str, page: int) -> str:
    """Return the name of the session that a trial asks for, to fetch a page."""
    return f"{trial}/{page}"


def check(study: "Study") -> None:
    """Raise `UserError` where a Grid does not answer or has too few slots for the study."""
    from experiment.errors import UserError

    assert study.grid is not None
    try:
        nodes = _nodes(study.grid)
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"grid: no Selenium Grid answers at {study.grid}; start it with "
            "`java -jar selenium-server.jar standalone`"
        ) from None
    for client in study.at_grid:
        size = 1 if study.modes == ("serial",) else max(study.sizes)
        slots = _slots(nodes, client)
        if not slots:
            raise UserError(f"grid: {study.grid} has no slot for {client}")
        if slots < size:
            raise UserError(
                f"{study.size_parameter}: {size} workers need as many browsers, and "
                f"{study.grid} has {slots} slots for {client}"
            )


def description(address: str, browser: str) -> str:
    """Return the version of a Grid, as its first node says it, and its slots for a browser."""
    nodes = _nodes(address)
    version = str(nodes[0]["version"]).split()[0]
    return f"Selenium Grid {version} with {_slots(nodes, browser)} slots"


class QueueSampler:
    """Measure how long the requests of a trial wait in the queue of its Grid."""

    def __init__(self, address: str, trial: str) -> None:
        self._address, self._trial = address, trial
        self._waited_s: Counter[int] = Counter()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(SAMPLE_EVERY_S):
            with suppress(OSError, ValueError, KeyError):
                pages = _queued_pages(self._address, self._trial)
                now = time.monotonic()
                self._waited_s.update(dict.fromkeys(pages, now - before))
                before = now

    def end(self) -> dict[int, float]:
        """Stop, and return the seconds by number of the page; one that never waited is left out.

        Each sample that saw a request adds the time since the sample before: what a page waited
        is wrong by up to that time, and right on average.
        """
        self._ended.set()
        self._thread.join()
        return dict(self._waited_s)


def of_trial(folder: Path) -> tuple[str, str] | None:
    """Return the address of the Grid that a trial uses, if it does, and the trial's name there."""
    settings = json.loads((folder / "plan.json").read_text())["settings"]
    return (settings["grid"], settings["session_name"]) if settings["grid"] else None


def end_sessions(address: str, trial: str, has_ended_well: bool) -> None:
    """End the sessions that a trial has left; if it was cut off, also late ones."""
    with suppress(OSError, ValueError, KeyError):
        _end_sessions(address, trial, has_ended_well)


def end_session(address: str, session: str) -> None:
    """End a session, if it is there."""
    with suppress(OSError, ValueError):
        _ask("DELETE", f"{address}/session/{session}")


def _end_sessions(address: str, trial: str, has_ended_well: bool) -> None:
    """End the sessions of a trial, until none has come for a while.

    A session that a Grid is making has no name yet: its slot says "reserved".
    """
    limit = time.monotonic() + LONGEST_S
    until = time.monotonic() + (0 if has_ended_well else LATE_S)
    while time.monotonic() < limit:
        found = list(_sessions(address, trial))
        for session in found:
            end_session(address, session)
        if found or (not has_ended_well and _are_coming(address, trial)):
            until = time.monotonic() + LATE_S
        elif time.monotonic() >= until:
            return
        time.sleep(0.1)


def _are_coming(address: str, trial: str) -> bool:
    """Return whether such a session is asked for in the queue, or any is being made."""
    slots = (slot for node in _nodes(address) for slot in node["slots"])
    made = any(slot["session"] and slot["session"]["sessionId"] == "reserved" for slot in slots)
    return made or bool(_queued_pages(address, trial))


def _queued_pages(address: str, trial: str) -> set[int]:
    """Return the numbers of the pages for which a trial waits for a browser."""
    queue = _ask("GET", f"{address}/se/grid/newsessionqueue/queue")["value"]
    return {int(page) for page in re.findall(rf"{trial}/(\d+)", json.dumps(queue))}


def _sessions(address: str, trial: str) -> Iterator[str]:
    for node in _nodes(address):
        for slot in node["slots"]:
            session = slot["session"]
            if session and str(session["capabilities"].get(NAME)).startswith(f"{trial}/"):
                yield session["sessionId"]


def _slots(nodes: list[dict[str, Any]], browser: str) -> int:
    """Return how many sessions of a browser the nodes can have at once."""
    return sum(
        min(
            node["maxSessions"],
            sum(slot["stereotype"].get("browserName") == browser for slot in node["slots"]),
        )
        for node in nodes
    )


def _nodes(address: str) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = _ask("GET", f"{address}/status")["value"]["nodes"]
    return [node for node in nodes if node["availability"] == "UP"]


def _ask(method: str, url: str) -> Any:
    """Send a request past any proxy; returns its answer, read as JSON."""
    request = Request(url, method=method)  # noqa: S310
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=ANSWER_S) as answer:
            return json.load(answer)
    except HTTPError as error:
        return json.load(error)
