"""The embedder over real gRPC, in front of a real Triton."""

import asyncio
import hashlib
import io
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import matplotlib
import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from PIL import Image, ImageDraw, ImageFont

from embedder.domain.recipes import PhotoRecipe
from embedder.embedding.read_labels import DETECTOR
from embedder.preprocessing import preprocess
from servicekit.status import from_rpc_error
from sightline.common.v1 import photo_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc
from sightline_rules.photos import PhotoLimits
from tests.engines import ROOT, free_port
from tests.fakes.detectors import detector, manifest
from tests.fakes.photos import photo
from tests.fakes.triton import LITE0, LITE2
from tests.peer_stubs import peer_stub
from tests.triton import TRITON, processes_of, triton_kept_up
from tests.waiting import SECONDS
from tests.wire.embedder_server import RECOVERY, batch, reasons, served

WINES = ROOT / "examples" / "wines" / "images"
FACE = ROOT / "tests" / "faces" / "astronaut.jpg"


async def states(stub: Any) -> dict[str, bool]:
    """Return whether each model's version is ready."""
    answer = await stub.ListSpaces(pb.ListSpacesRequest(), timeout=SECONDS)
    return {space.model: space.ready for space in answer.spaces}


async def until(stub: Any, wanted: dict[str, bool], seconds: float) -> None:
    """Wait until the spaces are in these states."""
    async with asyncio.timeout(seconds):
        while await states(stub) != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


BOTH = {LITE0: True, LITE2: True}


@asynccontextmanager
async def looked_after() -> AsyncIterator[None]:
    """Run the embedder's watch over Triton's models during the block."""
    watching = asyncio.create_task(RECOVERY[0].run())
    try:
        yield
    finally:
        watching.cancel()


@pytest.mark.full
async def test_a_model_process_that_was_killed_shows_in_typed_errors_in_time_and_is_brought_back(
    tmp_path: Path,
) -> None:
    port = free_port()
    async with triton_kept_up(port, tmp_path / "log", [LITE0, LITE2]) as triton:
        async for channel in served(port):
            stub = peer_stub("embedder", channel, pb_grpc.EmbeddingServiceStub)
            await until(stub, BOTH, SECONDS)
            (process,) = processes_of(LITE0, triton.pid)
            os.kill(process, signal.SIGKILL)
            await until(stub, {LITE0: False, LITE2: True}, SECONDS)
            response = await stub.BatchEmbed(batch(*[photo()] * 5, b"text"), timeout=20)
            *lost, undecodable = reasons(response)
            assert set(lost) <= {"EMBEDDER_UNAVAILABLE", "DEADLINE_EXCEEDED"}
            assert undecodable == "IMAGE_UNDECODABLE"
            # Nothing has recovered it so far.
            async with looked_after():
                await until(stub, BOTH, SECONDS)
                response = await stub.BatchEmbed(batch(*[photo()] * 5), timeout=SECONDS)
                assert reasons(response) == [""] * 5


def by_onnxruntime(model: str, photos: Sequence[bytes], side: int) -> np.ndarray[Any, Any]:
    """Return the vectors of a model's own file, computed without Triton and the embedder."""
    graph = TRITON / "models" / model / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(graph.read_bytes())
    recipe = PhotoRecipe(side, 0.875, "")
    pixels = [
        np.frombuffer(preprocess.pixels(each, PhotoLimits(), recipe)[0], np.uint8)
        for each in photos
    ]
    stacked = np.stack(pixels).reshape(-1, side, side, 3)
    return np.asarray(session.run(["embedding"], {"image": stacked})[0])


@pytest.mark.when("deploy/triton", "kit", "services/embedder")
async def test_the_real_server_serves_both_versions_with_each_model_s_own_vectors(
    tmp_path: Path,
) -> None:
    port = free_port()
    photos = [path.read_bytes() for path in sorted(WINES.glob("*.jpg"))[:5]]
    async with triton_kept_up(port, tmp_path / "log", [LITE0, LITE2]):
        async for channel in served(port):
            stub = peer_stub("embedder", channel, pb_grpc.EmbeddingServiceStub)
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


