"""Near-duplicates across branches: in whole requests, with fakes of the peers."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.model.query import RequestQuery
from gateway.ranking.fuse import fuse
from gateway.ranking.near_duplicates import apart, collapse, collapsed_into
from gateway.recommend.recommend import recommend
from gateway.recommend.search import search
from sightline_core.answer import AnswerOrder
from sightline_core.branch import Branch
from sightline_core.candidates import CandidateList, FusedCandidates
from sightline_core.columns import ProductColumns
from sightline_core.ranking import NominationBasis
from tests.fakes.gateway_peers import Shop, shop_with_photo
from tests.fakes.gateway_values import ANN, by_photo, columns, near, photo, reason

PICTURE = 0xFD22_0A9F_1C87_6333


def groups(answer) -> dict[str, tuple[str, ...]]:
    return {item.row.product_id: item.answered.collapsed for item in answer.results}


@pytest.fixture
def shop() -> Shop:
    """Return a shop where the photo is near to p3, p1, p4, p2, and the shopper's candidates are p5
    and p6."""
    made = shop_with_photo()
    made.ranker.generated["ann"] = (NominationBasis.LONG_TERM, ("p5", "p6"))
    return made


async def test_variants_collapse_across_branches_into_the_best(shop):
    shop.retriever.parents = {"p1": "p6", "p5": "p6", "p2": "x", "p4": "x"}
    answer = await recommend(by_photo(shopper=ANN), shop.deps)

    assert groups(answer) == {"p3": (), "p1": ("p5", "p6"), "p4": ("p2",)}
    assert [item.rank for item in answer.results] == [1, 2, 3]
    assert answer.versions.plan.endswith("3 collapsed")


async def test_the_same_picture_collapses_across_branches(shop):
    shop.retriever.hashes = {"p1": PICTURE, "p6": PICTURE ^ 0x700, "p5": ~PICTURE & 2**64 - 1}
    answer = await recommend(by_photo(shopper=ANN), shop.deps)

    assert groups(answer) == {"p3": (), "p1": ("p6",), "p4": (), "p2": (), "p5": ()}


async def test_what_a_search_found_by_its_vectors_holds(shop):
    shop.retriever.collapsed = {"p3": ("p4",)}
    answer = await recommend(by_photo(), shop.deps)

    assert groups(answer) == {"p3": ("p4",), "p1": (), "p2": ()}


async def test_hiding_a_product_hides_none_of_its_near_duplicates(shop):
    shop.retriever.parents = {"p3": "x", "p4": "x", "p2": "x"}
    shop.ranker.hidden = frozenset({"p3"})
    answer = await recommend(by_photo(shopper=ANN), shop.deps)

    assert groups(answer)["p4"] == ("p2",)
    assert "p3" not in groups(answer)
    assert answer.hidden_count == 1


async def test_the_reasons_and_parts_stay_those_of_the_product_itself(shop):
    plain = await recommend(by_photo(), shop.deps)
    shop.retriever.parents = {"p3": "x", "p4": "x"}
    answer = await recommend(by_photo(), shop.deps)

    kept = {item.row.product_id: item.answered for item in answer.results}
    for item in plain.results:
        if item.row.product_id in kept:
            assert kept[item.row.product_id]._replace(collapsed=()) == item.answered


async def test_near_duplicates_of_the_querys_own_product_are_left_out_in_every_branch(shop):
    shop.retriever.nearest["own"] = {"p1": 0.9, "p2": 0.8}
    shop.retriever.parents = {"p5": "own"}
    shop.retriever.hashes = {"own": PICTURE, "p6": PICTURE}
    answer = await recommend(RequestQuery(signals=(near("own"),), shopper=ANN), shop.deps)

    assert groups(answer) == {"p1": (), "p2": ()}


async def test_later_pages_go_through_what_is_left(shop):
    shop.retriever.parents = {"p3": "x", "p4": "x"}
    one = await recommend(by_photo(page_size=1), shop.deps)
    two = await recommend(by_photo(page_size=1, page_token=one.next_page_token), shop.deps)
    three = await recommend(by_photo(page_size=1, page_token=two.next_page_token), shop.deps)

    assert [groups(page) for page in (one, two, three)] == [{"p3": ("p4",)}, {"p1": ()}, {"p2": ()}]
    assert three.next_page_token == ""


async def test_without_the_ranker_the_fused_order_collapses(shop):
    shop.retriever.parents = {"p3": "x", "p4": "x"}
    shop.ranker.hang = {"rank"}
    shop.seconds = 0.3
    answer = await recommend(by_photo(), shop.deps)

    assert groups(answer) == {"p3": ("p4",), "p1": (), "p2": ()}


async def test_search_collapses_too(shop):
    shop.retriever.parents = {"p1": "x", "p2": "x"}
    found = await search(RequestQuery(signals=(photo(),)), shop.deps)

    assert {item.product.product_id: [*item.collapsed_product_ids] for item in found.results} == {
        "p3": [],
        "p1": ["p2"],
        "p4": [],
    }


# The rule on values: an order that no ranker made, or that has to be explained.

IDS = ("a", "b", "c", "d")
ORDER = AnswerOrder(product_ids=IDS, raw_scores=[4.0, 3.0, 2.0, 1.0], total=4)


def found(
    own: ProductColumns | None = None,
    collapsed: Sequence[Sequence[str]] = (),
    **known: dict[str, object],
) -> FusedCandidates:
    """Return candidates a to e, some with hashes or parents, near the query's own product."""
    ids = (*IDS, "e")
    made = replace(
        columns(*ids),
        parent_ids=[known.get("parents", {}).get(each, "") for each in ids],
        image_hashes=[known["hashes"].get(each, 0) for each in ids] if "hashes" in known else [],
    )
    near = [0.9, 0.8, 0.7, 0.6, 0.5]
    return fuse(
        [CandidateList(Branch.VISUAL, 1.0, made, near, collapsed=collapsed, own=own)], (), 10
    )


