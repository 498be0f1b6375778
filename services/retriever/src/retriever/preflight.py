"""`python -m retriever.preflight`: checks database, Milvus and buckets before the first start."""

import asyncio
import socket
import ssl
import sys
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from retriever.adapters.milvus.index import LEAST_VERSION, MilvusIndex
from retriever.domain.index_values import IndexRow
from retriever.settings import RetrieverSettings
from retriever.wiring import milvus_index
from servicekit import config, preflight
from servicekit.preflight import Finding
from servicekit.startup import numbers
from servicekit.watched_files import Unreadable
from sightline_rules.facts import Facts


def default_port(uri: str) -> int:
    """Return the port that the client of Milvus takes for an address without one."""
    return 443 if uri.startswith("https://") else 19530


def untrusted(uri: str, ca_file: Path | None) -> str:
    """Return why the client of Milvus does not trust a server; empty: it does, or the server can't
    be reached. `ca_file`: see the setting."""
    parsed = urlsplit(uri)
    if parsed.scheme != "https" or not parsed.hostname:
        return ""
    roots = ca_file or files("grpc") / "_cython/_credentials/roots.pem"
    try:
        context = ssl.create_default_context(cadata=roots.read_text("ascii"))
        place = parsed.hostname, parsed.port or default_port(uri)
        with (
            socket.create_connection(place, preflight.SECONDS) as raw,
            context.wrap_socket(raw, server_hostname=parsed.hostname),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted: {error.verify_message}"
    except ssl.SSLError as error:
        return f"no TLS: {error.reason or error}"
    except (OSError, ValueError):
        return ""


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


async def engine(uri: str, index: MilvusIndex, prefix: str) -> AsyncGenerator[Finding, None]:
    """Check login, rights and version of a Milvus."""
    try:
        await _used(index, f"{prefix}_preflight_{uuid.uuid4().hex}")
    except Exception as error:
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


async def milvus(settings: RetrieverSettings) -> AsyncIterator[Finding]:
    """Check certificate, login, rights and version of the engine."""
    uri = settings.milvus_uri
    try:
        index = milvus_index(settings)
    except Unreadable as error:
        fix = "give RETRIEVER_MILVUS_CA_FILE the authority's certificate as PEM"
        yield Finding("milvus", uri, str(error), fix)
        return
    if problem := await asyncio.to_thread(untrusted, uri, settings.milvus_ca_file):
        fix = (
            "name the authority of its certificate in RETRIEVER_MILVUS_CA_FILE, and its host in"
            " RETRIEVER_MILVUS_URI as the certificate does"
        )
        yield Finding("milvus", uri, problem, fix)
        await index.close()
        return
    try:
        async with aclosing(engine(uri, index, settings.milvus_prefix)) as findings:
            async for finding in findings:
                yield finding
    finally:
        await index.close()


async def main() -> int:
    """Check all stores that the settings name. Return the exit status."""
    settings = config.load(RetrieverSettings)
    return await preflight.run(
        [
            preflight.unsafe(settings),
            preflight.database(settings.database_url.get_secret_value()),
            preflight.address(settings.milvus_uri, default_port(settings.milvus_uri)),
            milvus(settings),
            *map(preflight.bucket, filter(None, [settings.photos_url, settings.backups])),
        ]
    )


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
