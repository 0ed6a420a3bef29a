"""Make sessions of `requests` that share a TLS context, each with connections of its own."""

import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests


def session_with(context: ssl.SSLContext) -> "requests.Session":
    """Return a session that connects with a TLS context, and reads no certificates itself."""
    import requests
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        """Connect with the context."""

        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            """Hand the context to the connections."""
            super().init_poolmanager(*arguments, ssl_context=context, **options)

        def build_connection_pool_key_attributes(
            self, request: Any, verify: Any, cert: Any = None
        ) -> Any:
            """Leave a bundle out that the environment names."""
            return super().build_connection_pool_key_attributes(request, bool(verify), cert)

        def cert_verify(self, *_: Any) -> None:
            """Leave the certificates to the context."""

    session = requests.Session()
    session.mount("https://", Adapter())
    return session
