"""Serve the embedded origin: a web server on this machine that responds as Wikipedia did in 2018.

A page's delay and length are drawn per (seed, round, page) from distributions fitted to the
article's own measurements, so every mode meets the same pages with the same planned delays.
Run as a program of its own; it ends when its standard input does, and takes its files with it.
"""

import asyncio
import json
import math
import random
import shutil
import signal
import ssl
import struct
import sys
import time
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import certifi
import trustme
import uvloop
from aiohttp import web

from experiment.measure import network

DELAY_MIXTURE = ((0.455, 0.1661, 0.0985), (0.485, 0.2483, 0.0610), (0.060, 0.6005, 0.1006))
"""Weight, median (s) and sigma of the lognormals that the article's 100 serial fetches fit."""

LENGTH_LEAST, LENGTH_MU, LENGTH_SIGMA = 21_961, 9.936, 0.8923
"""Shifted lognormal (characters) that the lengths of the article's 300 pages fit."""

TLS_SHARE_S = 0.030
"""The time (s) of an article's fetch in which its client worked for HTTPS; no part of the delay.

The client reads the bundle of certificates, makes the handshake and decrypts. A report says what
each takes here (`experiment/analysis/connection.py`).
"""

ASSET_DELAY_S = 0.040
TIMER_S = 0.001
"""The resolution of the timers."""

IMAGES = 4

WORDS = (
    "page thread process network latency server request answer article measure pool worker time "
    "second round trial fetch browser kernel socket bound share wait start end the of and in to is"
).split()


@dataclass(frozen=True)
class OriginSettings:
    """The settings of the origin."""

    seed: int
    latency: float
    tls: bool
    host: str = "127.0.0.1"

    def planned_s(self, round_number: int, page: int) -> float:
        """Return the delay of a page (s)."""
        chance = random.Random(f"{self.seed}/{round_number}/{page}/delay")
        weights = [weight for weight, _, _ in DELAY_MIXTURE]
        [(_, median, sigma)] = chance.choices(DELAY_MIXTURE, weights)
        draw = chance.lognormvariate(math.log(median), sigma)
        return max(0.0, self.latency * (draw - TLS_SHARE_S * self.tls))

    def html(self, round_number: int, page: int) -> bytes:
        """Return a page: valid HTML of its drawn length, with style sheet, script and images."""
        chance = random.Random(f"{self.seed}/{round_number}/{page}/length")
        length = LENGTH_LEAST + int(chance.lognormvariate(LENGTH_MU, LENGTH_SIGMA))
        title = f"Page {page} of round {round_number}"
        images = "".join(f'<img src="/image/{i}.png" alt="" width="64">' for i in range(IMAGES))
        head = (
            f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            '<link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css">'
            f'<script src="/script.js"></script></head><body><h1>{title}</h1>{images}<p>'
        )
        tail = "</p></body></html>\n"
        start = chance.randrange(1_000)
        text = _prose(self.seed)[start : start + length - len(head) - len(tail)]
        return f"{head}{text}{tail}".encode("ascii")


@cache
def _prose(seed: int) -> str:
    """Return text as long as the longest page; each page is a slice, which costs no time."""
    return " ".join(random.Random(seed).choices(WORDS, k=400_000))


@cache
def _image(number: int) -> bytes:
    """Return a PNG of 64 x 64 random pixels (12 kB)."""
    pixels = random.Random(number)
    rows = b"".join(b"\0" + pixels.randbytes(3 * 64) for _ in range(64))
    header = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def application(settings: OriginSettings) -> web.Application:
    """Return the application: pages, style sheet, script and images."""

    async def page(request: web.Request) -> web.Response:
        """Respond with a page after its delay."""
        arrived = time.perf_counter()
        place = int(request.match_info["round"]), int(request.match_info["page"])
        body = settings.html(*place)
        due = arrived + settings.planned_s(*place)
        while (left_s := due - time.perf_counter()) > 0:  # a timer may be 1 ms early
            await asyncio.sleep(max(left_s, TIMER_S))
        taken_ms = (time.perf_counter() - arrived) * 1000
        timing = {"Server-Timing": f"origin;dur={taken_ms:.3f}"}
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=timing)

    async def asset(request: web.Request) -> web.Response:
        """Respond with a style sheet, script or image after a short delay."""
        await asyncio.sleep(ASSET_DELAY_S * settings.latency)
        match request.path.rsplit(".", 1):
            case [name, "png"]:
                return web.Response(body=_image(int(name[-1])), content_type="image/png")
            case [_, "css"]:
                return web.Response(text="body { max-width: 60em }\n", content_type="text/css")
        return web.Response(text="document.title += '';\n", content_type="text/javascript")

    app = web.Application()
    app.router.add_get(r"/{round:\d+}/{page:\d+}", page)
    for path in ("/style.css", "/script.js", r"/image/{number:\d}.png"):
        app.router.add_get(path, asset)
    return app


def _certificate(host: str, folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate for this run, and a bundle of the usual authorities and its own."""
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host, common_name=host).configure_cert(context)
    bundle = folder / "bundle.pem"
    bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    return context, bundle


async def serve(settings: OriginSettings, folder: Path) -> None:
    """Serve until standard input or a SIGTERM ends it; says where on standard output."""
    context, bundle = _certificate(settings.host, folder) if settings.tls else (None, None)
    _prose(settings.seed)
    runner = web.AppRunner(application(settings), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, settings.host, 0, ssl_context=context, backlog=1024)
    await site.start()
    url = f"{'https' if settings.tls else 'http'}://{settings.host}:{runner.addresses[0][1]}"
    print(json.dumps({"url": url, "bundle": bundle and str(bundle)}), flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_reader(sys.stdin, ended.set)
    await ended.wait()


def main() -> None:
    """Run as a program (FOLDER SETTINGS NETWORK), with the settings as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    network.enter(sys.argv[3])
    folder = Path(sys.argv[1])
    try:
        uvloop.run(serve(OriginSettings(**json.loads(sys.argv[2])), folder))
    except Exception as error:
        said = {"errno": getattr(error, "errno", None), "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), flush=True)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
