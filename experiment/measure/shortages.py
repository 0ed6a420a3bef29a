"""Say in a line what of the machine has run out, where an error tells of it.

These are file descriptors, memory, processes and threads, and room for temporary files. A trial
imports this before its pool is made, so it imports little.
"""

import re
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiment.errors import FULL, UserError

BLOCK = 65_536  # bytes that a folder which is not full takes

reserve = bytearray(4 * 2**20)
"""Address space, untouched until it is given back: telling that memory ran out takes some."""


@contextmanager
def shortage_said() -> Iterator[None]:
    """Turn an error of the block that a limit of the system caused into a `UserError`."""
    try:
        yield
    except (OSError, MemoryError, RuntimeError, ImportError, SystemError) as error:
        reserve.clear()
        words = shortage(error)
        if words is None:
            raise
        raise UserError(words) from error


def shortage(error: BaseException | None) -> str | None:
    """Return what has run out, in a line, where an error or one behind it tells of that.

    Only its last line counts: an error may hold the log of a program, which ends with its own.
    """
    while error is not None:
        last = f"{type(error).__name__}: {error}".rstrip().splitlines()[-1]
        for pattern, (kind, words) in SHORTAGES.items():
            if found := pattern.search(last):
                return words.format(said=found[0], limit=_limit(kind))
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def room_for_temporary_files() -> Iterator[None]:
    """Turn the error of a full disk into a `UserError`; the block writes temporary files only."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise no_room() from error


def no_room() -> UserError:
    """Return the error of a folder for temporary files that is full."""
    place = tempfile.gettempdir()
    return UserError(f"TMPDIR: {place} is full or too small; set TMPDIR to a folder with more room")


def nothing_left(said: str) -> UserError:
    """Return the error of a program that ended for want of memory or threads, not saying which."""
    limits = f"ulimit -v is {_limit(resource.RLIMIT_AS)}, ulimit -u {_limit(resource.RLIMIT_NPROC)}"
    return UserError(
        f"memory: no memory or no thread is left for this study ({said}); raise the limit "
        f"({limits}), or end other programs"
    )


def is_full(folder: Path) -> bool:
    """Return whether no more can be written into a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(BLOCK))
    except OSError as error:
        return error.errno in FULL
    return False


def _limit(kind: int) -> str:
    """Return a limit of this process as the shell says it: memory in kB."""
    limit = resource.getrlimit(kind)[0]
    if limit == resource.RLIM_INFINITY:
        return "unlimited"
    return str(limit // 1024 if kind == resource.RLIMIT_AS else limit)


SHORTAGES = {
    re.compile("can't start new thread|Resource temporarily unavailable|pthread_create"): (
        resource.RLIMIT_NPROC,
        "processes: no further process or thread can be started here ({said}); raise the limit "
        "(ulimit -u is {limit}), or end other programs",
    ),
    re.compile(
        "MemoryError|[Cc]annot allocate memory|failed to map segment|bad_alloc"
        "|error return without exception set"  # of an import that got no memory
    ): (
        resource.RLIMIT_AS,
        "memory: none is left for this study ({said}); raise the limit (ulimit -v is {limit}), "
        "or end other programs",
    ),
    re.compile("Too many open files"): (
        resource.RLIMIT_NOFILE,
        "files: {said}; raise the limit (ulimit -n is {limit}), or choose a smaller pool",
    ),
}
"""What the system says where something has run out; the limit it is of, and how that is told.

The patterns are compiled beforehand: no memory may be left for that."""
