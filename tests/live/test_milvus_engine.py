"""Milvus Lite as our server process: access to it, and the data that it keeps."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymilvus import AsyncMilvusClient

from local_suite import processes
from retriever.adapters.milvus.index import MilvusIndex
from retriever.domain.errors import IndexUnavailable
from retriever.domain.index_values import CollectionState, IndexRow
from sightline_rules.facts import Facts
from tests.engines import MILVUS_PYTHON, MilvusLite, free_port, milvus_lite
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.full

WRITERS = 4
BATCHES = 10
BATCH = 10
FLUSHES = 20
READERS = 4


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[MilvusLite]:
    with milvus_lite(tmp_path / "milvus") as running:
        yield running


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Start an engine that must refuse to start."""
    return subprocess.run(
        [str(MILVUS_PYTHON), "-m", "milvus_engine.serve", *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])  # noqa: S104
def test_it_listens_on_no_address_that_others_reach(tmp_path: Path, host: str) -> None:
    ended = serve("--data", str(tmp_path / "m"), "--port", str(free_port()), "--host", host)
    assert ended.returncode == 2
    assert "not a loopback address" in ended.stderr


def test_a_folder_or_a_port_in_use_is_refused(engine: MilvusLite, tmp_path: Path) -> None:
    same_folder = serve("--data", str(engine.data), "--port", str(free_port()))
    same_port = serve("--data", str(tmp_path / "other"), "--port", str(engine.port))
    assert (same_folder.returncode, same_port.returncode) == (1, 1)
    assert "lock" in same_folder.stderr
    assert str(engine.port) in same_port.stderr


def rows(writer: int, batch: int) -> list[IndexRow]:
    rng = np.random.default_rng([writer, batch])
    return [
        IndexRow(
            row_id=f"{writer:016x}{batch * BATCH + number:016x}",
            seq=1,
            product_id="p",
            image_id="i",
            facts=Facts(),
            vector=rng.standard_normal(4).astype(np.float32),
        )
        for number in range(BATCH)
    ]


async def write(uri: str, writer: int, acknowledged: set[str]) -> None:
    """Write as one client, and record each acknowledged write."""
    index = MilvusIndex(uri)
    for batch in range(BATCHES):
        given = rows(writer, batch)
        await index.upsert("many", given)
        acknowledged |= {row.row_id for row in given}
    await index.close()


async def held(uri: str) -> set[str]:
    index = MilvusIndex(uri)
    await index.load("many")
    found = await index.scan("many", "0", "g")
    await index.close()
    assert found is not None
    return set(found)


async def test_rows_of_writers_side_by_side_survive_a_kill(engine: MilvusLite) -> None:
    index = MilvusIndex(engine.uri)
    await index.create("many", 4)
    await index.close()
    acknowledged: set[str] = set()
    await asyncio.gather(*(write(engine.uri, n, acknowledged) for n in range(WRITERS)))
    assert len(acknowledged) == WRITERS * BATCHES * BATCH
    engine.kill()
    engine.start()
    assert await held(engine.uri) == acknowledged


async def test_a_full_disk_refuses_writes_and_goes_on_answering(engine: MilvusLite) -> None:
    index = MilvusIndex(engine.uri)
    await index.create("many", 4)
    await index.upsert("many", rows(0, 0))
    engine.stop()
    engine.arguments = ("--reserve", str(2**60))
    engine.start()
    assert len(await held(engine.uri)) == BATCH
    with pytest.raises(IndexUnavailable):
        await index.upsert("many", rows(0, 1))
    assert len(await held(engine.uri)) == BATCH
    await index.drop("many")
    assert await index.state("many") is CollectionState.ABSENT
    await index.close()


