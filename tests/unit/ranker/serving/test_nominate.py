"""Candidates of a shopper: the counts that are read, and the models whose vectors are returned."""

import pytest

from ranker.domain.events import History
from ranker.domain.model import Model
from ranker.domain.recommenders import Counted, CountsQuery, Recommender
from ranker.serving.nominate import Nominate, Nominated, NominateQuery
from ranker.serving.ranking.shopper_reads import Shoppers
from tests.fakes.ranker import NOW, FakeReader, did, model

VIEWED = History(recent=(did("ann", "b", at=-1), did("ann", "a", at=-2)))
SERVING = model({item: [1.0, 0.0] for item in "abcd"}, version="lfm-now")


class Models:
    """A model that serves, and one that served before it."""

    def __init__(self, former: Model | None = None) -> None:
        self._former = former

    def serving(self, catalog_id: str) -> Model:
        return SERVING

    def pinned(self, catalog_id: str, version: str) -> Model | None:
        return None

    def refused(self, catalog_id: str) -> bool:
        return False

    def former(self, catalog_id: str) -> Model | None:
        return self._former


class Counts:
    """Empty counts with a lag of 7 µs."""

    def __init__(self) -> None:
        self.asked: list[CountsQuery] = []

    async def counted(self, catalog_id: str, asked: CountsQuery) -> Counted:
        self.asked.append(asked)
        return Counted(lag_micros=7)


async def nominated(
    history: History, counts: Counts | None = None, former: Model | None = None, **fields: object
) -> Nominated:
    """Return the answer to Ann, who has this history in the record."""
    reader = FakeReader({"ann": history})
    nominate = Nominate(reader, Models(former), Shoppers(reader), counts, in_memory_items=3)
    return await nominate(NominateQuery("default", "ann", NOW, 10, **fields))  # type: ignore[arg-type]


async def test_recently_viewed_products_are_listed_newest_first() -> None:
    found = await nominated(VIEWED, Counts(), recommenders=[Recommender.RECENTLY_VIEWED])
    assert [one.product_ids for one in found.lists] == [("b", "a")]


@pytest.mark.parametrize(
    ("owner", "expected"),
    [("", "ann"), ("user-of-ann", "user-of-ann")],
    ids=["the shopper's", "those of the user that a visitor was merged into"],
)
async def test_products_to_reorder_come_from_purchases_of(owner: str, expected: str) -> None:
    counts = Counts()
    await nominated(History(actor=owner), counts, recommenders=[Recommender.REORDER])
    assert [one.actor for one in counts.asked] == [expected]


@pytest.mark.parametrize(
    ("recommenders", "lag"), [([Recommender.BEST_SELLERS], 7), ([], 0)], ids=["counts", "none"]
)
async def test_the_lag_is_that_of_the_counts_that_were_read(
    recommenders: list[Recommender], lag: int
) -> None:
    found = await nominated(VIEWED, Counts(), recommenders=recommenders)
    assert found.count_lag_micros == lag


@pytest.mark.parametrize(
    ("products", "versions"),
    [("ab", ["lfm-now", "lfm-before"]), ("xy", ["lfm-now"])],
    ids=["the same products", "other products"],
)
async def test_the_former_model_gives_a_vector_only_if_it_knows_the_shopper_or_their_products(
    products: str, versions: list[str]
) -> None:
    former = model({item: [1.0, 0.0] for item in products}, version="lfm-before")
    found = await nominated(VIEWED, former=former, accepts_vectors=True)
    assert found.behaviour is not None
    assert [one.model_version for one in found.behaviour.vectors] == versions
