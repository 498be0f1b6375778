"""The embedder over real gRPC, in front of a server that speaks Triton's protocol."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime
import pytest
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image

from embedder.adapters.triton.client import Triton
from embedder.domain.recipes import Recipe
from embedder.preprocessing import preprocess
from embedder.servicer import embedding
from embedder.serving.model import KEPT
from embedder.serving.recovery import Recovery
from embedder.settings import EmbedderSettings
from embedder.wiring import bind, decoders
from servicekit import server
from servicekit.fetch import Fetcher, FetchPolicy
from servicekit.status import from_rpc_error, from_status
from sightline.common.v1 import vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc
from sightline_rules.photos import PhotoLimits
from tests.engines import ROOT, free_port
from tests.fakes.photos import (
    MEDIA_TYPES,
    claiming,
    encoded,
    frames,
    gif_of,
    photo,
    picture,
    turned,
)
from tests.fakes.triton import LITE0, LITE2, FakeTriton
from tests.fakes.web import FakeWeb, answer
from tests.triton import TRITON, processes_of, triton_kept_up
from tests.waiting import SECONDS

WEB: list[FakeWeb] = [FakeWeb()]
RECOVERY: list[Recovery] = [None]  # type: ignore[list-item]
"""The web of the test that runs."""

NAME = "sightline.embedder.v1.EmbeddingService"


@pytest.fixture
def triton() -> FakeTriton:
    return FakeTriton()


@pytest.fixture
async def triton_port(triton: FakeTriton) -> AsyncIterator[int]:
    async with triton.serving() as port:
        yield port


@pytest.fixture
async def connected(triton_port: int) -> AsyncIterator[grpc.aio.Channel]:
    async for channel in _served(triton_port):
        yield channel


@pytest.fixture
async def alone() -> AsyncIterator[grpc.aio.Channel]:
    """Yield a channel to an embedder whose Triton is down."""
    async for channel in _served(1):
        yield channel


async def _served(
    triton_port: int, max_pixels: int = 1_000_000, models: tuple[str, ...] = (LITE0, LITE2)
) -> AsyncIterator[grpc.aio.Channel]:
    settings = EmbedderSettings(
        port=0,
        triton_target=f"127.0.0.1:{triton_port}",
        models=models,
        infer_timeout_seconds=4,
        cache_bytes=0,  # the same few photos are asked for again and again here
        max_photo_pixels=max_pixels,
    )
    decoding = decoders(settings)
    async with FakeWeb().serving() as web:
        web.pages["/photo.jpg"] = answer(photo(200, 150))
        web.pages["/page.html"] = answer(b"<html>no photo</html>")
        web.pages["/away"] = answer(status="302 Found", location="http://10.0.0.1/")
        policy = FetchPolicy(hosts=(f"127.0.0.1:{web.port}",), schemes=("http",))
        fetch = Fetcher(policy, loopback_for_tests=True)
        WEB[0] = web
        async with Triton(settings.triton_target, settings.infer_timeout_seconds) as triton:
            offered, RECOVERY[0], _ = bind(settings, triton, decoding, fetch)
            running = await server.start(offered, settings, "embedder")
            async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
                yield channel
            await running.stop()
    decoding.close()


async def test_photos_are_fetched_from_where_it_is_allowed_and_from_nowhere_else(
    connected: grpc.aio.Channel,
) -> None:
    (web,) = WEB
    uris = {
        web.url("/photo.jpg", "127.0.0.1"): "",
        web.url("/page.html", "127.0.0.1"): "IMAGE_UNDECODABLE",
        web.url("/away", "127.0.0.1"): "URI_FORBIDDEN",
        web.url("/none", "127.0.0.1"): "URI_UNREADABLE",
        "https://example.com/a.jpg": "URI_FORBIDDEN",
        "": "URI_FORBIDDEN",
    }
    request = batch(photo(200, 150))
    for uri in uris:
        request.items.add(image_uri=uri)
    response = await pb_grpc.EmbeddingServiceStub(connected).BatchEmbed(request)
    assert reasons(response) == ["", *uris.values()]
    assert response.results[0].vector == response.results[1].vector
    assert "fetch" in {timing.stage for timing in response.stage_timings}


def batch(*photos: bytes, **fields: object) -> pb.BatchEmbedRequest:
    items = [pb.EmbedItem(image=photo) for photo in photos]
    return pb.BatchEmbedRequest(items=items, **fields)  # type: ignore[arg-type]


def reasons(response: pb.BatchEmbedResponse) -> list[str]:
    return [
        from_status(result.status).reason if result.status.code != code_pb2.OK else ""
        for result in response.results
    ]


async def test_bad_items_are_refused_each_for_its_reason_and_the_rest_goes_through(
    connected: grpc.aio.Channel,
) -> None:
    whole = photo(200, 150)
    good = {
        "plain": whole,
        "turned": turned(picture(), 6),
        "1x1": encoded(picture(1, 1), "PNG"),
        "alpha": encoded(picture().convert("RGBA"), "WEBP"),
        "CMYK": encoded(picture().convert("CMYK"), "JPEG"),
        "strip": encoded(picture(1, 60_000), "PNG"),
        "100,000 frames": gif_of(100_000),
    }
    good |= {kind: encoded(picture(), kind) for kind in MEDIA_TYPES}
    good |= {
        "several pages": frames("TIFF"),
        "polyglot": whole + b"<script>",
    }
    bad = {
        b"just a text file": "IMAGE_UNDECODABLE",
        b"": "IMAGE_UNDECODABLE",
        whole[: len(whole) // 2]: "IMAGE_UNDECODABLE",
        b"<html>photo.jpg</html>": "IMAGE_UNDECODABLE",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>": "IMAGE_UNDECODABLE",
        claiming("PNG", 30_000, 30_000): "IMAGE_TOO_LARGE",
        claiming("HEIF", 30_000, 30_000): "IMAGE_TOO_LARGE",
        encoded(picture(1001, 1000), "PNG"): "IMAGE_TOO_LARGE",
        whole + bytes(10 * 2**20): "IMAGE_TOO_LARGE",
    }
    request = batch(*good.values(), *bad)
    request.items.add(text="a dry white wine")
    request.items.add(image=whole, space="x-ray")
    response = await pb_grpc.EmbeddingServiceStub(connected).BatchEmbed(request)
    assert reasons(response) == [
        *[""] * len(good),
        *bad.values(),
        "SPACE_UNAVAILABLE",
        "SPACE_UNAVAILABLE",
    ]
    for result in response.results[: len(good)]:
        values = np.frombuffer(result.vector.data, "<f4")
        assert values.shape == (1280,)
        assert np.linalg.norm(values) == pytest.approx(1, abs=1e-5)


async def test_every_vector_carries_the_version_that_the_space_is_listed_with(
    connected: grpc.aio.Channel,
) -> None:
    stub = pb_grpc.EmbeddingServiceStub(connected)
    space, second = (await stub.ListSpaces(pb.ListSpacesRequest())).spaces
    assert (space.space, space.ready, space.dimension) == ("visual", True, 1280)
    assert (space.model, space.licence) == ("efficientnet_lite0", "Apache-2.0")
    assert "0.875" in space.preprocessing
    assert (second.space, second.ready, second.model) == ("visual", True, "efficientnet_lite2")
    assert (space.default_version, second.default_version) == (True, False)
    assert "260x260" in second.preprocessing
    response = await stub.BatchEmbed(batch(*(photo(seed=i) for i in range(5))))
    assert {result.vector.space_version for result in response.results} == {space.version}


async def test_an_item_goes_to_the_model_of_the_version_that_it_names(
    connected: grpc.aio.Channel, triton: FakeTriton
) -> None:
    stub = pb_grpc.EmbeddingServiceStub(connected)
    spaces = (await stub.ListSpaces(pb.ListSpacesRequest())).spaces
    triton.requests.clear()
    first, second = (space.version for space in spaces)
    request = pb.BatchEmbedRequest()
    for version in ("", second, "0" * 16, first):
        request.items.add(image=photo(), space_version=version)
    response = await stub.BatchEmbed(request)
    assert reasons(response) == ["", "", "SPACE_VERSION_UNAVAILABLE", ""]
    versions = [result.vector.space_version for result in response.results]
    assert versions == [first, second, "", first]
    shapes = {(r.model_name, *r.inputs[0].shape[1:]) for r in triton.requests}
    assert shapes == {(LITE0, 224, 224, 3), (LITE2, 260, 260, 3)}
    refused = from_status(response.results[2].status)
    assert refused.code == "FAILED_PRECONDITION"
    assert refused.metadata["served_versions"] == f"{first},{second}"


@pytest.mark.parametrize("down", [LITE0, LITE2])
async def test_a_model_that_is_down_or_hangs_costs_only_its_own_version(
    connected: grpc.aio.Channel, triton: FakeTriton, down: str
) -> None:
    stub = pb_grpc.EmbeddingServiceStub(connected)
    spaces = (await stub.ListSpaces(pb.ListSpacesRequest())).spaces
    of = {space.model: space.version for space in spaces}
    up = next(name for name in of if name != down)
    triton.ailing = {down}
    triton.failure = (grpc.StatusCode.UNAVAILABLE, "down")
    request = pb.BatchEmbedRequest()
    for name in (up, down):
        request.items.add(image=photo(), space_version=of[name])
    assert reasons(await stub.BatchEmbed(request)) == ["", "EMBEDDER_UNAVAILABLE"]
    await asyncio.sleep(KEPT)
    spaces = (await stub.ListSpaces(pb.ListSpacesRequest())).spaces
    assert {space.model: space.ready for space in spaces} == {up: True, down: False}
    assert {space.model: space.version for space in spaces} == of
    triton.failure, triton.delay = None, SECONDS
    many = pb.BatchEmbedRequest()
    for _ in range(32):
        many.items.add(image=photo(), space_version=of[down])
    triton.requests.clear()
    hanging = [stub.BatchEmbed(many, timeout=SECONDS) for _ in range(2)]
    while len(triton.requests) < 3:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    for _ in range(5):
        done = pb.BatchEmbedRequest(items=[request.items[0]])
        assert reasons(await stub.BatchEmbed(done, timeout=30)) == [""]
    for call in hanging:
        assert not call.done()
        call.cancel()


async def test_polling_the_spaces_costs_the_models_a_few_inferences_a_second(
    connected: grpc.aio.Channel, triton: FakeTriton
) -> None:
    stub = pb_grpc.EmbeddingServiceStub(connected)
    started = time.monotonic()
    answers = await asyncio.gather(
        *(stub.ListSpaces(pb.ListSpacesRequest(), timeout=SECONDS) for _ in range(100))
    )
    looks = 1 + int((time.monotonic() - started) / KEPT)
    assert all(space.ready for answer in answers for space in answer.spaces)
    assert 4 <= len(triton.requests) <= 4 * looks, "two models of two processes each"


async def test_a_new_model_version_gives_a_new_space_version_in_the_next_answer(
    connected: grpc.aio.Channel, triton: FakeTriton
) -> None:
    stub = pb_grpc.EmbeddingServiceStub(connected)
    before = (await stub.BatchEmbed(batch(photo()))).results[0].vector.space_version
    triton.config.parameters["version_2_sha256"].string_value = "0" * 64
    triton.version = "2"
    after = (await stub.BatchEmbed(batch(photo()))).results[0].vector.space_version
    assert before != after


async def test_the_pixels_that_triton_gets_are_the_upright_crop_s(
    connected: grpc.aio.Channel, triton: FakeTriton
) -> None:
    await pb_grpc.EmbeddingServiceStub(connected).BatchEmbed(batch(photo(), photo(9, 9)))
    shapes = [list(request.inputs[0].shape) for request in triton.requests]
    assert sum(rows for rows, *_ in shapes) == 2
    assert {tuple(sides) for _, *sides in shapes} == {(224, 224, 3)}
    assert {request.model_name for request in triton.requests} == {"efficientnet_lite0"}


async def test_while_triton_is_down_items_say_so_and_the_service_is_ready(
    alone: grpc.aio.Channel,
) -> None:
    stub = pb_grpc.EmbeddingServiceStub(alone)
    response = await stub.BatchEmbed(batch(photo(), b"text"))
    assert reasons(response) == ["EMBEDDER_UNAVAILABLE", "IMAGE_UNDECODABLE"]
    lost = from_status(response.results[0].status)
    assert lost.retry_after is not None
    spaces = (await stub.ListSpaces(pb.ListSpacesRequest())).spaces
    assert [(space.model, space.ready) for space in spaces] == [(LITE0, False), (LITE2, False)]
    for name in ("", NAME):
        health = await health_pb2_grpc.HealthStub(alone).Check(
            health_pb2.HealthCheckRequest(service=name)
        )
        assert health.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_triton_that_fails_and_recovers_needs_no_restart_of_the_embedder(
    connected: grpc.aio.Channel, triton: FakeTriton
) -> None:
    stub = pb_grpc.EmbeddingServiceStub(connected)
    assert reasons(await stub.BatchEmbed(batch(photo()))) == [""]
    triton.failure = (grpc.StatusCode.INTERNAL, "Stub process 'm_0_0' is not healthy.")
    assert reasons(await stub.BatchEmbed(batch(photo()))) == ["EMBEDDER_UNAVAILABLE"]
    triton.failure = None
    assert reasons(await stub.BatchEmbed(batch(photo()))) == [""]


async def test_an_answer_comes_within_the_deadline_with_what_is_done(
    connected: grpc.aio.Channel, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 20 ms suffice to answer in where a shop runs, not beside two other tests on two cores.
    monkeypatch.setattr(embedding, "RESERVE", 1.0)
    stub = pb_grpc.EmbeddingServiceStub(connected)
    assert reasons(await stub.BatchEmbed(batch(photo()))) == [""]
    triton.delay = 60
    response = await stub.BatchEmbed(batch(photo(), b"text"), timeout=2)
    assert reasons(response) == ["DEADLINE_EXCEEDED", "IMAGE_UNDECODABLE"]


async def test_a_photo_that_its_decoder_dies_of_costs_its_own_item_only(triton_port: int) -> None:
    # A good photo that takes a second or more, and 144 MB, to decode.
    slow = encoded(Image.new("LA", (6_000, 6_000), (200, 100)), "PNG", compress_level=1)
    async for channel in _served(triton_port, max_pixels=36_000_000):
        stub = pb_grpc.EmbeddingServiceStub(channel)
        neighbours = [photo(seed=seed) for seed in range(8)]
        assert reasons(await stub.BatchEmbed(batch(*neighbours))) == [""] * 8
        rest = max(map(resident, decoding_processes()))
        request = batch(*neighbours[:4], slow, *neighbours[4:])
        asked = stub.BatchEmbed(request, timeout=60)
        kills = 0
        while not asked.done():
            kills += kill_whoever_swells(rest)
            await asyncio.sleep(0.01)
        response = await asked
        assert kills >= 2, "one death is forgiven: somebody else may have been at fault"
        assert reasons(response) == [*[""] * 4, "IMAGE_UNDECODABLE", *[""] * 4]
        assert "died" in from_status(response.results[4].status).message
        undisturbed = await stub.BatchEmbed(request, timeout=60)
        assert reasons(undisturbed) == [""] * 9
        for place in (0, 1, 2, 3, 5, 6, 7, 8):
            assert response.results[place].vector == undisturbed.results[place].vector


def kill_whoever_swells(rest: int) -> int:
    """Kills the decoding processes that hold a large photo: those with 64 MiB more than one at
    `rest` has; how many."""
    swollen = [pid for pid in decoding_processes() if resident(pid) > rest + 64 * 2**20]
    for pid in swollen:
        os.kill(pid, signal.SIGKILL)
    return len(swollen)


def decoding_processes() -> list[int]:
    """The processes that decode for a service in this one."""
    return [pid for child in children(os.getpid()) for pid in children(child)]


def resident(pid: int) -> int:
    """Bytes of memory that a process holds; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


