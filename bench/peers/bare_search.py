"""Peers of a search: pymilvus alone on the same collection, and an index in this process."""

from collections.abc import Sequence
from typing import Protocol

from bench.datasets.corpus import Floats
from bench.harness import engines
from retriever.adapters.milvus.filters import compile_filter
from retriever.domain.generation import Generation
from sightline_rules.filters import Filter


class BareMilvus:
    """A bare search in the engine for the wanted rows, with the generation's own `ef`."""

    def __init__(self, uri: str, generation: Generation, top: int) -> None:
        self._client = engines.client(uri)
        self._collection, self._top = generation.collection, top
        ef = max(top, generation.parameters.ef)
        self._how = {"metric_type": generation.parameters.metric.value, "params": {"ef": ef}}

    def close(self) -> None:
        self._client.close()

    def search(self, query: Floats, condition: Filter) -> list[str]:
        """Return the ids of products, nearest first."""
        answer = self._client.search(
            self._collection,
            data=[query.tolist()],
            filter=compile_filter(condition),
            limit=self._top,
            output_fields=["product_id", "image_id"],
            search_params=self._how,
            consistency_level="Bounded",
        )
        return [hit["entity"]["product_id"] for hit in answer[0]]


class InProcessPeer(Protocol):
    """An index in this process that gets the passing rows beforehand, such as faiss."""

    build_seconds: float
    """Seconds of building its graph."""

    def graph(self, number: int, share: float) -> list[int]:
        """Return the numbers of products near a query, by a graph."""

    def flat(self, number: int, share: float) -> list[int]:
        """Return the numbers of products near a query, by comparing every row."""


def recall(found: Sequence[object], expected: Sequence[object], count: int) -> float:
    """Return the share of the first `count` expected entries among the first `count` found."""
    wanted = set(expected[:count])
    return len(wanted & set(found[:count])) / len(wanted)
