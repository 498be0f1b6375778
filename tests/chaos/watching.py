"""Times at which an engine is lost and back, as bare pymilvus sees it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
from pymilvus import AsyncMilvusClient, MilvusException

_LOOK_SECONDS = 0.05
_ANSWER_SECONDS = 1.0


@dataclass(slots=True)
class Return:
    """Time at which the engine was back, by time.monotonic(); 0 until then."""

    word: float = 0.0
    """Time of its first answer of any kind about the collection."""
    rows: float = 0.0
    """Time of its first search in the collection with rows."""


async def watch(engine: AsyncMilvusClient, collection: str, dimension: int) -> Return:
    """Wait until a lost engine finds rows again. To be begun while it is lost."""
    seen = Return()
    while not seen.rows:
        try:
            found = await engine.search(
                collection,
                data=[[1.0] * dimension],
                limit=1,
                consistency_level="Bounded",
                timeout=_ANSWER_SECONDS,
            )
        except MilvusException as error:
            if isinstance(error.code, int) and error.code == _RELEASED and not seen.word:
                seen.word = time.monotonic()
        except (grpc.RpcError, TimeoutError):
            pass
        else:
            now = time.monotonic()
            seen.word = seen.word or now
            seen.rows = now if found and found[0] else 0.0
        await asyncio.sleep(_LOOK_SECONDS)
    return seen


_RELEASED = 101
"""The collection is not in the engine's memory."""


@contextlib.contextmanager
def hung(pid: int) -> Iterator[None]:
    """Stop a process and all its descendants during the block."""
    still = family(pid)
    try:
        for each in still:
            os.kill(each, signal.SIGSTOP)
        yield
    finally:
        for each in still:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)


def family(pid: int) -> list[int]:
    """Return the ids of a process and of its descendants, itself first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(after_name[1]), []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found
