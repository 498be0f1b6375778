"""Limits of decoding: number of processes, time and memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydantic import Field

from servicekit.config import ServiceSettings
from servicekit.decoding.confinement import lacking
from servicekit.telemetry import get_logger

SPARE: Final = 96 * 2**20
"""Bytes that a process may take at any time beyond its size at the start."""
PROCESS: Final = SPARE + 64 * 2**20
"""Bytes accounted for a process: SPARE, its unshared memory, and copies of photo and pixels."""

IDLE_SPARE: Final = 32 * 2**20
"""Bytes that an idle process may keep beyond its size at the start, beside those that can work."""
IDLE: Final = IDLE_SPARE + 16 * 2**20
"""Bytes accounted for such a process: IDLE_SPARE, and copies of photo and pixels."""


class DecodingSettings(ServiceSettings):
    """Settings of decoding; a mixin of a service's settings."""

    decode_processes: int = Field(default=2, ge=1, le=64)
    """Processes that decode photos, one photo at a time each, with up to 160 MiB each."""

    decode_idle_processes: int = Field(default=4, ge=0, le=1024)
    """Idle processes kept besides these, with up to 48 MiB each. A process decodes photos of one
    catalog only; the least recently used one is replaced when another catalog has photos. Useful up
    to the number of catalogs."""

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


def processes_bytes(settings: DecodingSettings) -> int:
    """Return the bytes that the processes may take, without those for large photos."""
    return settings.decode_processes * PROCESS + settings.decode_idle_processes * IDLE


def memory_that_fits(settings: DecodingSettings, limit: int | None) -> int:
    """Return the bytes for large photos that fit into a container's `limit` (`None`: no limit).

    Raises SystemExit when too few are left.
    """
    wanted = settings.decode_memory_bytes
    if limit is None:
        return wanted
    left = limit - settings.own_memory_bytes - processes_bytes(settings)
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
