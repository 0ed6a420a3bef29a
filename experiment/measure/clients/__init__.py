"""The clients that fetch pages: a module each, named as the client, with a class `Client`."""

from importlib import import_module

from experiment.measure.clients import base
from experiment.vocabulary import ClientName


def make(name: ClientName, timeout_s: float, settings: base.ClientSettings) -> base.Client:
    """Return the client of that name; only its own module and package are imported."""
    module = import_module(f"experiment.measure.clients.{name}")
    client: base.Client = module.Client(timeout_s, settings)
    return client
