"""Memory of each program of a suite with its child processes."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from local_suite.suite import Suite

GROWTH_FACTOR = 1.25
GROWTH_BYTES = 64 * 2**20
STORE_GROWTH_BYTES = 160 * 2**20
UNREAD_BYTES = 64 * 2**20
"""After warm-up a program may grow to the larger of factor × what it had and what it had + bytes:
caches, what is stored meanwhile and one more decoding process, but nothing for each request. Of
100,000 requests none took more than 14 MiB. Milvus, which holds what is written in memory, is not
warm after a quarter of a short run: of 1,500 requests it took 62 MiB (measured 2026-11). The
gateway is looked at while slow readers have what they do not read held for them, for one caller
half of BYTES_IN_FLIGHT at most."""
BYTES_IN_FLIGHT = 2 * UNREAD_BYTES
_MORE = {"milvus": STORE_GROWTH_BYTES, "gateway": GROWTH_BYTES + UNREAD_BYTES}
_FOR_A_WHILE = (
    *(b"_features_", b"_objects_", b"_positions_", b"centerface_", b"ppocrv6_"),
    *(b"embedder.fitting", b"ranker.train", b"multiprocessing.spawn"),
)
"""In the commands of processes that are there only for a while, because a request of the fuzzer's
asked for them: models of Triton's that a space is fitted from, that find objects or faces, read
labels or inspect pieces, and are unloaded when unused; a fit, a training, and the noise of private
counts (`ranker.adapters.opendp`), which takes 130 MiB."""

_PROC = Path("/proc")


def pids(suite: Suite) -> dict[str, int]:
    """Return the process of each program; 0 if it is not running."""
    return {row.name: row.pid for row in suite.status()}


def resident(programs: Mapping[str, int]) -> dict[str, int]:
    """Return the bytes of each program: proportional set size of its process and all descendants,
    except processes of a single job."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(stat[1]), []).append(int(entry.name))
    return {name: _tree(pid, children) for name, pid in programs.items() if pid}


def _tree(pid: int, children: Mapping[int, list[int]]) -> int:
    own = 0
    with contextlib.suppress(OSError):
        command = (_PROC / str(pid) / "cmdline").read_bytes()
        if any(name in command for name in _FOR_A_WHILE):
            return 0
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                own = int(line.split()[1]) * 1024
    return own + sum(_tree(child, children) for child in children.get(pid, ()))


def limit(program: str, before: int) -> int:
    """Return the memory that a program may have at the end."""
    return max(int(before * GROWTH_FACTOR), before + _bytes(program))


def tolerance(program: str) -> str:
    """Describe this limit in words."""
    return f"the larger of ×{GROWTH_FACTOR:g} and +{_bytes(program) / 2**20:.0f} MiB"


def _bytes(program: str) -> int:
    return _MORE.get(program, GROWTH_BYTES)
