"""The embedder over real gRPC, in front of a server that speaks Triton's protocol."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image

from embedder.servicer import embedding
from embedder.serving.model import KEPT
from servicekit.status import from_rpc_error, from_status
from sightline.common.v1 import vector_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc
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
from tests.peer_stubs import peer_stub
from tests.waiting import SECONDS
from tests.wire.embedder_server import (
    NAME,
    WEB,
    alone,
    batch,
    children,
    connected,
    reasons,
    served,
    triton,
    triton_port,
)

__all__ = ["alone", "connected", "triton", "triton_port"]  # fixtures


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
    response = await peer_stub("embedder", connected, pb_grpc.EmbeddingServiceStub).BatchEmbed(
        request
    )
    assert reasons(response) == ["", *uris.values()]
    assert response.results[0].vector == response.results[1].vector
    assert "fetch" in {timing.stage for timing in response.stage_timings}


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
    response = await peer_stub("embedder", connected, pb_grpc.EmbeddingServiceStub).BatchEmbed(
        request
    )
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
    stub = peer_stub("embedder", connected, pb_grpc.EmbeddingServiceStub)
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
    stub = peer_stub("embedder", connected, pb_grpc.EmbeddingServiceStub)
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
    stub = peer_stub("embedder", connected, pb_grpc.EmbeddingServiceStub)
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
        assert reasons(await stub.BatchEmbed(done, timeout=SECONDS)) == [""]
    for call in hanging:
        assert not call.done()
        call.cancel()


async def test_polling_the_spaces_costs_the_models_a_few_inferences_a_second(
    connected: grpc.aio.Channel, triton: FakeTriton
) -> None:
    stub = peer_stub("embedder", connected, pb_grpc.EmbeddingServiceStub)
    started = time.monotonic()
    answers = await asyncio.gather(
        *(stub.ListSpaces(pb.ListSpacesRequest(), timeout=SECONDS) for _ in range(100))
    )
    looks = 1 + int((time.monotonic() - started) / KEPT)
    assert all(space.ready for answer in answers for space in answer.spaces)
    assert 2 <= len(triton.requests) <= 2 * looks, "two models of one process each"


async def test_a_new_model_version_gives_a_new_space_version_in_the_next_answer(
    connected: grpc.aio.Channel, triton: FakeTriton
) -> None:
    stub = peer_stub("embedder", connected, pb_grpc.EmbeddingServiceStub)
    before = (await stub.BatchEmbed(batch(photo()))).results[0].vector.space_version
    triton.config.parameters["version_2_sha256"].string_value = "0" * 64
    triton.version = "2"
    after = (await stub.BatchEmbed(batch(photo()))).results[0].vector.space_version
    assert before != after


async def test_the_pixels_that_triton_gets_are_the_upright_crop_s(
    connected: grpc.aio.Channel, triton: FakeTriton
) -> None:
    await peer_stub("embedder", connected, pb_grpc.EmbeddingServiceStub).BatchEmbed(
        batch(photo(), photo(9, 9))
    )
    shapes = [list(request.inputs[0].shape) for request in triton.requests]
    assert sum(rows for rows, *_ in shapes) == 2
    assert {tuple(sides) for _, *sides in shapes} == {(224, 224, 3)}
    assert {request.model_name for request in triton.requests} == {"efficientnet_lite0"}


async def test_while_triton_is_down_items_say_so_and_the_service_is_ready(
    alone: grpc.aio.Channel,
) -> None:
    stub = peer_stub("embedder", alone, pb_grpc.EmbeddingServiceStub)
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
    stub = peer_stub("embedder", connected, pb_grpc.EmbeddingServiceStub)
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
    stub = peer_stub("embedder", connected, pb_grpc.EmbeddingServiceStub)
    assert reasons(await stub.BatchEmbed(batch(photo()))) == [""]
    triton.delay = 60
    response = await stub.BatchEmbed(batch(photo(), b"text"), timeout=2)
    assert reasons(response) == ["DEADLINE_EXCEEDED", "IMAGE_UNDECODABLE"]


@pytest.mark.full
async def test_a_photo_that_its_decoder_dies_of_costs_its_own_item_only(triton_port: int) -> None:
    # A good photo that takes a second or more, and 144 MB, to decode.
    slow = encoded(Image.new("LA", (6_000, 6_000), (200, 100)), "PNG", compress_level=1)
    async for channel in served(triton_port, max_pixels=36_000_000, decode_seconds=SECONDS):
        stub = peer_stub("embedder", channel, pb_grpc.EmbeddingServiceStub)
        neighbours = [photo(seed=seed) for seed in range(8)]
        assert reasons(await stub.BatchEmbed(batch(*neighbours))) == [""] * 8
        rest = max(map(resident, decoding_processes()))
        request = batch(*neighbours[:4], slow, *neighbours[4:])
        with killing_whoever_swells(rest) as killed:
            response = await stub.BatchEmbed(request, timeout=SECONDS)
        assert len(killed) >= 2, "one death is forgiven: somebody else may have been at fault"
        assert reasons(response) == [*[""] * 4, "IMAGE_UNDECODABLE", *[""] * 4]
        assert "crashed" in from_status(response.results[4].status).message
        undisturbed = await stub.BatchEmbed(request, timeout=SECONDS)
        assert reasons(undisturbed) == [""] * 9
        for place in (0, 1, 2, 3, 5, 6, 7, 8):
            assert response.results[place].vector == undisturbed.results[place].vector


@contextmanager
def killing_whoever_swells(rest: int) -> Iterator[set[int]]:
    """Kill the decoding processes that hold a large photo: those with 64 MiB more than at `rest`.
    Yield them. A thread looks, since the loop of the server and of the test may be late."""
    killed, ended = set[int](), threading.Event()

    def look() -> None:
        while not ended.wait(0.005):
            for pid in decoding_processes():
                if pid not in killed and resident(pid) > rest + 64 * 2**20:
                    killed.add(pid)
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield killed
    finally:
        ended.set()
        looking.join()


def decoding_processes() -> list[int]:
    """Return the processes that decode for a service in this one."""
    return [pid for child in children(os.getpid()) for pid in children(child)]


def resident(pid: int) -> int:
    """Return the resident bytes of a process; 0 if it has ended."""
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
        await peer_stub("embedder", connected, pb_grpc.EmbeddingServiceStub).BatchEmbed(
            request_of()
        )
    error = from_rpc_error(caught.value)
    assert (error.code, error.reason) == (code, reason)
    assert error.violations


@pytest.mark.full
async def test_bulk_and_interactive_batches_of_full_size_all_succeed_side_by_side(
    connected: grpc.aio.Channel,
) -> None:
    stub = peer_stub("embedder", connected, pb_grpc.EmbeddingServiceStub)
    photos = [photo(seed=i) for i in range(64)]
    calls = [
        stub.BatchEmbed(batch(*photos, priority=priority))
        for priority in (vector_pb2.PRIORITY_BULK, vector_pb2.PRIORITY_INTERACTIVE)
    ]
    first, second = [await call for call in calls]
    assert reasons(first) == reasons(second) == [""] * 64
    assert [r.vector.data for r in first.results] == [r.vector.data for r in second.results]
