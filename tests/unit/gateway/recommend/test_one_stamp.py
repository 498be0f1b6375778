"""Answers of one state of what they are made of."""

import asyncio
import itertools
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, cast

import pytest

from gateway.model.causes import Peer
from gateway.model.controls import ControlRule
from gateway.model.errors import PeerUnavailable
from gateway.model.quality import Quality
from gateway.model.query import RequestQuery
from gateway.recommend.begin import begin
from gateway.recommend.final_order import rank
from gateway.recommend.one_stamp import (
    ANEW,
    MOST_REPEATED,
    ChangedMeanwhile,
    compare_products,
    compare_versions,
    of_one_stamp,
)
from gateway.recommend.pages import read_page
from gateway.recommend.recommend import recommend
from gateway.recommend.shelves import ShelfKind, ShelfQuery, recommend_shelves
from gateway.state.request_context import RequestContext
from gateway.state.trace import RequestTrace
from sightline.common.v1 import product_pb2
from sightline_core.answer import AnswerOrder
from sightline_core.candidates import FusedCandidates
from sightline_core.changed import changed
from sightline_core.columns import MIXED, ProductColumns, Stamp, gathered
from sightline_core.ranking import Ranked, RankRequest
from sightline_core.search import ProductRows
from sightline_core.versions import SpaceVersion
from sightline_rules.controls import ControlKind
from tests.fakes.gateway_peers import shop_with_photo
from tests.fakes.gateway_snapshot import row, snapshot
from tests.fakes.gateway_values import by_photo, ids, photo, words

THEN, NOW = Stamp("u", 7), Stamp("u", 9)


def request_context() -> RequestContext:
    return begin(RequestQuery(), shop_with_photo().deps)


def rows(count: int, newest: int, stamp: Stamp | None = NOW) -> ProductRows:
    return ProductRows((product_pb2.Product(),) * count, {}, stamp, newest)


@pytest.mark.parametrize(
    ("read", "stamp", "same"),
    [
        (rows(2, 7), THEN, True),
        (rows(2, 8), THEN, False),
        (rows(1, 7), THEN, False),
        (rows(2, 7, Stamp("other", 9)), THEN, False),
        (rows(1, 9), NOW, True),
        (rows(1, 9), None, True),
        (rows(1, 9, None), THEN, True),
        (rows(2, 0), MIXED, False),
    ],
    ids=["unchanged", "written", "gone", "made anew", "at once", "-", "snapshot", "of two"],
)
def test_products_are_compared_with_the_stamp_of_what_ordered_them(
    read: ProductRows, stamp: Stamp | None, *, same: bool
) -> None:
    assert read.is_of(stamp, 2) is same


async def test_an_answer_is_formed_anew_with_a_new_trace_and_in_the_end_as_it_is() -> None:
    seen = list[RequestContext]()

    async def form(run: RequestContext) -> int:
        seen.append(run)
        run.trace.failures.append(None)
        compare_products(run.trace, rows(1, 9), 1, THEN)
        return len(seen)

    run = request_context()
    assert await of_one_stamp(run, form) == MOST_REPEATED + 1
    assert [len(each.trace.failures) for each in seen] == [1] * len(seen)
    assert [each.trace.steps for each in seen] == [[], *[["formed anew"]] * MOST_REPEATED]


async def test_an_answer_that_is_late_is_not_formed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    run, times = request_context(), [0.5, 0.51]
    embed = run.plan.ends.embed
    monkeypatch.setattr(RequestTrace, "elapsed", property(lambda _: times.pop(0) * embed))
    formed = list[object]()

    async def form(run: RequestContext) -> int:
        formed.append(run)
        compare_products(run.trace, rows(1, 9), 1, THEN)
        return len(formed)

    assert await of_one_stamp(run, form) == 2, "it is as it was when it was late"


