"""The synchronous client is the asynchronous one, call for call."""

import inspect
import threading

import pytest
from google.rpc import code_pb2

from sightline_client import (
    Event,
    EventType,
    ImportMode,
    ItemsRejected,
    NotFound,
    Product,
    SightlineClient,
    SightlineError,
    SyncSightlineClient,
)
from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status


def test_every_call_of_the_asynchronous_client_is_there() -> None:
    public = {
        name
        for name, _ in inspect.getmembers(SightlineClient, inspect.isfunction)
        if not name.startswith("_")
    }
    assert len(public) > 25
    assert {name for name in public if not hasattr(SyncSightlineClient, name)} == set()


def test_calls_lists_and_batches_are_answered_without_await(gateway: FakeGateway) -> None:
    with SyncSightlineClient(gateway.target, catalog="shop") as client:
        assert client.recommend(image=b"jpeg").results[0].product.title == "Barolo"
        assert client.upsert_products([Product("a", "A"), Product("b", "B")]).report().stored_count
        assert [product.product_id for product in client.list_products()] == ["a", "b", "wine-1"]
        batches = list(client.write_events([Event("e", EventType.VIEW, "a", user="u")]))
        assert [batch.written_count for batch in batches] == [1]
        with pytest.raises(NotFound):
            client.get_product("never")
    assert {r.catalog_id for r in gateway.requests["Recommend"]} == {"shop"}


def test_a_list_is_written_when_the_call_is_made(gateway: FakeGateway) -> None:
    with SyncSightlineClient(gateway.target) as client:
        client.write_events([Event("e", EventType.VIEW, "a", user="u")])
        assert [one.event_id for one in gateway.requests["WriteEvents"][0].events] == ["e"]
        written = client.upsert_products([Product("a", "A")])
        assert len(gateway.requests["UpsertProducts"]) == 1
        assert written.report().stored_count == 1
        assert len(list(written)) == 1
    assert len(gateway.requests["UpsertProducts"]) == 1, "looking at it sends nothing again"


def test_a_list_that_cannot_be_written_fails_where_it_is_written(gateway: FakeGateway) -> None:
    gateway.fail("WriteEvents", *[status(code_pb2.INTERNAL, "lost")] * 5)
    with SyncSightlineClient(gateway.target) as client, pytest.raises(SightlineError):
        client.write_events([Event("e", EventType.VIEW, "a", user="u")])


def test_rejected_items_of_a_list_are_raised_after_all_others_are_written(
    gateway: FakeGateway,
) -> None:
    with SyncSightlineClient(gateway.target) as client:
        with pytest.raises(
            ItemsRejected, match="1 of the items were rejected, the first"
        ) as caught:
            client.write_events(
                [Event("e", EventType.VIEW, "a", user="u"), Event("", "click", "a")]
            )
        assert caught.value.report.written_count == 1
        assert [each.event_id for each in caught.value.failures] == [""]
        assert caught.value.reason
        assert len(gateway.requests["WriteEvents"]) == 1
        given = client.write_events(iter([Event("", "click", "a")])).report()
        assert len(given.failures) == 1, "a report is asked for"


def test_an_iterator_that_is_dropped_warns(gateway: FakeGateway) -> None:
    with SyncSightlineClient(gateway.target) as client:
        with pytest.warns(RuntimeWarning, match="never sent"):
            client.write_events(iter([Event("e", EventType.VIEW, "a", user="u")]))
        assert not gateway.requests["WriteEvents"]


async def test_writes_that_are_not_awaited_warn(gateway: FakeGateway) -> None:
    async with SightlineClient(gateway.target) as client:
        with pytest.warns(RuntimeWarning, match="await the call"):
            client.write_events([Event("e", EventType.VIEW, "a", user="u")])
        assert not gateway.requests["WriteEvents"]


def test_an_import_runs_without_await(gateway: FakeGateway) -> None:
    with SyncSightlineClient(gateway.target) as client:
        state = client.open_import("i", mode=ImportMode.FULL)
        report = client.import_products("i", (Product(f"p{n}", "t") for n in range(250))).report()
        closing = client.close_import("i", dry_run=True)
    assert (state.rows_done, report.stored_count) == (0, 250)
    assert (closing.delete_count, closing.sample_product_ids) == (1, ("wine-1",))


def test_a_list_may_be_left_in_the_middle_and_threads_may_share_a_client(
    gateway: FakeGateway,
) -> None:
    with SyncSightlineClient(gateway.target) as client:
        for _ in client.watch_job("ranker/1"):
            break
        answers: list[str] = []
        threads = [
            threading.Thread(target=lambda: answers.append(client.get_product("wine-1").title))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == ["Barolo"] * 4


def test_a_closed_client_says_so(gateway: FakeGateway) -> None:
    client = SyncSightlineClient(gateway.target)
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.status()