async def test_a_log_that_is_cut_off_ends_the_engine_and_loses_nothing(engine: MilvusLite) -> None:
    """Cut off the log: the vendor's engine would continue behind the broken record, and lose it
    when it is killed."""
    index = MilvusIndex(engine.uri)
    await index.create("many", 4)
    await index.upsert("many", rows(0, 0))
    assert engine.process is not None
    logs = [path.stat().st_size for path in engine.data.rglob("wal_*.arrow")]
    most = max(logs) + 100  # half a record
    resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE, (most, most))
    with pytest.raises(IndexUnavailable):
        await index.upsert("many", rows(0, 1))
    assert engine.process.wait(timeout=SECONDS) == 74
    engine.process = None
    engine.start()
    await index.load("many")
    await index.upsert("many", rows(0, 2))
    await index.close()
    engine.kill()
    engine.start()
    assert await held(engine.uri) == {row.row_id for n in (0, 2) for row in rows(0, n)}


async def test_a_flush_hides_no_row_from_reads_and_brings_none_back(engine: MilvusLite) -> None:
    """Flush: it begins with an empty memory, and the former content is in files only at its end."""
    index = MilvusIndex(engine.uri)
    stays, goes = rows(0, 0), rows(1, 0)
    wanted, gone = {row.row_id for row in stays}, [row.row_id for row in goes]
    await index.create("many", 4)
    stop = asyncio.Event()

    async def read(found: list[set[str]]) -> None:
        reader = MilvusIndex(engine.uri)
        while not stop.is_set():
            found.append(set(await reader.scan("many", "0", "g") or {}))
        await reader.close()

    seen: list[set[str]] = []
    for _ in range(FLUSHES):
        await index.upsert("many", [*stays, *goes])
        await index.flush("many")  # those that go are in a file
        await index.upsert("many", stays)  # those that stay and the deletion in memory
        await index.delete("many", gone)
        stop.clear()
        async with asyncio.TaskGroup() as group:
            begin = len(seen)
            for _ in range(READERS):
                group.create_task(read(seen))
            await until(lambda begin=begin: len(seen) > begin + READERS)
            await index.flush("many")
            stop.set()
    await index.close()
    assert [found for found in seen if found != wanted] == []


async def test_a_stop_is_clean_and_leaves_the_collection_released(engine: MilvusLite) -> None:
    index = MilvusIndex(engine.uri)
    await index.create("many", 4)
    await index.upsert("many", rows(0, 0))
    assert await index.state("many") is CollectionState.LOADED
    assert engine.stop() == 0
    engine.start()
    assert await index.state("many") is CollectionState.RELEASED
    await index.close()
    assert len(await held(engine.uri)) == BATCH


async def test_of_a_hit_only_what_was_asked_for_is_read(engine: MilvusLite) -> None:
    """Check the cost: reading whole hits, vectors included, costs several times more."""
    rng = np.random.default_rng(0)
    index = MilvusIndex(engine.uri)
    await index.create("wide", 1_280)
    given = [
        replace(row, vector=rng.standard_normal(1_280).astype(np.float32))
        for batch in range(20)
        for row in rows(0, batch)
    ]
    await index.upsert("wide", given)
    await index.flush("wide")
    client = AsyncMilvusClient(engine.uri)

    async def hits(*fields: str) -> tuple[list[dict[str, Any]], float]:
        """Return the hits of a search, and the processor seconds of 20 searches in both
        processes."""
        assert engine.process is not None
        both = (os.getpid(), engine.process.pid)
        found, begun = [], processes.spent(both)
        for _ in range(20):
            (found,) = await client.search(
                "wide", data=[given[3].vector], limit=200, output_fields=list(fields)
            )
        return [dict(hit) for hit in found], processes.spent(both) - begun

    whole, slow = await hits("*")
    narrow, quick = await hits("image_id", "seq")
    await client.close()
    await index.close()
    assert len(narrow) == 200
    assert narrow[0]["id"] == given[3].row_id
    assert narrow[0]["entity"] == {"image_id": "i", "seq": 1}
    assert [(hit["id"], hit["distance"]) for hit in narrow] == [
        (hit["id"], hit["distance"]) for hit in whole
    ]
    assert quick < slow / 3
