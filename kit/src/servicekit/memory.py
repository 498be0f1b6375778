"""How much memory there may be, what the C library does with freed memory, and Python with what
stays."""

import contextlib
import ctypes
import gc
import os
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def keep_memory() -> None:
    """Have the C library keep some of what is freed for what comes next.

    Else it hands a batch's 600 KB back to the kernel after each copy of it and takes them again
    page by page, which was a third of the embedder's processor time (measured 2026-11).
    """
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 4 * 2**20)
        mallopt(_M_TRIM_THRESHOLD, 16 * 2**20)


def keep_objects() -> None:
    """Have Python's collector pass by what is there now: modules and what a service is made of.

    They stay until its end, and to go through them took a request's time every few hundred
    requests (measured 2026-11).
    """
    gc.collect()
    gc.freeze()


def container_limit(groups: Path = _GROUPS, own: Path = _OWN_GROUP) -> int | None:
    """Bytes of memory that the container may take, by its cgroup (v2) and those above it.

    None where there is no limit, or nothing says one.
    """
    limits = []
    with contextlib.suppress(OSError):
        paths = [line[3:] for line in own.read_text().splitlines() if line.startswith("0::")]
        group = groups / "".join(paths).lstrip("/")
        for each in (group, *group.parents):
            with contextlib.suppress(OSError, ValueError):  # ValueError: "max"
                limits.append(int((each / "memory.max").read_text()))
    return min(limits, default=None)


def limit() -> int:
    """Bytes of memory that this process may have: the container's limit, else the machine's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine, container_limit() or machine)
