"""The order of a round's trials: complete, in blocks, balanced, whatever the seed."""

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from experiment.measure import clients, schedule
from experiment.records import TrialKey
from experiment.study import Study
from experiment.vocabulary import BROWSERS, CLIENTS, MODES

FETCHING = ("serial", "threads", "processes")
BLOCKING = [client for client in CLIENTS if "threads" in clients.of(client).modes]


def studies() -> Iterator[Study]:
    """Yield studies and sweeps of many seeds, clients, pool sizes and repeats."""
    chance = random.Random(1)
    for seed in range(100):
        sizes = sorted(chance.sample(range(2, 60), chance.randint(1, 6)))
        yield Study.of(
            {
                "seed": seed,
                "clients": tuple(chance.sample(BLOCKING, chance.randint(1, 4))),
                "modes": FETCHING,
                "reuse": "off",
                "repeats": chance.choice([None, 1, 2, 3, 4, 5]),
                **chance.choice([{"pool_sizes": sizes}, {"pool_size": sizes[0]}]),
            }
        )


def keys_of(study: Study, number: int) -> list[TrialKey]:
    """Return the trials of a round in their order."""
    return list(itertools.chain.from_iterable(schedule.launches(study, number, 2)))


def block(study: Study, number: int, client: str) -> list[TrialKey]:
    """Return a client's trials of the main arm in their order."""
    keys = keys_of(study, number)
    return [key for key in keys if (key.arm, key.client) == ("main", client)]


def test_a_round_has_every_trial_once() -> None:
    for study in studies():
        keys = keys_of(study, 3)
        assert len(set(keys)) == len(keys)
        main = Counter((key.client, key.mode, key.pool_size) for key in keys if key.arm == "main")
        pools = itertools.product(study.clients, ("threads", "processes"), study.sizes)
        assert main == {
            **{(client, "serial", 1): 1 for client in study.clients},
            **{cell: study.repeats_of(cell[0]) for cell in pools},
        }
        controls = Counter(key.arm for key in keys if key.arm != "main")
        costs = {"no_latency": 3, "tls_context": 2, "no_tls": 2}
        own = {"cpu": 3, "startup": 2, "today": 1}
        own["today"] += sum(1 if name in BROWSERS else 2 for name in study.clients)
        own |= costs if "requests" in study.clients else {}
        assert controls == ({} if study.pool_sizes else own)


def test_reuse_and_asyncio_are_measured_beside_the_rest() -> None:
    every = {"clients": "requests httpx2 aiohttp", "modes": " ".join(MODES), "reuse": "on off"}
    for given in ({}, {"pool_sizes": "2 5"}):
        study = Study.of({**every, **given})
        keys = [key for key in keys_of(study, 1) if key.arm == "main"]
        assert {(key.client, key.mode) for key in keys} == {
            *itertools.product(["requests"], ["serial", "threads", "processes", "dask"]),
            *itertools.product(["httpx2"], MODES),
            ("aiohttp", "asyncio"),
        }
        pools = Counter(key.reuse for key in keys if key.mode != "serial")
        assert pools["off"] == pools["on"] == 8 * len(study.sizes)
        serial = Counter(key.reuse for key in keys if key.mode == "serial")
        assert serial == ({"off": 2} if given else {"off": 2, "on": 2})
        assert "today" not in {key.arm for key in keys_of(study, 1)}


def test_today_is_measured_in_pools_that_keep_what_they_open() -> None:
    keys = [key for key in keys_of(Study(), 1) if key.arm == "today"]
    assert {(key.client, key.mode) for key in keys} == {
        *itertools.product(["requests"], ["threads", "processes"]),
        ("phantomjs", "threads"),
        ("aiohttp", "asyncio"),
    }
    assert {key.reuse for key in keys} == {"on"}
    elsewhere = Study(source="https://example.org/", clients=("requests",))
    assert {key.arm for key in keys_of(elsewhere, 1)} == {
        "main", "cpu", "startup",
    }  # fmt: skip


def test_the_trials_of_a_client_or_a_control_are_next_to_each_other() -> None:
    for study in studies():
        runs = [name for name, _ in itertools.groupby(keys_of(study, 1), _block_of)]
        assert len(runs) == len(set(runs))


def _block_of(key: TrialKey) -> tuple[str, str | None]:
    return key.arm, key.client


