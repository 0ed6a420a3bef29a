"""A stand-in for Wikipedia: API, articles, redirects, a limit; it measures its guests."""

import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

import trustme


@dataclass
class Guest:
    """One request as it was seen."""

    path: str
    agent: str
    at_s: float
    together: int


@dataclass
class Seen:
    """All requests, and how many are being answered."""

    guests: list[Guest] = field(default_factory=list)
    credentials: list[str] = field(default_factory=list)
    inside: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def articles(self) -> list[Guest]:
        """The requests for articles as they were asked for, redirects not counted twice."""
        return [guest for guest in self.guests if guest.path.startswith("/wiki/")]


class _Handler(BaseHTTPRequestHandler):
    server: "Wiki"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        seen = self.server.seen
        with seen.lock:
            seen.inside += 1
            agent = self.headers.get("User-Agent", "")
            seen.guests.append(Guest(self.path, agent, time.monotonic(), seen.inside))
            seen.credentials += self.headers.get_all("Authorization", [])
            number = len(seen.articles())
        try:
            self.answer(number)
        finally:
            with seen.lock:
                seen.inside -= 1

    def answer(self, number: int) -> None:
        place = urlsplit(self.path)
        if place.path == "/w/api.php":
            self.titles(int(parse_qs(place.query)["rnlimit"][0]))
        elif self.server.refuses(number):
            self.send(b"slow down", 503 if number % 2 else 429, **self.server.refusal)
        elif place.path.startswith("/wiki/Moved"):
            self.send(b"", 302, Location=place.path.replace("Moved", "Article"))
        elif place.path.startswith("/wiki/"):
            time.sleep(self.server.delay_s)
            title = unquote(place.path.removeprefix("/wiki/"))
            self.send(f"<!DOCTYPE html><title>{title}</title><p>{title}".encode(), 200)
        else:
            self.send(b"", 404)

    def titles(self, count: int) -> None:
        if self.server.nonsense is not None:
            self.send(json.dumps(self.server.nonsense).encode(), 200)
            return
        first = self.server.drawn
        self.server.drawn += min(count, 500)
        names = [
            f"{'Moved' if number % 5 == 0 else 'Article'} ä/{number}?"
            for number in range(first, self.server.drawn)
        ]
        pages = [{"id": number, "ns": 0, "title": name} for number, name in enumerate(names)]
        self.send(json.dumps({"query": {"random": pages}}).encode(), 200)

    def send(self, body: bytes, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body)


class Wiki(ThreadingHTTPServer):
    """The stand-in, over HTTPS; `folder` gets the bundle that trusts it."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(
        self,
        folder: Path,
        delay_s: float = 0.1,
        refuses: Callable[[int], bool] = lambda number: False,  # noqa: ARG005
        **refusal: str,
    ) -> None:
        self.seen, self.drawn = Seen(), 0
        self.nonsense: object = None
        self.delay_s, self.refuses, self.refusal = delay_s, refuses, refusal
        super().__init__(("127.0.0.1", 0), _Handler)
        authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1", common_name="127.0.0.1").configure_cert(context)
        self.bundle = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.bundle))
        self.context = context

    def finish_request(self, request: object, client_address: object) -> None:
        """Each connection shakes hands in its own thread."""
        wrapped = self.context.wrap_socket(request, server_side=True)  # type: ignore[arg-type]
        super().finish_request(wrapped, client_address)
        wrapped.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Guests may hang up."""

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()
