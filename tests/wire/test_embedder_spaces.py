"""Fitted spaces and texts on the real Triton: one server for all tests."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime
import pytest

from embedder.adapters.triton.client import Triton
from embedder.domain.models import CHECKSUM
from embedder.domain.photos import WHOLE
from embedder.domain.recipes import PhotoRecipe
from embedder.preprocessing import preprocess
from embedder.serving.model import blank
from embedder.settings import EmbedderSettings
from embedder.wiring import bind, decoders, fetcher, inference_engine
from gateway.clients.embedder import EmbedderClient as GatewaysClient
from gateway.clients.peer_calls import PeerCaller
from gateway.model.causes import Peer
from gateway.model.query import ALONE, Signal, SignalKind
from retriever.adapters.embedder import EmbedderClient as RetrieversClient
from retriever.domain.vectors import GivenVector
from servicekit.errors import ServiceError
from servicekit.rpc import server
from servicekit.status import from_status
from sightline.common.v1 import photo_pb2
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc
from sightline_rules import photos
from sightline_rules.photos import PhotoLimits
from tests import fitted
from tests.engines import ROOT, free_port
from tests.fakes.triton import LITE0
from tests.peer_stubs import peer_stub
from tests.triton import MODELS, triton_kept_up
from tests.waiting import SECONDS

WINES = sorted((ROOT / "examples" / "wines" / "images").glob("*.jpg"))[:3]
TEXT_MODEL = "texts_16"
RECIPE = PhotoRecipe(224, 0.875, "")
SHOPPER, CATALOGUE = photo_pb2.PHOTO_KIND_SHOPPER, photo_pb2.PHOTO_KIND_CATALOGUE


@dataclass
class Served:
    """An embedder in front of the real Triton."""

    stub: Any
    wine: fitted.MadeSpace
    beer: fitted.MadeSpace
    spaces: Path
    target: str
    triton: Triton

    async def listed(self, catalog: str = "wine") -> dict[str, pb.Space]:
        request = pb.ListSpacesRequest(catalog_id=catalog)
        answer = await self.stub.ListSpaces(request, timeout=SECONDS)
        return {space.model: space for space in answer.spaces}

    async def embed(self, *items: pb.EmbedItem, catalog: str = "wine") -> list[pb.EmbedResult]:
        request = pb.BatchEmbedRequest(items=items, catalog_id=catalog)
        return list((await self.stub.BatchEmbed(request, timeout=SECONDS)).results)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spaces")


@pytest.fixture
async def served(folder: Path) -> AsyncIterator[Served]:
    models = folder / "models"
    made = [fitted.make(models, catalog) for catalog in ("wine", "beer")]
    port = free_port()
    settings = EmbedderSettings(
        port=0,
        catalogs=("wine", "beer"),
        triton_target=f"127.0.0.1:{port}",
        models=(LITE0,),
        text_models=(TEXT_MODEL,),
        backbones=str(MODELS),
        spaces=str(folder),
        infer_timeout_seconds=60,
    )
    decoding, fetch = decoders(settings), fetcher(settings)
    async with (
        triton_kept_up(port, folder / "log", [LITE0, TEXT_MODEL], models),
        inference_engine(settings) as triton,
    ):
        offered, *_ = bind(settings, triton, decoding, fetch)
        running = await server.start(offered, settings, "embedder")
        target = f"127.0.0.1:{running.port}"
        async with grpc.aio.insecure_channel(target) as channel:
            found = Served(
                peer_stub("embedder", channel, pb_grpc.EmbeddingServiceStub),
                *made,
                folder,
                target,
                triton,
            )
            for model in (name for space in made for name in (space.name, f"{space.name}_text")):
                await loaded(triton, model)
            await ready(found)
            yield found
        await running.stop()
    await fetch.close()
    decoding.close()


async def loaded(triton: Triton, model: str) -> None:
    """Load a fitted model in Triton, as a promotion does, as soon as Triton is up."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return await triton.load(model)
            except ServiceError:
                await asyncio.sleep(0.2)