def test_threads_and_processes_of_a_size_are_neighbours_and_so_are_sizes() -> None:
    for study in studies():
        for client in study.clients:
            keys = [key for key in block(study, 2, client) if key.mode != "serial"]
            pairs = list(zip(keys[::2], keys[1::2], strict=True))
            assert all(one.pool_size == other.pool_size for one, other in pairs)
            assert all({one.mode, other.mode} == {"threads", "processes"} for one, other in pairs)
            firsts = [one.mode for one, _ in pairs[: len(study.sizes)]]
            assert all(one != other for one, other in itertools.pairwise(firsts))
            places = [study.sizes.index(one.pool_size) for one, _ in pairs]
            assert all(abs(one - other) <= 1 for one, other in itertools.pairwise(places))


def first_mode(keys: Sequence[TrialKey], size: int, repeat: int) -> str:
    """Return the pool that goes first of one size in one repeat."""
    place = (size, repeat)
    return next(
        key.mode for key in keys if key.mode != "serial" and (key.pool_size, key.repeat) == place
    )


def pools_before_serial(keys: Sequence[TrialKey]) -> int:
    """Return how many more pools are before serial than after it."""
    before = [key.mode for key in keys].index("serial")
    return before - (len(keys) - 1 - before)


def test_each_order_occurs_as_often_as_its_opposite() -> None:
    for study in studies():
        for client in study.clients:
            blocks = [block(study, number, client) for number in range(1, 12)]
            repeats = range(1, study.repeats_of(client) + 1)
            for size, repeat in itertools.product(study.sizes, repeats):
                firsts = [first_mode(keys, size, repeat) for keys in blocks]
                for rounds in range(1, 12):
                    assert abs(2 * firsts[:rounds].count("threads") - rounds) == rounds % 2
            sides = list(itertools.accumulate(map(pools_before_serial, blocks)))
            one = 2 * len(study.sizes) if len(repeats) % 2 else 0
            assert [abs(side) for side in sides] == [one * (rounds % 2) for rounds in range(1, 12)]


def test_serial_and_pools_alternate_independently() -> None:
    for seed in range(50):
        study = Study(seed=seed, clients=("requests",))
        blocks = [block(study, number, "requests") for number in range(1, 9)]
        orders = [tuple(key.mode for key in keys) for keys in blocks]
        for four in (orders[:4], orders[4:]):
            assert len(set(four)) == 4


def test_a_steady_drift_cancels_within_two_repeats() -> None:
    for seed, number in itertools.product(range(50), (1, 2)):
        keys = block(Study(seed=seed, clients=("phantomjs",)), number, "phantomjs")
        assert len(keys) == 5
        places = {mode: [i for i, key in enumerate(keys) if key.mode == mode] for mode in FETCHING}
        assert {sum(of_mode) / len(of_mode) for of_mode in places.values()} == {2.0}
        assert places["threads"] in ([0, 4], [1, 3])


def test_the_same_arguments_give_the_same_plan_and_other_seeds_other_ones() -> None:
    plans = {}
    for seed in range(100):
        study = Study(seed=seed)
        plan = tuple(tuple(keys_of(study, number)) for number in range(1, 6))
        assert plan == tuple(tuple(keys_of(study, number)) for number in range(1, 6))
        plans[seed] = plan
    assert len(set(plans.values())) == 100
    first = Counter(_block_of(plan[0][0]) for plan in plans.values())
    assert len(first) >= 8
    assert min(first.values()) >= 3  # of 12 expected
    modes = Counter(block(Study(seed=seed), 1, "requests")[0].mode for seed in range(100))
    assert modes["serial"] == pytest.approx(50, abs=20)
    assert modes["threads"] == pytest.approx(25, abs=15)


def test_a_study_without_some_modes_has_their_trials_nowhere() -> None:
    for modes in (("serial",), ("threads",), ("threads", "processes"), ("processes", "serial")):
        study = Study(modes=modes)
        launches = schedule.launches(study, 1, 2)
        assert {key.mode for keys in launches for key in keys} - {"asyncio"} == {*modes}
        together = [keys for keys in launches if len(keys) > 1]
        assert bool(together) == ({"threads", "processes"} <= {*modes})


def test_the_cpu_control_is_one_launch_with_processes_first_and_needs_two_cores() -> None:
    for number in range(1, 9):
        [cpu] = [keys for keys in schedule.launches(Study(), number, 4) if keys[0].arm == "cpu"]
        assert cpu[0].mode == "processes"
        assert {(key.mode, key.pool_size) for key in cpu} == {
            ("serial", 1), ("threads", 4), ("processes", 4),
        }  # fmt: skip
    assert "cpu" not in {keys[0].arm for keys in schedule.launches(Study(), 1, 1)}
