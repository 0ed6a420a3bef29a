"""What becomes of a trial, told through its real supervisor: ended well, badly, or not at all."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest

from experiment.fetches import Page
from experiment.measure import launch
from experiment.measure.clients.base import ClientSettings
from experiment.measure.trial import Outcome, Plan
from experiment.vocabulary import Mode
from tests.conftest import eventually
from tests.servers import Server


def plan_of(url: str) -> Plan:
    """Return the plan of a trial whose one worker asks for a URL."""
    return Plan(
        arm="main",
        client="requests",
        mode="threads",
        pool_size=1,
        chunk_size=1,
        start_method=None,
        timeout_s=30,
        settings=ClientSettings(),
        starts_a_second=None,
        pages=[Page(1, url)],
        cores=1,
        seed="",
    )


def below() -> list[psutil.Process]:
    """Return whatever this process has started, directly or not."""
    return psutil.Process().children(recursive=True)


@pytest.fixture(autouse=True)
def _leaves_no_process() -> Iterator[None]:
    """Check that a test leaves no process; earlier tests may have, such as a forkserver."""
    before = set(below())
    yield
    assert not set(below()) - before


def trial_process() -> psutil.Process:
    """Return the trial that runs."""
    for process in below():
        with suppress(psutil.Error):
            if "experiment.measure.trial" in process.cmdline()[:3]:
                return process
    raise LookupError("no trial runs")


def test_a_trial_that_ends_well_has_an_outcome(server: Server) -> None:
    launched = launch.launch(plan_of(server.url("page")))
    assert launched.outcome.reason is None
    assert [fetch.error for fetch in launched.outcome.fetches] == [None]
    assert launched.cpu_s is not None
    assert launched.cpu_s > (launched.outcome.startup_cpu_s or 0) > 0
    assert launched.outcome.origin_cpu_s is None
    assert launched.suspended is None


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (psutil.Process.kill, "it was ended by SIGKILL"),
        (psutil.Process.terminate, "it ended with status 143"),
    ],
)
def test_a_trial_that_is_ended_says_by_what(
    server: Server, end: Callable[[psutil.Process], None], reason: str
) -> None:
    with ThreadPoolExecutor() as executor:
        launched = executor.submit(launch.launch, plan_of(server.url("silent")))
        assert eventually(lambda: server.asked, 20)
        end(trial_process())
        assert launched.result(20).outcome == Outcome(reason=reason)


@pytest.mark.parametrize(
    ("mode", "threads"),
    [
        ("threads", [1 + 3 + 4 + 1]),  # the main one, the pool's own, its workers, the watchdog
        ("processes", [1 + 1] * 4),
    ],
)
def test_the_fetches_of_a_process_have_one_watchdog(
    server: Server, mode: Mode, threads: list[int]
) -> None:
    pages = [Page(number, server.url("silent")) for number in range(4)]
    plan = replace(plan_of(""), mode=mode, pool_size=4, pages=pages, timeout_s=3)
    with ThreadPoolExecutor() as executor:
        launched = executor.submit(launch.launch, plan)
        assert eventually(lambda: len(server.asked) == 4, 20)
        trial = trial_process()
        workers = trial.children() if mode == "processes" else [trial]
        seen = [worker.num_threads() for worker in workers]
        fetches = launched.result(30).outcome.fetches
    assert seen == threads
    assert [fetch.error for fetch in fetches] == ["timeout"] * 4


def test_a_trial_that_takes_too_long_is_ended(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "time_limit_s", lambda _plan: 2.0)
    launched = launch.launch(plan_of(server.url("silent")))
    assert launched.outcome == Outcome(reason="it took longer than 2 s")


def test_an_error_of_our_own_keeps_its_traceback(server: Server) -> None:
    impossible = replace(plan_of(server.url("page")), pool_size=-1)
    with pytest.raises(RuntimeError, match=r"(?s)a trial failed unexpectedly.*at least 1"):
        launch.launch(impossible)
