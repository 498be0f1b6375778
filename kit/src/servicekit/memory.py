"""What the C library does with memory that is freed, and Python with what stays."""

import contextlib
import ctypes
import gc
import os
from pathlib import Path

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


def limit() -> int:
    """Bytes of memory that this process may have: the container's limit (cgroup), else the
    machine's."""
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # "max" = none
            most = min(most, int(Path("/sys/fs/cgroup", name).read_text("ascii")))
    return most
