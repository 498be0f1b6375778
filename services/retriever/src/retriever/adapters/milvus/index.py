"""The index in Milvus: the only place that knows pymilvus, which the first call loads: that takes a
third of the start of a retriever, and 90 MiB, and small catalogs are compared in memory.

One code path for Milvus Lite (as a server process), a Milvus server from 2.3.5 and a cluster, so it
uses what all have: plain columns, FLAT and HNSW, COSINE, L2 and IP, upsert, delete by id, query by
range of the id.
What was found with pymilvus 3.0.2 and Milvus Lite 3.2.2 (2026-11):

- AsyncMilvusClient connects on first use, fails within 10 ms if none listens, finds a restarted
  engine by itself, and can be cancelled. Its retries end at `timeout`; a cap of our own stands
  around every call all the same.
- A NaN or an all-zero query vector, and a wrong dimension, come back as results or as code 1: the
  use cases check vectors before they get here.
- A server (2.3.5) refuses both in rows, and an expression that it can't read, with code 65535,
  which is also its word for anything unexpected: so it counts as unavailable here.
- Without `output_fields` every field comes back, vectors too.
- Rows come back in no order, and its query_iterator logs a warning at each start: `scan` asks by
  range of the id instead, which needs no state in the engine.
- `delete` returns the ids asked for, whether they were there or not.
- Clients of one process share a connection, also across event loops, unless it is `dedicated`.
- A Milvus server (2.3.5) shows a row to "Strong" reads at once and to "Bounded" ones a bit later,
  but takes 200 to 400 ms for the former and 2 to 4 ms for the latter. Milvus Lite shows it at once
  to all.
- A server (2.3.5) puts rows that are upserted into partitions by their id and not by the partition
  key: a search of the key's partition found 26 of 100. What is inserted goes where it belongs, so
  there a row is deleted and inserted, and is gone for some milliseconds.
- `count(*)` counts in Milvus Lite also while the collection is released; a server refuses (101).
- An HNSW search of a server compares one by one where at most 7% of a segment pass (0.93 in
  HnswSearchThresholds, https://github.com/zilliztech/knowhere); Milvus Lite's never does.
- A distance of L2 is squared, and a smaller one is nearer.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import grpc
import numpy as np

from retriever.adapters.milvus import filters
from retriever.domain.collection_names import shape_of
from retriever.domain.errors import IndexUnavailable
from retriever.domain.generation import EXACT, IndexKind, IndexParameters, VectorMetric
from retriever.domain.index_values import WHOLE, CollectionState, Hit, IndexRow, Slice, hit_order
from retriever.domain.vectors import Floats
from servicekit.deadlines import in_thread
from sightline_rules.filters import Filter

MAX_ROWS = 16_384
"""Maximum rows of one answer. Milvus refuses more (Milvus Lite does not)."""
_ID = "id"
"""Name of the key in a hit of Milvus 2.3, independent of the field's name."""
_VECTOR = "vector"
LEAST_VERSION = "2.6.10"
"""Earlier servers execute any request to their metrics port (CVE-2026-26190)."""
_LITE = "milvus_lite"
"""Prefix of Milvus Lite's version."""
_VERSION_SECONDS = 0.2
"""Timeout of a search's request for the engine's version, in seconds: a hang fails the search."""
_CHANNEL: Mapping[str, int] = MappingProxyType(
    {
        # gRPC would share its back-off between channels and then wait up to two minutes before it
        # tries a restarted engine again.
        "grpc.use_local_subchannel_pool": 1,
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": 1000,
        "grpc.enable_http_proxy": 0,
    }
)


