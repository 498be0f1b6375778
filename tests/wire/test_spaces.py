"""A space fitted, promoted, embedded into, asked for categories and retired, on the real server."""

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path

import grpc
import numpy as np
from PIL import Image, ImageEnhance

from embedder.__main__ import bind, decoders, fetcher
from embedder.settings import EmbedderSettings
from embedder.triton import Triton
from examples.wines.catalogue import load_wines
from retriever.embedder import EmbedderClient
from retriever.model import FitPhoto, FitPlan, FitProgress, Label
from servicekit import server
from servicekit.errors import ServiceError
from servicekit.status import from_rpc_error, from_status
from sightline.common.v1 import photo_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc, space_pb2, space_service_pb2_grpc
from sightline.embedder.v1 import space_service_pb2 as space
from sightline_rules.photos import image_id
from tests.engines import free_port
from tests.wire.test_embedder import LITE0, TRITON

TEXTS = "minilm_l6_v2"
SHOPPER, CATALOGUE = photo_pb2.PHOTO_KIND_SHOPPER, photo_pb2.PHOTO_KIND_CATALOGUE


def shop() -> Iterator[FitPhoto]:
    """24 wines: the catalogue's photo of each, and two that a shopper might take of the bottle."""
    for wine in load_wines()[:24]:
        picture = Image.open(wine.image).convert("RGB")
        turned = [picture.rotate(turn, expand=True, fillcolor="white") for turn in (4, -6)]
        taken = [
            ImageEnhance.Brightness(each).enhance(light)
            for each, light in zip(turned, (0.7, 1.2), strict=True)
        ]
        for kind, each in ((CATALOGUE, picture), *((SHOPPER, each) for each in taken)):
            file = io.BytesIO()
            each.save(file, "JPEG", quality=90)
            data = file.getvalue()
            label = Label(
                image_id(data), wine.id, "", wine.title, wine.category_path, frozenset(), 0
            )
            yield FitPhoto(data, label, image_id(data), shopper=kind == SHOPPER)


class Service:
    """The embedder's calls."""

    def __init__(self, channel: grpc.aio.Channel, trainer: EmbedderClient) -> None:
        self.trainer = trainer
        self.embedding = embedding_service_pb2_grpc.EmbeddingServiceStub(channel)
        self.spaces = space_service_pb2_grpc.SpaceServiceStub(channel)

    async def fit(self, *photos: FitPhoto, backbone: str = "") -> FitProgress:
        async def some() -> AsyncIterator[FitPhoto]:
            for photo in photos:
                yield photo

        wanted = FitPlan(backbone, 256, 0, 1000, ())
        told = self.trainer.fit("default", wanted, len(photos), some())
        return [each async for each in told][-1]

    async def embed(self, *items: pb.EmbedItem) -> list[np.ndarray | ServiceError]:
        answer = await self.embedding.BatchEmbed(pb.BatchEmbedRequest(items=items), timeout=20)
        return [
            from_status(each.status) if each.status.code else np.frombuffer(each.vector.data, "<f4")
            for each in answer.results
        ]

    async def listed(self, **fields: bool) -> dict[str, pb.Space]:
        answer = await self.embedding.ListSpaces(pb.ListSpacesRequest(**fields), timeout=20)
        return {each.model: each for each in answer.spaces}


async def refused(call: Awaitable[object]) -> ServiceError:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    except ServiceError as error:
        return error
    raise AssertionError("it was not refused")


