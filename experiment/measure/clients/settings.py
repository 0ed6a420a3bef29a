"""Define what a client has to know of the source, the Grid and the study."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClientSettings:
    """Tell a client what it has to know of the source."""

    bundle: str | None = None
    """The file with its certificates."""
    embedded: bool = False
    host: str = "127.0.0.1"
    """Where the embedded origin listens."""
    grid: str | None = None
    """The Selenium Grid that has its browser."""
    session_name: str = ""
    """The name of its sessions there."""
    user_agent: str | None = None
    """The User-Agent header, if the source requires one."""
    network: int | None = None
    """The process that holds the network in which it is alone with its clients."""
    reuse: bool = False
    """Whether a worker keeps its connection or browser for all its pages."""
    one_tls_context: bool = False
    """Whether all fetches of a process share a TLS context, for the client requests only."""
