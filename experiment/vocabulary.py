"""The words of the study: its clients, modes and arms, and what tells them apart.

Plain names; nothing is imported here. A new client or mode is named here first.
"""

from typing import Literal, get_args

ClientName = Literal["requests", "httpx2", "aiohttp", "phantomjs", "chrome", "firefox"]
Mode = Literal["serial", "threads", "processes", "asyncio"]
Arm = Literal["main", "today", "tls_context", "no_tls", "no_latency", "cpu", "startup"]
Reuse = Literal["off", "on"]
"""Whether a worker keeps its connection or its browser for all its pages."""
StartMethod = Literal["fork", "spawn", "forkserver"]

CLIENTS: tuple[ClientName, ...] = get_args(ClientName)
MODES: tuple[Mode, ...] = get_args(Mode)
REUSES: tuple[Reuse, ...] = get_args(Reuse)

BROWSERS: tuple[ClientName, ...] = ("phantomjs", "chrome", "firefox")
"""The clients that Selenium drives."""

AWAITED: tuple[Mode, ...] = ("asyncio",)
"""The modes whose fetches are coroutines."""

POOLS: tuple[Mode, ...] = tuple(mode for mode in MODES if mode != "serial")
"""The modes that have a pool of workers."""

ARTICLE_PAIR: tuple[Mode, Mode] = ("threads", "processes")
"""The two pools that the article compares."""
