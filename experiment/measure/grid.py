"""Ask Selenium Grid what it has, time its queue, and end the sessions that a trial left there.

A session carries the name of its trial and the number of its page. So a supervisor finds it in
the Grid's queue while it waits for a slot, and then in the Grid's own status.
"""

import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

if TYPE_CHECKING:
    from experiment.study import Study

NAME = "se:name"
"""The capability in which Selenium Grid keeps a session's name."""

SAMPLE_EVERY_S, SAMPLE_ANSWER_S = 0.1, 1.0
"""The pause between two readings of the queue, and how long one may take.

With this pause they cost a Grid 1.4 % of a core, with half of it 3.6 %.
"""

ANSWER_S, LATE_S, LONGEST_S = 10.0, 2.0, 60.0
"""How long a Grid may take to answer; how long after its trial a session may come; how long that
is waited for at most, since others may ask for sessions, too."""


NO_ANSWER = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError),
    HTTPException,
)
"""What is raised where a Grid does not answer, or answers what no Grid would."""


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
        slots_of = {client: _slots(nodes, client) for client in study.at_grid}
    except NO_ANSWER:
        raise UserError(
            f"grid: no Selenium Grid answers at {study.grid}; start it with "
            "`java -jar selenium-server.jar standalone`"
        ) from None
    size = 1 if study.modes == ("serial",) else max(study.sizes)
    for client, slots in slots_of.items():
        if not slots:
            raise UserError(f"grid: {study.grid} has no slot for {client}")
        if slots < size:
            raise UserError(
                f"{study.size_parameter}: {size} workers need as many browsers, and "
                f"{study.grid} has {slots} for {client}"
            )


def version(address: str) -> str:
    """Return the version of a Grid, as its first node says it."""
    words = _nodes(address)[0]["version"]
    return f"Selenium Grid {str(words).split()[0]}"


class QueueSampler:
    """Measure how long the requests of a trial wait in the queue of its Grid."""

    def __init__(self, address: str, trial: str) -> None:
        self._address, self._trial = address, trial
        self._waited_s: defaultdict[int, float] = defaultdict(float)
        self._answered = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(SAMPLE_EVERY_S):
            pages: set[int] = set()
            with suppress(*NO_ANSWER):
                pages = _queued_pages(self._address, self._trial, SAMPLE_ANSWER_S)
                self._answered = True
            now = time.monotonic()
            for page in pages:
                self._waited_s[page] += now - before
            before = now

    def end(self) -> dict[int, float] | None:
        """Stop, and return the seconds by number of the page; None if the Grid never answered.

        A page that was never seen in the queue is left out. Each sample that saw its request adds
        the time since the sample before, so a page's wait is wrong by up to that time, and right
        on average.
        """
        self._ended.set()
        self._thread.join(2 * SAMPLE_ANSWER_S)
        return dict(self._waited_s) if self._answered else None


def of_trial(folder: Path) -> tuple[str, str] | None:
    """Return the address of the Grid that a trial uses, if it does, and the trial's name there."""
    settings = json.loads((folder / "plan.json").read_text())["settings"]
    return (settings["grid"], settings["session_name"]) if settings["grid"] else None


def end_sessions(address: str, trial: str, has_ended_well: bool) -> None:
    """End the sessions that a trial has left; if it was cut off, also late ones."""
    with suppress(*NO_ANSWER):
        _end_sessions(address, trial, has_ended_well)


def end_session(address: str, session: str) -> None:
    """End a session, if it is there."""
    with suppress(*NO_ANSWER):
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


def _queued_pages(address: str, trial: str, answer_s: float = ANSWER_S) -> set[int]:
    """Return the numbers of the pages for which a trial waits for a browser."""
    queue = _ask("GET", f"{address}/se/grid/newsessionqueue/queue", answer_s)["value"]
    if not isinstance(queue, list):  # an error, or no Grid
        raise TypeError(queue)
    return {int(page) for page in re.findall(rf"{re.escape(trial)}/(\d+)", json.dumps(queue))}


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


@cache
def _past_proxies() -> OpenerDirector:
    """Return what opens URLs; to make it reads certificates, which takes time."""
    return build_opener(ProxyHandler({}))


def _ask(method: str, url: str, answer_s: float = ANSWER_S) -> Any:
    """Send a request past any proxy; returns its answer, read as JSON."""
    request = Request(url, method=method)  # noqa: S310
    try:
        with _past_proxies().open(request, timeout=answer_s) as answer:
            return json.load(answer)
    except HTTPError as error:
        return json.load(error)
