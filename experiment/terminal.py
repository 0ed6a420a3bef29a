"""End a study when the terminal that started it is closed."""

import os
import select
import signal
import threading
from contextlib import suppress


def end_when_closed() -> None:
    """Send SIGHUP to this process when its terminal is closed, if nothing else does.

    The system tells the leader of the session alone. A shell with job control tells its jobs, each
    a process group of its own; a leader in the group of this process, such as make in `xterm -e
    make report`, does not.
    """
    untold = os.getsid(0) == os.getpgrp() != os.getpid()
    if untold and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        with suppress(OSError):  # there is no terminal
            terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
            threading.Thread(target=_wait, args=(terminal,), daemon=True).start()


def _wait(terminal: int) -> None:
    """Wait until the terminal is closed; takes no time of any core."""
    poll = select.poll()
    poll.register(terminal, 0)
    if any(event & select.POLLHUP for _, event in poll.poll()):
        os.kill(os.getpid(), signal.SIGHUP)
