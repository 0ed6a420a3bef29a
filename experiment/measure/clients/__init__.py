"""The clients that fetch pages: a module each, named as the client, with a class `Client`."""

from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module

from experiment.errors import UserError
from experiment.measure.clients import base
from experiment.vocabulary import BROWSERS, ClientName, is_function


def of(name: ClientName) -> type[base.Client]:
    """Return the class of a client; only its own module and package are imported."""
    if is_function(name):
        from experiment.measure.clients import function

        return function.of(name)
    kind: type[base.Client] = import_module(f"experiment.measure.clients.{name}").Client
    return kind


def cannot_run(names: Iterable[ClientName]) -> dict[ClientName, str]:
    """Return which of these clients cannot run here, with what is missing."""
    found = {}
    for name in names:
        try:
            of(name).version()
        except UserError as mistake:
            found[name] = str(mistake).removeprefix("clients: ")
    return found


def usual() -> tuple[ClientName, ...]:
    """Return the clients for pages of others: requests, and a safe browser that is installed."""
    for name in BROWSERS:
        if of(name).suits_any_page:
            with suppress(UserError):
                of(name).check_installed()
                return ("requests", name)
    return ("requests",)