class MilvusIndex:
    """The collections of one engine; see `VectorIndex` for the contract of each call."""

    def __init__(
        self,
        uri: str,
        *,
        token: str = "",
        ca_file: Path | None = None,
        seconds: float = 10.0,
        parallel: int = 8,
    ) -> None:
        """Prepare a client that connects on first use, in the event loop of that use.

        `ca_file`: authority of its certificate; None: public ones. `seconds`: default timeout of a
        call. `parallel`: maximum number of concurrent calls.
        """
        self._options = {
            "token": token,
            "timeout": seconds,
            "dedicated": True,
            "grpc_options": dict(_CHANNEL),
            "server_pem_path": str(ca_file or ""),
        }
        self._client: Any = None
        """Client of pymilvus; None before the first call."""
        self._uri, self._authority = uri, ca_file.read_bytes() if ca_file else None
        self._watched: grpc.aio.Channel | None = None
        """Connection without calls, by which a restart of the engine is noticed."""
        self._seconds = seconds
        self._slots = asyncio.Semaphore(parallel)
        self._version: str | None = None

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
        if self._watched is not None:
            await self._watched.close(None)

    async def interrupted(self) -> None:
        channel = self._watched = self._watched or self._connection()
        ready = grpc.ChannelConnectivity.READY
        while (state := channel.get_state(try_to_connect=True)) is not ready:
            await channel.wait_for_state_change(state)
        await channel.wait_for_state_change(ready)

    def _connection(self) -> grpc.aio.Channel:
        parsed, options = urlsplit(self._uri), list(_CHANNEL.items())
        if parsed.scheme == "https":
            target = f"{parsed.hostname}:{parsed.port or 443}"
            trusted = grpc.ssl_channel_credentials(self._authority)
            return grpc.aio.secure_channel(target, trusted, options)
        return grpc.aio.insecure_channel(f"{parsed.hostname}:{parsed.port or 19530}", options)

    @asynccontextmanager
    async def _call(self, seconds: float | None = None) -> AsyncIterator[float]:
        """Acquire a slot for a call, yield its timeout in seconds, and translate the vendor's
        errors."""
        given = self._seconds if seconds is None else seconds
        if self._client is None:  # loads pymilvus, which takes seconds
            await in_thread(lambda: import_module("retriever.adapters.milvus.errors"))
        from pymilvus import MilvusException

        from retriever.adapters.milvus.errors import translate

        try:
            if self._client is None:
                self._connect()
            async with asyncio.timeout(given), self._slots:
                yield given
        except (MilvusException, grpc.RpcError, TimeoutError) as error:
            raise translate(error) from error

    def _connect(self) -> None:
        """Make the client, once pymilvus is loaded."""
        from pymilvus import AsyncMilvusClient

        self._client = AsyncMilvusClient(self._uri, **self._options)

    async def state(self, collection: str) -> CollectionState:
        async with self._call() as timeout:
            answer = await self._client.get_load_state(collection, timeout=timeout)
        from pymilvus.client.types import LoadState

        match answer["state"]:
            case LoadState.NotExist:
                return CollectionState.ABSENT
            case LoadState.Loaded:
                return CollectionState.LOADED
            case _:
                return CollectionState.RELEASED

    async def create(
        self, collection: str, dimension: int, parameters: IndexParameters = EXACT
    ) -> None:
        async with self._call() as timeout:
            if await self._client.has_collection(collection, timeout=timeout):
                await self._client.load_collection(collection, timeout=timeout)
                return
            index = self._client.prepare_index_params()
            index.add_index(_VECTOR, **_index(parameters))
            partitions = parameters.partitions
            await self._client.create_collection(
                collection,
                schema=_schema(dimension, partitioned=partitions > 1),
                index_params=index,
                timeout=timeout,
                **({"num_partitions": partitions} if partitions > 1 else {}),
            )

    async def load(self, collection: str) -> None:
        async with self._call() as timeout:
            await self._client.load_collection(collection, timeout=timeout)

    async def upsert(
        self, collection: str, rows: Sequence[IndexRow], parameters: IndexParameters = EXACT
    ) -> None:
        if not rows:
            return
        async with self._call() as timeout:
            data = [_row(row) for row in rows]
            if parameters.partitions > 1:
                ids = [row.row_id for row in rows]
                await self._client.delete(collection, ids=ids, timeout=timeout)
                await self._client.insert(collection, data, timeout=timeout)
            else:
                await self._client.upsert(collection, data, timeout=timeout)

    async def delete(self, collection: str, row_ids: Sequence[str]) -> None:
        if row_ids:
            async with self._call() as timeout:
                await self._client.delete(collection, ids=list(row_ids), timeout=timeout)

    async def scan(self, collection: str, low: str, high: str) -> dict[str, int] | None:
        async with self._call() as timeout:
            found = await self._client.query(
                collection,
                filter=f'{_ID} >= "{_hex(low)}" and {_ID} < "{_hex(high)}"',
                output_fields=[_ID, "seq"],
                limit=MAX_ROWS,
                consistency_level="Strong",
                timeout=timeout,
            )
        if len(found) >= MAX_ROWS:
            return None
        return {str(row[_ID]): int(row["seq"]) for row in found}

    async def count(self, collection: str, *, latest: bool = True) -> int:
        async with self._call() as timeout:
            answer = await self._client.query(
                collection,
                filter="",
                output_fields=["count(*)"],
                consistency_level="Strong" if latest else "Bounded",
                timeout=timeout,
            )
        return int(answer[0]["count(*)"])

    async def search(
        self,
        collection: str,
        vectors: Sequence[Floats],
        condition: Filter,
        limit: int,
        seconds: float | None,
        *,
        latest: bool = False,
        parameters: IndexParameters = EXACT,
        of: Slice = WHOLE,
    ) -> list[Hit]:
        wanted = min(limit, MAX_ROWS)
        partitioned = parameters.partitions > 1
        expression = filters.compile_filter(
            condition, shape_of(collection), of=of, partitioned=partitioned
        )
        async with self._call(seconds) as timeout:
            answer = await self._client.search(
                collection,
                data=[vector.tolist() for vector in vectors],
                anns_field=_VECTOR,
                filter=expression,
                limit=wanted,
                output_fields=["product_id", "image_id"],
                search_params=_how(parameters, wanted),
                consistency_level="Strong" if latest else "Bounded",
                timeout=timeout,
            )
        return _best(answer, parameters.metric)

    async def version(self, seconds: float = 5.0) -> str | None:
        """Return the engine's version, or `None` while it does not answer."""
        if self._version is None:
            with suppress(IndexUnavailable):
                async with self._call(seconds) as timeout:
                    self._version = str(await self._client.get_server_version(timeout=timeout))
        return self._version

    async def compares(self) -> bool:
        """Return whether it is not Milvus Lite; False while it does not answer."""
        found = await self.version(_VERSION_SECONDS)
        return found is not None and not found.startswith(_LITE)

    flush_holds_up = compares

    async def matching_ids(
        self,
        collection: str,
        condition: Filter,
        most: int,
        seconds: float | None,
        *,
        latest: bool = False,
    ) -> list[str] | None:
        async with self._call(seconds) as timeout:
            found = await self._client.query(
                collection,
                filter=filters.compile_filter(condition, shape_of(collection)),
                output_fields=[_ID],
                limit=most + 1,
                consistency_level="Strong" if latest else "Bounded",
                timeout=timeout,
            )
        return None if len(found) > most else [str(row[_ID]) for row in found]

    async def flush(self, collection: str) -> None:
        async with self._call() as timeout:
            await self._client.flush(collection, timeout=timeout)

    async def drop(self, collection: str) -> None:
        """Drop the collection and its rows. Do nothing if it does not exist."""
        async with self._call() as timeout:
            await self._client.drop_collection(collection, timeout=timeout)


