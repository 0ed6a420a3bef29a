"""Ask Selenium Grid what it has, and end the sessions that a trial left there.

A session carries the name of its trial, so a supervisor finds it in the Grid's own status.
"""

import json
import time
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

ANSWER_S, LATE_S, LONGEST_S = 10, 2.0, 60.0
"""How long a Grid may take to answer; how long after its trial a session may come; how long that
is waited for at most, since others may ask for sessions, too."""


class GridService:
    """Stand for a driver program that a Grid runs: there is nothing to start, a session to end."""

    process = None

    def __init__(self, address: str) -> None:
        self.service_url = address
        self.session: str | None = None

    def start(self) -> None:
        """Do nothing: the Grid starts the driver."""

    def stop(self) -> None:
        """End the session, which may have ended."""
        if self.session is not None:
            end_session(self.service_url, self.session)
            self.session = None


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
        slots = sum(min(node["maxSessions"], _slots(node, client)) for node in nodes)
        if not slots:
            raise UserError(f"grid: {study.grid} has no slot for {client}")
        if slots < size:
            raise UserError(
                f"{study.size_parameter}: {size} workers need as many browsers, and "
                f"{study.grid} has {slots} slots for {client}"
            )


def version(address: str) -> str:
    """Return the version of a Grid, as its first node says it."""
    words = _nodes(address)[0]["version"]
    return f"Selenium Grid {str(words).split()[0]}"


def end_sessions_of(folder: Path, has_ended_well: bool) -> None:
    """End the sessions that the trial of a folder has left; if it was cut off, also late ones."""
    with suppress(OSError, ValueError, KeyError):
        settings = json.loads((folder / "plan.json").read_text())["settings"]
        if settings["grid"]:
            _end_sessions(settings["grid"], settings["session_name"], has_ended_well)


def end_session(address: str, session: str) -> None:
    """End a session, if it is there."""
    with suppress(OSError, ValueError):
        _ask("DELETE", f"{address}/session/{session}")


def _end_sessions(address: str, name: str, has_ended_well: bool) -> None:
    """End the sessions of that name, until none has come for a while.

    A session that a Grid is making has no name yet: its slot says "reserved".
    """
    limit = time.monotonic() + LONGEST_S
    until = time.monotonic() + (0 if has_ended_well else LATE_S)
    while time.monotonic() < limit:
        found = list(_sessions(address, name))
        for session in found:
            end_session(address, session)
        if found or (not has_ended_well and _are_coming(address, name)):
            until = time.monotonic() + LATE_S
        elif time.monotonic() >= until:
            return
        time.sleep(0.1)


def _are_coming(address: str, name: str) -> bool:
    """Return whether such a session is asked for in the queue, or any is being made."""
    asked = _ask("GET", f"{address}/se/grid/newsessionqueue/queue")["value"]
    slots = (slot for node in _nodes(address) for slot in node["slots"])
    made = any(slot["session"] and slot["session"]["sessionId"] == "reserved" for slot in slots)
    return made or name in json.dumps(asked)


def _sessions(address: str, name: str) -> Iterator[str]:
    for node in _nodes(address):
        for slot in node["slots"]:
            session = slot["session"]
            if session and session["capabilities"].get(NAME) == name:
                yield session["sessionId"]


def _slots(node: dict[str, Any], browser: str) -> int:
    return sum(slot["stereotype"].get("browserName") == browser for slot in node["slots"])


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
