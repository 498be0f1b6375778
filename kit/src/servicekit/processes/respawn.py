"""A process that is forked again when it dies.

Imports are most of the start of a process with many modules. Here a parent has imported them, and
forks the process that serves: the next one after a death begins without them.
"""

import contextlib
import os
import signal
import time
from typing import Final

from servicekit.processes.process_group import SOON, receive_when_parent_dies

_STOPS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_AWAITED: Final = _STOPS | {signal.SIGCHLD}


def in_child() -> int | None:
    """Fork, and return in the child: None in the first one, later the exit status of the last.

    The parent forwards SIGTERM and SIGINT, and exits with the status of a child that ended after
    one of them, or within SOON seconds of its start: it would fail again. The child is killed with
    its parent (Linux only). Call it before the process starts threads of its own.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    parent, last = os.getpid(), None
    while True:
        since = time.monotonic()
        if not (child := os.fork()):
            _begin(parent)
            return last
        last, asked = _wait(child)
        if asked or time.monotonic() - since < SOON:
            # SIGTERM may have come before its handler was installed.
            stopped = asked and last == -signal.SIGTERM
            raise SystemExit(0 if stopped else last if last >= 0 else 128 - last)


def _begin(parent: int) -> None:
    """Die with the parent, and receive signals as other processes do."""
    receive_when_parent_dies(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # the parent died before the call
    # A group of its own: a terminal's Ctrl-C would reach it twice, and cut its drain short.
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)


def _wait(child: int) -> tuple[int, bool]:
    """Return the status of the child, negative for a signal, and whether it was asked to end."""
    asked = False
    while True:
        if (which := signal.sigwait(_AWAITED)) in _STOPS:
            asked = True
            os.kill(child, which)
        # As the first process of a container, it also inherits the children of ended ones.
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == child:
                    return os.waitstatus_to_exitcode(ended[1]), asked
