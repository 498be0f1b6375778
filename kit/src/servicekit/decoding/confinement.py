"""Confinement of a process before it reads untrusted bytes, so that an attacker who takes it over
has no access to files, sockets or other processes.

    limits         no file grows, no core is dumped, and few descriptors are free (setrlimit(2))
    no_new_privs   no program that it starts has more rights (prctl(2))
    landlock       no file is opened, made or removed, no TCP port is reached (landlock(7))
    seccomp        no system call but those of _CALLS: no socket, no file, no other process, no
                   signal, no namespace (seccomp(2), through libseccomp)

The layers are independent. Where one is unavailable (another system, an old kernel, no libseccomp),
the others still apply; `lacking` returns the missing ones. RLIMIT_NPROC is not set: it counts all
processes of a user, and HEIC's decoder starts a thread.
"""

import contextlib
import ctypes
import errno
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

LAYERS: Final = ("limits", "no_new_privs", "landlock", "seccomp")

_DEATH_SIGNAL, _NO_NEW_PRIVS = 1, 38  # PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS
_SIGKILL = 9
_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # the same on every architecture
_ASK_VERSION = 1
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""Number of file rights by Landlock version; later versions have 16. All of them are denied."""

_ERRNO, _ALLOW = 0x00050000, 0x7FFF0000  # SCMP_ACT_ERRNO, SCMP_ACT_ALLOW
_CALLS: Final = (
    *("read", "write", "readv", "writev", "recvfrom", "sendto", "close", "lseek"),
    *("mmap", "mremap", "munmap", "mprotect", "brk", "madvise", "poll", "ppoll"),
    *("futex", "set_robust_list", "rseq", "membarrier", "sched_yield", "sched_getaffinity"),
    *("clock_gettime", "clock_nanosleep", "nanosleep", "gettimeofday", "getrandom", "getcpu"),
    *("getpid", "gettid", "getrusage", "sysinfo", "uname"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack"),
    *("restart_syscall", "exit", "exit_group"),
)
"""System calls that a decoder needs: memory, threads, time, and its open connection."""
_THREAD = struct.pack("=IIQQ", 0, 7, 0x10000, 0x10000)
"""A condition of libseccomp: of the flags of clone(2), CLONE_THREAD is set. No other process."""


@cache
def lacking() -> tuple[str, ...]:
    """Return the layers that this machine lacks, as found by a subprocess; this process stays
    unconfined."""
    tried = subprocess.run(
        (sys.executable, "-sP", "-m", "servicekit.decoding.confinement"),
        stdout=subprocess.PIPE,
        check=False,
    )
    held = tried.stdout.decode().split()
    return tuple(layer for layer in LAYERS if layer not in held)


class Confinement:
    """The layers of confinement, loaded while files can still be opened."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.syscall.restype = ctypes.c_long
        self._seccomp: Any = None
        with contextlib.suppress(OSError):
            self._seccomp = ctypes.CDLL("libseccomp.so.2")
            self._seccomp.seccomp_init.restype = ctypes.c_void_p

    def enter(self) -> tuple[str, ...]:
        """Confine this process irrevocably and tie its life to its parent's.

        Return the layers in force.
        """
        with contextlib.suppress(OSError, AttributeError):
            self._control(_DEATH_SIGNAL, _SIGKILL)
        layers: Mapping[str, Callable[[], None]] = {
            "limits": _limit,
            "no_new_privs": lambda: self._control(_NO_NEW_PRIVS, 1),
            "landlock": self._close_files,
            "seccomp": self._close_calls,
        }
        held = []
        for name in LAYERS:
            with contextlib.suppress(OSError, AttributeError, ValueError):
                layers[name]()
                held.append(name)
        return tuple(held)

    def _control(self, option: int, value: int) -> None:
        _check(self._libc.prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0))))

    def _close_files(self) -> None:
        version = _check(self._call(_CREATE_RULESET, None, 0, _ASK_VERSION))
        files = 2 ** _FILE_RIGHTS.get(version, 16) - 1
        # Then TCP, from version 4, and from version 6 abstract sockets and signals.
        size = 8 if version < 4 else 16 if version < 6 else 24
        handled = struct.pack("=QQQ", files, 3, 3)[:size]
        ruleset = _check(self._call(_CREATE_RULESET, handled, size, 0))
        try:
            _check(self._call(_RESTRICT_SELF, ruleset, 0))
        finally:
            os.close(ruleset)

    def _call(self, number: int, *arguments: bytes | int | None) -> int:
        given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
        found: int = self._libc.syscall(ctypes.c_long(number), *given)
        return found

    def _close_calls(self) -> None:
        library = self._seccomp
        if library is None:
            raise OSError(errno.ENOSYS, "libseccomp is missing")
        rules = ctypes.c_void_p(library.seccomp_init(_ERRNO | errno.EPERM))
        try:
            for name in _CALLS:
                _allow(library, rules, _ALLOW, name)
            _allow(library, rules, _ALLOW, "clone", _THREAD)
            # Its flags lie in memory, where no filter sees them; the C library takes clone instead.
            _allow(library, rules, _ERRNO | errno.ENOSYS, "clone3")
            _check(library.seccomp_load(rules))
        finally:
            library.seccomp_release(rules)


def _allow(library: Any, rules: Any, action: int, name: str, condition: bytes = b"") -> None:
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number == -1:  # not known to this libseccomp: then it stays forbidden
        return
    _check(library.seccomp_rule_add_array(rules, action, number, bool(condition), condition))


def _limit() -> None:
    for kind, most in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        resource.setrlimit(kind, (most, most))


def _check(result: int) -> int:
    """Return the result of a C library call. Raise OSError if it reports failure."""
    if result < 0:
        raise OSError(ctypes.get_errno(), "not available here")
    return result


if __name__ == "__main__":
    print(*Confinement().enter(), flush=True)
    os._exit(0)
