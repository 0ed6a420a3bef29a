"""A real web server on 127.0.0.1 that behaves well on some paths and badly on others."""

import socket
import socketserver
import ssl
import threading
import time
from contextlib import suppress
from typing import Self

import trustme

PAGE = b"<!DOCTYPE html><html><head><title>A page</title></head><body>Hello</body></html>"

MARKUP = (
    b"<!DOCTYPE html><title>&lt;script&gt;alert(1)</title><script>document.title='<b>'</script>"
)


class _Handler(socketserver.StreamRequestHandler):
    server: "Server"

    def handle(self) -> None:
        with suppress(OSError):
            words = self.rfile.readline().split()
            while line := self.rfile.readline().strip():
                name, _, value = line.decode().partition(": ")
                if name.lower() == "user-agent":
                    self.server.agents.append(value)
            self.server.asked.append(words[1].decode())
            self.path = words[1].decode().split("?")[0].strip("/")
            behave = getattr(self, f"do_{self.path}", None)
            (behave or self.do_other)()

    def answer(self, body: bytes, status: str = "200 OK", headers: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nConnection: close\r\n{headers}"
        self.wfile.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def do_page(self) -> None:
        self.answer(PAGE)

    def do_random(self) -> None:
        number = len(self.server.asked)
        self.answer(b"", "302 Found", f"Location: /page?{number}\r\n")

    def do_other(self) -> None:
        body = self.server.pages.get(self.path)
        self.do_missing() if body is None else self.answer(body)

    def do_missing(self) -> None:
        self.answer(b"not here", "404 Not Found")

    def do_broken(self) -> None:
        self.answer(b"sorry", "500 Internal Server Error")

    def do_empty(self) -> None:
        self.answer(b"", "404 Not Found")

    def do_odd(self) -> None:
        self.answer(b"odd", "503 Backend fetch failed")

    def do_wait(self) -> None:
        self.answer(b"later", "429 Too Many Requests", "Retry-After: 30\r\n")

    def do_markup(self) -> None:
        self.answer(MARKUP)

    def do_loop(self) -> None:
        self.answer(b"", "302 Found", "Location: /loop\r\n")

    def do_reset(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.request.close()

    def do_silent(self) -> None:
        self.server.ended.wait(60)

    def do_hold(self) -> None:
        """An image that comes once the page has said that it is done."""
        end = time.monotonic() + 10
        while "/done" not in self.server.asked and time.monotonic() < end:
            time.sleep(0.01)
        self.answer(b"")

    def do_drip_head(self) -> None:
        self.drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 600)

    def do_drip_body(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n")
        self.drip(b"x" * 600)

    def drip(self, text: bytes) -> None:
        for byte in text:
            if self.server.ended.is_set():
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.1)

    def do_huge(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 200000000\r\n\r\n"
        self.wfile.write(head)
        for _ in range(200):
            self.wfile.write(b"x" * 1_000_000)

    def do_short(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")

    def do_garbled(self) -> None:
        self.answer(b"\x1f\x8b\x08 not gzip at all", headers="Content-Encoding: gzip\r\n")


class Server(socketserver.ThreadingTCPServer):
    """The server, running in threads; `asked` lists the paths, `agents` who asked for them.

    A test may add `pages` of its own.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def __init__(self, tls: bool = False) -> None:
        self.asked: list[str] = []
        self.agents: list[str] = []
        self.pages: dict[str, bytes] = {}
        self.ended = threading.Event()
        self.authority = trustme.CA()
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scheme = "https" if tls else "http"
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.authority.issue_cert("127.0.0.1").configure_cert(context)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}/{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what is tested here."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()
