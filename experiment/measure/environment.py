"""Apply the user's environment: proxies, credentials, certificates.

requests and the browsers read it themselves; here it is made to mean the same to all of them.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import certifi

from experiment.errors import UserError

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""The variables that name a file or folder of certificates to trust; the first one set counts."""


def of_a_trial(embedded: bool) -> dict[str, str]:
    """Return the environment of a trial: no credentials, no proxy to drivers, nothing of Dask."""
    named = {name: text for name, text in os.environ.items() if not name.startswith("DASK_")}
    own = {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true", "NETRC": os.devnull}
    if embedded:
        kept = {name: text for name, text in named.items() if "_proxy" not in name.lower()}
        return kept | own
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    hosts = ",".join(filter(None, [direct, "127.0.0.1", "localhost"]))
    return named | own | {"no_proxy": hosts, "NO_PROXY": hosts}


@contextmanager
def without_credentials() -> Iterator[None]:
    """Keep requests from sending what ~/.netrc has, also where it is redirected."""
    own = os.environ.get("NETRC")
    os.environ["NETRC"] = os.devnull
    try:
        yield
    finally:
        del os.environ["NETRC"]
        if own is not None:
            os.environ["NETRC"] = own


def bundle() -> str | None:
    """Return the user's own bundle of certificates, None for the usual one."""
    return next(filter(None, map(os.environ.get, BUNDLES)), None)


@cache
def tls_context(own: str | None) -> ssl.SSLContext:
    """Return a context that trusts a bundle, or else what requests would trust here.

    It is made once: who wants it anew asks for `tls_context.__wrapped__`.
    """
    path = own or bundle() or certifi.where()
    if Path(path).is_dir():
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path)


def check_bundle() -> None:
    """Raise `UserError` if the user's own bundle of certificates cannot be read."""
    name = next(filter(os.environ.get, BUNDLES), None)
    if name is None:
        return
    path = Path(os.environ[name])
    try:
        if path.is_dir():
            list(path.iterdir())
        else:
            ssl.create_default_context(cafile=path)
    except OSError as error:  # an SSLError is one, too
        words = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise UserError(
            f"{name}: {path} is not a bundle of certificates that can be read ({words}); "
            "name one that is there, or unset the variable"
        ) from None
