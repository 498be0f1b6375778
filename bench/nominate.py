"""Nominees by behaviour: out of the ranker's memory or out of the index.

Memory is all that `Nominate` does with a model: exact, over every product. The index is the engine
with one pymilvus client alone, in a collection as a publication makes it: an answer through the
retriever takes a hop and a read of the record more. The gateway reads the record after both.
"""

import asyncio
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np

from bench.machine import ROOT
from bench.model import Interval, Result, Table
from bench.statistics import percentile
from ranker import nominate
from ranker.model import Floats, Model
from ranker.profiles import Profile
from ranker.publish import EXACT_UP_TO, item_vectors, query_vector
from retriever.filters import shaped
from retriever.milvus import MilvusIndex
from retriever.model import IndexKind, IndexParameters, IndexRow, Metric
from sightline_rules.filters import All, Facts
from sightline_rules.ids import derive_id

SIZES = (1_000, 10_000, 100_000)
DIMENSION = 30
TOP_K = 100
SEED = 20261120
ROUNDS = 5
A_ROUND = 60
WARM_UP = 20
UPSERT = 1_000
START_SECONDS = 30.0
PYTHON = ROOT / "deploy" / "milvus" / ".venv" / "bin" / "python"

Say: TypeAlias = Callable[[str], None]


@dataclass(slots=True)
class Case:
    """What was measured at one size."""

    size: int
    memory: list[float] = field(default_factory=list)
    """Seconds of each."""
    index: list[float] = field(default_factory=list)
    agreement: list[float] = field(default_factory=list)
    """Share of the exact nominees that the index names too, of each."""
    fill_seconds: float = 0.0
    array_bytes: int = 0


def run(say: Say) -> Result:
    """Measure every size."""
    cases = asyncio.run(_measure(say))
    return Result(
        tables=(_table(cases),),
        figures={
            "settings": {
                "seed": SEED,
                "dimension": DIMENSION,
                "top_k": TOP_K,
                "rounds": ROUNDS,
                "requests_a_round": A_ROUND,
                "engine": "Milvus Lite",
            },
            "cases": [_figures(case) for case in cases],
        },
    )


async def _measure(say: Say) -> list[Case]:
    cases = []
    with _engine() as uri:
        index = MilvusIndex(uri, seconds=60)
        for size in SIZES:
            say(f"nominees among {size:,} products")
            cases.append(await _case(size, index))
        await index.close()
    return cases


async def _case(size: int, index: MilvusIndex) -> Case:
    """Rounds of both, by turns, each request of another shopper."""
    draw = np.random.default_rng(SEED + size)
    model, case = _model(size, draw), Case(size)
    case.array_bytes = model.item_vectors.nbytes + model.item_biases.nbytes
    kind = IndexKind.FLAT if size <= EXACT_UP_TO else IndexKind.HNSW
    parameters, collection = IndexParameters(Metric.IP, kind), shaped(f"bench_{size}")
    case.fill_seconds = await _fill(index, collection, model, parameters)
    for number in range(ROUNDS + 1):
        count = A_ROUND if number else WARM_UP
        queries = draw.normal(scale=0.3, size=(count, DIMENSION)).astype(np.float32)
        exact, memory = [], []
        for query in queries:
            began = time.perf_counter()
            found = nominate.by_vectors(Profile(query), model, TOP_K, frozenset())
            memory.append(time.perf_counter() - began)
            exact.append(set(found.product_ids))
        indexed, agreement = [], []
        for query, wanted in zip(queries, exact, strict=True):
            began = time.perf_counter()
            hits = await index.search(
                collection, [query_vector(query)], All(), TOP_K, None, parameters=parameters
            )
            indexed.append(time.perf_counter() - began)
            agreement.append(len(wanted & {hit.product_id for hit in hits}) / TOP_K)
        if number:
            case.memory += memory
            case.index += indexed
            case.agreement += agreement
    await index.drop(collection)
    return case


def _model(size: int, draw: np.random.Generator) -> Model:
    """Vectors of the lengths that LightFM's have."""
    ids = tuple(f"p{n:07}" for n in range(size))
    nothing: Floats = np.zeros((0, DIMENSION), np.float32)
    return Model(
        version="lfm-bench",
        item_ids=ids,
        item_rows={item: row for row, item in enumerate(ids)},
        item_vectors=draw.normal(scale=0.3, size=(size, DIMENSION)).astype(np.float32),
        item_biases=draw.normal(scale=0.3, size=size).astype(np.float32),
        actor_rows={},
        actor_vectors=nothing,
        feature_rows={},
        feature_names=(),
        feature_vectors=nothing,
        feature_biases=np.zeros(0, np.float32),
        score_scale=1.0,
        attribute_keys=(),
    )


async def _fill(
    index: MilvusIndex, collection: str, model: Model, parameters: IndexParameters
) -> float:
    """Write all vectors; how long it took."""
    vectors, began = item_vectors(model), time.perf_counter()
    await index.create(collection, vectors.shape[1], parameters)
    for start in range(0, len(vectors), UPSERT):
        rows = [
            IndexRow(
                row_id=derive_id("bench", item, ""),
                seq=1,
                product_id=item,
                image_id="",
                facts=Facts(),
                vector=vector,
            )
            for item, vector in zip(
                model.item_ids[start : start + UPSERT],
                vectors[start : start + UPSERT],
                strict=True,
            )
        ]
        await index.upsert(collection, rows)
    await index.flush(collection)
    return time.perf_counter() - began


@contextmanager
def _engine() -> Iterator[str]:
    """Milvus Lite on a free port, in an empty folder; OSError when it does not start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "milvus"
        command = [str(PYTHON), "-m", "milvus_engine.serve", "--data", str(data)]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen([*command, "--port", str(port)], stdout=log, stderr=log)
        try:
            _await_start(process, port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def _await_start(process: "subprocess.Popen[bytes]", port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise OSError("Milvus Lite did not start")


def _table(cases: Sequence[Case]) -> Table:
    rows = tuple(
        (
            f"{case.size:,}",
            _milliseconds(percentile(case.memory, 0.5)),
            _milliseconds(percentile(case.memory, 0.99)),
            _milliseconds(percentile(case.index, 0.5)),
            _milliseconds(percentile(case.index, 0.99)),
            f"{np.mean(case.agreement):.3f}",
            f"{case.array_bytes / 2**20:.1f}",
            f"{case.fill_seconds:.1f}",
        )
        for case in cases
    )
    return Table(
        title="Nominees by behaviour: memory or index",
        headers=(
            "products",
            "memory p50 ms",
            "memory p99 ms",
            "index p50 ms",
            "index p99 ms",
            "same nominees",
            "arrays MiB",
            "index filled in s",
        ),
        rows=rows,
        caption=(
            f"{TOP_K} nominees, {DIMENSION} dimensions, Milvus Lite, one client, "
            f"{ROUNDS * A_ROUND} requests each; 95% intervals. "
            "The index's are those of the engine alone."
        ),
        section=None,
    )


def _milliseconds(seconds: Interval) -> str:
    return f"{seconds.value * 1e3:.2f} ({seconds.low * 1e3:.2f}-{seconds.high * 1e3:.2f})"


def _figures(case: Case) -> dict[str, object]:
    return {
        "products": case.size,
        "memory_seconds": sorted(case.memory),
        "index_seconds": sorted(case.index),
        "same_nominees": float(np.mean(case.agreement)),
        "array_bytes": case.array_bytes,
        "fill_seconds": case.fill_seconds,
    }
