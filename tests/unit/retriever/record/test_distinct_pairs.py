"""Pairs of products that were decided to be different, on real stores."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations

import pytest

from retriever.domain.errors import DistinctPairsFull, ProductNotFound
from retriever.record import Record, distinct_pairs
from servicekit.rpc.requests import RequestInvalid
from tests.stores import each_engine
from tests.unit.retriever.conftest import Clock, write
from tests.unit.retriever.record.conftest import A, B, C, put

pytestmark = each_engine
ODD = "p/\"ü' 🍷"


async def decided(record: Record, catalog: str = "default") -> set[tuple[str, str]]:
    found = await record.distinct_pairs(catalog)
    return {(each.product_id, each.other_product_id) for each in found}


async def test_each_two_of_some_products_are_decided_once(record: Record, clock: Clock) -> None:
    await put(record, write("b", A), write("a", A), write(ODD))
    first = await record.mark_distinct("default", ["b", "a"], "ann")
    assert [(each.product_id, each.other_product_id) for each in first] == [("a", "b")]
    clock.now += 5
    again = await record.mark_distinct("default", ["a", "b", ODD], "ben")
    assert [each.author for each in again] == ["ann", "ben", "ben"]
    assert again[0] == first[0], "it keeps its time too"
    assert await decided(record) == {("a", "b"), ("a", ODD), ("b", ODD)}
    assert not await decided(record, "other")
    assert await record.unmark_distinct("default", [ODD, "a"]) == 1
    assert await record.unmark_distinct("default", [ODD, "a"]) == 0
    assert await decided(record) == {("a", "b"), ("b", ODD)}


async def test_a_decision_ends_when_a_product_is_deleted_or_has_another_first_photo(
    record: Record,
) -> None:
    await put(record, write("a", A), write("b", A), write("c", A))
    await record.mark_distinct("default", ["a", "b", "c"], "")
    await put(record, write("a", A, C, title="Another"))
    assert len(await decided(record)) == 3, "the first photo is the same"
    await put(record, write("b", B, A))
    assert await decided(record) == {("a", "c")}
    await record.delete("default", ["c"])
    await put(record, write("c", A))
    assert not await decided(record), "another product of the id"
    await put(record, write("b", A))
    assert await decided(record) == {("a", "b")}, "its picture was decided on"


async def test_what_does_not_hold_is_decided_anew(record: Record) -> None:
    await put(record, write("a", A), write("b", A))
    await record.mark_distinct("default", ["a", "b"], "ann")
    await put(record, write("b", B))
    (pair,) = await record.mark_distinct("default", ["a", "b"], "ben")
    assert pair.author == "ben"
    assert await decided(record) == {("a", "b")}


async def test_a_catalog_has_so_many_pairs(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct_pairs, "PAIRS", replace(distinct_pairs.PAIRS, most=3))
    await put(record, *(write(each, A) for each in "abcd"))
    await put(record, *(write(each, A) for each in "ab"), catalog="other")
    await record.mark_distinct("default", ["a", "b"], "")
    with pytest.raises(DistinctPairsFull, match="3 pairs"):
        await record.mark_distinct("default", ["a", "b", "c", "d"], "")
    assert await decided(record) == {("a", "b")}, "nothing of it is stored"
    await record.mark_distinct("default", ["a", "b", "c"], "")
    await record.mark_distinct("default", ["c", "b", "a"], "")
    with pytest.raises(DistinctPairsFull):
        await record.mark_distinct("default", ["c", "d"], "")
    await record.mark_distinct("other", ["a", "b"], "")
    await put(record, write("b", B))
    await record.mark_distinct("default", ["c", "d"], "")
    assert await decided(record) == {("a", "c"), ("c", "d")}, "others make room"


async def test_a_restore_leaves_a_catalog_no_more_pairs_than_it_may_have(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distinct_pairs, "PAIRS", replace(distinct_pairs.PAIRS, most=3))
    await put(record, *(write(each) for each in "abcd"))
    await record.mark_distinct("default", ["a", "b"], "ann")
    rows = [
        {
            **{"product_id": one, "other_product_id": other, "author": "ben", "create_time": 1},
            **{"image_id": "", "other_image_id": ""},
        }
        for one, other in combinations("abcd", 2)
    ]
    for batch in (rows[:4], rows[4:]):
        await record.restore_pairs("default", batch)
    found = await record.distinct_pairs("default")
    assert sorted((each.product_id, each.other_product_id, each.author) for each in found) == [
        ("a", "b", "ann"), ("a", "c", "ben"), ("a", "d", "ben")
    ]  # fmt: skip


@pytest.mark.parametrize("named", [[], ["a"], ["a", "a"], [f"p{at}" for at in range(21)]])
async def test_a_call_names_two_to_twenty_products(record: Record, named: list[str]) -> None:
    await put(record, write("a"))
    with pytest.raises(RequestInvalid, match="2 to 20 ids"):
        await record.mark_distinct("default", named, "")
    with pytest.raises(RequestInvalid, match="2 to 20 ids"):
        await record.unmark_distinct("default", named)


@pytest.mark.parametrize("unknown", ["gone", "a\0", "", "x" * 10_000])
async def test_a_product_that_is_unknown_is_refused(record: Record, unknown: str) -> None:
    await put(record, write("a"), write("b"))
    with pytest.raises(ProductNotFound):
        await record.mark_distinct("default", ["a", "b", unknown], "")
    assert not await decided(record)
    assert await record.unmark_distinct("default", ["a", unknown]) == 0


async def test_they_go_with_the_catalog(record: Record) -> None:
    for catalog in ("default", "other"):
        await put(record, write("a", A), write("b", A), catalog=catalog)
        await record.mark_distinct(catalog, ["a", "b"], "")
    while await record.remove_rows("other", 1):
        pass
    assert not await decided(record, "other")
    assert await decided(record) == {("a", "b")}


@pytest.mark.parametrize("seed", range(3))
async def test_any_order_of_writes_and_decisions_is_as_described(record: Record, seed: int) -> None:
    drawn, names, photos = random.Random(seed), "abcd", (A, B)
    shown: dict[str, bytes] = {}
    wanted: dict[tuple[str, str], tuple[bytes, bytes]] = {}
    for _ in range(60):
        act, some = drawn.randrange(4), sorted(drawn.sample(names, drawn.randint(2, 3)))
        if act == 0:
            shown[some[0]] = drawn.choice(photos)
            await put(record, write(some[0], shown[some[0]], title=str(drawn.random())))
        elif act == 1:
            await record.delete("default", some[:1])
            shown.pop(some[0], None)
            wanted = {pair: held for pair, held in wanted.items() if some[0] not in pair}
        else:
            wanted = {
                pair: held
                for pair, held in wanted.items()
                if held == tuple(shown.get(each) for each in pair)
            }
            if act == 2:
                await record.unmark_distinct("default", some)
                wanted = {pair: held for pair, held in wanted.items() if not {*pair} <= {*some}}
            elif {*some} <= shown.keys():
                await record.mark_distinct("default", some, "")
                wanted |= {
                    (one, two): (shown[one], shown[two]) for one, two in combinations(some, 2)
                }
        holds = {
            (one, two) for (one, two), held in wanted.items() if held == (shown[one], shown[two])
        }
        assert await decided(record) == holds
