"""Limits of decoding: number of processes, time and memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Final

from pydantic import Field

from servicekit.config import ServiceSettings
from servicekit.confinement import lacking
from servicekit.telemetry import get_logger

SPARE: Final = 96 * 2**20
"""Bytes that a process may take at any time beyond its size at the start."""
PROCESS: Final = SPARE + 64 * 2**20
"""Bytes accounted for a process: SPARE, its unshared memory, and copies of photo and pixels."""


class DecodingSettings(ServiceSettings):
    """Settings of decoding; a mixin of a service's settings."""

    decode_processes: int = Field(default=2, ge=1, le=64)
    """Processes that decode photos, one photo at a time each, with up to 160 MiB each."""

    decode_seconds: float = Field(default=10.0, gt=0, le=300)
    """Maximum seconds to decode one photo; a slower photo counts as undecodable."""

    decode_memory_bytes: int = Field(default=1536 * 2**20, ge=64 * 2**20, le=64 * 2**30)
    """Memory in bytes for decoding large photos, of all processes together; a photo that needs more
    is rejected with IMAGE_TOO_LARGE (Linux only). In a container it is reduced to what the limit
    permits."""

    own_memory_bytes: int = Field(default=512 * 2**20, ge=64 * 2**20, le=2**40)
    """Memory in bytes assumed for the service itself in a container with a limit, which must also
    hold that of the processes and large photos."""

    decode_unconfined: bool = False
    """If true, photos are decoded in production even if the kernel lacks a means of confining
    decoders, such as Landlock or seccomp."""

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        if not self.decode_unconfined and (missing := lacking()):
            yield (
                f"decoders can't be confined by {' and '.join(missing)} here: run it on Linux 5.13"
                f" or later with libseccomp, or accept that: {self.variable('decode_unconfined')}"
                "=true"
            )


def memory_that_fits(settings: DecodingSettings, limit: int | None) -> int:
    """Return the bytes for large photos that fit into a container's `limit` (`None`: no limit).

    Raises SystemExit when too few are left.
    """
    wanted = settings.decode_memory_bytes
    if limit is None:
        return wanted
    left = limit - settings.own_memory_bytes - settings.decode_processes * PROCESS
    if left >= wanted:
        return wanted
    if left < SPARE:
        prefix = settings.model_config.get("env_prefix", "")
        raise SystemExit(
            f"error: {limit >> 20:,} MiB of memory in this container are too few: with"
            f" {prefix}OWN_MEMORY_BYTES ({settings.own_memory_bytes >> 20:,} MiB) and"
            f" {prefix}DECODE_PROCESSES ({settings.decode_processes} of {PROCESS >> 20} MiB)"
            f" {max(0, left) >> 20:,} MiB are left for decoding, at least {SPARE >> 20} are needed"
        )
    get_logger().warning(
        "less memory for large photos than set: limited by the container",
        limit_mib=limit >> 20,
        set_mib=wanted >> 20,
        left_mib=left >> 20,
    )
    return left


class DecodingBudget:
    """Memory shared by concurrent items, granted in order of request: a large item is not overtaken
    by small ones. For one event loop."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextlib.asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Wait for `size` bytes, at most all, and hold them while the block runs."""
        if not size:
            yield
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._admit()
        try:
            await turn
            yield
        finally:
            if turn.cancelled():  # it got no memory, and may have delayed those behind it
                self._admit()
            else:
                self._give(size)

    def _give(self, size: int) -> None:
        self._free += size
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.cancelled():
                if size > self._free:
                    return
                self._free -= size
                turn.set_result(None)
            self._waiting.popleft()
