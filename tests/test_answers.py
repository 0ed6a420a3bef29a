"""The committed runs give the answers that they gave when they were measured."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from experiment import load
from experiment.analysis import claims, sweeps
from experiment.analysis.summary import Estimate
from experiment.analysis.sweeps import SizeResult
from experiment.study import PROJECT

ANSWERS = json.loads(Path(__file__).with_name("expected").joinpath("answers.json").read_text())
"""Verdicts and estimates of the committed runs; `article_2018` was rounded to six decimals."""


def assert_same(value: Any, expected: Any, rel: float = 1e-9) -> None:
    """Compare nested values; numbers may differ in their last digits."""
    if isinstance(expected, dict):
        for name, item in expected.items():
            assert_same(value[name], item, 1e-4 if name == "article_2018" else rel)
    elif isinstance(expected, list):
        assert len(value) == len(expected)
        for one, other in zip(value, expected, strict=True):
            assert_same(one, other, rel)
    elif isinstance(expected, float):
        assert value == pytest.approx(expected, rel=rel, nan_ok=True)
    else:
        assert value == expected


@pytest.mark.parametrize("name", ["reference", "reference-tls-off"])
def test_verdicts_and_numbers_are_the_same(name: str) -> None:
    rows = claims.rows(claims.judge(load(PROJECT / "data" / name)))
    assert_same(json.loads(json.dumps(rows)), ANSWERS[name])


def _plain(value: Any) -> Any:
    """Return an estimate with its intervals, as plain values."""
    if not isinstance(value, Estimate):
        return value
    names = ("value", "rounds", "ci99", "ci95", "ci90")
    return {name: getattr(value, name) for name in names}


def _sizes(name: str) -> list[dict[str, Any]]:
    sizes = sweeps.compare_sizes(load(PROJECT / "data" / name))
    names = [item.name for item in fields(SizeResult)]
    return [{item: _plain(getattr(size, item)) for item in names} for size in sizes]


def test_the_sizes_of_the_sweep_are_the_same() -> None:
    found = json.loads(json.dumps(_sizes("reference-sweep")))
    assert_same(found, ANSWERS["reference-sweep"])
