"""What is tried when the branches name nothing."""

from dataclasses import replace

from gateway.model.peers import Basis
from gateway.model.query import Query
from gateway.recommend.recommend import recommend
from gateway.retrieval.fallback import distinct_count
from tests.fakes.gateway_peers import Shop, columns


async def test_popular_products_that_are_one_do_not_fill_a_page():
    shop = Shop()
    shop.ranker.generated[""] = (Basis.POPULARITY, ("p8", "p9"))
    shop.retriever.parents = {"p8": "x", "p9": "x"}
    answer = await recommend(Query(page_size=2), shop.deps)

    groups = {item.row.product_id: item.answered.collapsed for item in answer.results}
    assert groups == {"p8": ("p9",), "p0": ()}


def test_what_is_left_out_does_not_count():
    shown = replace(columns("a", "b", "c"), parent_ids=["x", "x", ""])

    assert distinct_count(shown, ()) == 2
    assert distinct_count(shown, ("c",)) == 1
    assert distinct_count(shown, ("a",)) == 2
