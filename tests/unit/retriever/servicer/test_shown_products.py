"""Products as callers see them are kept until they are written, and never shown once deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from retriever import __main__ as main
from retriever.catalog.synonyms import HeldSynonyms
from retriever.domain.product import Offer, Product, ProductWrite
from retriever.record import Record
from retriever.servicer import product_messages, shown_products
from retriever.servicer.products import ATTEMPTS, ProductServicer
from retriever.servicer.shown_products import ShownProduct, ShownProducts
from servicekit.sql.database import Database
from sightline.common.v1 import product_pb2
from sightline.retriever.v1 import product_service_pb2 as pb
from sightline_client.convert import to_wire
from sightline_client.convert.filter_text import parse_filter
from sightline_core.columns import Stamp
from sightline_rules.filters import All, Availability, Comparison, Money, Operator
from sightline_rules.markets import MarketValues
from tests.unit.retriever.columns.conftest import neighbour, patient
from tests.unit.retriever.conftest import Clock, write
from tests.waiting import SECONDS

__all__ = ["neighbour"]
CHEAP = to_wire.filter_(parse_filter("price < 10 EUR"))
GERMAN = MarketValues("de", title="Blau")
WRITES = (
    write("a", b"a", title="Red", cost=Money("EUR", 2), price=Money("EUR", 5_000_000)),
    write(
        "b",
        title="Blue",
        price=Money("EUR", 5_000_000),
        markets=(MarketValues("de", title="Blau"),),
    ),
    write("c", parent_id="b", price=Money("EUR", 50_000_000)),
)


class Reading(Record):
    """Record that notes which products are read from it."""

    def __init__(self, db: Database, clock: Clock) -> None:
        super().__init__(db, clock)
        self.read: list[str] = []

    async def get_stamped(
        self, catalog_id: str, product_ids: Sequence[str]
    ) -> tuple[dict[str, Product], Stamp]:
        self.read += product_ids
        return await super().get_stamped(catalog_id, product_ids)

    def took(self) -> list[str]:
        """Return the products read since the last call."""
        taken, self.read = sorted(self.read), []
        return taken


@pytest.fixture
async def reading(db: Database, clock: Clock) -> Reading:
    made = Reading(db, clock)
    await made.write("default", list(WRITES))
    return made


def servicer(record: Record, **bounds: int) -> ProductServicer:
    columns = patient(record, **bounds)
    return ProductServicer(
        {"default"},
        record,
        None,
        None,
        1.0,
        columns,
        HeldSynonyms(record),  # type: ignore[arg-type]
    )


def kept(shown: ShownProducts) -> list[ShownProduct]:
    return [each for held in shown._kept.values() for each in held.values()]


async def got(
    of: ProductServicer, *ids: str, market: str = "", unshown: bool = False
) -> dict[str, product_pb2.Product]:
    request = pb.BatchGetProductsRequest(product_ids=ids or ("a", "b", "c"), unshown=unshown)
    request.filter.market_id = market
    found = await of.BatchGetProducts(request, None)  # type: ignore[arg-type]
    return {each.product_id: each for each in found.products}


async def listed(of: ProductServicer) -> pb.ListProductsResponse:
    asked = pb.ListProductsRequest(filter=CHEAP)
    return await of.ListProducts(asked, None)  # type: ignore[arg-type]


async def browsed(of: ProductServicer) -> pb.BrowseProductsResponse:
    asked = pb.BrowseProductsRequest(order="NEWEST", page_size=10, costs=True)
    return await of.BrowseProducts(asked, None)  # type: ignore[arg-type]


async def as_recorded(record: Record, *ids: str) -> dict[str, product_pb2.Product]:
    held = await record.get("default", ids)
    return {name: product_messages.row(each) for name, each in held.items()}


def test_the_answers_with_products_have_them_in_one_field() -> None:
    answers = (pb.BatchGetProductsResponse, pb.ListProductsResponse, pb.BrowseProductsResponse)
    fields = [each.DESCRIPTOR.fields_by_name["products"] for each in answers]
    assert {(each.number, each.message_type.full_name) for each in fields} == {
        (1, "sightline.common.v1.Product")
    }


async def test_products_are_read_once_by_all_calls_until_they_are_written(
    reading: Reading, record: Record
) -> None:
    of = servicer(reading)
    assert await got(of) == await as_recorded(record, "a", "b", "c")
    assert reading.took() == ["a", "b", "c"]
    assert [each.product_id for each in (await listed(of)).products] == ["a", "b"]
    assert len((await browsed(of)).products) == 2
    assert (await got(of, "b", "nobody", "b")).keys() == {"b"}
    assert reading.took() == []
    await reading.offer("default", [Offer("b", Money("EUR", 9_000_000), Availability.IN_STOCK)])
    assert await got(of) == await as_recorded(record, "a", "b", "c")
    assert reading.took() == ["b"]


async def test_a_browsed_page_has_variants_and_costs_beside_its_products(reading: Reading) -> None:
    found = await browsed(servicer(reading))
    by_id = {each.product_id: row for row, each in enumerate(found.products)}
    shown = next(name for name in ("b", "c") if name in by_id)
    assert {*found.variants[by_id[shown]].product_ids} == {"b", "c"} - {shown}
    assert (found.cost_micros[by_id["a"]], found.cost_currencies[by_id["a"]]) == (2, "EUR")
    assert (found.cost_micros[by_id[shown]], found.cost_currencies[by_id[shown]]) == (-1, "")


async def test_markets_and_what_only_operators_read_are_kept_apart(reading: Reading) -> None:
    of = servicer(reading)
    for _ in range(2):
        assert (await got(of))["b"].title == "Blue"
        assert (await got(of, market="de"))["b"].title == "Blau"
        assert not (await got(of))["a"].HasField("cost")
        assert (await got(of, unshown=True))["a"].cost.currency_code == "EUR"


async def test_a_deleted_product_is_not_shown_nor_one_of_a_catalog_made_anew(
    reading: Reading, neighbour: Record
) -> None:
    """Delete and write through another process, which shares the record."""
    of = servicer(reading)
    await got(of)
    await neighbour.delete("default", ["a"])
    assert (await got(of)).keys() == {"b", "c"}
    await neighbour.write("default", [write("a", title="Another")])
    assert (await got(of))["a"].title == "Another"


async def test_what_another_process_writes_is_shown_at_once(
    reading: Reading, neighbour: Record
) -> None:
    of = servicer(reading)
    for title in ("One", "Two"):
        await neighbour.write("default", [write("a", title=title)])
        assert (await got(of))["a"].title == title
        view = await of.columns.view("default")
        assert view is not None
        asked = ("default", view.table, [view.table.place("a")], All(), "")
        _, (held,), _ = await of.shown.passing(*asked, unshown=False)
        assert held.message.title == title


@pytest.mark.parametrize("change", ["written", "one gone"])
async def test_kept_products_and_those_read_beside_them_are_of_one_commit(
    reading: Reading, neighbour: Record, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Write products in one batch between the look at what is kept and the read of the rest."""
    of = servicer(reading)
    await got(of, "a")
    read = reading.get_stamped

    async def changed(catalog_id: str, ids: Sequence[str]) -> tuple[dict[str, Product], Stamp]:
        monkeypatch.setattr(reading, "get_stamped", read)
        await neighbour.write("default", [write(name, title="Second") for name in ("a", "b")])
        if change == "one gone":
            await neighbour.delete("default", ["b"])
        return await read(catalog_id, ids)

    monkeypatch.setattr(reading, "get_stamped", changed)
    titles = {name: each.title for name, each in (await got(of, "a", "b")).items()}
    second = {"a": "Second", "b": "Second"}
    assert titles == (second if change == "written" else {"a": "Second"})


