"""Why an answer is empty: the condition of the request that leaves no product."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from gateway.model.errors import FilterInvalid
from gateway.model.filters import carried, of_words
from gateway.model.query import AnswerScope, ValueGrouping
from gateway.model.response import EmptyReason
from gateway.recommend.listing import listing
from gateway.recommend.recommend import recommend
from gateway.recommend.search import search
from gateway.recommend.values import recommend_values
from servicekit.errors import Unavailable
from sightline.common.v1.filter_pb2 import Filter
from sightline_core.search import CatalogSuggestions, SuggestedText
from sightline_rules.messages import read
from sightline_rules.rejections import words
from tests.fakes.gateway_peers import Shop
from tests.fakes.gateway_values import by_photo


def shop_with(counts: Mapping[str, int], **more: int) -> Shop:
    """Return a shop without a product that is near to anything, that counts products by filter and
    by what the scene adds; others pass."""
    shop = Shop()
    shop.retriever.record.clear()

    async def product_count(catalog_id: str, scope: AnswerScope) -> int:
        asked.append(scope)
        text = words(read(scope.filter.message)) if scope.filter is not None else ""
        found = counts.get(text, 1)
        if scope.buyable_only:
            found = min(found, more.get("buyable", 1))
        return min(found, more.get("not_excluded", 1)) if scope.without else found

    asked = shop.counted = list[AnswerScope]()  # type: ignore[attr-defined]
    shop.retriever.product_count = product_count  # type: ignore[method-assign]
    return shop


A = 'brand = "A"'
APPLES = 'category = "Äpfel"'


@pytest.mark.parametrize(
    ("text", "counts", "reason"),
    [
        (
            APPLES,
            {APPLES: 0},
            EmptyReason(f"no product passes {APPLES}", APPLES, ("Obst > Äpfel",)),
        ),
        (
            f"{A} AND price < 3 EUR",
            {f"{A} AND price < 3 EUR": 0},
            EmptyReason(f"no product that passes {A} passes price < 3 EUR", "price < 3 EUR"),
        ),
        (
            f"{A} AND {APPLES} AND rating > 4",
            {f"{A} AND {APPLES}": 0, APPLES: 0, f"{A} AND {APPLES} AND rating > 4": 0},
            EmptyReason(f"no product passes {APPLES}", APPLES, ("Obst > Äpfel",)),
        ),
        (A, {"": 0, A: 0}, EmptyReason("the catalog has no product")),
    ],
)
async def test_the_first_condition_that_leaves_nothing_is_named(
    text: str, counts: Mapping[str, int], reason: EmptyReason
) -> None:
    shop = shop_with(counts)
    value = SuggestedText("Obst > Äpfel", (), field="category")
    brand = SuggestedText("Äpfelhof", (), field="brand")
    shop.retriever.suggested = CatalogSuggestions(facet_values=[brand, value])
    query = by_photo(filter=of_words(text))
    for answer in (
        await recommend(query, shop.deps),
        await search(query, shop.deps),
        (await recommend_values(query, ValueGrouping("brand"), shop.deps)).answer,
    ):
        assert answer.results == ()
        found = answer.empty_reason
        assert found is not None
        assert replace(found, near_category_paths=tuple(found.near_category_paths)) == reason


@pytest.mark.parametrize("text", [APPLES, f"{A} AND {APPLES}"])
async def test_conditions_in_a_market_are_named(text: str) -> None:
    shop, message = shop_with({text: 0, APPLES: 0}), Filter()
    message.CopyFrom(of_words(text).message)  # type: ignore[arg-type]
    message.market_id = "de"
    found = (await recommend(by_photo(filter=carried(message)), shop.deps)).empty_reason
    assert found is not None
    assert found.condition == APPLES
    assert {scope.market_id for scope in shop.counted} == {"de"}  # type: ignore[attr-defined]


async def test_few_products_are_counted_for_many_conditions() -> None:
    parts = [f'brand = "B{number}"' for number in range(16)]
    counts = {" AND ".join(parts[:count]): 0 for count in range(12, 17)}
    shop = shop_with(counts)
    answer = await recommend(by_photo(filter=of_words(" AND ".join(parts))), shop.deps)
    assert answer.empty_reason is not None
    assert answer.empty_reason.condition == 'brand = "B11"'
    assert len(shop.counted) <= 7  # type: ignore[attr-defined]


async def test_scene_and_controls_are_named_too() -> None:
    shop = shop_with({}, buyable=0)
    shop.scene(lambda scene: replace(scene, buyable_only=True))
    found = (await recommend(by_photo(), shop.deps)).empty_reason
    assert found is not None
    assert "are out of stock" in found.text
    assert (found.condition, found.near_category_paths) == ("", ())


async def test_without_a_reason_or_a_count_none_is_given() -> None:
    shop = shop_with({})
    assert (await recommend(by_photo(), shop.deps)).empty_reason is None
    shop.retriever.fails["product_count"] = Unavailable("busy", reason="COLUMNS_UNAVAILABLE")
    del shop.retriever.product_count  # type: ignore[method-assign]
    assert (await recommend(by_photo(filter=of_words(APPLES)), shop.deps)).empty_reason is None


async def test_a_filter_that_nothing_has_read_is_refused_all_the_same() -> None:
    message = Filter()
    message.all.filters.add().CopyFrom(of_words(APPLES).message)  # type: ignore[arg-type]
    message.all.filters.add().comparison.field = "nothing"
    with pytest.raises(FilterInvalid) as raised:
        await recommend(by_photo(filter=carried(message)), shop_with({}).deps)
    (found,) = raised.value.violations
    assert found.field == "filter.all.filters[1].comparison.field"


@pytest.mark.parametrize(
    "text", ['category = ""', 'category = " > "', 'category = "" OR category = "Äpfel"']
)
async def test_an_empty_category_is_a_condition_like_any_other(text: str) -> None:
    condition = of_words(text)
    named = words(read(condition.message))
    shop = shop_with({named: 0})
    answer = await recommend(by_photo(filter=condition), shop.deps)
    assert answer.empty_reason is not None
    assert answer.empty_reason.condition == named
    assert "" not in [what[0] for name, what in shop.retriever.calls if name == "suggest"]


async def test_a_reason_needs_no_near_categories() -> None:
    shop = shop_with({APPLES: 0})
    shop.retriever.fails["suggest"] = Unavailable("busy", reason="SUGGESTIONS_UNAVAILABLE")
    found = (await recommend(by_photo(filter=of_words(APPLES)), shop.deps)).empty_reason
    assert found == EmptyReason(f"no product passes {APPLES}", APPLES)


async def test_a_list_says_it_on_its_first_page() -> None:
    shop = shop_with({APPLES: 0})
    page = await listing(by_photo(signals=(), filter=of_words(APPLES), listed=True), shop.deps)
    assert (page.results, page.total) == ((), 0)
    assert page.empty_reason is not None
    assert page.empty_reason.condition == APPLES
