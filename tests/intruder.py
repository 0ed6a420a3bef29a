"""Another user of the machine, or another machine: it tries what it can reach until told to stop.

A program of its own, in plain Python, since it runs as a user who cannot read the project:
`python -c THIS ADDRESS BODY ...`. It prints a line of JSON: at which ports somebody took a
connection, and with what status each answered.
"""

import http.client
import json
import re
import select
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PATHS = ("/session", "/wd/hub/session", "/status", "/sessions", "/", "//session")
DRIVERS = range(12_000, 31_216)


def listening() -> set[int]:
    """Every port at which somebody listens on this machine, as any user can read it."""
    lines = [
        line
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()
    ]
    return {int(found[1], 16) for line in lines if (found := re.search(r":(\w{4}) \S+ 0A ", line))}


def statuses(port: int, bodies: Sequence[str]) -> Iterator[int | None]:
    """How a port answers requests that open a session, and go on to have a program started."""
    for path in PATHS:
        for body in bodies:
            answer = ask(port, path, body)
            yield answer[0] if answer else None
            found = re.search(rb'"sessionId": *"([^"]+)"', answer[1]) if answer else None
            if found:
                answer = ask(port, f"{path}/{found[1].decode()}/phantom/execute", bodies[-1])
                yield answer[0] if answer else None


def ask(port: int, path: str, body: str) -> tuple[int, bytes] | None:
    """Status and body of an answer; None where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def takes_connection(address: str, port: int) -> bool:
    """Whether a port of an address can be connected to."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((address, port)) == 0


def main() -> None:
    """Look again and again, until standard input ends."""
    address, *bodies = sys.argv[1:]
    seen: set[int] = set()
    answers: list[tuple[int, int | None]] = []
    looks = 0
    while not select.select([sys.stdin], [], [], 0.005)[0]:
        looks += 1
        if address != "127.0.0.1":
            seen.update(port for port in DRIVERS if takes_connection(address, port))
            continue
        for port in listening():
            seen.add(port)
            answers += [(port, status) for status in statuses(port, bodies)]
    print(json.dumps({"looks": looks, "ports": sorted(seen), "answers": answers}))


main()
