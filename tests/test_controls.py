"""The controls, done for real in real pools."""

import multiprocessing
import subprocess
import sys

import pytest

from experiment.measure import controls
from experiment.measure.modes import workers
from experiment.study import PROJECT
from experiment.vocabulary import Mode, StartMethod


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_a_function_without_wraps_goes_to_threads_only(start_method: StartMethod) -> None:
    with workers("threads", 2, start_method, controls.nothing) as pool:
        assert controls.pickling_error(pool) is None
    with workers("processes", 2, start_method, controls.nothing) as pool:
        error = controls.pickling_error(pool)
    assert error is not None
    assert "wrapper" in error
    assert error.partition(":")[0] in ("AttributeError", "PicklingError")


def test_the_decorators_differ_by_wraps_alone() -> None:
    assert controls.with_wraps(3)[1] == controls.without_wraps(3)[1] == 3
    assert controls.with_wraps.__name__ == "with_wraps"
    assert controls.without_wraps.__name__ == "wrapper"


@pytest.mark.parametrize(("mode", "size"), [("serial", 1), ("threads", 2), ("processes", 2)])
def test_the_same_work_is_done_in_every_mode(
    mode: Mode, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controls, "SQUARES", 4_000_000)
    with workers(mode, size, None, controls.nothing) as pool:
        span_s = controls.square_all(pool, 2)
        below = len(multiprocessing.active_children())
    assert 0.02 < span_s < 20
    assert below == (size if mode == "processes" else 0)


def test_all_squares_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    def note(count: int) -> tuple[float, float]:
        """Take down how much was asked for."""
        done.append(count)
        return float(len(done)), len(done) + 0.5

    monkeypatch.setattr(controls, "square", note)
    with workers("serial", 1, None, controls.nothing) as pool:
        assert controls.square_all(pool, 3) == pytest.approx(11.5)
    assert len(done) == 12
    assert sum(done) == controls.SQUARES


def test_a_starting_worker_imports_what_a_fetch_needs() -> None:
    program = "import sys; from experiment.measure import controls; controls.import_clients(); "
    program += "print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert {"requests", "selenium.webdriver.remote.webdriver"} <= set(ended.stdout.split())


def test_both_pools_have_public_methods_to_compare() -> None:
    found = controls.interfaces()
    assert set(found) == {"Pool", "ThreadPool"}
    assert "map(self, func, iterable, chunksize=None)" in found["ThreadPool"]
    assert not any(method.startswith("_") for method in found["Pool"])
