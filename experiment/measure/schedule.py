"""Plan a round: which trials it has, in which order, and how long each will take, roughly.

Nothing is read or measured here: the same arguments always give the same plan.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from experiment.measure import clients, functions
from experiment.measure.controls import CPU_MODES, STARTUP_WORKERS
from experiment.measure.modes import has_processes
from experiment.records import TrialKey
from experiment.study import Study
from experiment.vocabulary import ARTICLE_PAIR, BROWSERS, CONTROLLED, Arm, ClientName, Mode, Reuse

CONTROLS_OF_REQUESTS: tuple[Arm, ...] = ("no_latency", "tls_context", "no_tls")


def launches(study: Study, number: int, cores: int) -> list[tuple[TrialKey, ...]]:
    """Return the trials of a round in their order; those of one launch are measured together.

    The trials of a client are next to each other, since the speed of a machine changes with time,
    and so are those of a control. These blocks are in random order.
    """
    blocks = list(control_blocks(study, number, cores))
    for client in study.clients:
        blocks.append([(key,) for key in client_trials(study, number, client)])
    random.Random(f"{study.seed}/{number}").shuffle(blocks)
    return list(itertools.chain.from_iterable(blocks))


def client_trials(study: Study, number: int, client: ClientName) -> list[TrialKey]:
    """Return the trials of a client in a round: serial once, each pool as often as repeated."""
    modes = [mode for mode in study.modes if mode in functions.modes_of(client)]
    reuses = study.reuse if clients.of(client).can_reuse else ("off",)
    return _block(study, number, "main", client, modes, study.sizes, reuses)


def control_blocks(study: Study, number: int, cores: int) -> Iterator[list[tuple[TrialKey, ...]]]:
    """Yield the block of each control; arm `startup` has no serial.

    Arm `cpu` is one launch of all modes, processes first: their pool is made before the others.
    """
    if not study.has_controls:
        return
    modes = [mode for mode in study.modes if mode in CONTROLLED]
    startup = _block(study, number, "startup", None, modes, (STARTUP_WORKERS,))
    yield [(key,) for key in startup if key.mode != "serial"]
    if cores > 1 and {*ARTICLE_PAIR} <= {*study.modes}:
        cpu = _block(study, number, "cpu", None, modes, (cores,))
        measured = (key for key in cpu if key.mode in CPU_MODES)
        yield [tuple(sorted(measured, key=lambda key: not has_processes(key.mode)))]
    for arm in CONTROLS_OF_REQUESTS:
        if arm in fetching_arms(study):
            own = [it for it in modes if arm == "no_latency" or not has_processes(it)]
            yield [(key,) for key in _block(study, number, arm, "requests", own, study.sizes)]
    if "today" in fetching_arms(study):
        yield [
            (key,)
            for client, modes in _today(study)
            for key in _block(study, number, "today", client, modes, study.sizes, ("on",))
        ]


def _today(study: Study) -> Iterator[tuple[ClientName, list[Mode]]]:
    """Yield the clients whose reuse the study does not measure, and aiohttp, with their pools.

    Of browsers, whose pools perform alike, one pool has to do: a report is to take 13 minutes.
    """
    able = [client for client in study.clients if clients.of(client).can_reuse]
    for client in able if "on" not in study.reuse else ():
        own = [mode for mode in study.modes if mode in functions.modes_of(client)]
        pools: list[Mode] = [mode for mode in own if mode != "serial"]
        yield client, pools[:1] if client in BROWSERS else pools
    if "aiohttp" not in study.clients:
        yield "aiohttp", ["asyncio"]


def _block(
    study: Study,
    number: int,
    arm: Arm,
    client: ClientName | None,
    modes: Sequence[Mode],
    sizes: Sequence[int],
    reuses: Sequence[Reuse] = ("off",),
) -> list[TrialKey]:
    """Return the trials of a client or a control in a round, in an order that is balanced.

    Each repeat goes through the pools in the opposite order of the repeat before, and so does the
    first one from round to round: sizes up or down, threads or processes first. Serial is in the
    middle of the repeats; where their number is odd, on alternating sides of it: first or last
    where there is one. Chance decides where this begins, and so no seed has an unbalanced order.
    """
    repeats = study.repeats_of(client) if client and arm == "main" else 1
    turn = number - 1
    chance = random.Random(f"{study.seed}/{arm}/{client}")
    first_pool, first_serial = chance.randrange(2), chance.randrange(2)
    serial = TrialKey(arm=arm, client=client, mode="serial", pool_size=1, round=number, repeat=1)
    pools = [(mode, reuse) for reuse in reuses for mode in modes if mode != "serial"]
    ways = [
        replace(serial, mode=mode, pool_size=size, reuse=reuse)
        for place, size in enumerate(sizes)
        for mode, reuse in pools[:: -1 if place % 2 else 1]
    ]
    passes = []
    for repeat in range(1, repeats + 1):
        step = -1 if (turn + repeat + first_pool) % 2 else 1
        passes.append([replace(key, repeat=repeat) for key in ways[::step]])
    if "serial" in modes:
        after = (turn + turn // 2 + first_serial) % 2
        kept = reuses[:1] if study.kind == "sweep" else reuses
        passes.insert((repeats + after) // 2, [replace(serial, reuse=reuse) for reuse in kept])
    return list(itertools.chain.from_iterable(passes))


def fetching_arms(study: Study) -> list[Arm]:
    """Return the arms beside the main one that fetch pages, all from the embedded origin.

    Arm `no_latency` needs a latency, and `tls_context` and `no_tls` need a TLS to leave out.
    """
    if not study.has_controls or study.source != "embedded":
        return []
    arms: list[Arm] = ["today"] if study.modes != ("serial",) else []
    if "requests" in study.clients and "off" in study.reuse:
        arms += ["no_latency"] if study.latency > 0 else []
        arms += ["tls_context", "no_tls"] if study.tls else []
    return arms
