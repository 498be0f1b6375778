"""Prices: factors of a request's price, and that every request has one."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from gateway.model.filters import CallersFilter, FilterWork, of_words, work_of
from gateway.model.photo_header import decoding_seconds
from gateway.model.price import (
    FILTER_BYTE,
    MOST_SECONDS,
    PHOTO,
    REFERENCE_PRODUCTS,
    PricedSizes,
    detection_price,
    list_price,
    photo_price,
    price_of,
    unused_detection_seconds,
)
from gateway.model.query import RequestQuery, Signal, SignalKind
from tests.fakes.photos import avif_header

SIZES = PricedSizes(products=REFERENCE_PRODUCTS, candidates=1_000)
SMALL, LARGE = avif_header((300, 200)), avif_header((5_000, 5_000))
"""Headers of AVIF photos."""


def signal(kind: SignalKind, text: str = "") -> Signal:
    return Signal(index=0, kind=kind, text=text)


def parts(count: int, field: str = "attributes.colour") -> CallersFilter:
    return of_words(" OR ".join(f'{field}:"x{n}"' for n in range(count)))


def facets(*names: str) -> tuple[SimpleNamespace, ...]:
    return tuple(SimpleNamespace(field=name) for name in names)


DEAREST = RequestQuery(
    signals=(signal(SignalKind.TEXT, "w" * 4_096),) * 8,
    filter=parts(32),
    facets=facets("tags", "attributes.a", "attributes.b"),  # type: ignore[arg-type]
    page_size=200,
)


def price(query: RequestQuery, *moved: CallersFilter, sizes: PricedSizes = SIZES) -> float:
    return price_of(query, (), moved, sizes).seconds


@pytest.mark.parametrize(
    "query",
    [
        RequestQuery(),
        RequestQuery(signals=(signal(SignalKind.IMAGE),)),
        RequestQuery(signals=(signal(SignalKind.TEXT, "a dry red wine"),), page_size=50),
        RequestQuery(signals=(signal(SignalKind.PRODUCT),) * 8),
        RequestQuery(filter=of_words("brand = Miolo AND price < 30 EUR AND attributes.k = 1")),
        RequestQuery(
            signals=(signal(SignalKind.TEXT, "red"),),
            filter=of_words("category = Wine AND title:dry"),
            facets=facets("category", "brand", "price", "tags", "attributes.grape"),  # type: ignore[arg-type]
        ),
    ],
)
def test_what_shops_ask_is_far_below_the_bound(query: RequestQuery) -> None:
    assert 0 < price(query) < MOST_SECONDS * 0.9


@pytest.mark.parametrize(
    "query",
    [
        RequestQuery(),
        RequestQuery(page_size=200),
        RequestQuery(signals=(signal(SignalKind.TEXT, "a dry red wine"),), page_size=50),
        RequestQuery(signals=(signal(SignalKind.PRODUCT),)),
        RequestQuery(signals=(signal(SignalKind.IMAGE), signal(SignalKind.TEXT, "in red"))),
        RequestQuery(filter=of_words("category = Wine AND price < 30 EUR AND NOT brand = B")),
        replace(DEAREST, page_token="next"),
    ],
)
def test_ordinary_requests_are_not_expensive(query: RequestQuery) -> None:
    assert not price_of(query, (), (), SIZES).is_expensive


def test_ordinary_lists_and_questions_about_a_photo_are_not_expensive() -> None:
    assert not list_price(None, 500, 5_000).is_expensive
    assert not photo_price().is_expensive


@pytest.mark.parametrize(
    "query",
    [
        DEAREST,
        replace(DEAREST, filter=None, facets=()),
        RequestQuery(signals=(signal(SignalKind.IMAGE),) * 2),
        RequestQuery(filter=parts(32)),
        RequestQuery(facets=DEAREST.facets),
    ],
)
def test_what_takes_a_tenth_of_a_second_beside_one_photo_is_expensive(query: RequestQuery) -> None:
    found = price_of(query, (), (), SIZES)
    assert found.is_expensive
    assert found.queue_seconds <= found.seconds


def test_what_the_limits_of_single_fields_allow_together_is_above_the_bound() -> None:
    assert price(DEAREST) > MOST_SECONDS


@pytest.mark.parametrize(
    "cheaper",
    [
        replace(DEAREST, signals=DEAREST.signals[:7]),
        replace(DEAREST, signals=(*DEAREST.signals[:7], signal(SignalKind.TEXT, "w"))),
        replace(DEAREST, filter=parts(31)),
        replace(DEAREST, filter=parts(32, "title")),
        replace(DEAREST, filter=None),
        replace(DEAREST, facets=DEAREST.facets[:2]),
        replace(DEAREST, page_size=199),
        replace(DEAREST, page_token="next"),
    ],
)
def test_less_of_anything_costs_less(cheaper: RequestQuery) -> None:
    assert price(cheaper) < price(DEAREST)


def test_conditions_of_all_controls_are_one_sum_times_the_candidates() -> None:
    one, all_together = price(RequestQuery(), parts(32)), price(RequestQuery(), *[parts(4)] * 8)
    assert one == pytest.approx(all_together)
    none = price(RequestQuery())
    half = replace(SIZES, candidates=500)
    assert price(RequestQuery(), parts(32), sizes=half) - none == pytest.approx((one - none) / 2)


def test_conditions_of_exclusions_and_of_the_filter_are_asked_of_the_whole_catalog() -> None:
    excluded = price_of(RequestQuery(), [parts(32)], (), SIZES).seconds
    assert excluded == pytest.approx(price(RequestQuery(filter=parts(32))))
    assert excluded > price(RequestQuery(), parts(32))


def test_an_explanation_searches_twice() -> None:
    query = replace(DEAREST, filter=None)
    once, twice = price_of(query, (), (), SIZES), price_of(query, (), (), SIZES, searches=2)
    assert twice.seconds == pytest.approx(once.seconds + once.parts["signals"])


def test_a_text_that_may_be_corrected_and_searched_again_costs_twice() -> None:
    query = RequestQuery(signals=(signal(SignalKind.TEXT, "rde wien"),))
    once = price_of(replace(query, as_typed=True), (), (), SIZES)
    twice = price_of(query, (), (), SIZES)
    assert twice.parts["signals"] == pytest.approx(2 * once.parts["signals"])
    assert twice.models == once.models, "a text that is not corrected is not charged for it"
    long = signal(SignalKind.TEXT, "w" * 257)
    assert price_of(replace(query, signals=(long,)), (), (), SIZES) == price_of(
        replace(query, signals=(long,), as_typed=True), (), (), SIZES
    )


def test_each_search_reads_the_letters_of_the_filter() -> None:
    short, long = (of_words(f'attributes.colour = "{"x" * most}"') for most in (1, 1_001))
    texts = replace(DEAREST, filter=None)
    added = price(replace(texts, filter=long)) - price(replace(texts, filter=short))
    assert added == pytest.approx(16 * 1_000 * FILTER_BYTE, rel=0.01)


def test_each_detection_has_a_price_and_few_wait_for_models_alone() -> None:
    few, many = detection_price(10), detection_price(300)
    assert few.parts["max_detections"] * 30 == pytest.approx(many.parts["max_detections"])
    assert 0 < few.models < few.seconds
    assert not few.is_expensive
    assert many.is_expensive


def test_views_that_were_not_embedded_are_given_back() -> None:
    price, nothing = detection_price(10), detection_price(0)
    assert unused_detection_seconds(10, 20) == 0
    assert unused_detection_seconds(10, 99) == 0
    assert unused_detection_seconds(10, 0) == pytest.approx(price.models - nothing.models)
    assert unused_detection_seconds(10, 5) == pytest.approx(unused_detection_seconds(10, 0) * 0.75)


def test_a_photo_whose_decoding_takes_long_is_priced_by_its_header() -> None:
    beyond = decoding_seconds(LARGE) - PHOTO
    assert beyond > 0.3
    assert photo_price(LARGE).seconds == pytest.approx(photo_price(SMALL).seconds + beyond)
    assert photo_price(SMALL) == photo_price()
    assert not photo_price(LARGE).is_expensive, "it waits for decoders, not in the queue"


def test_models_are_a_part_of_the_price_of_texts_and_photos() -> None:
    found = price_of(DEAREST, (), (), SIZES)
    assert 0 < found.models < found.parts["signals"]
    assert 0 < photo_price().models < photo_price().seconds


def test_a_list_looks_at_no_more_products_than_the_catalog_or_one_page_has() -> None:
    assert list_price(parts(32), 10, 500).seconds < list_price(parts(32), 10, 5_000).seconds
    assert list_price(parts(32), 10, 5_000) == list_price(parts(32), 10, 50_000)
    assert list_price(None, 10, 5_000).seconds < list_price(None, 1_000, 5_000).seconds
    assert list_price(parts(32), 1_000, 5_000).seconds < MOST_SECONDS
    # Products with a flaw are looked for among all, and may be none.
    assert list_price(None, 10, 10**6, "doubted_only").is_expensive
    assert not list_price(None, 10, 5_000, "doubted_only").is_expensive
    assert list_price(parts(1), 10, 10**6, "x").parts["x"] == pytest.approx(1.0)


def test_the_work_of_a_filter_counts_all_its_conditions() -> None:
    asked = of_words('NOT (attributes.a:"x" OR attributes.b = 1) AND brand = B AND title:*')
    expected = FilterWork(frozenset({"attributes", "brand", "title"}), 1, 3)
    assert work_of(asked.message) == expected
    assert work_of("not a message") == FilterWork()
