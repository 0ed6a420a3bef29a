"""Let no two studies measure one run, or on one machine, at the same time.

The kernel holds them, so they end with their process, however that ends.
"""

import fcntl
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import filelock
import psutil

from experiment.errors import UserError, writing

OF_RUN = "run.lock"
"""The lock in the folder of a run that is being measured; it names the process that does."""

OF_MACHINE = Path("/tmp/threads-or-processes.lock")  # noqa: S108  (not TMPDIR: one for everybody)

PATIENCE_S = 0.3
"""A lock that is being given back is waited for."""


@contextmanager
def of_run(folder: Path) -> Iterator[None]:
    """Hold the lock of a run; make its folder if need be, and remove it again if it stays empty.

    Raises `UserError` that names who holds it.
    """
    path = folder / OF_RUN
    lock = filelock.FileLock(path, mode=0o664)
    with writing("run", folder):
        made = _acquire(lock, folder)
    try:
        with suppress(OSError):  # a full disk is told of when there are rows to write
            path.write_text(_this_process(), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # while it is held: whoever opened it meanwhile sees that it is gone
        lock.release()
        if made:
            with suppress(OSError):  # it holds a run now
                folder.rmdir()


def _acquire(lock: filelock.BaseFileLock, folder: Path) -> bool:
    """Take the lock of a run; return whether its folder was made for it."""
    made = False
    while True:
        with suppress(FileExistsError):
            folder.mkdir()
            made = True
        try:
            lock.acquire(timeout=PATIENCE_S)
        except filelock.Timeout:
            raise UserError(
                f"run: data/{folder.name} is being measured by {_holder(folder / OF_RUN)}; "
                "wait until it has ended, or name another run"
            ) from None
        except (FileNotFoundError, FileExistsError):
            if folder.is_symlink():  # to nothing, and so it stays
                raise
            continue  # its maker has just removed the folder
        return made


def _this_process() -> str:
    user, host, now = psutil.Process().username(), platform.node(), datetime.now(UTC)
    return f"process {os.getpid()} ({user} on {host}, since {now:%Y-%m-%d %H:%M} UTC)\n"


def _holder(path: Path) -> str:
    """Return who holds the lock of a run, as it says itself."""
    text = ""
    with suppress(OSError):
        text = path.read_text(encoding="utf-8", errors="replace")[:200]
    return "".join(filter(str.isprintable, text)) or "another process"


@contextmanager
def of_machine() -> Iterator[bool]:
    """Hold the machine-wide lock, so that no two studies measure at once; yield whether it is held.

    Raises `UserError` where a study of any user holds it.
    """
    locked = False
    with ExitStack() as stack:
        try:
            descriptor = _open(OF_MACHINE)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        except BlockingIOError:
            raise UserError(
                "run: another study is being measured on this machine, and two would spoil each "
                "other; wait until it has ended"
            ) from None
        except OSError as error:
            print(
                f"warning: the lock {OF_MACHINE} cannot be used ({error.strerror}), so another "
                "study on this machine would not be noticed",
                file=sys.stderr,
            )
        yield locked


def _open(path: Path) -> int:
    """Open a file of all users, made if need be, to read only: others may do no more.

    A link is not followed, and a pipe not waited for.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with suppress(FileExistsError):
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o444)
        os.fchmod(descriptor, 0o444)  # whatever the umask
        return descriptor
    return os.open(path, flags)
