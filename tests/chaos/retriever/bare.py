"""Content and availability of an engine, read by pymilvus without any of our code."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from pymilvus import AsyncMilvusClient

# It logs every failed call at ERROR, through handlers of its own; failures are what we wait for.
for _name in ("pymilvus", "pymilvus.milvus_client"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

MOST_ROWS = 16_384
"""Maximum rows of one answer."""
_BACKOFF = {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 100,
    "grpc.enable_http_proxy": 0,
}


@contextlib.asynccontextmanager
async def client(uri: str) -> AsyncIterator[AsyncMilvusClient]:
    """Yield a client that detects within 0.1 s that a killed engine is back."""
    opened = AsyncMilvusClient(uri, timeout=5, dedicated=True, grpc_options=dict(_BACKOFF))
    try:
        yield opened
    finally:
        await opened.close()


async def rows(engine: AsyncMilvusClient, collection: str) -> dict[str, dict[str, Any]]:
    """Return every row of a collection by its id. Raise MilvusException."""
    found = await engine.query(
        collection,
        filter='id >= "0"',
        output_fields=["*"],
        limit=MOST_ROWS,
        consistency_level="Strong",
        timeout=10,
    )
    if len(found) >= MOST_ROWS:
        raise ValueError(f"{collection} holds more rows than one answer")
    return {str(row["id"]): row for row in found}
