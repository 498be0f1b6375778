"""Photos of people in a catalog that blurs faces."""

import base64
import io

import grpc
import numpy as np
import pytest
from PIL import Image

from local_suite.suite import Suite
from sightline.embedder.v1 import embedding_service_pb2 as pb
from sightline.embedder.v1 import embedding_service_pb2_grpc as pb_grpc
from sightline_client import Product, ProductImage, SightlineClient
from sightline_rules.photos import image_id
from tests.engines import ROOT
from tests.live.conftest import until_indexed
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

PERSON = (ROOT / "tests" / "faces" / "astronaut.jpg").read_bytes()
WINE = next((ROOT / "examples" / "wines" / "images").glob("*.jpg")).read_bytes()


def pixels(photo: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(photo)) as image:
        return np.asarray(image.convert("RGB"), np.int16)


async def test_a_face_is_blurred_before_its_photo_is_stored_and_the_photo_is_found(
    suite: Suite, gateway: str
) -> None:
    async with SightlineClient(gateway, catalog="people", timeout=SECONDS) as client:
        report = await client.upsert_products(
            [
                Product("person", "A spacesuit", images=(ProductImage(PERSON),)),
                Product("wine", "A wine", images=(ProductImage(WINE),)),
            ]
        )
        assert report.stored_count == 2
        product = await client.get_product("person")
        (image,) = product.images
        assert image.image_id != image_id(PERSON)
        stored = (await client.get_image(image.image_id)).content
        again = await client.upsert_products(
            [Product("again", "A spacesuit", images=(ProductImage(PERSON),))]
        )
        assert again.stored_count == 1
        (same,) = (await client.get_product("again")).images
        await until_indexed(client, 2)
        found = await client.recommend(image=PERSON, page_size=2)
        (bottle,) = (await client.get_product("wine")).images
    assert same.image_id == image.image_id, "the same photo is stored once"
    assert bottle.image_id == image_id(WINE), "a photo without faces stays as it is"
    assert found.results[0].product.product_id in {"person", "again"}
    before, after = pixels(PERSON), pixels(stored)
    assert before.shape == after.shape
    changed = np.abs(before - after).max(axis=2) > 24
    assert changed[45:138, 134:203].mean() > 0.5, "the face"
    assert changed[200:].mean() < 0.01, "what is far from it"
    async with grpc.aio.insecure_channel(suite.addresses()["embedder"]) as channel:
        stub = pb_grpc.EmbeddingServiceStub(channel)
        left = await stub.FindFaces(pb.FindFacesRequest(image=stored), timeout=SECONDS)
    assert not left.faces


async def test_a_photo_that_a_shopper_searches_by_is_kept_nowhere(
    suite: Suite, gateway: str
) -> None:
    with Image.open(io.BytesIO(PERSON)) as image:
        image.crop((20, 10, 360, 290)).save(taken := io.BytesIO(), "JPEG", quality=83)
    selfie = taken.getvalue()
    async with SightlineClient(gateway, catalog="people", timeout=SECONDS) as client:
        await client.recommend(image=selfie, user="ann", page_size=2)
        await client.search(image=selfie, page_size=2)
    middle = selfie[len(selfie) // 2 :][:64]
    traces = (middle, base64.b64encode(selfie[:48]), image_id(selfie).encode())
    searched = [path for path in suite.layout.data.rglob("*") if path.is_file()]
    assert len(searched) > 20
    held = [path for path in searched if any(each in path.read_bytes() for each in traces)]
    assert held == []
