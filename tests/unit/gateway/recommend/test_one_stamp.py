"""Answers of one state of what they are made of."""

import pytest

from gateway.model.query import RequestQuery
from gateway.recommend import one_stamp
from gateway.recommend.begin import begin
from gateway.recommend.one_stamp import (
    MOST_REPEATED,
    ChangedMeanwhile,
    compare_products,
    compare_versions,
    of_one_stamp,
)
from gateway.state.request_context import RequestContext
from sightline.common.v1 import product_pb2
from sightline_core.columns import MIXED, ProductColumns, Stamp, gathered
from sightline_core.search import ProductRows
from sightline_core.versions import SpaceVersion
from tests.fakes.gateway_peers import shop_with_photo

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
        compare_products(run, rows(1, 9), 1, THEN)
        return len(seen)

    run = request_context()
    assert await of_one_stamp(run, form) == MOST_REPEATED + 1
    assert [len(each.trace.failures) for each in seen] == [1] * len(seen)
    assert [each.trace.steps for each in seen] == [[], *[["formed anew"]] * MOST_REPEATED]
    assert all(each.trace.timings is run.trace.timings for each in seen)


async def test_an_answer_that_is_late_is_not_formed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_stamp, "SHARE_OF_TIME", 0.0)
    formed = list[object]()

    async def form(run: RequestContext) -> None:
        formed.append(run)
        compare_products(run, rows(1, 9), 1, THEN)

    await of_one_stamp(request_context(), form)
    assert len(formed) == 2  # the change was found, so it is formed once more, as it is


def test_a_model_or_generation_that_changes_is_noticed() -> None:
    run = request_context()
    run.trace.may_repeat, run.trace.model_version = True, "one"
    compare_versions(run, "one")
    with pytest.raises(ChangedMeanwhile):
        compare_versions(run, "two")
    space = SpaceVersion("visual", "1", "a")
    run.trace.spaces += [space, space._replace(space="text")]
    compare_versions(run, "one")
    run.trace.spaces += [space._replace(generation="b")]
    with pytest.raises(ChangedMeanwhile):
        compare_versions(run, "one")


def test_columns_that_are_put_together_have_the_oldest_stamp() -> None:
    def together(*stamps: Stamp | None) -> Stamp | None:
        parts = [(ProductColumns([str(at)], stamp=each), (0,)) for at, each in enumerate(stamps)]
        return gathered(parts).stamp

    assert together(NOW, THEN) == THEN
    assert together(NOW, None) is None
    assert together(NOW, Stamp("other", 1)) == MIXED