@pytest.mark.parametrize(
    ("request_of", "code", "reason"),
    [
        (batch, "INVALID_ARGUMENT", "BATCH_INVALID"),
        (lambda: batch(*[b"x"] * 65), "INVALID_ARGUMENT", "BATCH_INVALID"),
        (lambda: batch(b"x", catalog_id="nowhere"), "NOT_FOUND", "CATALOG_NOT_FOUND"),
    ],
)
async def test_a_request_that_is_wrong_as_a_whole_is_refused_as_a_whole(
    connected: grpc.aio.Channel,
    request_of: Callable[[], pb.BatchEmbedRequest],
    code: str,
    reason: str,
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await pb_grpc.EmbeddingServiceStub(connected).BatchEmbed(request_of())
    error = from_rpc_error(caught.value)
    assert (error.code, error.reason) == (code, reason)
    assert error.violations


async def test_bulk_and_interactive_batches_of_full_size_all_succeed_side_by_side(
    connected: grpc.aio.Channel,
) -> None:
    stub = pb_grpc.EmbeddingServiceStub(connected)
    photos = [photo(seed=i) for i in range(64)]
    calls = [
        stub.BatchEmbed(batch(*photos, priority=priority))
        for priority in (vector_pb2.PRIORITY_BULK, vector_pb2.PRIORITY_INTERACTIVE)
    ]
    first, second = [await call for call in calls]
    assert reasons(first) == reasons(second) == [""] * 64
    assert [r.vector.data for r in first.results] == [r.vector.data for r in second.results]


WINES = ROOT / "examples" / "wines" / "images"


def children(parent: int) -> list[int]:
    """Ids of the processes that it started."""
    ids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in ids if _stat(pid)[1] == str(parent)]


