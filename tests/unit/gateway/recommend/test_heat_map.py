"""Heat maps: the calls of peers, and rejected requests."""

from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import ImageRefused, NoPhoto, PeerUnavailable, ProductNotFound
from gateway.model.query import ALONE, Signal, SignalKind
from gateway.recommend.heat_map import HeatMapQuery, heat_map
from servicekit.errors import InvalidArgument
from servicekit.rpc.requests import CatalogNotFound, RequestInvalid
from sightline_core.versions import SpaceVersion
from tests.fakes.gateway_peers import Shop

PHOTO = Signal(ALONE, SignalKind.IMAGE, image=b"photo")
ASKED = HeatMapQuery("default", PHOTO, "p1")


def shop() -> Shop:
    made = Shop()
    made.retriever.photos["p1"] = ("front", "back")
    return made


@pytest.mark.parametrize(("wanted", "compared"), [("", "front"), ("back", "back")])
async def test_a_products_photo_is_compared_in_the_version_that_searches_use(
    wanted: str, compared: str
) -> None:
    made = shop()
    made.retriever.active = [SpaceVersion(space="visual", version="v7")]
    image_id, found = await heat_map(replace(ASKED, image_id=wanted), made.deps)
    assert (image_id, found.png, found.similarity, found.unplaced) == (compared, b"png", 0.5, 0.125)
    file = f"file of {compared}".encode()
    assert made.embedder.compared == [("default", PHOTO, file, "v7")]


@pytest.mark.parametrize(
    ("asked", "error", "field"),
    [
        (replace(ASKED, catalog_id="nowhere"), CatalogNotFound, "catalog_id"),
        (replace(ASKED, product_id="gone"), ProductNotFound, "product_id"),
        (replace(ASKED, product_id=""), RequestInvalid, "product_id"),
        (replace(ASKED, product_id="p2"), NoPhoto, "product_id"),
        (replace(ASKED, image_id="side"), RequestInvalid, "image_id"),
        (replace(ASKED, photo=Signal(ALONE, SignalKind.NOTHING)), RequestInvalid, "photo"),
        (replace(ASKED, photo=replace(PHOTO, image=b"")), ImageRefused, "image"),
    ],
)
async def test_what_can_not_be_compared_is_refused_with_its_field(
    asked: HeatMapQuery, error: type[Exception], field: str
) -> None:
    made = shop()
    with pytest.raises(error) as caught:
        await heat_map(asked, made.deps)
    assert [each.field for each in caught.value.violations] == [field]  # type: ignore[attr-defined]
    assert not made.embedder.compared


async def test_what_is_wrong_with_the_photo_is_said_of_its_field() -> None:
    made = shop()
    made.embedder.fails = InvalidArgument("no photo", reason="IMAGE_UNDECODABLE")
    with pytest.raises(ImageRefused) as caught:
        await heat_map(ASKED, made.deps)
    assert [each.field for each in caught.value.violations] == ["image"]
    made.embedder.fails = PeerUnavailable(Peer.EMBEDDER)
    with pytest.raises(PeerUnavailable):
        await heat_map(ASKED, made.deps)
