"""What the ranker reads and reports only when a request asks for it."""

import pytest

from ranker.domain.events import EventType, History
from ranker.servicer.ranking import RankingServicer
from sightline.common.v1 import event_pb2
from sightline.ranker.v1 import ranking_service_pb2 as pb
from tests.fakes.ranker import KEY, FakeReader, columns, did, product
from tests.unit.ranker.servicer.test_ranking import ANN, Serving

FOR_ANN = {"shopper": event_pb2.Shopper(user_id="ann")}
POPULARITY = [pb.PartWeight(part="popularity", weight=1)]
SESSION = [pb.PartWeight(part="session", weight=1)]


class CountingReader(FakeReader):
    """A reader that counts the reads of popularity."""

    reads = 0

    async def popularity(self, catalog_id, product_ids):
        self.reads += 1
        return await super().popularity(catalog_id, product_ids)


def servicer(history: History = History(), reader: FakeReader | None = None) -> RankingServicer:  # noqa: B008
    known = reader or FakeReader({ANN: history}, {"b": 1.0})
    return RankingServicer.of(("default",), KEY, known, Serving(), 100)


def request(**fields: object) -> pb.RankRequest:
    return pb.RankRequest(candidates=columns([product(item) for item in "abcd"]), **fields)


@pytest.mark.parametrize(
    ("weights", "policy", "reads"),
    [
        (POPULARITY, 0.0, 1),
        (SESSION, 0.0, 0),
        (SESSION, 0.5, 1),
    ],
    ids=["a weight of a newcomer", "neither", "the policy"],
)
async def test_popularity_is_read_where_the_order_depends_on_it(weights, policy, reads) -> None:
    reader = CountingReader({}, {"b": 1.0})
    given = request(weights=weights, diversity=pb.Diversity(popularity=policy))
    found = await servicer(reader=reader).Rank(given, None)

    assert reader.reads == reads
    assert (found.product_ids[0] == "b") is (weights is POPULARITY)


async def test_contributions_come_only_on_request() -> None:
    viewed = History(recent=(did(ANN, "a", EventType.VIEW),))
    asked = servicer(viewed)
    plain = request(weights=SESSION, **FOR_ANN)
    split = request(weights=SESSION, explain=True, **FOR_ANN)

    assert not any(part.features for part in (await asked.Rank(plain, None)).parts)
    assert any(part.features for part in (await asked.Rank(split, None)).parts)


async def test_a_buried_product_that_the_shopper_hid_is_no_pin_without_a_place() -> None:
    asked = servicer(History(hidden=frozenset("bc")))
    given = request(weights=SESSION, **FOR_ANN)
    given.controls.controls.add(name="bury", candidates=[1], bury=True)
    given.controls.controls.add(name="pin", candidates=[2], place=1)

    assert list((await asked.Rank(given, None)).hidden_product_ids) == ["c"]
