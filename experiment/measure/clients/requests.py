"""Fetch with `requests`: a new connection for every page, as the article does, or a kept one."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from experiment.measure import environment
from experiment.measure.clients import base, one_context, sockets
from experiment.measure.clients.kept import Connections

if TYPE_CHECKING:
    import requests

Get = Callable[..., "requests.Response"]


SESSIONS = Connections()
"""The sessions that the workers of this process keep."""


class Client(base.Client):
    """Fetch as the article does, with `requests.get`, unless the settings say otherwise."""

    packages = ("requests",)

    def prepare(self) -> None:
        """Import requests, and read the certificates where they are read once."""
        import requests  # noqa: F401

        if self.settings.one_tls_context:
            environment.tls_context(self.settings.bundle)

    def get(
        self, url: str, phases: base.Phases, deadline: base.Deadline, response: base.Response
    ) -> None:
        """Fetch the page; `load` is the article's call, `check` reads what came."""
        import requests

        if self.settings.reuse:
            with SESSIONS.in_use(requests.Session, deadline) as session:
                self._load(session.get, url, phases, response)
                session.cookies.clear()  # the next page is as if asked for by somebody else
            return
        get = self._get_with_one_context if self.settings.one_tls_context else requests.get
        with sockets.opened_here() as opened:
            deadline.stop = lambda: sockets.shut(opened)
            self._load(get, url, phases, response)

    def _get_with_one_context(self, url: str, **options: Any) -> "requests.Response":
        with one_context.session_with(environment.tls_context(self.settings.bundle)) as session:
            return session.get(url, **options)

    def _load(self, get: Get, url: str, phases: base.Phases, response: base.Response) -> None:
        with (
            phases.timed("load"),
            get(
                url,
                timeout=self.timeout_s,
                stream=True,
                verify=self.settings.bundle or True,
                headers=self._headers(),
                hooks={"response": _read_redirect},
            ) as received,
        ):
            response.status = received.status_code
            response.retry_after = received.headers.get("Retry-After")
            body = _read(received)
        with phases.timed("check"):
            response.body, response.length = body, len(body)
            response.final_url = received.url
            response.origin_ms = base.server_timing_ms(received.headers.get("Server-Timing", ""))

    def _headers(self) -> dict[str, str] | None:
        import requests

        who = self.settings.user_agent
        return {"User-Agent": f"{who} {requests.utils.default_user_agent()}"} if who else None

    def end(self) -> None:
        """Close the sessions of all workers of this process."""
        SESSIONS.end()

    def reason(self, error: BaseException) -> str | None:
        """Return the vocabulary's word for an exception of requests."""
        from requests import exceptions

        words: dict[type[BaseException], str] = {
            exceptions.SSLError: "tls",
            exceptions.Timeout: "timeout",
            exceptions.TooManyRedirects: "redirects",
            exceptions.ContentDecodingError: "encoding",
            exceptions.RequestException: "connection",
        }
        return next((word for kind, word in words.items() if isinstance(error, kind)), None)


def _read(response: Any) -> bytes:
    body = base.Body()
    for chunk in response.iter_content(65536):
        body.add(chunk)
    return bytes(body)


def _read_redirect(response: Any, **_: object) -> None:
    """Read the body of a redirect, which requests itself would read whatever its length."""
    if response.is_redirect:
        _read(response)
