"""Candidates of a shopper: the counts that are read, and the models whose vectors are returned."""

import pytest

from ranker.domain.events import History
from ranker.domain.model import Model
from ranker.domain.recommenders import Counted, CountsQuery
from ranker.serving.nominate import Nominate, Nominated, NominateQuery
from ranker.serving.ranking.shopper_reads import Shoppers
from sightline_core.branch import Branch
from sightline_core.ranking import NominationBasis
from tests.fakes.ranker import NOW, FakeReader, did, model

VIEWED = History(recent=(did("ann", "b", at=-1), did("ann", "a", at=-2)))
SERVING = model({item: [1.0, 0.0] for item in "abcd"}, version="lfm-now")
TRAINED = model({item: [1.0, 0.0] for item in "abcd"}, actors={"ann": [1.0, 0.0]})


class Models:
    """A model that serves, and one that served before it."""

    def __init__(self, serving: Model, former: Model | None = None) -> None:
        self._serving, self._former = serving, former

    def serving(self, catalog_id: str) -> Model:
        return self._serving

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
    history: History,
    counts: Counts | None = None,
    former: Model | None = None,
    serving: Model = SERVING,
    **fields: object,
) -> Nominated:
    """Return the answer to Ann, who has this history in the record."""
    reader = FakeReader({"ann": history})
    models = Models(serving, former)
    nominate = Nominate(reader, models, Shoppers(reader), counts, in_memory_items=3)
    return await nominate(NominateQuery("default", "ann", NOW, 10, **fields))  # type: ignore[arg-type]


async def test_recently_viewed_products_are_listed_newest_first() -> None:
    found = await nominated(VIEWED, Counts(), recommenders=[Branch.RECENTLY_VIEWED])
    assert [one.product_ids for one in found.lists] == [("b", "a")]


async def test_recommenders_of_last_products_are_for_shoppers_who_were_not_in_training() -> None:
    asked = {
        "recommenders": [Branch.TRENDING],
        "last_products": 2,
        "last_product_recommenders": [Branch.CO_VIEW],
    }
    known = await nominated(VIEWED, Counts(), serving=TRAINED, **asked)
    assert [one.recommender for one in known.lists] == [Branch.TRENDING]
    assert known.last_products == {}

    beside = await nominated(VIEWED, Counts(), **asked)
    assert beside.behaviour.found.basis is NominationBasis.SESSION
    assert [one.recommender for one in beside.lists] == [Branch.TRENDING, Branch.CO_VIEW]
    assert beside.last_products == {}

    strange = History(recent=tuple(did("ann", item, at=-place) for place, item in enumerate("zyx")))
    counts = Counts()
    unknown = await nominated(strange, counts, **asked)
    assert [one.recommender for one in unknown.lists] == [Branch.TRENDING, Branch.CO_VIEW]
    assert unknown.last_products == pytest.approx({"z": 0.3, "y": 0.27})
    assert [item for _, item in counts.asked[0].near] == ["z", "y", "x"]


@pytest.mark.parametrize(
    ("owner", "expected"),
    [("", "ann"), ("user-of-ann", "user-of-ann")],
    ids=["the shopper's", "those of the user that a visitor was merged into"],
)
async def test_products_to_reorder_come_from_purchases_of(owner: str, expected: str) -> None:
    counts = Counts()
    await nominated(History(actor=owner), counts, recommenders=[Branch.REORDER])
    assert [one.actor for one in counts.asked] == [expected]


@pytest.mark.parametrize(
    ("recommenders", "lag"), [([Branch.BEST_SELLERS], 7), ([], 0)], ids=["counts", "none"]
)
async def test_the_lag_is_that_of_the_counts_that_were_read(
    recommenders: list[Branch], lag: int
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
    assert [one.model_version for one in found.behaviour.vectors] == versions