def _stat(pid: int) -> list[str]:
    """What proc(5) says of a process, from its state on; zeros when it is no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["0"] * 50


async def states(stub: Any) -> dict[str, bool]:
    """Whether each model's version is ready."""
    answer = await stub.ListSpaces(pb.ListSpacesRequest(), timeout=SECONDS)
    return {space.model: space.ready for space in answer.spaces}


async def until(stub: Any, wanted: dict[str, bool], seconds: float) -> None:
    """Waits until the spaces are as wanted."""
    async with asyncio.timeout(seconds):
        while await states(stub) != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


BOTH = {LITE0: True, LITE2: True}


@asynccontextmanager
async def looked_after() -> AsyncIterator[None]:
    """The embedder's watch over Triton's models runs meanwhile."""
    watching = asyncio.create_task(RECOVERY[0].run())
    try:
        yield
    finally:
        watching.cancel()


async def test_a_model_process_that_was_killed_shows_in_typed_errors_in_time_and_is_brought_back(
    tmp_path: Path,
) -> None:
    port = free_port()
    async with triton_kept_up(port, tmp_path / "log", [LITE0, LITE2]) as triton:
        async for channel in _served(port):
            stub = pb_grpc.EmbeddingServiceStub(channel)
            await until(stub, BOTH, SECONDS)
            first, *others = processes_of(LITE0, triton.pid)
            assert others, "the model has one process for each of its instances"
            os.kill(first, signal.SIGKILL)
            await until(stub, {LITE0: False, LITE2: True}, SECONDS)
            for pid in others:
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(KEPT)
            assert await states(stub) == {LITE0: False, LITE2: True}
            response = await stub.BatchEmbed(batch(*[photo()] * 5, b"text"), timeout=20)
            *lost, undecodable = reasons(response)
            assert set(lost) <= {"EMBEDDER_UNAVAILABLE", "DEADLINE_EXCEEDED"}
            assert undecodable == "IMAGE_UNDECODABLE"
            # So far nobody looked after it.
            async with looked_after():
                await until(stub, BOTH, SECONDS)
                response = await stub.BatchEmbed(batch(*[photo()] * 5), timeout=SECONDS)
                assert reasons(response) == [""] * 5


