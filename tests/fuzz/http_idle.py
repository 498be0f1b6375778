"""Idle connections to the HTTP server, more than it holds."""

from __future__ import annotations

import asyncio
import resource
import statistics
import time

import httpx

from local_suite.model import HOST
from local_suite.suite import Suite
from tests.fuzz import memory
from tests.fuzz.model import Outcome

COUNT = 10_000
MOST_GROWN = 150 * 2**20
"""Maximum bytes of memory for them: the 4,000 that are held have 37 KiB each."""
_AT_ONCE = 200
_CALLS = 50
_FILES = 500
"""Files of this process besides the connections."""


async def hold(suite: Suite) -> Outcome:
    """Open COUNT connections that send nothing. Return whether calls beside them are answered.

    Raises OSError if this process may not have so many files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = COUNT + _FILES
    if most not in (resource.RLIM_INFINITY, max(most, needed)):
        raise OSError(f"{COUNT:,} connections need {needed:,} files: ulimit -Hn is {most:,}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))
    programs = memory.pids(suite)
    before = memory.resident(programs)
    port = int(suite.http.rpartition(":")[2])
    connections: list[asyncio.StreamWriter] = []
    try:
        while len(connections) < COUNT:
            opened = [asyncio.open_connection(HOST, port) for _ in range(_AT_ONCE)]
            connections += [writer for _, writer in await asyncio.gather(*opened)]
        seconds = [await _asked(suite.http) for _ in range(_CALLS)]
        grown = sum(memory.resident(programs).values()) - sum(before.values())
    finally:
        for writer in connections:
            writer.transport.abort()
    measured = (
        f"{len(connections):,} opened; {len(seconds)} calls beside them answered, median"
        f" {statistics.median(seconds) * 1e3:.0f} ms; {grown / 2**20:.0f} MiB more memory"
    )
    return Outcome(grown < MOST_GROWN, measured)


async def _asked(address: str) -> float:
    """Return the seconds of a call on a connection of its own. Raises OSError if it is refused."""
    began = time.perf_counter()
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            found = await client.get(f"{address}/v1/catalogs/default/products?pageSize=1")
            found.raise_for_status()
    except httpx.HTTPError as error:
        raise OSError(f"a call beside idle connections: {error}") from error
    return time.perf_counter() - began
