"""The adapter of the engine: every error of the vendor is mapped, and hits are merged correctly."""

from __future__ import annotations

import asyncio
import inspect
import sys

import grpc
import pytest
from pymilvus import MilvusException
from pymilvus import exceptions as vendor

from retriever.adapters.milvus import index as milvus
from retriever.adapters.milvus.errors import TYPES, translate
from retriever.adapters.milvus.index import MilvusIndex
from retriever.domain.errors import (
    CollectionAbsent,
    CollectionReleased,
    IndexRefused,
    IndexUnavailable,
)
from retriever.domain.generation import EXACT, IndexKind, IndexParameters, VectorMetric
from tests.engines import free_port


def test_every_error_class_of_the_vendor_has_a_meaning() -> None:
    classes = {
        member
        for _, member in inspect.getmembers(vendor, inspect.isclass)
        if issubclass(member, MilvusException)
    }
    assert set(TYPES) == classes


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (MilvusException(code=100, message=""), CollectionAbsent),
        (MilvusException(code=101, message=""), CollectionReleased),
        (MilvusException(code=6, message=""), IndexRefused),
        (MilvusException(code=1100, message=""), IndexRefused),
        (MilvusException(code=1, message=""), IndexUnavailable),
        (MilvusException(code=2, message=""), IndexUnavailable),
        (MilvusException(code=99_999, message="new"), IndexUnavailable),
        (MilvusException(grpc.StatusCode.UNAVAILABLE, ""), IndexUnavailable),
        (vendor.ParamError(message=""), IndexRefused),
        (vendor.CollectionNotExistException(message=""), CollectionAbsent),
        (vendor.DescribeCollectionException(code=100, message=""), CollectionAbsent),
        (vendor.ConnectError(message=""), IndexUnavailable),
        (grpc.RpcError(), IndexUnavailable),
        (TimeoutError(), IndexUnavailable),
    ],
)
def test_an_error_becomes_what_it_means(error: Exception, meaning: type[Exception]) -> None:
    assert type(translate(error)) is meaning


def test_a_class_of_a_later_release_is_read_by_its_code() -> None:
    class Later(MilvusException):
        pass

    assert type(translate(Later(code=101, message=""))) is CollectionReleased


def test_hits_of_several_vectors_become_one_list_without_duplicates() -> None:
    def hit(row_id: str, product_id: str, distance: float) -> dict[str, object]:
        entity = {"product_id": product_id, "image_id": "i"}
        return {"id": row_id, "distance": distance, "entity": entity}

    found = milvus._best(
        [
            [hit("a", "p", 0.9), hit("b", "q", 0.2)],
            [hit("b", "q", 0.7), hit("c", "o", 0.7), hit("a", "p", 0.1), hit("d", "r", 1.0000001)],
        ]
    )
    assert [(item.row_id, item.similarity) for item in found] == [
        ("d", 1.0),
        ("a", 0.9),
        ("c", 0.7),
        ("b", 0.7),
    ]


@pytest.mark.parametrize(
    ("metric", "distance", "similarity"),
    [
        (VectorMetric.COSINE, 1.0000001, 1.0),
        (VectorMetric.COSINE, -0.25, -0.25),
        (VectorMetric.L2, 4.0, -4.0),
        (VectorMetric.IP, 7.5, 7.5),
    ],
)
def test_a_greater_similarity_is_nearer_whatever_the_metric(
    metric: VectorMetric, distance: float, similarity: float
) -> None:
    entity = {"product_id": "p", "image_id": "i"}
    (found,) = milvus._best([[{"id": "a", "distance": distance, "entity": entity}]], metric)
    assert found.similarity == similarity


def test_a_search_of_a_graph_looks_at_no_fewer_rows_than_it_answers() -> None:
    graph = IndexParameters(VectorMetric.IP, IndexKind.HNSW, ef=64)
    assert milvus._how(graph, 10) == {"metric_type": "IP", "params": {"ef": 64}}
    assert milvus._how(graph, 500) == {"metric_type": "IP", "params": {"ef": 500}}
    assert milvus._how(EXACT, 500) == {"metric_type": "COSINE"}


async def test_a_scan_takes_no_bound_but_hexadecimal() -> None:
    index = MilvusIndex("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="hexadecimal"):
        await index.scan("c", '0" or seq > 0 or row_id == "', "g")
    await index.close()


async def test_an_engine_that_is_not_there_is_reported_at_once() -> None:
    index = MilvusIndex("http://127.0.0.1:1", seconds=2)
    with pytest.raises(IndexUnavailable):
        await index.count("c")
    await index.close()


async def test_an_engine_that_does_not_answer_is_not_known_to_compare() -> None:
    index = MilvusIndex("http://127.0.0.1:1", seconds=2)
    assert not await index.compares()
    await index.close()


@pytest.mark.slow
async def test_pymilvus_is_loaded_by_the_first_call_and_not_at_the_start() -> None:
    """Check the start in a process of its own: here other tests have loaded it."""
    program = (
        "import asyncio, sys, retriever.__main__, retriever.worker\n"
        "from retriever.adapters.milvus.index import MilvusIndex\n"
        "async def main():\n"
        f"    index = MilvusIndex('http://127.0.0.1:{free_port()}')\n"
        "    assert not {'pymilvus', 'pandas'} & sys.modules.keys()\n"
        "    assert await index.version(5.0) is None\n"
        "    assert 'pymilvus' in sys.modules\n"
        "    await index.close()\n"
        "asyncio.run(main())\n"
    )
    started = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await started.wait() == 0
