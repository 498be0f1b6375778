"""Contenders of the bench `embedding`: each converts JPEG bytes to a vector by one call.

All run the same graph in two processes or threads with one compute thread each, and preprocess
photos by the same function. Two work in the bench's own process: one without any server, and one
with Triton only.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import grpc
import numpy as np
import numpy.typing as npt
import tritonclient.grpc.aio as triton

from bench.harness import processes
from bench.harness.machine import ROOT
from bench.harness.serving import ServerRefused, serving
from bench.peers.raw import MODEL, Raw
from local_suite.health import grpc_serving, triton_ready
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc
from tests.engines import free_port

Floats: TypeAlias = npt.NDArray[np.float32]
Call: TypeAlias = Callable[[bytes], Awaitable[Floats]]

RAW, BARE, OURS = "decode + onnxruntime", "bare Triton", "the embedder"
WORKERS = 2
_Link: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
TRITON_PYTHON = ROOT / "deploy/triton/.venv/bin/python"
SERVERS = ROOT / "lab/peers/servers"
SERVERS_PYTHON = SERVERS / ".venv/bin/python"
PEERS: Mapping[str, Sequence[str]] = {
    "BentoML": (
        "-m",
        "bentoml",
        "serve",
        "bento_server:Embedding",
        "--host",
        "127.0.0.1",
        "--port",
    ),
    "LitServe": ("lit_server.py",),
    "Ray Serve": ("ray_server.py",),
}
"""The other servers' command lines, without the port, which follows."""
_ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(
        str(ROOT / part) for part in ("services/embedder/src", "kit/src", "rules/src")
    ),
    "EMBEDDING_GRAPH": str(MODEL / "1/model.onnx"),
    "DO_NOT_TRACK": "1",
    "BENTOML_DO_NOT_TRACK": "1",
    "BENTOML_CONFIG_OPTIONS": "api_server.logging.access.enabled=false",
    "RAY_AUTH_MODE": "disabled",  # it listens on 127.0.0.1 only
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    # As in the embedder and Triton: freed memory is kept for the next photo.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20),
}


@dataclass(frozen=True, slots=True)
class EmbeddingContender:
    """A system that converts JPEG bytes to a vector."""

    name: str
    call: Call
    programs: tuple[int, ...] = ()
    """Process ids of its servers; their descendants count too."""
    here: bool = False
    """True if some of its work is done in the bench's own process."""

    def seconds(self) -> float:
        """Return the processor seconds used so far."""
        own = time.process_time() if self.here else 0.0
        return own + processes.of_trees(self.programs)


@asynccontextmanager
async def raw() -> AsyncIterator[EmbeddingContender]:
    """Decode and onnxruntime in this process."""
    model = Raw()
    with ThreadPoolExecutor(WORKERS) as pool:

        async def call(photo: bytes) -> Floats:
            found = await asyncio.get_running_loop().run_in_executor(pool, model.vectors, [photo])
            return np.asarray(found[0])

        yield EmbeddingContender(RAW, call, here=True)


@asynccontextmanager
async def bare_triton(pid: int, port: int) -> AsyncIterator[EmbeddingContender]:
    """Decode in threads of this process, then one request to Triton a photo."""
    model = Raw()
    client = triton.InferenceServerClient(f"127.0.0.1:{port}")
    with ThreadPoolExecutor(WORKERS) as pool:

        async def call(photo: bytes) -> Floats:
            pixels = await asyncio.get_running_loop().run_in_executor(pool, model.cut, photo)
            image = triton.InferInput("image", (1, *pixels.shape), "UINT8")
            image.set_data_from_numpy(pixels[None])
            result = await client.infer(MODEL.name, [image])
            return np.asarray(result.as_numpy("embedding")[0])

        yield EmbeddingContender(BARE, call, (pid,), here=True)
    await client.close()


@asynccontextmanager
async def sightline(
    name: str, port: int, pids: tuple[int, ...]
) -> AsyncIterator[EmbeddingContender]:
    """Yield the embedder as a contender, one photo a request."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = embedding_service_pb2_grpc.EmbeddingServiceStub(channel)

        async def call(photo: bytes) -> Floats:
            answer = await stub.BatchEmbed(pb.BatchEmbedRequest(items=[pb.EmbedItem(image=photo)]))
            (result,) = answer.results
            if result.status.code:
                raise ServerRefused(f"the embedder refused a photo: {result.status.message}")
            return np.frombuffer(result.vector.data, "<f4")

        yield EmbeddingContender(name, call, pids)


@contextmanager
def triton_server(folder: Path) -> Iterator[tuple[int, int]]:
    """Run the suite's Triton. Yield process id and port."""
    port = free_port()
    command = [str(TRITON_PYTHON), "-m", "triton_engine.serve", "--grpc-port", str(port)]
    given = {"PYTHONPATH": str(ROOT / "deploy/triton")}
    with serving(command, folder / "triton.log", triton_ready(port), given) as pid:
        yield pid, port


