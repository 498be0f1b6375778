"""Texts of labels on photos as the embedder's ReadLabels returns them, kept in `.cache`."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Final

import grpc

from bench.harness.machine import ROOT
from embedder.embedding.read_labels import DETECTOR, READER
from lab.datasets import featured
from sightline.common.v1 import vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc

KEPT: Final = ROOT / ".cache" / "labels"
CALLS: Final = 2
"""Photos that are read at once."""
KEPT_AT_ONCE: Final = 50
"""Photos after which the texts are kept, so that a run that was stopped goes on."""
SECONDS: Final = 120.0


def there() -> bool:
    """Return whether both models were built."""
    return featured.there(DETECTOR) and featured.there(READER)


def texts(port: int, photos: Sequence[bytes], say: Callable[[str], None]) -> list[list[str]]:
    """Return the lines of each photo, by the embedder on a port of this machine."""
    graphs = [(featured.MODELS / name / "1" / "model.onnx").read_bytes() for name in _MODELS]
    path = KEPT / f"{hashlib.sha256(b''.join(graphs)).hexdigest()[:16]}.json"
    known: dict[str, list[str]] = json.loads(path.read_text()) if path.is_file() else {}
    names = [hashlib.sha256(photo).hexdigest() for photo in photos]
    unread = [each for each in zip(names, photos, strict=True) if each[0] not in known]
    path.parent.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(unread), KEPT_AT_ONCE):
        say(f"{start} of {len(unread)} photos read")
        known |= asyncio.run(_read(port, dict(unread[start : start + KEPT_AT_ONCE])))
        path.write_text(json.dumps(known))
    return [known[name] for name in names]


_MODELS: Final = (DETECTOR, READER)


async def _read(port: int, photos: dict[str, bytes]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    permits = asyncio.Semaphore(CALLS)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = embedding_service_pb2_grpc.EmbeddingServiceStub(channel)

        async def read(name: str, photo: bytes) -> None:
            async with permits:
                request = pb.ReadLabelsRequest(image=photo, priority=vector_pb2.PRIORITY_BULK)
                answer = await stub.ReadLabels(request, timeout=SECONDS)
            found[name] = [line.text for line in answer.lines]

        await asyncio.gather(*(read(name, photo) for name, photo in photos.items()))
    return found
