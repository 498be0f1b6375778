"""Processes that call a server in a closed loop: one process of Python could not load a GPU."""

import asyncio
import itertools
import multiprocessing
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import grpc
import numpy as np
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from bench.datasets import unique
from bench.harness.load import closed_loop, lasting
from lab.peers.gpu.inputs import IMAGES, PHOTOS, Tensors, photo_pixels, text_tokens, titles
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc

PROCESSES = 4
"""Processes of callers; fewer callers have one each."""
WARM_SECONDS = 0.3

Call: TypeAlias = Callable[[Any], Awaitable[str]]
"""Calls with one item. Returns the error; empty = it got a vector."""


@dataclass(frozen=True, slots=True)
class Share:
    """The callers of one process."""

    model: str
    bare: bool
    """True: tensors to Triton; False: JPEG files or texts to the embedder."""
    port: int
    callers: int
    seconds: float
    start: int
    """Number of the first photo; photos of different numbers have different bytes."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answers that the callers of a share got."""

    latencies: Sequence[float]
    """Milliseconds of each item, refused ones too."""
    refused: Sequence[str]
    """Errors of items without a vector, mostly as they waited for too long."""
    seconds: float
    """Wall-clock seconds of the share."""
    cpu_seconds: float
    """Processor seconds of the callers' process."""


class Callers:
    """A pool of processes that call at the same time."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool
        self._starts = itertools.count(step=1_000_000)

    def call(
        self, model: str, ports: Sequence[int], callers: int, seconds: float, *, bare: bool
    ) -> list[Answered]:
        """Call for some seconds. `ports`: of servers that share the callers."""
        processes = min(PROCESSES, callers)
        shares = [
            Share(
                model,
                bare,
                ports[number % len(ports)],
                callers // processes + (number < callers % processes),
                seconds,
                next(self._starts),
            )
            for number in range(processes)
        ]
        return list(self._pool.map(answered, shares, timeout=seconds + 120))


@contextmanager
def pool() -> Iterator[Callers]:
    """Start the processes and create their photos."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=spawn) as processes:
        list(processes.map(_prepare, range(PROCESSES)))
        yield Callers(processes)


def _prepare(_: int) -> None:
    _files()
    photo_pixels()
    text_tokens()
    time.sleep(1)  # so that each process takes one of these tasks


def answered(share: Share) -> Answered:
    """Run a share in this process."""
    return asyncio.run(_answered(share))


async def _answered(share: Share) -> Answered:
    caller = _bare(share) if share.bare else _embedder(share)
    async with caller as call:
        requests = _requests(share)
        await closed_loop(lasting(requests, WARM_SECONDS, share.callers), share.callers, call)
        before = time.process_time()
        done, seconds = await closed_loop(lasting(requests, share.seconds), share.callers, call)
        spent = time.process_time() - before
    refused = [each.answer for each in done if each.answer]
    return Answered([1000 * each.seconds for each in done], refused, seconds, spent)


def _requests(share: Share) -> Iterator[Any]:
    takes_photos = share.model.startswith(PHOTOS)
    if share.bare:
        return itertools.cycle(photo_pixels() if takes_photos else text_tokens())
    if takes_photos:
        photos = unique.unique(_files(), share.start)
        return (pb.EmbedItem(image=photo) for photo in photos)
    return (pb.EmbedItem(text=title) for title in itertools.cycle(titles()))


@cache
def _files() -> list[bytes]:
    return unique.photos(unique.SMALL, IMAGES, 2.0)


@asynccontextmanager
async def _bare(share: Share) -> AsyncIterator[Call]:
    """Call Triton with one item a request."""
    async with triton.InferenceServerClient(f"127.0.0.1:{share.port}") as client:

        async def call(tensors: Tensors) -> str:
            given = []
            for name, values in tensors.items():
                tensor = triton.InferInput(name, values.shape, np_to_triton_dtype(values.dtype))
                given.append(tensor.set_data_from_numpy(values))
            try:
                result = await client.infer(share.model, given)
            except InferenceServerException as error:
                return str(error)
            return "" if result.as_numpy("embedding") is not None else "no vector"

        yield call


@asynccontextmanager
async def _embedder(share: Share) -> AsyncIterator[Call]:
    """Call the embedder with one item a request."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{share.port}") as channel:
        stub = embedding_service_pb2_grpc.EmbeddingServiceStub(channel)

        async def call(item: pb.EmbedItem) -> str:
            answer = await stub.BatchEmbed(pb.BatchEmbedRequest(items=[item]))
            (result,) = answer.results
            if not result.status.code:
                np.frombuffer(result.vector.data, "<f4")
            return str(result.status.message)

        yield call