def by_onnxruntime(model: str, photos: Sequence[bytes], side: int) -> np.ndarray[Any, Any]:
    """The vectors of a model's own file, without Triton and without the embedder's service."""
    graph = TRITON / "models" / model / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(graph.read_bytes())
    recipe = Recipe(side, 0.875, "")
    pixels = [
        np.frombuffer(preprocess.pixels(each, PhotoLimits(), recipe)[0], np.uint8)
        for each in photos
    ]
    stacked = np.stack(pixels).reshape(-1, side, side, 3)
    return np.asarray(session.run(["embedding"], {"image": stacked})[0])


async def test_the_real_server_serves_both_versions_with_each_model_s_own_vectors(
    tmp_path: Path,
) -> None:
    port = free_port()
    photos = [path.read_bytes() for path in sorted(WINES.glob("*.jpg"))[:5]]
    async with triton_kept_up(port, tmp_path / "log", [LITE0, LITE2]):
        async for channel in _served(port):
            stub = pb_grpc.EmbeddingServiceStub(channel)
            await until(stub, BOTH, SECONDS)
            spaces = (await stub.ListSpaces(pb.ListSpacesRequest())).spaces
            assert [space.model for space in spaces] == [LITE0, LITE2]
            request = pb.BatchEmbedRequest()
            for space in spaces:
                for each in photos:
                    request.items.add(image=each, space_version=space.version)
            results = (await stub.BatchEmbed(request, timeout=SECONDS)).results
            found = np.stack([np.frombuffer(r.vector.data, "<f4") for r in results])
            assert [r.vector.space_version for r in results] == [
                space.version for space in spaces for _ in photos
            ]
            assert {r.vector.dimension for r in results} == {s.dimension for s in spaces} == {1280}
            for place, (model, side) in enumerate(((LITE0, 224), (LITE2, 260))):
                vectors = found[place * len(photos) : (place + 1) * len(photos)]
                assert np.abs(vectors - by_onnxruntime(model, photos, side)).max() < 1e-6
            cosines = (found[: len(photos)] * found[len(photos) :]).sum(axis=1)
            assert (cosines < 0.5).all(), "two versions are two spaces"
