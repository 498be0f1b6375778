"""A retriever on its own for benches: a filled record, an engine, the service's processes."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bench.harness import engines
from bench.harness.engines import CATALOG, SERVER, image_id, product_id
from local_suite.health import Probe, grpc_serving, http_ok
from retriever.adapters.milvus.index import MilvusIndex
from retriever.domain.generation import Generation, IndexParameters
from retriever.domain.product import Image, ProductContent, ProductWrite
from retriever.domain.vectors import VectorWrite
from retriever.indexing.outbox import apply_outbox
from retriever.record import Record
from servicekit.sql.database import Database
from servicekit.sql.leases import Lease, worker_id
from sightline_rules.filters import Money
from tests.engines import free_port

Floats: TypeAlias = npt.NDArray[np.float32]

SEED = 20
CLUSTERS = 200
SPREAD = 0.7
"""Standard deviation within a cluster; the clusters' centres have 1."""
TAGGED = 2
"""One in this many products has the tag."""
TAG = "tagged"
_BATCH = 1_000
_START_SECONDS = 120.0
_BUILD_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Filled:
    """A record in a folder and a collection of one engine with the same products."""

    folder: Path
    engine: str
    uri: str
    generation: Generation
    vectors: Floats
    """One row per product, product `p0` first."""

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.folder}/record.db"


def points(count: int, dimension: int, seed: int = SEED) -> Floats:
    """Make clustered vectors. Another seed gives other points of the same clusters."""
    centres = np.random.default_rng(SEED).standard_normal((CLUSTERS, dimension))
    rng = np.random.default_rng([SEED, seed])
    chosen = centres[rng.integers(0, CLUSTERS, count)]
    return np.asarray(chosen + SPREAD * rng.standard_normal(chosen.shape), dtype=np.float32)


def product(number: int) -> ProductWrite:
    """Return a product with one photo. Its price in euros is its number."""
    name = image_id(number)
    # Random hashes are never of the same picture, so no product collapses.
    looks = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())
    content = ProductContent(
        product_id=product_id(number),
        title=f"Product {number}",
        category_path=("Wine", f"Region {number % 50}"),
        brand=f"Brand {number % 100}",
        price=Money("EUR", number * 10**6),
        tags=(TAG,) if number % TAGGED == 0 else (),
        image_ids=(name,),
    )
    return ProductWrite(content, {name: Image(name, "image/jpeg", 10, 4, 3, looks)})


async def fill(
    folder: Path, engine: str, uri: str, vectors: Floats, parameters: IndexParameters
) -> Filled:
    """Write the products and index them, as the service does."""
    db = Database(f"sqlite:///{folder}/record.db", migrations="retriever.record.migrations")
    db.migrate()
    record, index = Record(db), MilvusIndex(uri, seconds=120)
    try:
        dimension = vectors.shape[1]
        name = f"{dimension}_{parameters.kind.lower()}"
        made = await record.create_generation(engines.generation(name, dimension, parameters))
        await index.create(made.collection, made.dimension, made.parameters)
        for start in range(0, len(vectors), _BATCH):
            numbers = range(start, min(start + _BATCH, len(vectors)))
            await record.write(CATALOG, [product(n) for n in numbers])
            given = [VectorWrite(image_id(n), vectors[n]) for n in numbers]
            await record.save_vectors(made, given)
        lease = await acquired(db)
        applied = await apply_outbox(made, record, index, lease)
        while applied.more:
            applied = await apply_outbox(applied.generation, record, index, lease)
        await index.flush(made.collection)
        await record.mark(made, check_wanted=False)
    finally:
        await index.close()
        db.close()
    if engine == SERVER:
        _wait_for_graph(uri, made.collection, len(vectors))
    return Filled(folder, engine, uri, made, vectors)


async def acquired(db: Database) -> Lease:
    """Return a lease of a day to write the index, as the worker has: there is no other writer."""
    lease = Lease(db, "bench", worker_id("bench"), seconds=86_400)
    await lease.acquire()
    return lease


def _wait_for_graph(uri: str, collection: str, count: int) -> None:
    """Wait until the server has loaded its index: until then it compares row by row."""
    client = engines.client(uri)
    try:
        until = time.monotonic() + _BUILD_SECONDS
        while int(client.describe_index(collection, "vector").get("indexed_rows", 0)) < count:
            if time.monotonic() > until:
                raise OSError(f"the index was not built within {_BUILD_SECONDS:.0f} s")
            time.sleep(0.5)
        client.release_collection(collection)
        client.load_collection(collection)
        time.sleep(3)
    finally:
        client.close()


@contextlib.contextmanager
def server(filled: Filled) -> Iterator[int]:
    """Run the retriever's server during the block. Yield its port."""
    port = free_port()
    with _process(filled, "retriever", {"PORT": port}, grpc_serving(port)):
        yield port


@contextlib.contextmanager
def worker(filled: Filled) -> Iterator[int]:
    """Run the retriever's worker during the block. Yield the port of its metrics."""
    port = free_port()
    with _process(filled, "retriever.worker", {"WORKER_METRICS_PORT": port}, http_ok(port)):
        yield port


@contextlib.contextmanager
def _process(
    filled: Filled, module: str, settings: Mapping[str, object], ready: Probe
) -> Iterator[None]:
    """Run a process of the retriever during the block. Raise OSError when it does not get ready."""
    given = {
        "DATABASE_URL": filled.database_url,
        "PHOTOS_URL": filled.folder / "photos",
        "BACKUPS": filled.folder / "backups",
        "MILVUS_URI": filled.uri,
        "MILVUS_PREFIX": "bench",
        "EMBEDDER_TARGET": "127.0.0.1:9",  # no embedder: all vectors are given
        **settings,
    }
    environment = {name: value for name, value in os.environ.items() if "RETRIEVER_" not in name}
    environment |= {f"RETRIEVER_{name}": str(value) for name, value in given.items()}
    with (filled.folder / f"{module}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module], env=environment, stdout=log, stderr=log
        )
    try:
        _await(process, module, ready)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], module: str, ready: Probe) -> None:
    until = time.monotonic() + _START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            raise OSError(f"{module} did not get ready")
        time.sleep(0.1)
