"""Fetch with `requests.get`, as the article does: a new connection for every page."""

from typing import Any

from experiment.measure.clients import base, sockets


class Client(base.Client):
    """Fetch as the article does, with `requests.get`."""

    packages = ("requests",)

    def prepare(self) -> None:
        """Import requests."""
        import requests  # noqa: F401

    def get(
        self, url: str, phases: base.Phases, deadline: base.Deadline, response: base.Response
    ) -> None:
        """Fetch the page; `load` is the article's call, `check` reads what came."""
        import requests

        who = self.settings.user_agent
        headers = {"User-Agent": f"{who} {requests.utils.default_user_agent()}"} if who else None
        with sockets.opened_here() as opened:
            deadline.stop = lambda: sockets.shut(opened)
            with (
                phases.timed("load"),
                requests.get(
                    url,
                    timeout=self.timeout_s,
                    stream=True,
                    verify=self.settings.bundle or True,
                    headers=headers,
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
    """Return the body of a response; raises `FetchError` above the size limit."""
    body = bytearray()
    for chunk in response.iter_content(65536):
        body += chunk
        if len(body) > base.SIZE_LIMIT:
            raise base.FetchError("too large")
    return bytes(body)


def _read_redirect(response: Any, **_: object) -> None:
    """Read the body of a redirect, which requests itself would read whatever its length."""
    if response.is_redirect:
        _read(response)