def _schema(dimension: int, *, partitioned: bool = False) -> Any:
    from pymilvus import AsyncMilvusClient, DataType

    schema = AsyncMilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field(_ID, DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("seq", DataType.INT64)
    schema.add_field("product_id", DataType.VARCHAR, max_length=256)
    schema.add_field("image_id", DataType.VARCHAR, max_length=64)
    for name in (*filters.COLUMNS, filters.SLICE):
        key = partitioned and name == filters.CATEGORY[0]
        schema.add_field(name, DataType.INT64, is_partition_key=key)
    schema.add_field(_VECTOR, DataType.FLOAT_VECTOR, dim=dimension)
    return schema


def _row(row: IndexRow) -> dict[str, Any]:
    return {
        _ID: row.row_id,
        "seq": row.seq,
        "product_id": row.product_id,
        "image_id": row.image_id,
        filters.SLICE: filters.slice_number(row.row_id),
        _VECTOR: np.asarray(row.vector, dtype=np.float32),
        **filters.columns(row.facts),
    }


def _index(parameters: IndexParameters) -> dict[str, Any]:
    """Return the arguments of `add_index`."""
    kind: dict[str, Any] = {
        "index_type": parameters.kind.value,
        "metric_type": parameters.metric.value,
    }
    if parameters.kind is IndexKind.HNSW:
        kind["params"] = {"M": parameters.m, "efConstruction": parameters.ef_construction}
    return kind


def _how(parameters: IndexParameters, limit: int) -> dict[str, Any]:
    """Return the parameters of `search`. Servers reject an `ef` below the limit."""
    how: dict[str, Any] = {"metric_type": parameters.metric.value}
    if parameters.kind is IndexKind.HNSW:
        how["params"] = {"ef": max(parameters.ef, limit)}
    return how


def _scale(metric: VectorMetric) -> tuple[float, float]:
    """Return how `Hit.similarity` follows from a distance: a factor, and the valid deviation from
    0."""
    match metric:
        case VectorMetric.COSINE:
            return 1.0, 1.0  # rounding can leave the engine's cosine a little outside its range
        case VectorMetric.L2:
            return -1.0, math.inf
        case VectorMetric.IP:
            return 1.0, math.inf


def _best(answer: Any, metric: VectorMetric = VectorMetric.COSINE) -> list[Hit]:
    """Merge the hits of all query vectors into one list without duplicate rows, best first."""
    factor, bound = _scale(metric)
    best: dict[str, Hit] = {}
    for hits in answer:
        for hit in hits:
            # A dict of these three: access by attribute costs a Python call each in pymilvus.
            row_id, distance, entity = hit.values()
            similarity = max(-bound, min(bound, factor * distance))
            known = best.get(row_id)
            if known is None or known.similarity < similarity:
                best[row_id] = Hit(row_id, entity["product_id"], entity["image_id"], similarity)
    return sorted(best.values(), key=hit_order)


def _hex(bound: str) -> str:
    """Return the bound of a scan, made of our own characters only."""
    if not all(character in "0123456789abcdefg" for character in bound):
        raise ValueError("a row id is hexadecimal")
    return bound
