"""Classify: the categories of a photo."""

from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import ImageRefused, ImageUnreadable, PeerUnavailable
from gateway.model.query import ALONE, Question, Signal, SignalKind
from gateway.recommend.classify import classify
from servicekit.errors import FailedPrecondition, InvalidArgument, ServiceError
from servicekit.rpc.requests import CatalogNotFound, RequestInvalid
from sightline.common.v1.photo_pb2 import Box, CategoryGuess, Classification
from tests.fakes.gateway_peers import Shop

PHOTO = Signal(ALONE, SignalKind.IMAGE, image=b"photo")
CLASSIFIED = Classification(
    guesses=[
        CategoryGuess(category_path=("Fruit", name), probability=0.3 - place / 100)
        for place, name in enumerate("abcdefg")
    ],
    unknown_probability=0.1,
    sure=CategoryGuess(category_path=("Fruit",), probability=0.9),
    space_version="v1",
)


async def test_the_likeliest_categories_are_shown_and_all_of_them_propose():
    shop = Shop()
    shop.embedder.classified = CLASSIFIED
    found = await classify(Question(PHOTO, top_k=2), shop.deps)

    assert [list(guess.category_path) for guess in found.classification.guesses] == [
        ["Fruit", "a"],
        ["Fruit", "b"],
    ]
    assert found.proposals[0].paths == (("Fruit",),)
    assert found.proposals[0].probability == 1.0


async def test_without_a_number_five_are_shown():
    shop = Shop()
    shop.embedder.classified = CLASSIFIED

    assert len((await classify(Question(PHOTO), shop.deps)).classification.guesses) == 5


@pytest.mark.parametrize(
    ("error", "kind", "field"),
    [
        (InvalidArgument("no", reason="IMAGE_UNDECODABLE"), ImageRefused, "image"),
        (InvalidArgument("no", reason="BOX_INVALID"), ImageRefused, "box"),
        (FailedPrecondition("no", reason="URI_UNREADABLE"), ImageUnreadable, "image_uri"),
        (FailedPrecondition("no", reason="CLASSIFIER_UNAVAILABLE"), FailedPrecondition, None),
        (PeerUnavailable(Peer.EMBEDDER), PeerUnavailable, None),
    ],
)
async def test_what_the_embedder_refuses_is_reported_with_its_field(
    error: ServiceError, kind: type[ServiceError], field: str | None
):
    shop = Shop()
    shop.embedder.classified = error
    with pytest.raises(kind) as caught:
        await classify(Question(PHOTO), shop.deps)

    assert caught.value.reason == error.reason
    assert [item.field for item in caught.value.violations] == ([field] if field else [])


@pytest.mark.parametrize(
    ("question", "field"),
    [
        (Question(Signal(ALONE, SignalKind.NOTHING)), "photo"),
        (Question(Signal(ALONE, SignalKind.IMAGE_URI, image_uri="ftp://x")), "image_uri"),
        (Question(PHOTO, top_k=21), "top_k"),
        (Question(PHOTO, top_k=-1), "top_k"),
        (Question(PHOTO, request_id="r" * 129), "request_id"),
        (Question(replace(PHOTO, box=Box(left=0.5, top=0, right=0.1, bottom=1))), "box"),
    ],
)
async def test_what_is_out_of_its_range_is_refused_before_anything_is_called(question, field):
    shop = Shop()
    with pytest.raises(RequestInvalid) as caught:
        await classify(question, shop.deps)

    assert [item.field for item in caught.value.violations] == [field]
    assert shop.embedder.calls == []


async def test_a_photo_without_bytes_and_an_undeclared_catalog_are_refused():
    with pytest.raises(ImageRefused):
        await classify(Question(replace(PHOTO, image=b"")), Shop().deps)
    with pytest.raises(CatalogNotFound):
        await classify(Question(PHOTO, catalog_id="nobody"), Shop().deps)
