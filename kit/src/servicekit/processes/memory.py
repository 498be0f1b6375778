"""Memory limits, and settings of the C library's allocator and of Python's collector."""

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
    """Let the C library keep some freed memory for reuse. Otherwise it returns a batch's 600 KB to
    the kernel after each copy and faults them in again page by page, which was a third of the
    embedder's processor time (measured 2026-11).
    """
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 4 * 2**20)
        mallopt(_M_TRIM_THRESHOLD, 16 * 2**20)


def keep_objects() -> None:
    """Exclude all current objects from garbage collection: modules and long-lived state.

    Traversing them took as long as a request, every few hundred requests (measured 2026-11).
    """
    gc.collect()
    gc.freeze()


def container_limit(groups: Path = _GROUPS, own: Path = _OWN_GROUP) -> int | None:
    """Return the container's memory limit in bytes, by its cgroup (v2) and its ancestors.

    None if there is no limit, or none can be read.
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
    """Return the memory of this process in bytes: the container's limit, else the machine's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine, container_limit() or machine)