async def serving(tmp_path: Path) -> AsyncIterator[Service]:
    """An embedder in front of a real server that loads what fitting needs when it is needed."""
    spaces, port = tmp_path / "spaces", free_port()
    with (tmp_path / "triton.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(TRITON / ".venv/bin/python", "-m", "triton_engine.serve", "--grpc-port", str(port)),
            *("--spaces", spaces / "models", "--load", LITE0, TEXTS),
            cwd=TRITON,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    settings = EmbedderSettings(
        port=0,
        triton_target=f"127.0.0.1:{port}",
        models=(LITE0,),
        text_models=(TEXTS,),
        backbones=str(TRITON / "models"),
        spaces=str(spaces),
        fit_backbone=LITE0,
    )
    decoding, fetch = decoders(settings), fetcher(settings)
    try:
        async with Triton(settings.triton_target, settings.infer_timeout_seconds) as triton:
            offered, _ = bind(settings, triton, decoding, fetch)
            running = await server.start(offered, settings, "e")
            async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
                trainer = EmbedderClient(f"127.0.0.1:{running.port}")
                yield Service(channel, trainer)
                await trainer.close()
            await running.stop()
    finally:
        decoding.close()
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def test_a_space_is_fitted_promoted_used_and_retired(tmp_path: Path) -> None:
    async for service in serving(tmp_path):
        await _whole_life(service, tmp_path / "spaces")


async def _whole_life(service: Service, folder: Path) -> None:
    photos = list(shop())
    too_few = await refused(service.fit(*photos[:3]))
    assert too_few.reason == "FIT_INVALID"
    unknown = await refused(service.fit(*photos, backbone="lite9"))
    assert unknown.reason == "FIT_INVALID", unknown

    told = await service.fit(*photos)

    assert (told.done, told.skipped) == (72, 0)
    made = (await service.listed(include_all=True))[told.model]
    assert (made.version, len(made.version)) == (told.version, 16)
    assert (made.state, made.catalog_id) == (space_pb2.SPACE_STATE_CANDIDATE, "default")
    assert (made.takes_texts, made.evaluation.photos, made.evaluation.products) == (True, 72, 24)
    assert {each.name for each in made.evaluation.figures} >= {"1-NN"}
    assert made.evaluation.baseline_model == LITE0
    assert 1 <= made.dimension <= 256
    shown = pb.EmbedItem(image=photos[0].data, space_version=made.version)
    (early,) = await service.embed(shown)
    assert isinstance(early, ServiceError)
    assert early.reason == "SPACE_VERSION_UNAVAILABLE"
    assert made.model not in await service.listed()
    assert (await service.listed(include_all=True))[made.model] == made

    promoted = await service.spaces.PromoteSpace(
        space.PromoteSpaceRequest(version=made.version, force=True), timeout=60
    )

    assert (promoted.version, promoted.state) == (made.version, space_pb2.SPACE_STATE_SERVING)
    async with asyncio.timeout(20):
        while not (listed := (await service.listed())[made.model]).ready:  # noqa: ASYNC110 - as a caller would
            await asyncio.sleep(0.1)
    assert (listed.version, listed.takes_texts) == (made.version, True)
    assert listed.evaluation == made.evaluation
    kinds = [
        pb.EmbedItem(image=photos[0].data, space_version=made.version, photo_kind=kind, views=1)
        for kind in (SHOPPER, CATALOGUE)
    ]
    text = pb.EmbedItem(text=photos[0].label.title, space="visual", space_version=made.version)
    of_shopper, of_catalogue, of_text = await service.embed(*kinds, text)
    for vector in (of_shopper, of_catalogue, of_text):
        assert isinstance(vector, np.ndarray)
        assert vector.shape == (made.dimension,)
        assert abs(np.linalg.norm(vector) - 1) < 1e-3
    assert np.abs(of_shopper - of_catalogue).max() > 1e-3  # type: ignore[operator]
    if made.category_count:
        answer = await service.embedding.Classify(pb.ClassifyRequest(items=[shown]), timeout=20)
        (guesses,) = (each.classification.guesses for each in answer.results)
        assert list(guesses[0].category_path) in [list(each.label.category_path) for each in photos]
        assert answer.results[0].classification.space_version == made.version

    retired = await service.spaces.RetireSpace(
        space.RetireSpaceRequest(version=made.model), timeout=60
    )
    assert retired.state == space_pb2.SPACE_STATE_RETIRED
    await asyncio.sleep(1.5)  # what is known of the repository is kept for a second
    assert made.model not in await service.listed()
    (late,) = await service.embed(shown)
    assert isinstance(late, ServiceError)
    assert not list((folder / "models").iterdir())

    graph = folder / "retired" / made.model / "1/model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    damaged = await refused(
        service.spaces.PromoteSpace(
            space.PromoteSpaceRequest(version=made.version, force=True), timeout=60
        )
    )
    assert damaged.reason == "MODEL_NOT_READY"
    assert set(await service.listed()) == {LITE0, TEXTS}
