"""`python -m retriever.preflight`: checks database, Milvus and buckets before the first start."""

import asyncio
import sys
from collections.abc import AsyncIterator

from retriever.adapters.milvus.index import LEAST_VERSION, MilvusIndex
from retriever.domain.errors import CollectionAbsent, IndexUnavailable
from retriever.settings import RetrieverSettings
from retriever.wiring import milvus_index
from servicekit import config, preflight
from servicekit.preflight import Finding
from servicekit.startup import numbers

_COLLECTION = "sightline_preflight"
"""Name of a collection that does not exist."""


def default_port(uri: str) -> int:
    """Return the port that the client of Milvus takes for an address without one."""
    return 443 if uri.startswith("https://") else 19530


async def engine(uri: str, index: MilvusIndex) -> AsyncIterator[Finding]:
    """Check login, rights and version of a Milvus."""
    try:
        await index.state(_COLLECTION)
    except CollectionAbsent:
        pass
    except IndexUnavailable as error:
        said = " ".join(str(error.__cause__ or error).split())[:300]
        fix = (
            "correct RETRIEVER_MILVUS_URI and the Secret retriever-milvus, whose user needs the"
            " rights to create, drop, load, read and write collections"
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
                engine(settings.milvus_uri, index),
                *map(preflight.bucket, filter(None, [settings.photos_url, settings.backups])),
            ]
        )
    finally:
        await index.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
