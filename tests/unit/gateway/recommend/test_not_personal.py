"""A request that is not personal: answered, recorded and paged as for an unknown shopper."""

from dataclasses import replace

import pytest

from gateway.model.query import RequestQuery
from gateway.recommend.explain import explain
from gateway.recommend.recommend import recommend
from servicekit.rpc.requests import PageTokenInvalid, RequestInvalid
from sightline_core.ranking import NominationBasis
from sightline_core.shoppers import Identity, Shopper
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_values import ANN, by_photo, ids, words

OURS = {"shopper": ANN, "session_id": "a visit", "not_personal": True}


def shop_that_knows_ann() -> Shop:
    shop = shop_with_photo()
    shop.ranker.generated["ann"] = (NominationBasis.LONG_TERM, ("p7", "p1"))
    return shop


class OneArm:
    """An experiment in which each shopper has the same arm."""

    def answering(self, query: RequestQuery, time_micros: int) -> tuple[str, tuple[str, ...]]:
        return query.scene, ("order/b",) if query.shopper is not None else ()

    async def permitted(self, query: RequestQuery, time_micros: int) -> bool:
        return True


async def test_it_is_answered_as_the_same_request_without_a_shopper():
    shop, other = shop_that_knows_ann(), shop_that_knows_ann()
    found = await recommend(by_photo(**OURS), shop.deps)
    expected = await recommend(by_photo(), other.deps)
    personal = await recommend(by_photo(shopper=ANN), shop_that_knows_ann().deps)

    assert ids(found) == ids(expected) != ids(personal)
    assert replace(found, timings=(), attribution_token="", next_page_token="") == replace(
        expected, timings=(), attribution_token="", next_page_token=""
    )
    assert [name for name, _ in shop.ranker.calls] == [name for name, _ in other.ranker.calls]
    assert ("generate", ANN) not in shop.ranker.calls


async def test_neither_the_ranker_nor_the_record_gets_the_shopper_or_the_visit():
    shop = shop_that_knows_ann()
    await recommend(by_photo(**OURS), shop.deps)
    (order,) = [what for name, what in shop.ranker.calls if name == "rank"]
    assert (order.shopper, order.session_id) == (None, "")
    assert [record.shopper for record in shop.ranker.records.values()] == [None]


async def test_no_experiments_arm_answers_it():
    deps = replace(shop_that_knows_ann().deps, experiments=OneArm())
    assert (await recommend(by_photo(**OURS), deps)).arms == ()
    assert (await recommend(by_photo(shopper=ANN), deps)).arms == ("order/b",)


async def test_its_explanation_knows_no_shopper_either():
    shop = shop_that_knows_ann()
    await explain(by_photo(**OURS), "p1", shop.deps)
    assert {what.shopper for name, what in shop.ranker.calls if name == "rank"} == {None}
    assert ("generate", ANN) not in shop.ranker.calls


@pytest.mark.parametrize(("first", "later"), [(OURS, {"shopper": ANN}), ({"shopper": ANN}, OURS)])
async def test_its_pages_are_not_those_of_a_personal_answer(first, later):
    shop = shop_that_knows_ann()
    page = await recommend(by_photo(page_size=2, **first), shop.deps)
    again = by_photo(page_size=2, page_token=page.next_page_token, **first)
    assert ids(await recommend(again, shop.deps))
    with pytest.raises(PageTokenInvalid):
        await recommend(by_photo(page_size=2, page_token=page.next_page_token, **later), shop.deps)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"shopper": Shopper(Identity.USER, "")}, "shopper.user_id"),
        ({"session_id": "x" * 129}, "session_id"),
    ],
)
async def test_its_ids_are_still_checked(asked, field):
    with pytest.raises(RequestInvalid) as caught:
        await recommend(by_photo(**OURS | asked), shop_that_knows_ann().deps)
    assert [each.field for each in caught.value.violations] == [field]


async def test_without_a_wanted_signal_there_is_nothing_to_answer_it_by():
    unwanted = replace(words("red"), negative=True)
    query = RequestQuery(signals=(unwanted,), shopper=ANN)
    await recommend(query, shop_that_knows_ann().deps)
    with pytest.raises(RequestInvalid, match="all negative"):
        await recommend(replace(query, not_personal=True), shop_that_knows_ann().deps)
