"""Fetch with `httpx2`, which has the same calls with `await` and without."""

import ssl
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from experiment.measure import environment
from experiment.measure.clients import base, sockets
from experiment.measure.clients.kept import Connections
from experiment.vocabulary import MODES

if TYPE_CHECKING:
    import httpx2

MOST_REDIRECTS = 30
"""As many as requests follows."""

CLIENTS = Connections()
"""The clients of httpx2 that the workers of this process keep."""


@dataclass
class Client(base.Client):
    """Fetch with a new connection for each page, reading the certificates, or with kept ones."""

    modes = MODES
    packages = ("httpx2", "httpcore2")

    shared: "httpx2.AsyncClient | None" = field(default=None, init=False)
    """What the tasks of an event loop share, where connections are kept."""

    def prepare(self) -> None:
        """Import httpx2."""
        import httpx2  # noqa: F401

    def get(
        self, url: str, phases: base.Phases, deadline: base.Deadline, response: base.Response
    ) -> None:
        """Fetch the page; `check` reads what came."""
        if self.settings.reuse:
            with CLIENTS.in_use(self._client, deadline) as client:
                self._load(client, url, phases, response)
                client.cookies.clear()  # the next page is as if asked for by somebody else
            return
        with sockets.opened_here() as opened:
            deadline.stop = lambda: sockets.shut(opened)
            with phases.timed("load"):
                client = self._client()
            with client:
                self._load(client, url, phases, response)

    def _client(self) -> "httpx2.Client":
        import httpx2

        return httpx2.Client(**self._options())

    def _load(
        self, client: "httpx2.Client", url: str, phases: base.Phases, response: base.Response
    ) -> None:
        with phases.timed("load"):
            for _ in range(MOST_REDIRECTS + 1):
                body = base.Body()
                with client.stream("GET", url) as received:
                    _learn(received, response)
                    for chunk in received.iter_bytes():
                        body.add(chunk)
                if received.next_request is None:
                    break
                url = str(received.next_request.url)
            else:
                raise base.FetchError("redirects")
        with phases.timed("check"):
            response.body, response.length = bytes(body), len(body)

    async def get_async(self, url: str, phases: base.Phases, response: base.Response) -> None:
        """Fetch the page in a task; `check` reads what came."""
        import httpx2

        if not self.settings.reuse:
            with phases.timed("load"):
                client = httpx2.AsyncClient(**self._options())
            async with client:
                await self._load_async(client, url, phases, response)
            return
        if self.shared is None:
            # Tasks run at once: a cookie that were kept would leak to another page.
            none = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
            self.shared = httpx2.AsyncClient(cookies=none, **self._options())
        await self._load_async(self.shared, url, phases, response)

    async def _load_async(
        self, client: "httpx2.AsyncClient", url: str, phases: base.Phases, response: base.Response
    ) -> None:
        with phases.timed("load"):
            for _ in range(MOST_REDIRECTS + 1):
                body = base.Body()
                async with client.stream("GET", url) as received:
                    _learn(received, response)
                    async for chunk in received.aiter_bytes():
                        body.add(chunk)
                if received.next_request is None:
                    break
                url = str(received.next_request.url)
            else:
                raise base.FetchError("redirects")
        with phases.timed("check"):
            response.body, response.length = bytes(body), len(body)

    def _options(self) -> dict[str, Any]:
        import httpx2

        who = self.settings.user_agent
        return {
            # Made anew: without reuse each client reads the certificates for itself.
            "verify": environment.tls_context.__wrapped__(self.settings.bundle),
            "timeout": self.timeout_s,
            "limits": httpx2.Limits(max_connections=None, max_keepalive_connections=None),
            "headers": {"User-Agent": f"{who} python-httpx2/{httpx2.__version__}"} if who else None,
        }

    def end(self) -> None:
        """Close the connections of all workers of this process."""
        CLIENTS.end()

    async def end_async(self) -> None:
        """Close the connections that tasks have shared."""
        if self.shared is not None:
            await self.shared.aclose()

    def reason(self, error: BaseException) -> str | None:
        """Return the vocabulary's word for an exception of httpx2."""
        import httpx2

        if isinstance(error, httpx2.ConnectError) and isinstance(_first(error), ssl.SSLError):
            return "tls"
        words: dict[type[BaseException], str] = {
            httpx2.TimeoutException: "timeout",
            TimeoutError: "timeout",
            httpx2.DecodingError: "encoding",
            httpx2.HTTPError: "connection",
            httpx2.InvalidURL: "connection",
        }
        return next((word for kind, word in words.items() if isinstance(error, kind)), None)


def _first(error: BaseException) -> BaseException:
    """Return the error that led to this one."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return error


def _learn(received: "httpx2.Response", response: base.Response) -> None:
    """Note what the headers say."""
    response.status, response.final_url = received.status_code, str(received.url)
    response.retry_after = received.headers.get("Retry-After")
    response.origin_ms = base.server_timing_ms(received.headers.get("Server-Timing", ""))
