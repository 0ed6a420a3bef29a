"""The words of the study: its clients, modes and arms, and what tells them apart.

Plain names; next to nothing is imported here. A new client or mode is named here first.
"""

import re
from typing import Annotated, Literal, get_args

from annotated_types import Predicate

KnownClient = Literal["requests", "httpx2", "aiohttp", "phantomjs", "chrome", "firefox"]
Mode = Literal["serial", "threads", "processes", "asyncio", "dask"]
Arm = Literal["main", "today", "tls_context", "no_tls", "no_latency", "cpu", "startup"]
Reuse = Literal["off", "on"]
"""Whether a worker keeps its connection or its browser for all its pages."""
StartMethod = Literal["fork", "spawn", "forkserver"]

CLIENTS: tuple[KnownClient, ...] = get_args(KnownClient)
MODES: tuple[Mode, ...] = get_args(Mode)
REUSES: tuple[Reuse, ...] = get_args(Reuse)

BROWSERS: tuple[KnownClient, ...] = ("phantomjs", "chrome", "firefox")
"""The clients that Selenium drives."""


AT_GRID: tuple[KnownClient, ...] = ("chrome", "firefox")
"""The browsers that a Selenium Grid may have."""


def is_function(client: str | None) -> bool:
    """Return whether a client is a function of the user's: `module:function`."""
    return re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", client or "") is not None


def _is_client(name: str) -> bool:
    return name in CLIENTS or is_function(name)


ClientName = Annotated[str, Predicate(_is_client)]
"""One of the known clients, or a function of the user's."""

AWAITED: tuple[Mode, ...] = ("asyncio",)
"""The modes whose fetches are coroutines."""

CLUSTERED: tuple[Mode, ...] = ("dask",)
"""The modes whose workers may be on other machines."""

CONTROLLED: tuple[Mode, ...] = tuple(it for it in MODES if it not in (*AWAITED, *CLUSTERED))
"""The modes that the controls measure: a plain loop, threads and processes of this machine."""

POOLS: tuple[Mode, ...] = tuple(mode for mode in MODES if mode != "serial")
"""The modes that have a pool of workers."""

ARTICLE_PAIR: tuple[Mode, Mode] = ("threads", "processes")
"""The two pools that the article compares."""
