"""The disks of record, photos and engine are full for a while: errors that callers get meanwhile,
and the data once there is space again.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing

from PIL import Image

from local_suite.suite import Suite
from sightline.common.v1 import product_pb2
from sightline.gateway.v1 import catalog_service_pb2 as gateway_pb
from sightline.retriever.v1 import product_service_pb2 as products_pb
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from tests.chaos.model import ENGINES, Report
from tests.chaos.retriever.calls import Retriever, outcome_of
from tests.chaos.retriever.comparing import Outcome, compare
from tests.chaos.retriever.disks import Disk, small_disks
from tests.chaos.retriever.ledger import SPACE, Ledger, values, vector
from tests.chaos.retriever.writers import Writer, team
from tests.chaos.stage import START_SECONDS, channel_to, running, stage
from tests.fakes.photos import encoded

CATALOG = "full"
VERSIONS = {"one": 16}
WRITERS = 4
FULL_SECONDS = 4.0
"""Seconds for which a disk is full while the writers continue."""
CALM_SECONDS = 2.0
"""Seconds for which they write before and after."""
RECORD, PHOTOS = "retriever", "retriever/photos"
ENGINE = {"lite": "milvus", "server": "milvus-server"}
MEBIBYTES = {RECORD: 64, PHOTOS: 16}
ENGINE_MEBIBYTES = {"lite": 64, "server": 512}


def noise(seed: int) -> bytes:
    """Return a photo of about 200 KB."""
    image = Image.frombytes("RGB", (256, 256), random.Random(seed).randbytes(256 * 256 * 3))
    return encoded(image, "PNG")


def full_disks(engine: str, seed: int, report: Report) -> None:
    """Fill the engine's disk and, on Milvus Lite, also those of the record and the photos, which
    are independent of the engine. Raise SuiteError or NotMeasured."""
    sizes = {**MEBIBYTES, ENGINE[engine]: ENGINE_MEBIBYTES[engine]}
    with (
        small_disks(sizes) as (prepare, disks),
        stage(engine, [CATALOG], prepare=prepare) as suite,
    ):
        asyncio.run(_full_disks(suite, engine, disks, seed, report))


async def _full_disks(
    suite: Suite, engine: str, disks: dict[str, Disk], seed: int, report: Report
) -> None:
    ledger = Ledger()
    async with channel_to(suite, "retriever") as channel:
        retriever = Retriever(channel, CATALOG)
        await retriever.open_generation("one", VERSIONS["one"])
        writers = team(WRITERS, retriever, ledger, VERSIONS, seed)
        if engine == "lite":
            await _record(suite, retriever, ledger, writers, disks[RECORD], report)
            await _photos(retriever, disks[PHOTOS], report)
        disk = disks[ENGINE[engine]]
        await _engine(suite, retriever, ledger, writers, disk, ENGINES[engine], report)


async def _record(
    suite: Suite,
    retriever: Retriever,
    ledger: Ledger,
    writers: Sequence[Writer],
    disk: Disk,
    report: Report,
) -> None:
    """Check that writes fail with STORE_FULL, reads continue, and no acknowledged write is lost."""
    async with _writing(writers):
        await asyncio.sleep(CALM_SECONDS)
        retriever.met.clear()
        await disk.stay_full(FULL_SECONDS)
        while_full = dict(retriever.met)
        read = await _reads(retriever)
        disk.free()
        report.say(f"the record's disk was full: {_words(while_full)}; reads {read}")
        await asyncio.sleep(CALM_SECONDS)
    for name in (running(suite, "retriever"), "retriever-worker"):
        await asyncio.to_thread(suite.kill, name)
        await asyncio.to_thread(suite.wait_healthy, name, START_SECONDS)
    sound = _integrity(suite)
    outcome = await compare(suite, retriever, ledger, VERSIONS)
    report.add(
        "full disk of the record: STORE_FULL, reads go on",
        set(while_full) == {"RESOURCE_EXHAUSTED STORE_FULL"} and read == "OK",
        f"while full: {_words(while_full)}; reads {read}",
    )
    report.add(
        "full disk of the record: nothing corrupted",
        sound == "ok" and not outcome.lost and not outcome.index,
        f"integrity_check {sound}; {_summary(outcome)}",
    )


async def _photos(retriever: Retriever, disk: Disk, report: Report) -> None:
    """Check that a photo that does not fit fails with PHOTO_STORE_FULL, and is accepted once there
    is space."""
    retriever.met.clear()
    product = product_pb2.Product(product_id="photographed", title="A thing")
    product.images.add(content=noise(seed=7))
    request = gateway_pb.UpsertProductsRequest(products=[product])
    disk.fill()
    asked = asyncio.create_task(retriever.write(retriever.products.UpsertProducts, request))
    await disk.stay_full(CALM_SECONDS)
    while_full = dict(retriever.met)
    disk.free()
    stored = (await asked).results[0].image_ids[0]
    image = products_pb.GetImageRequest(image_id=stored)
    kept = (await retriever.ask(retriever.products.GetImage, image)).image.content
    report.add(
        "full disk of the photos: PHOTO_STORE_FULL, then all is well",
        set(while_full) == {"RESOURCE_EXHAUSTED PHOTO_STORE_FULL"}
        and kept == product.images[0].content,
        f"while full: {_words(while_full)}; then the photo is "
        f"{'there whole' if kept == product.images[0].content else 'DAMAGED'}",
    )
    gone = gateway_pb.DeleteProductsRequest(product_ids=["photographed"])
    await retriever.write(retriever.products.DeleteProducts, gone)


async def _engine(
    suite: Suite,
    retriever: Retriever,
    ledger: Ledger,
    writers: Sequence[Writer],
    disk: Disk,
    kind: str,
    report: Report,
) -> None:
    """Check that writes continue, because the record is not full, and that the index catches up
    once there is space."""
    retriever.met.clear()
    async with _writing(writers):
        await asyncio.sleep(CALM_SECONDS)
        await disk.stay_full(FULL_SECONDS)
        met, search = dict(retriever.met), await _search(retriever)
        waiting = await retriever.open_writes(SPACE)
        disk.free()
        report.say(f"the engine's disk was full: {_words(met)}; a search {search}; {waiting} wait")
        await asyncio.sleep(CALM_SECONDS)
    before = await compare(suite, retriever, ledger, VERSIONS)
    await asyncio.to_thread(suite.kill, "milvus")
    await asyncio.to_thread(suite.wait_healthy, "milvus", START_SECONDS)
    after = await compare(suite, retriever, ledger, VERSIONS)
    report.add(
        f"full disk of {kind}: writers notice nothing, a search says so or is answered",
        not met and search in ("OK", "UNAVAILABLE INDEX_UNAVAILABLE"),
        f"writers {_words(met)}; search {search}; {waiting} writes waited for the index",
    )
    report.add(
        f"full disk of {kind}: nothing corrupted",
        not any((before.lost, before.index, after.lost)),
        _summary(before),
    )
    # Milvus Lite by itself forgets rows that it acknowledged after its disk was full: its log of
    # writes ends in half a record then. See deploy/milvus.
    report.add(
        f"full disk of {kind}, then kill -9: the index is whole again",
        not after.lost and not after.index,
        f"the engine forgot: {after.index}; equal after {after.fixed:.1f} s",
    )


@asynccontextmanager
async def _writing(writers: Sequence[Writer]) -> AsyncIterator[None]:
    """Run the writers during the block, and wait for all acknowledgements at its end."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for writer in writers:
            group.create_task(writer.run(stop))
        yield
        stop.set()


async def _reads(retriever: Retriever) -> str:
    """Return the outcome of a list and a search: OK, or the first error."""
    request = products_pb.ListProductsRequest(catalog_id=CATALOG, page_size=10)
    listed = await outcome_of(retriever.products.ListProducts(request, timeout=5))
    return listed if listed != "OK" else await _search(retriever)


async def _search(retriever: Retriever) -> str:
    asked = vector("one", values("query", 1, VERSIONS["one"]))
    request = vectors_pb.SearchRequest(catalog_id=CATALOG, vector=asked, top_k=10)
    return await outcome_of(retriever.vectors.Search(request, timeout=5))


def _integrity(suite: Suite) -> str:
    """Return SQLite's integrity check of the record's file."""
    file = suite.layout.data / "retriever" / "record.db"
    with closing(sqlite3.connect(file)) as connection:
        ((found,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
    return str(found)


def _words(met: dict[str, int]) -> str:
    return ", ".join(f"{what} {count}" for what, count in met.items()) or "no error"


def _summary(outcome: Outcome) -> str:
    return (
        f"{outcome.products} products: {outcome.record}; vectors {outcome.vectors}; "
        f"index {outcome.index}, equal after {outcome.fixed:.1f} s"
    )