async def test_a_change_that_is_found_late_costs_no_answer() -> None:
    shop, commit = shop_with_photo(), itertools.count(5)
    shop.seconds, shop.snapshot = 1.0, snapshot([row("old")])
    embed, search, products = shop.embedder.embed, shop.retriever.search, shop.retriever.products

    async def slow(*given: Any, **named: Any) -> Any:
        await asyncio.sleep(0.3)
        return await embed(*given, **named)

    async def stamped(*given: Any, **named: Any) -> Any:
        found = await search(*given, **named)
        return replace(found, columns=replace(found.columns, stamp=Stamp("u", next(commit))))

    async def written(*given: Any, **named: Any) -> Any:
        now = next(commit)
        return replace(await products(*given, **named), stamp=Stamp("u", now), newest=now)

    shop.embedder.embed, shop.retriever.search = slow, stamped  # type: ignore[method-assign]
    shop.retriever.products = written  # type: ignore[method-assign]
    answer = await recommend(by_photo(page_size=2), shop.deps)
    assert (ids(answer), answer.quality) == (["p3", "p1"], Quality.FULL)
    assert len(shop.embedder.calls) == 1


async def test_an_answer_that_is_formed_anew_has_one_record_and_counts_once() -> None:
    shop, stamps = shop_with_photo(), list[str]()
    pin = ControlRule(name="pin", kind=ControlKind.PIN, product_ids=("p4",), place=1)
    shop.scene(lambda scene: replace(scene, controls=(replace(pin, daily_budget=10),)))
    products, rank = shop.retriever.products, shop.ranker.rank
    search = shop.retriever.search

    async def stamped(*given: Any, **named: Any) -> Any:
        found = await search(*given, **named)
        return replace(found, columns=replace(found.columns, stamp=NOW if stamps else THEN))

    async def ranked(order: RankRequest) -> Any:
        assert order.record is not None
        stamps.append(order.record.answer_id)
        return await rank(order)

    async def written(*given: Any, **named: Any) -> Any:
        return replace(await products(*given, **named), stamp=NOW, newest=9)

    shop.retriever.search, shop.ranker.rank = stamped, ranked  # type: ignore[method-assign]
    shop.retriever.products = written  # type: ignore[method-assign]
    deps, before = shop.deps, counted("products")
    answer = await recommend(by_photo(page_size=2), deps)
    assert len(stamps) == 2
    assert len(set(stamps)) == 1
    assert len(shop.ranker.records) == 1
    assert counted("products") == before + 1
    assert [each.stage for each in answer.timings].count("rank") == 1
    assert len(deps.exposures._own["default"]) == 1


async def test_branches_that_were_read_at_several_commits_are_read_anew() -> None:
    shop, commit = shop_with_photo(), 7
    shop.retriever.nearest[b"red"] = {"p1": 0.8}
    search, products = shop.retriever.search, shop.retriever.products

    async def stamped(*given: Any, **named: Any) -> Any:
        nonlocal commit
        found = await search(*given, **named)
        read, commit = commit, 8  # a product is written that neither branch finds
        return replace(found, columns=replace(found.columns, stamp=Stamp("u", read)))

    async def as_recorded(*given: Any, **named: Any) -> Any:
        return replace(await products(*given, **named), stamp=Stamp("u", 8), newest=3)

    shop.retriever.search, shop.retriever.products = stamped, as_recorded  # type: ignore[method-assign]
    before = counted("products")
    await recommend(RequestQuery(signals=(photo(), words("red", 1)), page_size=2), shop.deps)
    assert counted("products") == before + 1


async def test_a_later_page_reports_what_its_last_formation_met() -> None:
    shop, names = shop_with_photo(), [f"p{number}" for number in range(9)]
    shop.retriever.nearest[b"photo"] = {name: 0.9 - at / 100 for at, name in enumerate(names)}
    shop.snapshot = snapshot([*map(row, names)])
    first = await recommend(by_photo(page_size=2), shop.deps)
    reads, products = itertools.count(), shop.retriever.products

    async def read(*given: Any, **named: Any) -> Any:
        if (at := next(reads)) > 1:
            raise PeerUnavailable(Peer.RETRIEVER)
        found = await products(*given, **named)
        return replace(found, rows=found.rows[1:], stamp=Stamp("u", at), newest=at)

    shop.retriever.products = read  # type: ignore[method-assign]
    second = await recommend(by_photo(page_size=2, page_token=first.next_page_token), shop.deps)
    assert (next(reads), second.quality) == (3, Quality.SNAPSHOT)
    assert [each.stage for each in second.degradations] == ["hydrate"]