@pytest.mark.full
async def test_the_regions_of_two_photos_sum_to_the_similarity_of_their_vectors(
    tmp_path: Path,
) -> None:
    """Compare by the model loaded for heat maps, whose maps are averaged into the space's
    vectors."""
    files = [path.read_bytes() for path in sorted(WINES.iterdir())[:2]]
    port = free_port()
    async with triton_kept_up(port, tmp_path / "triton.log", (LITE0,)):
        async for channel in served(port, models=(LITE0,), max_pixels=50_000_000):
            stub = peer_stub("embedder", channel, pb_grpc.EmbeddingServiceStub)
            await until(stub, {LITE0: True}, SECONDS)
            embedded = await stub.BatchEmbed(batch(*files), timeout=SECONDS)
            vectors = [np.frombuffer(each.vector.data, "<f4") for each in embedded.results]
            first, second = (pb.EmbedItem(image=data) for data in files)
            asked = pb.ComparePhotosRequest(first=first, second=second)
            found = await stub.ComparePhotos(asked, timeout=SECONDS)
            await _that_can_not_be_compared(stub, asked)
            await _that_is_a_region(stub, asked, vectors[1])
    cosine = float(vectors[0] @ vectors[1])
    assert found.space_version == embedded.results[0].vector.space_version
    assert found.similarity == pytest.approx(cosine, abs=1e-4)
    for side in (found.first, found.second):
        grid = np.frombuffer(side.values, "<f4").reshape(side.views, side.height, side.width)
        assert grid.shape == (1, 7, 7)
        assert grid.sum() + side.rest == pytest.approx(cosine, abs=1e-4)
        assert grid.std() > 0, "all regions alike"
    with Image.open(io.BytesIO(found.png)) as picture:
        assert (picture.format, picture.size) == ("PNG", (224, 456))


@pytest.mark.full
async def test_the_face_in_a_photo_is_found_by_a_detector_that_is_loaded_for_it(
    tmp_path: Path,
) -> None:
    with Image.open(FACE) as upper:
        # Lying on its side, as a phone stores it: boxes are those of the upright photo.
        lying, exif = upper.transpose(Image.Transpose.ROTATE_90), Image.Exif()
        exif[0x0112] = 6
        lying.save(turned := io.BytesIO(), "JPEG", exif=exif)
    port = free_port()
    async with triton_kept_up(port, tmp_path / "triton.log", (LITE0,)):
        async for channel in served(port, models=(LITE0,), max_pixels=50_000_000):
            stub = peer_stub("embedder", channel, pb_grpc.EmbeddingServiceStub)
            await until(stub, {LITE0: True}, SECONDS)
            photos = [FACE.read_bytes(), turned.getvalue(), next(WINES.iterdir()).read_bytes()]
            asked = [pb.FindFacesRequest(image=data) for data in photos]
            found = await asyncio.gather(*(stub.FindFaces(each, timeout=SECONDS) for each in asked))
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.FindFaces(pb.FindFacesRequest(image=b"no photo"), timeout=SECONDS)
    assert from_rpc_error(refused.value).reason == "IMAGE_UNDECODABLE"
    upright, again, bottle = ([*answer.faces] for answer in found)
    assert not bottle
    for faces in (upright, again):
        (face,) = faces
        assert face.score > 0.7
        sides = (face.box.left, face.box.top, face.box.right, face.box.bottom)
        assert sides == pytest.approx((0.35, 0.15, 0.53, 0.46), abs=0.04)


