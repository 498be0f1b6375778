"""A catalog that is to be deleted, and the search for what is left of it."""

from pathlib import Path

from local_suite.suite import Suite
from sightline_client import (
    CatalogState,
    Event,
    EventType,
    Product,
    ProductImage,
    SightlineClient,
)
from tests.live.conftest import until_indexed
from tests.live.two_shops import PHOTOS
from tests.waiting import until

MARK = "zanzibarquux"
"""A word that nothing else contains."""


def files_with(folder: Path, word: bytes) -> list[str]:
    """Return the files of a suite's services that contain a word, in any case.

    Not the engine's, which deletes its files of dropped collections later, and not logs.
    """
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".log" and "milvus" not in str(path)
        if word in path.read_bytes().lower()
    ]


async def removed(client: SightlineClient, name: str) -> bool:
    return (await client.get_catalog(name)).state is CatalogState.REMOVED


def snapshot_of(suite: Suite, catalog: str) -> Path:
    return suite.layout.data / "gateway" / "snapshots" / f"{catalog}.snapshot"


async def marked(client: SightlineClient, suite: Suite) -> Product:
    """Create the client's catalog, with a product, an event and a snapshot that have the mark.
    Return the product."""
    await client.create_catalog(client.catalog)
    product = Product(
        "p1", f"One {MARK}", brand=MARK, images=(ProductImage(PHOTOS[0]),), tags=(MARK,)
    )
    assert (await client.upsert_products([product])).failures == ()
    event = Event("e1", EventType.SEARCH, user="ann", session=f"{MARK}-1", query=MARK)
    assert (await client.write_events([event])).failures == ()
    await until_indexed(client, 1)
    await client.recommend(image=PHOTOS[0], user="ann")
    await until(snapshot_of(suite, client.catalog).is_file)
    return product
