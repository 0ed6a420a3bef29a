"""Fetch with `aiohttp`, in the tasks of an event loop."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from experiment.measure import environment
from experiment.measure.clients import base

if TYPE_CHECKING:
    import aiohttp


@dataclass
class Client(base.Client):
    """Fetch with a new connection for each page, or with connections that all tasks share.

    The certificates are read once in either case: aiohttp itself does so.
    """

    modes = ("asyncio",)
    packages = ("aiohttp",)

    connector: "aiohttp.TCPConnector | None" = field(default=None, init=False)

    def prepare(self) -> None:
        """Import aiohttp and read the certificates."""
        import aiohttp  # noqa: F401

        environment.tls_context(self.settings.bundle)

    async def get_async(self, url: str, phases: base.Phases, response: base.Response) -> None:
        """Fetch the page; `check` reads what came."""
        with phases.timed("load"):
            async with (
                self._session() as session,
                session.get(url, max_redirects=30, headers=self._headers()) as received,
            ):
                response.status = received.status
                response.retry_after = received.headers.get("Retry-After")
                body = await _read(received)
        with phases.timed("check"):
            response.body, response.length = body, len(body)
            response.final_url = str(received.url)
            response.origin_ms = base.server_timing_ms(received.headers.get("Server-Timing", ""))

    def _session(self) -> "aiohttp.ClientSession":
        """Return a session for one page, with cookies of its own."""
        import aiohttp

        if not self.settings.reuse:
            return aiohttp.ClientSession(connector=self._new_connector(), trust_env=True)
        if self.connector is None:
            self.connector = self._new_connector()
        return aiohttp.ClientSession(
            connector=self.connector, connector_owner=False, trust_env=True
        )

    def _new_connector(self) -> "aiohttp.TCPConnector":
        import aiohttp

        return aiohttp.TCPConnector(ssl=environment.tls_context(self.settings.bundle), limit=0)

    def _headers(self) -> dict[str, str] | None:
        from aiohttp.http import SERVER_SOFTWARE

        who = self.settings.user_agent
        return {"User-Agent": f"{who} {SERVER_SOFTWARE}"} if who else None

    async def end_async(self) -> None:
        """Close the connections that are kept."""
        if self.connector is not None:
            await self.connector.close()

    def reason(self, error: BaseException) -> str | None:
        """Return the vocabulary's word for an exception of aiohttp."""
        import aiohttp
        from aiohttp.http_exceptions import ContentEncodingError

        if isinstance(error.__cause__, ContentEncodingError):
            return "encoding"
        words: dict[type[BaseException], str] = {
            aiohttp.ClientSSLError: "tls",
            TimeoutError: "timeout",
            aiohttp.TooManyRedirects: "redirects",
            aiohttp.ClientError: "connection",
            OSError: "connection",
        }
        return next((word for kind, word in words.items() if isinstance(error, kind)), None)


async def _read(received: Any) -> bytes:
    body = base.Body()
    async for chunk in received.content.iter_chunked(65536):
        body.add(chunk)
    return bytes(body)
