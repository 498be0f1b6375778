"""Fills a record and an engine in bulk, in the retriever's own format.

A million products one by one through the retriever would take hours; tables and collection are the
same afterwards.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import grpc
import sqlalchemy as sa
from pymilvus import MilvusClient
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc, schema_pb2

from bench.datasets.corpus import Corpus
from bench.harness import engines
from bench.harness.engines import CATALOG, image_id, product_id
from retriever.adapters.milvus.filters import COLUMNS, SLICE, columns, slice_number
from retriever.domain.errors import IndexUnavailable
from retriever.domain.generation import Generation, IndexParameters
from retriever.domain.product import ProductContent
from retriever.ports.engine import VectorIndex
from retriever.record import Record, tables
from retriever.record.products import content_values
from servicekit.sql.database import Database
from sightline_rules.ids import derive_id

ENGINE_ROWS = 5_000
RECORD_ROWS = 20_000
"""Rows per write."""
START_SECONDS = 60.0
BUILD_SECONDS = 3_600.0
QUIET_SECONDS = 3.0
MESSAGE_BYTES = 64 * 2**20


async def generation(
    record: Record, index: VectorIndex, corpus: Corpus, parameters: IndexParameters, name: str
) -> Generation:
    """Register an active, up-to-date generation and create its empty collection."""
    made = engines.generation(name, corpus.dimension, parameters, applied=1)
    made = await record.create_generation(made)
    await _create(index, made)
    return made


async def _create(index: VectorIndex, made: Generation) -> None:
    """Create the collection.

    Retry for a while, as a server that has just started may be unavailable again.
    """
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            return await index.create(made.collection, made.dimension, made.parameters)
        except IndexUnavailable:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.5)


def fill_record(db: Database, made: Generation, corpus: Corpus) -> float:
    """Write products, photos and vectors in transactions of many rows.

    Return the seconds it took.
    """
    begun = time.perf_counter()
    for start in range(0, len(corpus), RECORD_ROWS):
        numbers = range(start, min(start + RECORD_ROWS, len(corpus)))
        with db.engine.begin() as connection:
            for table, rows in _record_rows(made, corpus, numbers):
                connection.execute(sa.insert(table), rows)
    seal(db)
    return time.perf_counter() - begun


def seal(db: Database) -> None:
    """Set the catalog's sequence number to that of rows from `product_rows`."""
    with db.engine.begin() as connection:
        connection.execute(sa.delete(tables.sequences))
        head = {"catalog_id": CATALOG, "seq": 1, "time": 1}
        connection.execute(sa.insert(tables.sequences), [head])
        connection.exec_driver_sql("ANALYZE")


def product_rows(contents: Iterable[ProductContent]) -> list[dict[str, Any]]:
    """Return rows of the record's table of products."""
    written = {"catalog_id": CATALOG, "seq": 1}
    times = {"create_time": 1, "update_time": 1, "etag": "bench", "touched": 1}
    return [{**written, **times, **content_values(each)} for each in contents]


def _record_rows(
    made: Generation, corpus: Corpus, numbers: range
) -> Iterator[tuple[sa.Table, list[dict[str, Any]]]]:
    yield tables.products, product_rows(map(corpus.content, numbers))
    photo = {"media_type": "image/jpeg", "size": 10, "width": 4, "height": 3, "create_time": 1}
    yield (
        tables.images,
        [{"catalog_id": CATALOG, "image_id": image_id(n), **photo} for n in numbers],
    )
    yield (
        tables.product_images,
        [
            {
                "catalog_id": CATALOG,
                "product_id": product_id(n),
                "position": 0,
                "image_id": image_id(n),
                "row_id": row_id(n),
            }
            for n in numbers
        ],
    )
    of = {"space": made.space, "space_version": made.space_version, "dimension": made.dimension}
    yield (
        tables.vectors,
        [
            {
                "catalog_id": CATALOG,
                "seq": 1,
                **of,
                "image_id": image_id(n),
                "data": corpus.vectors[n].tobytes(),
            }
            for n in numbers
        ],
    )


def row_id(number: int) -> str:
    """Return the id of a product's row, as the record derives it."""
    return derive_id(CATALOG, product_id(number), image_id(number))