@pytest.mark.parametrize("other", [True, False])
async def test_titles_are_read_anew_only_if_products_beside_them_are_written(
    reading: Reading, neighbour: Record, monkeypatch: pytest.MonkeyPatch, *, other: bool
) -> None:
    """Write a product each time between the read of the titles and that of the products."""
    of, read = servicer(reading), reading.get_stamped
    first = (await neighbour.get_stamped("default", ["a"]))[1].commit
    calls = list[int]()

    async def changed(catalog_id: str, ids: Sequence[str]) -> tuple[dict[str, Product], Stamp]:
        calls.append(1)
        await neighbour.write("default", [write("d" if other else "b", title=f"{len(calls)}")])
        return await read(catalog_id, ids)

    monkeypatch.setattr(reading, "get_stamped", changed)
    request = pb.BatchGetProductsRequest(product_ids=["b"], title_product_ids=["a"])
    found = await of.BatchGetProducts(request, None)  # type: ignore[arg-type]
    assert len(calls) == (1 if other else ATTEMPTS)
    assert (found.stamp.commit == first) is other
    assert list(found.titles) == ["Red"]


@pytest.mark.parametrize("gone", [False, True])
async def test_a_product_written_during_the_call_is_judged_and_not_kept(
    reading: Reading, gone: bool
) -> None:
    """Write between the read of the columns and that of the product."""
    columns = patient(reading)
    shown = ShownProducts(reading, columns)
    view = await columns.view("default")
    assert view is not None
    place = view.table.place("a")
    under = Comparison("price", Operator.LESS, Money("EUR", 10_000_000))
    dear: ProductWrite = replace(
        WRITES[0], content=replace(WRITES[0].content, price=Money("EUR", 99_000_000)), new_images={}
    )
    if gone:
        await reading.delete("default", ["a"])
    else:
        await reading.write("default", [dear])
    asked = ("default", view.table, [place], under, "")
    assert (await shown.passing(*asked, unshown=False))[:2] == ([], [])
    _, found, _ = await shown.passing(*(*asked[:3], All(), ""), unshown=False)
    assert [each.message.price.units for each in found] == ([] if gone else [99])
    assert not shown._kept