async def ready(served: Served) -> None:
    """Wait until every space of both catalogs is ready."""
    async with asyncio.timeout(SECONDS):
        while True:
            listed = [await served.listed(catalog) for catalog in ("wine", "beer")]
            if all(len(each) == 3 and all(s.ready for s in each.values()) for each in listed):
                return
            await asyncio.sleep(0.2)


def values(result: pb.EmbedResult) -> np.ndarray:
    assert not result.status.code, result.status
    return np.frombuffer(result.vector.data, "<f4")


def reason(result: Any) -> str:
    return from_status(result.status).reason if result.status.code else ""


def features(views: np.ndarray) -> np.ndarray:
    """Return the backbone's features of pixels, computed without Triton."""
    graph = (fitted.BACKBONE / "1/model.onnx").read_bytes()
    session = onnxruntime.InferenceSession(graph)
    return np.asarray(session.run(["features"], {"image": views})[0])


def seen(photo: bytes, views: int = 4) -> np.ndarray:
    image = photos.decode(photo, PhotoLimits(), preprocess.least_side(RECIPE))
    return preprocess.views(image, RECIPE, WHOLE, views)


def unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))


@pytest.mark.full
async def test_fitted_spaces_texts_and_categories_by_the_real_server(served: Served) -> None:
    """Run all checks that need the real server, which is started once."""
    await fitted_spaces_belong_to_their_catalogs(served)
    await every_answer_shows_to_be_whole(served)
    await vectors_are_those_of_the_map_by_camera_and_views(served)
    await a_box_is_what_is_looked_at(served)
    await texts_are_cut_and_the_same_words_meet(served)
    await queries_find_titles_in_other_languages(served)
    await a_text_comes_into_a_fitted_space(served)
    await photos_are_classified_by_the_newest_space(served)
    await peers_hear_what_photos_are_of(served)
    await what_is_taken_out_of_service_is_gone(served)


async def fitted_spaces_belong_to_their_catalogs(served: Served) -> None:
    listed = await served.listed()
    assert set(listed) == {LITE0, served.wine.name, TEXT_MODEL}
    wine, text = listed[served.wine.name], listed[TEXT_MODEL]
    assert (wine.space, wine.dimension, wine.catalog_id) == ("visual", 24, "wine")
    assert (wine.takes_texts, wine.category_count, wine.default_version) == (True, 3, False)
    assert (wine.shopper_views, wine.catalogue_views) == (1, 2)
    assert (text.space, text.dimension, text.takes_texts) == ("text", 896, True)
    assert "256 tokens" in text.preprocessing
    assert listed[LITE0].default_version
    item = pb.EmbedItem(image=WINES[0].read_bytes(), space_version=wine.version)
    (elsewhere,) = await served.embed(item, catalog="beer")
    assert reason(elsewhere) == "SPACE_VERSION_UNAVAILABLE"


async def every_answer_shows_to_be_whole(served: Served) -> None:
    for model in (LITE0, TEXT_MODEL, served.wine.name, f"{served.wine.name}_text"):
        described = await served.triton.inference(model).describe()
        given = blank(described)
        result = await served.triton.infer(model, given, "7")
        reported = sorted({output.name for output in result.get_response().outputs} - {CHECKSUM})
        contents = [given[name].tobytes() for name in sorted(given)]
        contents += [result.as_numpy(name).tobytes() for name in reported]
        expected = zlib.crc32(b"7" + b"".join(contents))
        assert result.as_numpy(CHECKSUM).tolist() == [[expected]], model


