"""A real web server on 127.0.0.1 that behaves well on some paths and badly on others."""

import socket
import socketserver
import ssl
import threading
import time
from base64 import b64encode
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

import trustme

PAGE = b"<!DOCTYPE html><html><head><title>A page</title></head><body>Hello</body></html>"

PRIVATE = "alice:p4ssword"
"""Who may see the page `private`."""

MARKUP = (
    b"<!DOCTYPE html><title>&lt;script&gt;alert(1)</title><script>document.title='<b>'</script>"
)

SCRIPTS = {
    "endless_address": "history.replaceState(0, 0, '/ok?' + Array(200001).join('x'))",
    "own_entries": "performance.getEntriesByType = function () {"
    " return [{responseStatus: 'x', serverTiming: [{name: 'origin', duration: -5}]}] }",
    "no_entries": "performance.getEntriesByType = function () { throw 1 }",
    "endless_text": "Object.defineProperty(Element.prototype, 'outerHTML',"
    " {get: function () { return {length: 1e300} }})",
    "no_text": "Object.defineProperty(Element.prototype, 'outerHTML',"
    " {get: function () { throw 1 }})",
    "dialogs": "alert(1); confirm(2); prompt(3); onload = function () {"
    " setTimeout(function () { alert(4) }, 0); alert(5) };"
    " onbeforeunload = function (e) { e.preventDefault(); return e.returnValue = 'stay' }",
    "dialog_after_dialog": "var more = 3; onload = function ask() {"
    " if (more-- > 0) { setTimeout(function () { alert(more); ask() }, 0) } }",
    "no_root": "document.removeChild(document.documentElement)",
    "own_types": "Array.prototype.toJSON = Object.prototype.toJSON = function () { return 'x' };"
    " JSON.stringify = function () { return 'y' }; Array.prototype.push = null",
    "elsewhere": "location = 'about:blank'",
    "popup": "window.open('/page'); print()",
    "half_a_character": "document.title = '\\ud800'",
}
"""Pages whose scripts work against whoever fetches them."""


class _Handler(socketserver.StreamRequestHandler):
    server: "Server"

    def handle(self) -> None:
        with suppress(OSError):
            words = self.rfile.readline().split()
            self.authorization = ""
            while line := self.rfile.readline().strip():
                name, _, value = line.decode().partition(": ")
                if name.lower() == "user-agent":
                    self.server.agents.append(value)
                if name.lower() == "authorization":
                    self.authorization = value
                    self.server.credentials.append(value)
            self.server.asked.append(words[1].decode())
            self.name = name = urlsplit(words[1].decode()).path.strip("/")
            if name in SCRIPTS:
                self.answer(PAGE.replace(b"Hello", f"<script>{SCRIPTS[name]}</script>".encode()))
            else:
                getattr(self, f"do_{name}", self.do_other)()

    def answer(self, body: bytes, status: str = "200 OK", headers: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nConnection: close\r\n{headers}"
        self.wfile.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def do_page(self) -> None:
        self.answer(PAGE)

    def do_random(self) -> None:
        number = len(self.server.asked)
        self.answer(b"", "302 Found", f"Location: /page?{number}\r\n")

    def do_private(self) -> None:
        if self.authorization == f"Basic {b64encode(PRIVATE.encode()).decode()}":
            return self.answer(PAGE)
        ask = 'WWW-Authenticate: Basic realm="here"\r\n'
        return self.answer(b"who are you?", "401 Unauthorized", ask)

    def do_session(self) -> None:
        self.answer(b"", "302 Found", "Location: /page?session=s3ssion#fr4gment\r\n")

    def do_far(self) -> None:
        self.answer(b"", "302 Found", f"Location: /page?{'y' * 3_000}\r\n")

    def do_flood(self) -> None:
        self.huge("302 Found", "Location: /page\r\n")

    def do_nothing(self) -> None:
        self.answer(b"", "204 No Content")

    def do_download(self) -> None:
        self.answer(b"a file", headers="Content-Disposition: attachment\r\n")

    def do_late(self) -> None:
        time.sleep(0.2)
        self.answer(PAGE)

    def do_delay(self) -> None:
        self.answer(PAGE, headers="Server-Timing: origin;dur=5\r\n")

    def do_timing(self) -> None:
        self.answer(PAGE, headers="Server-Timing: origin;dur=-5\r\n")

    def do_timing_twice(self) -> None:
        self.answer(PAGE, headers="Server-Timing: origin;dur=1.2.3\r\n")

    def do_frame(self) -> None:
        self.answer(b"<!DOCTYPE html><iframe src=/missing></iframe>")

    def do_other(self) -> None:
        body = self.server.pages.get(self.name)
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
        self.huge("200 OK", "Content-Type: text/html\r\n")

    def huge(self, status: str, headers: str) -> None:
        head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: 200000000\r\n\r\n"
        self.wfile.write(head.encode())
        for _ in range(200):
            self.wfile.write(b"x" * 1_000_000)

    def do_short(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")

    def do_garbled(self) -> None:
        self.answer(b"\x1f\x8b\x08 not gzip at all", headers="Content-Encoding: gzip\r\n")


class Server(socketserver.ThreadingTCPServer):
    """The server, running in threads.

    `asked` lists the paths, `agents` who asked for them, `credentials` what they showed. A test may
    add `pages` of its own.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def __init__(
        self, tls: bool = False, oldest: ssl.TLSVersion | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.asked: list[str] = []
        self.agents: list[str] = []
        self.credentials: list[str] = []
        self.pages: dict[str, bytes] = {}
        self.ended = threading.Event()
        self.authority = trustme.CA()
        self.host = host
        super().__init__((host, 0), _Handler)
        self.scheme = "https" if tls else "http"
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.minimum_version = oldest or context.minimum_version
            self.authority.issue_cert("127.0.0.1").configure_cert(context)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"{self.scheme}://{self.host}:{self.server_address[1]}/{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what is tested here."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()
