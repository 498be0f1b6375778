"""Tables describe every value in words."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rich.console import Console

from sightline.common.v1 import event_pb2
from sightline.gateway.v1 import recommendation_service_pb2
from sightline_client import Cause, Degradation, MatchBasis, MatchOutcome, StageTiming
from sightline_client.cli.show import listings, page, tables
from sightline_client.convert import from_wire
from tests.fakes import gateway_messages


def rendered(renderable: object) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(renderable)
    return " ".join(console.export_text().split())


def test_every_cause_of_a_loss_is_explained() -> None:
    assert set(tables.CAUSES) == set(Cause)
    loss = Degradation("rank", Cause.RANKER_UNAVAILABLE, "order of similarity")
    assert tables.degradation(loss) == (
        "rank: the ranker did not answer: products are ordered by similarity [RANKER_UNAVAILABLE]."
        " Fallback: order of similarity."
    )
    copied = replace(loss, as_of=datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC))
    assert tables.degradation(copied).endswith("(as of 2026-11-23 04:05:06 UTC).")


def test_only_the_parts_that_are_there_are_explained() -> None:
    results = from_wire.recommendations(gateway_messages.answer()).results
    caption = tables.part_meanings(results)
    assert "visual:" in caption
    assert "session:" in caption
    assert "popularity:" not in caption


def test_parts_stand_in_order_of_their_size() -> None:
    product = from_wire.recommendations(gateway_messages.answer()).results[0]
    assert tables.parts(product) == "visual +1.000  session +0.250"


def test_an_unknown_time_is_a_dash_and_not_a_zero() -> None:
    timing = StageTiming("rank", timedelta(0), timedelta(milliseconds=2), None, None)
    assert "rank 0.0 2.0 – –" in rendered(tables.timings([timing]))


def test_an_answer_without_products_says_so() -> None:
    message = gateway_messages.answer()
    del message.results[:]
    assert "No products match." in rendered(tables.answer(from_wire.recommendations(message)))


def test_a_title_stands_above_its_table() -> None:
    text = rendered(
        tables.answer(from_wire.recommendations(gateway_messages.answer()), title="1. A photo")
    )
    assert text.startswith("1. A photo")


def test_a_calibrated_score_stands_below_the_raw_one_with_its_event() -> None:
    message = gateway_messages.answer()
    message.results[0].score = 0.031
    message.results[0].score_event = event_pb2.EVENT_TYPE_ADD_TO_CART
    answer = from_wire.recommendations(message)
    text = rendered(tables.answer(answer))
    assert "3.1%" in text
    assert "add to" in text
    html = page.environment(photo_of=lambda _: "").get_template("answer.html.j2")
    assert "3.1% add to cart" in html.make_module().answer(answer)


def test_what_a_product_stands_for_is_counted_beside_its_title() -> None:
    message = gateway_messages.answer()
    message.results[0].collapsed_product_ids.extend(["wine-2", "wine-3"])
    answer = from_wire.recommendations(message)
    text = rendered(tables.answer(answer))
    assert "Barolo (+2 like it)" in text
    assert "variants and products with the same photo" in text
    html = page.environment(photo_of=lambda _: "").get_template("answer.html.j2")
    card = html.make_module().answer(answer)
    assert 'title="wine-2, wine-3">+2 like it</span>' in card


def test_candidates_tell_what_they_stand_for() -> None:
    item = recommendation_service_pb2.FoundProduct(
        product=gateway_messages.wine(), rank=1, collapsed_product_ids=["wine-2"]
    )
    text = rendered(
        listings.found(from_wire.found(recommendation_service_pb2.SearchResponse(results=[item])))
    )
    assert "Barolo (+1 like it)" in text


def test_nothing_is_said_of_near_duplicates_where_there_are_none() -> None:
    answer = from_wire.recommendations(gateway_messages.answer())
    assert "like it" not in rendered(tables.answer(answer))


def test_why_nothing_matches_stands_below_products_and_candidates() -> None:
    match = recommendation_service_pb2.Match(
        outcome=recommendation_service_pb2.Match.OUTCOME_POOR,
        basis=recommendation_service_pb2.Match.BASIS_CATALOG,
        value=0.41,
        threshold=0.62,
        text="Nothing in the catalog looks like this.",
    )
    match.space.space, match.space.version = "visual", "v1"
    why = "Nothing in the catalog looks like this. (visual v1)"
    message = gateway_messages.answer()
    message.match.CopyFrom(match)
    message.no_good_match = True
    answer = from_wire.recommendations(message)
    assert answer.match is not None
    assert (answer.match.outcome, answer.match.basis) == (MatchOutcome.POOR, MatchBasis.CATALOG)
    assert f"these are the nearest. {why}" in rendered(tables.answer(answer))

    found = from_wire.found(recommendation_service_pb2.SearchResponse(match=match))
    assert why in rendered(listings.found(found))
    match.outcome = recommendation_service_pb2.Match.OUTCOME_GOOD
    found = from_wire.found(recommendation_service_pb2.SearchResponse(match=match))
    assert why not in rendered(listings.found(found))