def fill_engine(uri: str, collection: str, corpus: Corpus) -> float:
    """Insert all rows column by column, five times faster than pymilvus, which takes single rows.

    Return the seconds it took.
    """
    begun = time.perf_counter()
    options = [("grpc.max_send_message_length", MESSAGE_BYTES)]
    with grpc.insecure_channel(uri.removeprefix("http://"), options=options) as channel:
        stub = milvus_pb2_grpc.MilvusServiceStub(channel)
        for start in range(0, len(corpus), ENGINE_ROWS):
            numbers = range(start, min(start + ENGINE_ROWS, len(corpus)))
            request = milvus_pb2.InsertRequest(
                collection_name=collection,
                fields_data=_columns(corpus, numbers),
                num_rows=len(numbers),
            )
            answer = stub.Insert(request, timeout=120)
            if answer.status.code or answer.insert_cnt != len(numbers):
                raise OSError(f"the engine refused rows: {answer.status.reason}")
    return time.perf_counter() - begun


def _columns(corpus: Corpus, numbers: range) -> list[schema_pb2.FieldData]:
    held: dict[str, list[int]] = {name: [] for name in COLUMNS}
    known: dict[tuple[object, ...], Mapping[str, int]] = {}
    for n in numbers:
        facts = corpus.facts(n)
        key = (facts.tags,)
        row = known.get(key) or known.setdefault(key, columns(facts))
        for name in COLUMNS:
            held[name].append(row[name])
    held["price"] = [int(corpus.ranks[n]) * 10**6 for n in numbers]
    ids = [row_id(n) for n in numbers]
    return [
        _texts("id", ids),
        _texts("product_id", [product_id(n) for n in numbers]),
        _texts("image_id", [image_id(n) for n in numbers]),
        _numbers("seq", [1] * len(numbers)),
        _numbers(SLICE, [slice_number(each) for each in ids]),
        *(_numbers(name, values) for name, values in held.items()),
        _vectors(corpus, numbers),
    ]


def _texts(name: str, values: Sequence[str]) -> schema_pb2.FieldData:
    held = schema_pb2.ScalarField(string_data=schema_pb2.StringArray(data=values))
    return schema_pb2.FieldData(type=schema_pb2.VarChar, field_name=name, scalars=held)


def _numbers(name: str, values: Sequence[int]) -> schema_pb2.FieldData:
    held = schema_pb2.ScalarField(long_data=schema_pb2.LongArray(data=values))
    return schema_pb2.FieldData(type=schema_pb2.Int64, field_name=name, scalars=held)


def _vectors(corpus: Corpus, numbers: range) -> schema_pb2.FieldData:
    values = corpus.vectors[numbers.start : numbers.stop].ravel().tolist()
    held = schema_pb2.VectorField(
        dim=corpus.dimension, float_vector=schema_pb2.FloatArray(data=values)
    )
    return schema_pb2.FieldData(type=schema_pb2.FloatVector, field_name="vector", vectors=held)


def build(uri: str, collections: Mapping[str, int], *, server: bool) -> float:
    """Wait until the graph of each collection holds its rows.

    Return the seconds it took. Until its graph is in memory, a server compares every row.
    """
    begun = time.perf_counter()
    with closing(engines.client(uri)) as client:
        for collection in collections:
            client.flush(collection)
        if not server:
            return time.perf_counter() - begun
        for collection, count in collections.items():
            _wait(client, collection, count, begun + BUILD_SECONDS)
        seconds = time.perf_counter() - begun
        for collection in collections:
            client.release_collection(collection)
            client.load_collection(collection)
    time.sleep(QUIET_SECONDS)
    return seconds


def _wait(client: MilvusClient, collection: str, count: int, until: float) -> None:
    while True:
        state = client.describe_index(collection, "vector")
        indexed, pending = int(state["indexed_rows"]), int(state.get("pending_index_rows", 0))
        if indexed >= count and not pending:
            return
        if time.perf_counter() > until:
            raise OSError(f"the engine did not build its graph within {BUILD_SECONDS:.0f} s")
        time.sleep(0.5)
