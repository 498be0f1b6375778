"""The bench of listings, on small catalogs."""

import pytest

from lab.cases import listing
from retriever.search.listing import RELEVANCE
from sightline.gateway.v1 import recommendation_service_pb2 as pb


def test_every_order_that_a_listing_may_have_is_measured() -> None:
    orders = {name.removeprefix("SORT_") for name in pb.Sort.DESCRIPTOR.values_by_name}
    assert {*listing.ORDERS, RELEVANCE} == orders - {"UNSPECIFIED", "NEAREST"}


def test_each_order_has_figures_of_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "ROUNDS", 2)
    monkeypatch.setattr(listing, "LATER", 2)
    columns = listing.measure(lambda _: None, 2_000, listing.ORDERS)
    words = listing.measure(lambda _: None, 2_000, (RELEVANCE,))
    assert (columns.passing, words.passing) == (100, 100)
    found = listing.result(columns, words)
    assert [row[0] for table in found.tables for row in table.rows] == [*listing.ORDERS, RELEVANCE]
    assert {len(each) for each in (*columns.pages.values(), *words.pages.values())} == {2}
    assert [goal.missing for goal in found.goals[:4]] == ["only with --full"] * 4