async def vectors_are_those_of_the_map_by_camera_and_views(served: Served) -> None:
    version = (await served.listed())[served.wine.name].version
    photo = WINES[0].read_bytes()
    asked = [(SHOPPER, 0), (CATALOGUE, 0), (SHOPPER, 4), (CATALOGUE, 4), (CATALOGUE, 1)]
    items = [
        pb.EmbedItem(image=photo, space_version=version, photo_kind=kind, views=views)
        for kind, views in asked
    ]
    found = await served.embed(*items)
    raw = features(seen(photo))
    for (kind, views), result in zip(asked, found, strict=True):
        camera = int(kind == CATALOGUE)
        count = views or (2 if camera else 1)
        expected = unit(served.wine.vectors(raw[:count], [camera] * count).mean(axis=0))
        assert values(result) @ expected > 0.99999, (kind, views)
        assert result.vector.space_version == version
    assert values(found[0]) @ values(found[4]) < 0.999, "the camera makes a difference"


async def a_box_is_what_is_looked_at(served: Served) -> None:
    photo = WINES[1].read_bytes()
    items = [
        pb.EmbedItem(image=photo),
        pb.EmbedItem(image=photo, box=photo_pb2.Box(left=0, top=0, right=1, bottom=1)),
        pb.EmbedItem(image=photo, box=photo_pb2.Box(left=0.25, top=0.25, right=0.75, bottom=0.75)),
        pb.EmbedItem(image=photo, box=photo_pb2.Box(left=0.5, right=0.4, bottom=1)),
    ]
    whole, same, part, bad = await served.embed(*items)
    assert values(whole) @ values(same) == pytest.approx(1, abs=1e-6)
    assert 0.2 < values(whole) @ values(part) < 0.99
    assert reason(bad) == "BOX_INVALID"


async def texts_are_cut_and_the_same_words_meet(served: Served) -> None:
    texts = [
        "light red wine for fish",
        "a delicate pinot noir that goes well with salmon",
        "stainless steel garden shovel",
        "light red wine for fish " + "and more words " * 200,
        "日本酒",
    ]
    found = await served.embed(*(pb.EmbedItem(text=text) for text in texts))
    wine, noir, shovel, long, _ = map(values, found)
    assert wine @ noir > wine @ shovel + 0.2
    assert {result.vector.space for result in found} == {"text"}
    cut = " ".join(texts[3].split()[:250])
    (same,) = await served.embed(pb.EmbedItem(text=cut + " something else at the end" * 3))
    assert long @ values(same) > 0.95
    alone = await served.embed(pb.EmbedItem(text=texts[0]))
    assert values(alone[0]) @ wine == pytest.approx(1, abs=1e-5), "whoever it is batched with"


async def queries_find_titles_in_other_languages(served: Served) -> None:
    titles = [pb.EmbedItem(text=title) for title in ("carrots", "milk", "garlic")]
    queries = [("Karotten", "de"), ("leche", "es"), ("大蒜", "")]
    asked = [pb.EmbedItem(text=text, query_language=code) for text, code in queries]
    found = [*map(values, await served.embed(*titles, *asked))]
    similar = np.array(found[3:]) @ np.array(found[:3]).T
    assert similar.argmax(axis=1).tolist() == [0, 1, 2]
    plain, unknown, german = map(
        values,
        await served.embed(
            pb.EmbedItem(text="Karotten"),
            pb.EmbedItem(text="Karotten", query_language=""),
            pb.EmbedItem(text="Karotten", query_language="de"),
        ),
    )
    assert plain @ unknown < 0.99
    assert german[:384].tolist() == [0] * 384


async def a_text_comes_into_a_fitted_space(served: Served) -> None:
    listed = await served.listed()
    version = listed[served.wine.name].version
    items = [
        pb.EmbedItem(text="red wine"),
        pb.EmbedItem(text="red wine", space="visual", space_version=version),
        pb.EmbedItem(text="red wine", space="visual"),
    ]
    sentence, mapped, refused = await served.embed(*items)
    text_map = served.wine.fitted.text_map
    assert text_map is not None
    expected = unit(values(sentence) @ text_map.weights + text_map.biases)
    assert values(mapped) @ expected > 0.99999
    assert (mapped.vector.space, mapped.vector.space_version) == ("visual", version)
    assert reason(refused) == "SPACE_UNAVAILABLE"


