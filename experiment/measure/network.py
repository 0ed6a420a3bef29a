"""Make a network for a study that needs no other: nobody else can reach what listens in it.

The drivers of Chrome and Firefox answer every user of the machine, and start any program that a
session names. Linux can give processes a network namespace with a loopback device and nothing
else; whoever is not in it, another user included, cannot connect to what listens there. As a
program, `python -m experiment.measure.network` makes one and holds it until standard input ends.
"""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER, NETWORK = 0x10000000, 0x40000000
"""Kinds of namespaces: CLONE_NEWUSER and CLONE_NEWNET of linux/sched.h."""

SET_FLAGS, UP = 0x8914, 0x1
"""SIOCSIFFLAGS and IFF_UP of linux/sockios.h and linux/if.h."""


@contextmanager
def private() -> Iterator[int | None]:
    """Yield the process that holds a new network; None where the system grants none."""
    if sys.platform != "linux":
        yield None
        return
    command = [sys.executable, "-m", "experiment.measure.network"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as holder:
        assert holder.stdout is not None
        yield holder.pid if holder.stdout.readline() else None


def enter(holder: str) -> None:
    """Move this process, which must have one thread, into the network of a process; "" is none."""
    if not holder:
        return
    for name, kind in (("user", USER), ("net", NETWORK)):
        place, own = f"/proc/{holder}/ns/{name}", f"/proc/self/ns/{name}"
        if Path(place).readlink() != Path(own).readlink():
            with open(place, "rb") as namespace:  # noqa: PTH123
                _call("setns", namespace.fileno(), kind)


def _make() -> None:
    """Leave the system's network for a new one; raises `OSError` where that is not granted."""
    if os.geteuid() == 0:  # a user namespace would take root's right to others' files
        _call("unshare", NETWORK)
    else:
        user, group = os.geteuid(), os.getegid()
        _call("unshare", USER | NETWORK)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh14x", b"lo", UP))


def _call(function: str, *arguments: int) -> None:
    """Call a function of the C library; raises `OSError` with what it says."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main() -> None:
    """Make a network, say so, and hold it until standard input ends; say nothing where denied."""
    try:
        _make()
    except OSError:
        return
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
