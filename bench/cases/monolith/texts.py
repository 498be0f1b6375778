"""Texts: version of their space, and rate of embedding."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2

from bench.cases.monolith import metrics
from bench.cases.monolith.made import MadeCatalog
from bench.harness.model import Goal
from bench.harness.statistics import ratio
from bench.peers.sentences import MODEL, SentenceModel
from embedder.adapters.triton.description import described
from embedder.domain.models import version_of
from examples.wines.loading import LoadingFailed
from local_suite.suite import Suite
from retriever.domain.texts import text_of
from sightline_client import Product, SightlineClient

Say: TypeAlias = Callable[[str], None]

CHUNKS, CHUNK = 4, 600
AT_LEAST = 0.7
EMBEDDED = "sightline_index_embedded_total"
_SECONDS = 300.0


def version() -> str:
    """Return the version of the space of the suite's text model."""
    config = text_format.Parse((MODEL / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    return version_of(described(service_pb2.ModelConfigResponse(config=config)), "1")


@dataclass(slots=True)
class Speed:
    """Texts a second, chunk by chunk."""

    suite: list[float] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)

    def goal(self, missing: str = "") -> Goal:
        """Return the goal with its verdict."""
        pairs = list(zip(self.suite, self.raw, strict=True))
        return Goal(
            "texts embedded a second ÷ raw batched onnxruntime in one thread",
            None,
            "×",
            ratio(pairs) if pairs else None,
            at_least=AT_LEAST,
            missing=missing,
        )


def speed(suite: Suite, say: Say) -> Speed:
    """Embed products without photos by the suite, and the same texts by one process, in
    alternation.
    """
    raw, found = SentenceModel(threads=1), Speed()
    for number in range(CHUNKS):
        say(f"texts, chunk {number + 1} of {CHUNKS}")
        made = MadeCatalog(f"new{number}", CHUNK, 1)
        contents = [made.content(place) for place in range(CHUNK)]
        products = [
            Product(
                product_id=f"new-{number}-{content.product_id}",
                title=f"{content.title} {number}",
                category_path=content.category_path,
                brand=content.brand,
            )
            for content in contents
        ]
        found.suite.append(_embedded(suite, products))
        texts = [text_of(content) for content in contents]
        since = time.perf_counter()
        raw.vectors(texts)
        found.raw.append(CHUNK / (time.perf_counter() - since))
    return found


def _embedded(suite: Suite, products: Sequence[Product]) -> float:
    """Return the texts a second from the first batch with vectors to the last."""
    before, until = _count(suite), time.monotonic() + _SECONDS
    seen: list[tuple[float, float]] = []
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(asyncio.run, _write(suite.addresses()["gateway"], products))
        while not seen or seen[-1][1] < len(products):
            done = _count(suite) - before
            if done and (not seen or done > seen[-1][1]):
                seen.append((time.perf_counter(), done))
            if writing.done():
                writing.result()
            if time.monotonic() > until:
                raise LoadingFailed(f"{done:.0f} of {len(products)} texts were embedded")
            time.sleep(0.05)
    return rate(seen)


def rate(seen: Sequence[tuple[float, float]]) -> float:
    """Return the texts a second, given times (seconds) with the count reached; texts of the first
    time do not count. Raise ValueError for a single time.
    """
    (began, first), (ended, last) = seen[0], seen[-1]
    if ended <= began:
        raise ValueError("all were embedded at once")
    return (last - first) / (ended - began)


def _count(suite: Suite) -> float:
    return metrics.total(suite, "retriever-worker", EMBEDDED) or 0.0


async def _write(target: str, products: Sequence[Product]) -> None:
    async with SightlineClient(target) as client:
        async for batch in client.upsert_products(products):
            for outcome in batch.outcomes:
                if outcome.error is not None:
                    raise LoadingFailed(f"{outcome.product_id} was refused: {outcome.error}")