async def test_kept_products_are_bounded(reading: Reading) -> None:
    columns = patient(reading)
    view = await columns.view("default")
    assert view is not None
    shown = ShownProducts(reading, columns, most_bytes=2_000)
    places = view.table.places(["a", "b", "c"]).tolist()
    for place in [*places, *places]:
        await shown.passing("default", view.table, [place], All(), "", unshown=False)
        weights = [each.weight for each in kept(shown)]
        assert sum(weights) == shown._bytes <= 2_000
    assert 0 < len(kept(shown)) < 3


async def test_a_catalog_that_is_not_held_is_read_each_time(reading: Reading) -> None:
    of = servicer(reading, most_products=0)
    for _ in range(2):
        assert (await got(of, "a"))["a"].title == "Red"
        assert reading.took() == ["a"]
    assert not of.shown._kept


async def test_products_are_read_ahead_of_answers_once_and_again_when_written(
    reading: Reading, neighbour: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown_products, "READ_AHEAD", 2)
    of = servicer(reading)
    assert await of.shown.read_ahead("default") is False  # the columns are not in memory
    await of.columns.view("default")
    assert await of.shown.read_ahead("default") is True
    assert await of.shown.read_ahead("default") is False
    assert reading.took() == ["a", "b", "c"]
    assert (await got(of)).keys() == {"a", "b", "c"}
    await neighbour.write("default", [write("a", title="Another")])
    await neighbour.delete("default", ["b"])
    await of.columns.view("default")
    assert await of.shown.read_ahead("default") is False
    assert reading.took() == ["a"]
    assert (await got(of))["a"].title == "Another"
    assert (await got(of)).keys() == {"a", "c"}
    assert len(kept(of.shown)) == 3  # what a write replaces is not kept
    assert reading.took() == []


async def test_reading_ahead_leaves_room_for_what_answers_show(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown_products, "READ_AHEAD", 1)
    columns = patient(reading)
    await columns.view("default")
    shown = ShownProducts(reading, columns, most_bytes=2_000)
    while await shown.read_ahead("default"):
        pass
    assert 0 < len(reading.took()) < 3
    assert shown._bytes < 2_000


async def test_a_catalog_whose_products_can_not_be_read_ahead_stops_no_other(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = servicer(reading)
    await of.columns.view("default")
    read_ahead, rested = of.shown.read_ahead, asyncio.Event()

    async def some(catalog: str) -> bool:
        if catalog == "bad":
            raise KeyError("unreadable")
        return await read_ahead(catalog)

    async def rest(*_: object) -> None:
        rested.set()
        await asyncio.sleep(float("inf"))

    monkeypatch.setattr(of.shown, "read_ahead", some)
    monkeypatch.setattr(main, "pause", rest)
    loop = asyncio.create_task(main.read_ahead(of.shown, reading, ["bad", "default"]))
    async with asyncio.timeout(SECONDS):
        await rested.wait()
    loop.cancel()
    assert reading.took() == ["a", "b", "c"]