@pytest.mark.full
async def test_labels_are_read_by_models_that_are_loaded_with_the_first_photo(
    tmp_path: Path,
) -> None:
    wine = (WINES / "100062.jpg").read_bytes()
    with Image.open(io.BytesIO(wine)) as upright:
        # Lying on its side, as a phone stores it: corners are those of the upright photo.
        lying, exif = upright.transpose(Image.Transpose.ROTATE_90), Image.Exif()
        exif[0x0112] = 6
        lying.save(turned := io.BytesIO(), "JPEG", exif=exif)
    Image.new("RGB", (480, 360), "grey").save(blank := io.BytesIO(), "JPEG")
    port = free_port()
    async with triton_kept_up(port, tmp_path / "triton.log", (LITE0,)) as triton:
        async for channel in served(port, models=(LITE0,), max_pixels=50_000_000):
            stub = peer_stub("embedder", channel, pb_grpc.EmbeddingServiceStub)
            await until(stub, {LITE0: True}, SECONDS)
            assert not processes_of(DETECTOR, triton.pid)
            photos = [wine, turned.getvalue(), blank.getvalue()]
            asked = [pb.ReadLabelsRequest(image=data) for data in photos]
            read = await asyncio.gather(*(stub.ReadLabels(each, timeout=SECONDS) for each in asked))
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.ReadLabels(pb.ReadLabelsRequest(image=b"no photo"), timeout=SECONDS)
            assert processes_of(DETECTOR, triton.pid)
    assert from_rpc_error(refused.value).reason == "IMAGE_UNDECODABLE"
    *bottles, nothing = ([*answer.lines] for answer in read)
    assert not nothing
    for lines in bottles:
        texts = [line.text for line in lines]
        assert texts[1:3] == ["CASA VALDUGA", "MERLOT"]
        assert all(0.6 <= line.confidence <= 1 for line in lines)
        top_left, top_right, bottom_right, bottom_left = ((p.x, p.y) for p in lines[0].corners)
        assert top_left[0] < top_right[0]
        assert top_left[1] < bottom_left[1]
        assert bottom_right == pytest.approx((top_right[0], bottom_left[1]), abs=0.02)
        assert lines[0].corners[0].y < lines[1].corners[0].y < lines[2].corners[0].y


FONT = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
"""It has Latin, Cyrillic and Arabic letters."""


def drawn(*lines: str) -> bytes:
    """Return a photo of a white label with these lines."""
    label = Image.new("RGB", (640, 80 + 110 * len(lines)), "white")
    pen, font = ImageDraw.Draw(label), ImageFont.truetype(str(FONT), 56)
    for place, line in enumerate(lines):
        pen.text((50, 50 + 110 * place), line, fill="black", font=font)
    file = io.BytesIO()
    label.save(file, "PNG")
    return file.getvalue()


@pytest.mark.full
async def test_lines_of_scripts_that_are_not_read_are_counted_and_others_are_read(
    tmp_path: Path,
) -> None:
    labels = {
        drawn("красное вино", "молоко", "чёрный хлеб", "жизнь"): ([], 4),
        drawn("نبيذ أحمر", "جاف", "خبز أسود"): ([], 3),
        drawn("Origem Merlot", "نبيذ أحمر"): (["Origem Merlot"], 1),
        drawn("Origem Merlot", "Casa Valduga"): (["Origem Merlot", "Casa Valduga"], 0),
        drawn(): ([], 0),
    }
    port = free_port()
    async with triton_kept_up(port, tmp_path / "triton.log", (LITE0,)):
        async for channel in served(port, models=(LITE0,), max_pixels=50_000_000):
            stub = peer_stub("embedder", channel, pb_grpc.EmbeddingServiceStub)
            await until(stub, {LITE0: True}, SECONDS)
            asked = [pb.ReadLabelsRequest(image=label) for label in labels]
            read = [await stub.ReadLabels(each, timeout=SECONDS) for each in asked]
    found = [([line.text for line in each.lines], each.unsure_line_count) for each in read]
    assert found == [*labels.values()]


async def _that_is_a_region(
    stub: Any, asked: pb.ComparePhotosRequest, second: npt.NDArray[np.float32]
) -> None:
    """Check that a region is compared as it is embedded, and only with its box."""
    request = pb.ComparePhotosRequest(first_is_region=True)
    request.MergeFrom(asked)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.ComparePhotos(request, timeout=SECONDS)
    assert from_rpc_error(refused.value).reason == "BOX_INVALID"
    box = photo_pb2.Box(left=0.2, top=0.1, right=0.8, bottom=0.6)
    request.first.box.CopyFrom(box)
    found = await stub.ComparePhotos(request, timeout=SECONDS)
    region = pb.EmbedRegionsRequest(image=asked.first.image, boxes=[box])
    embedded = await stub.EmbedRegions(region, timeout=SECONDS)
    cosine = float(np.frombuffer(embedded.vectors, "<f4") @ second)
    assert found.similarity == pytest.approx(cosine, abs=1e-4)
    grid = np.frombuffer(found.first.values, "<f4")
    assert (found.first.views, found.second.views) == (2, 1)
    assert grid.sum() + found.first.rest == pytest.approx(cosine, abs=1e-4)
    with Image.open(io.BytesIO(found.png)) as picture:
        assert picture.size == (456, 456)