async def photos_are_classified_by_the_newest_space(served: Served) -> None:
    photo = WINES[2].read_bytes()
    items = [pb.EmbedItem(image=photo, views=1), pb.EmbedItem(image=b"no photo")]
    request = pb.ClassifyRequest(items=items, catalog_id="wine", top_k=2)
    good, bad = (await served.stub.Classify(request, timeout=SECONDS)).results
    assert reason(bad) == "IMAGE_UNDECODABLE"
    vector = served.wine.vectors(features(seen(photo, views=1)), [0])
    head = served.wine.fitted.head
    assert head is not None
    logits = np.append(vector[0] @ head.weights + head.biases, head.unknown)
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    reported = good.classification
    best = np.argsort(-chances[:-1])[:2]
    assert [tuple(guess.category_path) for guess in reported.guesses] == [
        fitted.PATHS[place] for place in best
    ]
    assert [guess.probability for guess in reported.guesses] == pytest.approx(
        chances[best].tolist(), abs=1e-3
    )
    assert reported.unknown_probability == pytest.approx(chances[-1], abs=1e-3)
    version = (await served.listed())[served.wine.name].version
    assert reported.space_version == version
    item = pb.EmbedItem(image=photo, space_version=version, views=1, classify=True)
    (embedded,) = await served.embed(item)
    assert len(embedded.classification.guesses) == 3
    assert embedded.classification.guesses[0] == reported.guesses[0]
    item.category_count = 1
    (embedded,) = await served.embed(item)
    assert [*embedded.classification.guesses] == [reported.guesses[0]]
    item.category_count = 1001
    with pytest.raises(grpc.aio.AioRpcError, match=r"items\[0\].category_count"):
        await served.embed(item)


async def peers_hear_what_photos_are_of(served: Served) -> None:
    """Check the peers that read categories: the retriever, which flags products, and the gateway,
    which proposes filters."""
    photo, version = WINES[2].read_bytes(), (await served.listed())[served.wine.name].version
    client = RetrieversClient(served.target)
    try:
        offers = {offer.version: offer for offer in await client.spaces("wine")}
        known = await client.categories("wine", "visual", version)
        (vector,) = await client.embed("wine", "visual", version, [photo], classify=True)
    finally:
        await client.close()
    assert offers[version].categories == len(fitted.PATHS)
    assert known == frozenset(fitted.PATHS)
    assert isinstance(vector, GivenVector)
    assert vector.classification is not None
    assert {guess.path for guess in vector.classification.guesses} == known

    async with grpc.aio.insecure_channel(served.target) as channel:
        caller = PeerCaller(Peer.EMBEDDER, reserve=0.02, longest=20)
        asking = GatewaysClient(channel, caller)
        signal = Signal(ALONE, SignalKind.IMAGE, image=photo)
        reported = await asking.classify("wine", signal, 20)
        assert (reported.space_version, len(reported.guesses)) == (version, len(fitted.PATHS))
        found = await asking.embed("wine", [signal], 0, version, space="visual", classify=True)
        (seen_with_vector,) = found.classifications
        assert seen_with_vector is not None
        assert [*seen_with_vector.guesses] == [*reported.guesses]
        with pytest.raises(ServiceError) as caught:
            await asking.classify("beer", replace(signal, image=b"no photo"), 20)
        assert caught.value.reason == "IMAGE_UNDECODABLE"


async def what_is_taken_out_of_service_is_gone(served: Served) -> None:
    version = (await served.listed("beer"))[served.beer.name].version
    (served.spaces / "retired" / served.beer.name).mkdir(parents=True)
    end = time.monotonic() + SECONDS
    while served.beer.name in await served.listed("beer"):
        assert time.monotonic() < end
        await asyncio.sleep(0.2)
    item = pb.EmbedItem(image=WINES[0].read_bytes(), space_version=version)
    (result,) = await served.embed(item, catalog="beer")
    assert reason(result) == "SPACE_VERSION_UNAVAILABLE"
