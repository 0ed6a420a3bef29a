"""The deadlines of fetches: one thread of a process watches all of them."""

import os
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from experiment.measure.clients.base import Deadline


def watchdogs() -> int:
    """Return how many watchdogs run in this process."""
    return sum(thread.name == "watchdog" for thread in threading.enumerate())


def seconds_until_stopped(timeout_s: float) -> float:
    """Return how long a fetch takes that ends only when its deadline stops it."""
    begun, stopped = time.monotonic(), threading.Event()
    with Deadline(timeout_s) as deadline:
        deadline.stop = stopped.set
        assert stopped.wait(20)
    assert deadline.passed
    return time.monotonic() - begun


def test_each_fetch_is_stopped_at_its_own_deadline() -> None:
    """The longest begins first, so that each other one has to wake the watchdog earlier."""
    limits_s = [60.0, 0.5, 0.4, 0.3, 0.2, 0.1]
    with Deadline(limits_s[0]) as longest, ThreadPoolExecutor(len(limits_s)) as workers:
        running = [workers.submit(seconds_until_stopped, limit_s) for limit_s in limits_s[1:]]
        taken_s = [item.result() for item in running]
        assert watchdogs() == 1
    assert not longest.passed
    for limit_s, seconds in zip(limits_s[1:], taken_s, strict=True):
        assert limit_s <= seconds < limit_s + 5


def test_a_fetch_begun_while_the_watchdog_has_nothing_to_do_is_stopped() -> None:
    assert 0.1 <= seconds_until_stopped(0.1) < 5
    time.sleep(0.3)  # it has looked again meanwhile, and waits for the next fetch
    assert 0.1 <= seconds_until_stopped(0.1) < 5


def test_a_fetch_is_stopped_again_until_it_gives_up_and_never_after() -> None:
    stops: list[float] = []
    with Deadline(0.05) as deadline:
        deadline.stop = lambda: stops.append(time.monotonic())
        while len(stops) < 3:
            time.sleep(0.01)
    ended = len(stops)
    time.sleep(0.3)
    assert len(stops) == ended
    deadline.expire()  # the watchdog may have been about to
    assert len(stops) == ended


def test_nothing_is_kept_of_a_fetch_that_is_over() -> None:
    with Deadline(60.0) as deadline:
        kept = weakref.ref(deadline)
    del deadline
    assert kept() is None


def test_a_fetch_does_not_end_while_it_is_being_stopped() -> None:
    begun, ended = threading.Event(), threading.Event()

    def stop() -> None:
        begun.set()
        time.sleep(0.2)
        ended.set()

    with Deadline(0.0) as deadline:
        deadline.stop = stop
        assert begun.wait(20)
    assert ended.is_set()


def test_a_fetch_in_time_is_not_stopped() -> None:
    with Deadline(0.2) as deadline:
        deadline.stop = lambda: pytest.fail("it was stopped")
    time.sleep(0.4)
    assert not deadline.passed


def test_a_stop_that_fails_does_not_end_the_watchdog(capfd: pytest.CaptureFixture[str]) -> None:
    with Deadline(0.0) as deadline:
        deadline.stop = lambda: 1 / 0
        assert seconds_until_stopped(0.2) < 5
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_hundreds_of_threads_share_the_watchdog() -> None:
    def many(_: int) -> bool:
        for _ in range(20):
            with Deadline(30.0) as deadline:
                time.sleep(0.001)
        return deadline.passed

    with ThreadPoolExecutor(500) as workers:
        late = workers.submit(seconds_until_stopped, 0.5)
        assert not any(workers.map(many, range(499)))
        assert late.result() < 5
    assert watchdogs() == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_process_has_a_watchdog_of_its_own() -> None:
    with Deadline(30.0):  # the parent's watchdog runs, with a fetch to watch
        child = os.fork()
        if not child:
            status = 1
            try:
                status = 0 if seconds_until_stopped(0.1) < 5 and watchdogs() == 1 else 2
            finally:
                os._exit(status)
    limit = time.monotonic() + 10
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > limit:
            os.kill(child, 9)
        time.sleep(0.02)
    assert ended[1] == 0
