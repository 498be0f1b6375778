"""An answer beside its recomputation, and the result of the same request today."""

from dataclasses import replace

import pytest

from gateway.model.causes import Peer
from gateway.model.errors import AnswerMissing, AttributionInvalid, PeerUnavailable
from gateway.model.replay import Difference, DifferenceKind, RankerReplay, RecordedAnswer
from gateway.recommend.recommend import recommend
from gateway.recommend.replay import replay
from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1.product_pb2 import Product as ProductRow
from sightline_core.answer import AnsweredProduct
from sightline_core.branch import Branch
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_values import by_photo

D = DifferenceKind
NUMBERS = 8
"""A kind of the ranker's."""


async def shop_and_token() -> tuple[Shop, str]:
    """Return a shop that answered p3 and p1, and the answer's token."""
    shop = shop_with_photo()
    token = (await recommend(by_photo(page_size=2), shop.deps)).attribution_token
    ((_, record),) = shop.ranker.records.items()
    products = [AnsweredProduct(item, 0.5) for item in ("p3", "p1")]
    named = [each._replace(matched_image_id="i", branches=(Branch.VISUAL,)) for each in products]
    shop.ranker.replays[record.answer_id] = RankerReplay(
        RecordedAnswer(
            record.answer_id,
            named,
            record.versions,
            answer_micros=record.answer_micros,
            total_count=4,
        ),
        products,
        equal=True,
        model_version="m1",
    )
    return shop, token


async def test_an_answer_stands_beside_what_is_computed_now() -> None:
    shop, token = await shop_and_token()
    found = await replay(token, "default", 0, shop.deps)
    assert (found.equal, list(found.differences)) == (True, [])
    assert [(one.place, one.recorded.product_id, one.equal) for one in found.places] == [
        (1, "p3", True),
        (2, "p1", True),
    ]
    assert found.places[0].recorded.matched_image_id == "i"
    assert found.versions.scene_version == found.record.versions.scene_version == "abc"
    (only,) = (await replay(token, "default", 1, shop.deps)).places
    assert only.recomputed.product_id == "p3"


async def test_what_a_place_holds_now_is_compared() -> None:
    shop, token = await shop_and_token()
    ((answer_id, computed),) = shop.ranker.replays.items()
    shop.ranker.replays[answer_id] = replace(
        computed,
        equal=False,
        recomputed=[computed.recomputed[0], computed.recomputed[1]._replace(raw_score=0.25)],
        differences=(Difference("", "", NUMBERS),),
    )
    found = await replay(token, "default", 0, shop.deps)
    assert [one.equal for one in found.places] == [True, False]
    shop.ranker.replays[answer_id] = replace(computed, recomputed=[])
    found = await replay(token, "default", 0, shop.deps)
    assert not any(one.recomputed or one.equal for one in found.places)


async def test_what_changed_around_it_is_said_and_changes_nothing() -> None:
    shop, token = await shop_and_token()
    shop.retriever.record.remove("p1")
    shop.scene(lambda scene: replace(scene, version="def"))
    shop.embedder.served = ("v2",)
    deps = replace(shop.deps, service_version="2")
    found = await replay(token, "default", 0, deps)
    assert found.equal
    assert {(one.kind, one.subject) for one in found.differences} == {
        (D.SCENE_CHANGED, "default"),
        (D.SERVICE_CHANGED, "2"),
        (D.SPACE_CHANGED, "visual"),
        (D.PRODUCT_GONE, "p1"),
    }
    del shop.scenes.scenes["default"]
    texts = [one.text for one in (await replay(token, "default", 0, deps)).differences]
    assert "the scene was deleted" in texts


async def test_a_product_that_was_written_since_is_said_to_be_changed() -> None:
    shop, token = await shop_and_token()
    (computed,) = shop.ranker.replays.values()
    row = ProductRow(product_id="p3")
    row.update_time.FromMicroseconds(computed.record.answer_micros + 1)
    shop.retriever.rows["p3"] = row
    (one,) = (await replay(token, "default", 0, shop.deps)).differences
    assert (one.kind, one.subject) == (D.PRODUCT_CHANGED, "p3")


async def test_a_replay_does_not_hang_on_what_it_only_compares_with() -> None:
    shop, token = await shop_and_token()
    shop.retriever.fails["products"] = PeerUnavailable(Peer.RETRIEVER)
    found = await replay(token, "default", 0, shop.deps)
    assert found.equal
    assert [one.subject for one in found.differences] == ["products"]
    shop.ranker.fails["replay"] = PeerUnavailable(Peer.RANKER)
    with pytest.raises(PeerUnavailable):
        await replay(token, "default", 0, shop.deps)


async def test_bad_tokens_are_refused_by_their_field() -> None:
    shop, token = await shop_and_token()
    for bad, catalog in (("", "default"), (token[:-2] + "xx", "default"), (token, "other")):
        with pytest.raises(AttributionInvalid) as caught:
            await replay(bad, catalog, 0, shop.deps)
        assert caught.value.violations[0].field == "attribution_token"
    with pytest.raises(RequestInvalid):
        await replay(token, "default", 201, shop.deps)
    shop.ranker.replays.clear()
    with pytest.raises(AnswerMissing):
        await replay(token, "default", 0, shop.deps)


async def test_an_expired_token_is_a_record_that_is_gone() -> None:
    shop = shop_with_photo()
    deps = replace(shop.deps, answer_seconds=-1.0)
    token = (await recommend(by_photo(), deps)).attribution_token
    with pytest.raises(AnswerMissing):
        await replay(token, "default", 0, deps)