async def test_the_record_of_a_shelf_is_of_the_run_that_formed_it() -> None:
    shop, reads = shop_with_photo(), itertools.count(9)
    search, products = shop.retriever.search, shop.retriever.products

    async def stamped(*given: Any, **named: Any) -> Any:
        found = await search(*given, **named)
        return replace(found, columns=replace(found.columns, stamp=THEN))

    async def written(*given: Any, **named: Any) -> Any:
        newest = next(reads)
        stamp = THEN if newest > 9 else NOW
        return replace(await products(*given, **named), stamp=stamp, newest=newest)

    shop.retriever.search, shop.retriever.products = stamped, written  # type: ignore[method-assign]
    found = await recommend_shelves(
        RequestQuery(), [ShelfQuery("near", ShelfKind.SEARCH, by_photo(page_size=2))], shop.deps
    )
    assert found[0].attribution_token
    (record,) = shop.ranker.records.values()
    assert "formed anew" in record.versions.plan


async def test_the_rest_of_an_order_shows_no_product_twice_and_is_of_the_same_model() -> None:
    shop, order = shop_with_photo(), AnswerOrder(["p1", "p2"], [0.9, 0.8], total=4)
    later = AnswerOrder(["p2", "p3", "p1", "p4"], [0.9, 0.8, 0.7, 0.6], total=4)
    shop.retriever.record.remove("p2")
    run = begin(RequestQuery(page_size=4), shop.deps)

    async def rest(_: int) -> AnswerOrder:
        return later

    page = await read_page(run, order, rest)
    assert [each.row.product_id for each in page.results] == ["p1", "p4"]


@pytest.mark.parametrize("change", ["model", "history", ""])
async def test_the_rest_of_an_order_is_compared_with_its_beginning(change: str) -> None:
    run, asked = request_context(), cast("RankRequest", None)
    ranked = Ranked(AnswerOrder(), 0, "one")

    async def rank_now(_: RankRequest) -> Ranked:
        return ranked

    run.peers.ranker.rank = rank_now  # type: ignore[method-assign]
    run.trace.repeat_until = run.plan.ends.embed
    ranker, until = run.peers.ranker, run.plan.ends.rank
    await rank(asked, ranker, run.trace, until)
    if change == "model":
        ranked = changed(ranked, model_version="two")
    if change == "history":
        ranked = changed(ranked, history_changed=True)
    with pytest.raises(ChangedMeanwhile) if change else nullcontext():
        await rank(asked, ranker, run.trace, until)


def counted(change: str) -> float:
    return float(ANEW.labels(change)._value.get())


def test_a_model_or_generation_that_changes_is_noticed() -> None:
    run = request_context()
    run.trace.repeat_until, run.trace.model_version = 5.0, "one"
    compare_versions(run.trace, "one")
    with pytest.raises(ChangedMeanwhile, match="model"):
        compare_versions(run.trace, "two")
    with pytest.raises(ChangedMeanwhile, match="history"):
        compare_versions(run.trace, "one", history_changed=True)
    space = SpaceVersion("visual", "1", "a")
    run.trace.spaces += [space, space._replace(space="text")]
    compare_versions(run.trace, "one")
    run.trace.spaces += [space._replace(generation="b")]
    with pytest.raises(ChangedMeanwhile, match="index"):
        compare_versions(run.trace, "one")


def test_columns_that_were_read_at_several_commits_have_no_stamp_of_theirs() -> None:
    def together(*stamps: Stamp | None) -> Stamp | None:
        parts = [(ProductColumns([str(at)], stamp=each), (0,)) for at, each in enumerate(stamps)]
        return gathered(parts).stamp

    assert together(NOW, NOW) == NOW
    assert together(NOW, THEN) == MIXED
    assert together(NOW, None) is None
    empty = (ProductColumns(stamp=THEN), ())
    assert gathered([(ProductColumns(["a"], stamp=NOW), (0,)), empty]).stamp == MIXED
    assert together(NOW, Stamp("other", 1)) == MIXED


def test_pinned_products_that_join_the_candidates_leave_their_stamp() -> None:
    own = ProductColumns(["a"], stamp=NOW)
    found = FusedCandidates(own, [1.0], [0], [0], [None], [""], {})
    kept_since = ProductColumns(["pin"], stamp=THEN)
    assert found.joined(kept_since).columns.stamp == NOW