async def _that_can_not_be_compared(stub: Any, asked: pb.ComparePhotosRequest) -> None:
    for second, reason in (
        (pb.EmbedItem(), "ITEM_EMPTY"),
        (pb.EmbedItem(text="red"), "ITEM_EMPTY"),
        (pb.EmbedItem(image=b"no photo"), "IMAGE_UNDECODABLE"),
    ):
        request = pb.ComparePhotosRequest(first=asked.first, second=second)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ComparePhotos(request, timeout=SECONDS)
        assert from_rpc_error(refused.value).reason == reason


def shelf(*wines: int) -> bytes:
    """Return a photo of bottles that stand beside one another."""
    bottles = sorted(WINES.glob("*.jpg"))
    made = Image.new("RGB", (250 * len(wines), 700), (196, 188, 176))
    for place, wine in enumerate(wines):
        with Image.open(bottles[wine]) as opened:
            bottle = opened.convert("RGB")
        bottle.thumbnail((200, 520))
        made.paste(bottle, (30 + 250 * place, 620 - bottle.height))
    file = io.BytesIO()
    made.save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.mark.full
async def test_bottles_that_look_alike_share_a_vector_and_two_views(tmp_path: Path) -> None:
    port = free_port()
    async with triton_kept_up(port, tmp_path / "log", [LITE0, LITE2]):
        async for channel in served(port):
            stub = peer_stub("embedder", channel, pb_grpc.EmbeddingServiceStub)
            await until(stub, BOTH, SECONDS)
            asked = pb.EmbedRegionsRequest(image=shelf(60, 60, 60, 5))
            found = await stub.EmbedRegions(asked, timeout=SECONDS)
            assert len(found.regions) == 4
            assert found.embedded_views == 4
            size = 4 * found.dimension
            vectors = {
                found.vectors[start : start + size] for start in range(0, len(found.vectors), size)
            }
            assert len(vectors) == 2
            asked.boxes.extend(each.box for each in found.regions)
            given = await stub.EmbedRegions(asked, timeout=SECONDS)
            assert given.embedded_views == 8


BUILD = """
import pathlib, sys
from triton_engine import build
folder = pathlib.Path(sys.argv[1])
build.ensure(folder / "models", folder)
"""


def built(folder: Path, text: str, file: bytes) -> Path:
    """Build a model as an operator does, with the hash that the first attempt reports. Return the
    repository."""
    (folder / "tower.onnx").write_bytes(file)
    graph = "0" * 64
    for _ in range(2):
        weights = hashlib.sha256(file).hexdigest()
        (folder / "tiny.toml").write_text(text.format(weights=weights, graph=graph))
        done = subprocess.run(
            [TRITON / ".venv/bin/python", "-c", BUILD, folder],
            cwd=TRITON,
            capture_output=True,
            text=True,
            check=False,
        )
        if found := re.search("the built graph has sha256 ([0-9a-f]{64})", done.stderr):
            graph = found[1]
    assert done.returncode == 0, done.stderr
    return folder / "models"


@pytest.mark.full
async def test_objects_are_found_by_a_detector_that_the_operator_brings(tmp_path: Path) -> None:
    file = detector("corners", "pixels", apart=True, classes=2)
    models = await asyncio.to_thread(built, tmp_path, manifest(), file)
    port = free_port()
    async with triton_kept_up(port, tmp_path / "log", [LITE0, LITE2], models):
        async for channel in served(port, object_model="tiny"):
            stub = peer_stub("embedder", channel, pb_grpc.EmbeddingServiceStub)
            await until(stub, BOTH, SECONDS)
            asked = pb.EmbedRegionsRequest(image=photo(200, 200))
            found = await stub.EmbedRegions(asked, timeout=SECONDS)
            assert [each.objectness for each in found.regions] == pytest.approx([0.9, 0.6])
            best = found.regions[0].box
            assert (best.left, best.top) == pytest.approx((0.5, 0.125))
            assert (best.right, best.bottom) == pytest.approx((0.75, 0.625))
            assert len(found.vectors) == 2 * 4 * found.dimension
