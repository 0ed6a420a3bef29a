"""The embedded origin: the same bytes and delays each time, told truly, and gone at the end."""

import hashlib
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import certifi
import psutil
import pytest
import requests

from experiment.measure import sources
from experiment.measure.clients.base import server_timing_ms
from experiment.measure.origin import OriginSettings
from experiment.study import Study
from tests.conftest import eventually

QUANTILES = {0.05: 27_458, 0.25: 33_125, 0.50: 41_277, 0.75: 57_615, 0.95: 115_020}
"""Page lengths (characters) of the article's 300 pages."""


@pytest.mark.parametrize("tls", [True, False])
def test_pages_are_the_same_each_time_and_late_as_planned(tls: bool) -> None:
    study = Study(tls=tls, pages=4)
    seen = []
    for _ in range(2):
        with sources.open_source(study, []) as source:
            for page in source.pages(3, study.pages):
                answer = requests.get(page.url, verify=source.settings.bundle or True, timeout=10)
                assert answer.status_code == 200
                assert page.planned_ms is not None
                told = server_timing_ms(answer.headers["Server-Timing"])
                assert told == pytest.approx(page.planned_ms, abs=30)
                assert answer.elapsed.total_seconds() * 1000 >= page.planned_ms - 2
                seen.append((page.number, page.planned_ms, hashlib.sha256(answer.content).digest()))
    assert seen[:4] == seen[4:]
    assert len({digest for _, _, digest in seen}) == 4


def test_no_page_is_early() -> None:
    """The delays then bound the time of all pages from below."""
    with sources.open_source(Study(tls=False, latency=0.1), []) as source:
        pages = source.pages(1, 60)
        with ThreadPoolExecutor(6) as workers:
            answers = list(workers.map(lambda page: requests.get(page.url, timeout=10), pages))
    for page, answer in zip(pages, answers, strict=True):
        told_ms, planned_ms = server_timing_ms(answer.headers["Server-Timing"]), page.planned_ms
        assert told_ms is not None
        assert planned_ms is not None
        assert told_ms >= planned_ms - 0.001  # it is told to the microsecond


def test_a_page_brings_a_style_sheet_a_script_and_four_images() -> None:
    with sources.open_source(Study(tls=False, latency=0), []) as source:
        [page] = source.pages(1, 1)
        text = requests.get(page.url, timeout=10).text
        root = page.url.rsplit("/", 2)[0]
        assert text.count("<img ") == 4
        for path, kind in (
            ("/style.css", "text/css"),
            ("/script.js", "text/javascript"),
            ("/image/0.png", "image/png"),
        ):
            assert path in text
            answer = requests.get(root + path, timeout=10)
            assert answer.headers["Content-Type"].startswith(kind)
        assert requests.get(f"{root}/nothing", timeout=10).status_code == 404


def test_the_certificate_is_verified() -> None:
    with sources.open_source(Study(), []) as source:
        [page] = source.pages(1, 1)
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(page.url, verify=certifi.where(), timeout=10)


def test_delays_and_lengths_are_spread_as_in_the_article() -> None:
    with_tls, without = (OriginSettings(seed=1, latency=1.0, tls=tls) for tls in (True, False))
    delays = [without.planned_s(number, 1) for number in range(4_000)]
    assert statistics.mean(delays) == pytest.approx(0.233, abs=0.008)
    assert with_tls.planned_s(7, 7) == pytest.approx(without.planned_s(7, 7) - 0.030)
    assert OriginSettings(1, 0.0, True).planned_s(7, 7) == 0
    lengths = sorted(len(without.html(1, page)) for page in range(3_000))
    for share, length in QUANTILES.items():
        assert lengths[int(share * len(lengths))] == pytest.approx(length, rel=0.12)


def test_rounds_have_pages_of_their_own() -> None:
    behaviour = OriginSettings(seed=1, latency=1.0, tls=True)
    assert behaviour.planned_s(1, 1) != behaviour.planned_s(2, 1)
    assert behaviour.html(1, 1) != behaviour.html(2, 1)


def test_the_origin_ends_with_its_user_and_takes_its_files_along() -> None:
    with sources.open_source(Study(), []) as source:
        assert isinstance(source, sources.Embedded)
        process = psutil.Process(source.process.pid)
        bundle = source.settings.bundle
        assert bundle is not None
        source.process.stdin.close()  # type: ignore[union-attr]
        assert eventually(lambda: not process.is_running() or process.status() == "zombie", 5)
        assert eventually(lambda: not Path(bundle).exists(), 5)