def variant(parent: str) -> ProductColumns:
    """Return the query's own product, without a known hash of its photo."""
    return replace(columns("own"), parent_ids=[parent], image_hashes=[])


def test_an_order_without_near_duplicates_is_left_as_it_is():
    assert collapse(found(variant("x")), ORDER) is ORDER


def test_what_stays_keeps_its_row_of_every_column_beside_the_querys_own_product():
    reasons = [(reason("LOOKS_LIKE_QUERY", each),) for each in "ab"]
    given = replace(
        ORDER,
        parts=[("visual", [4.0, 3.0, 2.0, 1.0])],
        reasons=reasons,
        contributions={"visual": [(("signals[0]", 4.0),), (("signals[0]", 3.0),)]},
    )
    left = collapse(found(variant("x"), parents={"b": "x", "c": "y", "d": "y"}), given)

    assert left == AnswerOrder(
        product_ids=["a", "c"],
        raw_scores=[4.0, 2.0],
        parts=[("visual", [4.0, 2.0])],
        collapsed=[(), ("d",)],
        score_ranks=[1, 3],
        reasons=reasons[:1],
        contributions={"visual": [(("signals[0]", 4.0),)]},
        total=2,
    )


def test_places_by_score_alone_stay_those_of_the_whole_order():
    left = collapse(found(parents={"a": "x", "b": "x"}), replace(ORDER, score_ranks=[2, 1, 4, 3]))

    assert left.score_ranks == [2, 4, 3]


@pytest.mark.parametrize("own", [None, variant("x")])
def test_pictures_are_compared_by_their_hashes_where_these_are_known(own):
    candidates = found(own, hashes={"a": PICTURE, "b": 1, "d": PICTURE})

    assert collapse(candidates, ORDER).collapsed == [("d",), (), ()]
    assert collapsed_into(candidates, ORDER, "d") == "a"
    assert collapsed_into(candidates, ORDER, "b") == ""


def test_what_a_search_found_counts_only_among_the_products_of_the_order():
    candidates = found(collapsed=[("e",), ("e", "c"), (), (), ("d",)])

    assert collapse(candidates, ORDER).collapsed == [(), ("c",), ()]


@pytest.mark.parametrize(
    ("parents", "hashes", "left"),
    [
        ({}, {}, ["b", "c", "d"]),
        ({"b": "a", "c": "x", "d": "x"}, {}, ["c", "d"]),
        ({"a": "x", "d": "x"}, {}, ["b", "c"]),
        ({}, {"a": PICTURE, "c": PICTURE ^ (1 << 12)}, ["b", "d"]),
    ],
)
def test_products_apart_from_others_are_no_near_duplicates_of_them(parents, hashes, left):
    def described(*ids: str) -> ProductColumns:
        return replace(
            columns(*ids),
            parent_ids=[parents.get(item, "") for item in ids],
            image_hashes=[hashes.get(item, 0) for item in ids],
        )

    candidates = described("a", "b", "c", "d")
    rows = apart(candidates, described("a"))
    assert [candidates.product_ids[row] for row in rows] == left
    assert apart(candidates, ProductColumns()) == [0, 1, 2, 3]
