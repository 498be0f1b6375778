"""The shopper that determines the draws of an order."""

from ranker.domain.events import History
from ranker.serving.rank_products import RankQuery, RankState, rank_products
from ranker.serving.ranking.diversity import RankPolicy
from ranker.serving.ranking.fold_in import FoldIn
from tests.fakes.ranker import NOW, candidates, product


def draws(actor: str, merged_into: str = "") -> bytes:
    """Return the seed of an answer's draws; `merged_into`: user into whom the visitor was
    merged."""
    policy = RankPolicy(exploration_places=(2,))
    query = RankQuery("default", actor, candidates([product("a")]), {}, NOW, policy)
    return rank_products(query, RankState(None, History(actor=merged_into), FoldIn(), None)).draws


def test_each_shopper_has_draws_of_their_own() -> None:
    assert draws("ann") == draws("ann")
    assert draws("ann") != draws("bob")


def test_a_visitor_merged_into_a_user_has_the_users_draws() -> None:
    assert draws("visitor", merged_into="ann") == draws("ann")
    assert draws("visitor") != draws("ann")