@contextmanager
def embedder_server(folder: Path, triton_port: int, **settings: str) -> Iterator[tuple[int, int]]:
    """Run the embedder in front of Triton. Yield process id and port."""
    port = free_port()
    given = {"EMBEDDER_PORT": str(port), "EMBEDDER_TRITON_TARGET": f"127.0.0.1:{triton_port}"}
    command = [sys.executable, "-m", "embedder"]
    log = folder / "embedder.log"
    with serving(command, log, grpc_serving(port), given | settings) as pid:
        yield pid, port


@contextmanager
def vision_server(folder: Path, embedder_port: int) -> Iterator[tuple[int, int]]:
    """Run vision in front of an embedder, without a retriever. Yield process id and port."""
    port = free_port()
    given = {
        "VISION_PORT": str(port),
        "VISION_EMBEDDER_TARGET": f"127.0.0.1:{embedder_port}",
        "VISION_DATABASE_URL": f"sqlite:///{folder}/vision.db",
        "VISION_PHOTOS_URL": str(folder / "photos"),
    }
    command = [sys.executable, "-m", "vision"]
    with serving(command, folder / "vision.log", grpc_serving(port), given) as pid:
        yield pid, port


@dataclass(frozen=True, slots=True)
class ServedEmbedder:
    """A running embedder with its Triton."""

    port: int
    """Port of the embedder."""
    programs: tuple[int, int]
    """Process ids of Triton and of the embedder."""
    folder: Path
    """Folder for files, deleted when they stop."""


@contextmanager
def without_cache(say: Callable[[str], None], **settings: str) -> Iterator[ServedEmbedder]:
    """Run Triton and an embedder that caches nothing during the block. `settings`: others of the
    embedder, by variable. Raise OSError when one does not get ready."""
    with tempfile.TemporaryDirectory(prefix="sightline-bench-") as name, ExitStack() as running:
        folder = Path(name)
        say("starting Triton and the embedder")
        triton_id, triton_port = running.enter_context(triton_server(folder))
        settings["EMBEDDER_CACHE_BYTES"] = "0"
        ours, port = running.enter_context(embedder_server(folder, triton_port, **settings))
        yield ServedEmbedder(port, (triton_id, ours), folder)


@contextmanager
def peer_server(name: str, folder: Path) -> Iterator[tuple[int, int]]:
    """Run one of the other servers. Yield process id and port."""
    port = free_port()
    command = [str(SERVERS_PYTHON), *PEERS[name], str(port)]
    given = _ENVIRONMENT | {"BENTOML_HOME": str(folder / "bentoml")}
    log = folder / f"{name}.log"
    with serving(command, log, lambda: _embeds(port), given, SERVERS) as pid:
        yield pid, port


def _embeds(port: int) -> bool:
    """Return whether a server embeds: any status but those of a missing or unready one."""
    with suppress(OSError, TimeoutError):
        return asyncio.run(asyncio.wait_for(_status(port), 2)) not in {0, 404, 502, 503}
    return False


async def _status(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(_head(0))
        line = await reader.readline()
        return int(line.split()[1]) if line else 0
    finally:
        writer.close()


@asynccontextmanager
async def http(name: str, pid: int, port: int) -> AsyncIterator[EmbeddingContender]:
    """Yield a server that accepts a photo by POST as a contender.

    Connections are kept, and the client is minimal as it shares the processors.
    """
    idle: list[_Link] = []

    async def call(photo: bytes) -> Floats:
        link = idle.pop() if idle else None
        if link is not None:
            with suppress(OSError, asyncio.IncompleteReadError):  # closed meanwhile: it was idle
                return await exchange(link, photo)
        return await exchange(await asyncio.open_connection("127.0.0.1", port), photo)

    async def exchange(link: _Link, photo: bytes) -> Floats:
        reader, writer = link
        writer.write(_head(len(photo)))
        writer.write(photo)
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if line)
        body = await reader.readexactly(int(fields[b"content-length"]))
        if head.split(None, 2)[1] != b"200":
            raise ServerRefused(f"{name} refused a photo: {body[:200]!r}")
        idle.append(link)
        return np.frombuffer(body, "<f4")

    yield EmbeddingContender(name, call, (pid,))
    for _, writer in idle:
        writer.close()


def _head(length: int) -> bytes:
    return (
        "POST /embed HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"content-type: application/octet-stream\r\ncontent-length: {length}\r\n\r\n"
    ).encode()
