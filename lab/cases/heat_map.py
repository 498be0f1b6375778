"""Cost of a heat map of two photos relative to an embedding of one, by the same embedder."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeAlias

import grpc

from bench.datasets import unique
from bench.harness.model import BenchResult, BenchTable, Goal, Interval
from bench.harness.serving import ServerRefused
from bench.harness.statistics import median_ratio, percentile
from lab.harness import rounds
from lab.harness.rounds import RoundFigures
from lab.peers import embedders
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc

Say: TypeAlias = Callable[[str], None]

MOST = 3.0
"""Maximum cost of a heat map in embeddings: it processes two photos, and draws both."""
SECONDS = 60.0
EMBED, DRAW = "an embedding", "a heat map"


def run(say: Say) -> BenchResult:
    """Start Triton and the embedder, call both methods in alternation, stop them."""
    files = unique.photos(*_photos())
    with embedders.without_cache(say) as served:
        return _result(asyncio.run(_measure(served.port, served.programs, files, say)))


def _photos() -> tuple[tuple[int, int], int, float]:
    return unique.SMALL, 40, 2.0


async def _measure(
    port: int, programs: Sequence[int], files: Sequence[bytes], say: Say
) -> RoundFigures:
    source = unique.unique(list(files))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = embedding_service_pb2_grpc.EmbeddingServiceStub(channel)

        async def embed() -> None:
            items = [pb.EmbedItem(image=photo) for photo in islice(source, 1)]
            answer = await stub.BatchEmbed(pb.BatchEmbedRequest(items=items), timeout=SECONDS)
            if answer.results[0].status.code:
                raise ServerRefused(answer.results[0].status.message)

        async def draw() -> None:
            first, second = (pb.EmbedItem(image=photo) for photo in islice(source, 2))
            asked = pb.ComparePhotosRequest(first=first, second=second)
            await stub.ComparePhotos(asked, timeout=SECONDS)

        return await rounds.alternate({EMBED: embed, DRAW: draw}, programs, say)


def _result(found: RoundFigures) -> BenchResult:
    rows = tuple(
        (
            name,
            _shown(percentile(found.milliseconds[name], 0.5)),
            _shown(percentile(found.cpu_milliseconds[name], 0.5)),
        )
        for name in (EMBED, DRAW)
    )
    return BenchResult(
        tables=(
            BenchTable(
                "A heat map of two photos of 0.3 megapixels, one caller",
                ("what", "ms", "ms of processor time"),
                rows,
                f"Medians of {rounds.ROUNDS} alternating rounds with their 95% intervals.",
                section=None,
            ),
        ),
        figures={"ms": found.milliseconds, "cpu_ms": found.cpu_milliseconds},
        goals=tuple(
            Goal(
                f"a heat map ÷ an embedding, {what}",
                MOST,
                "×",
                median_ratio(values[DRAW], values[EMBED]),
            )
            for what, values in (
                ("time", found.milliseconds),
                ("processor time", found.cpu_milliseconds),
            )
        ),
    )


def _shown(found: Interval) -> str:
    return found.shown(1)
