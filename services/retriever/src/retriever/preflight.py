"""`python -m retriever.preflight`: checks database, Milvus and buckets before the first start."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress

import numpy as np

from retriever.adapters.milvus.index import LEAST_VERSION, MilvusIndex
from retriever.domain.index_values import IndexRow
from retriever.settings import RetrieverSettings
from retriever.wiring import milvus_index
from servicekit import config, preflight
from servicekit.preflight import Finding
from servicekit.startup import numbers
from sightline_rules.facts import Facts


def default_port(uri: str) -> int:
    """Return the port that the client of Milvus takes for an address without one."""
    return 443 if uri.startswith("https://") else 19530


async def _used(index: MilvusIndex, collection: str) -> None:
    """Do with a collection what the worker does."""
    row_id = uuid.uuid4().hex
    row = IndexRow(row_id, 1, row_id, row_id, Facts(), np.ones(2, np.float32))
    try:
        await index.create(collection, len(row.vector))
        await index.load(collection)
        await index.upsert(collection, [row])
        await index.count(collection)
    except Exception:
        with suppress(Exception):
            await index.drop(collection)
        raise
    await index.drop(collection)


async def engine(uri: str, index: MilvusIndex, prefix: str) -> AsyncIterator[Finding]:
    """Check login, rights and version of a Milvus."""
    try:
        await _used(index, f"{prefix}_preflight_{uuid.uuid4().hex}")
    except Exception as error:
        said = " ".join(str(error.__cause__ or error).split())[:300]
        fix = (
            "correct RETRIEVER_MILVUS_URI and the Secret retriever-milvus, whose user needs the"
            " rights to create, drop, load, read and write collections; trust an authority of"
            " your own by GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
        )
        yield Finding("milvus", uri, said or "no answer in time", fix)
        return
    version = await index.version()
    if version is None:
        yield Finding("milvus", uri, "it does not tell its version", "look at the log of Milvus")
    elif numbers(version) < numbers(LEAST_VERSION):
        problem = f"Milvus {version} has published vulnerabilities"
        yield Finding("milvus", uri, problem, f"upgrade it to {LEAST_VERSION} or later")
    else:
        yield Finding("milvus", f"{uri} (Milvus {version})")


async def main() -> int:
    """Check all stores that the settings name. Return the exit status."""
    settings = config.load(RetrieverSettings)
    index = milvus_index(settings)
    try:
        return await preflight.run(
            [
                preflight.unsafe(settings),
                preflight.database(settings.database_url.get_secret_value()),
                preflight.address(settings.milvus_uri, default_port(settings.milvus_uri)),
                engine(settings.milvus_uri, index, settings.milvus_prefix),
                *map(preflight.bucket, filter(None, [settings.photos_url, settings.backups])),
            ]
        )
    finally:
        await index.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
