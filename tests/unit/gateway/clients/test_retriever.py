"""Filters as they are sent; the calls themselves are tested on the wire."""

import pytest

from gateway.clients.peer_calls import PeerCaller
from gateway.clients.retriever import as_sent, filter_of
from gateway.model.causes import Peer
from gateway.model.errors import FilterInvalid
from gateway.model.filters import CallersFilter, of_words
from gateway.model.query import AnswerScope
from gateway.model.snapshot import condition_of
from sightline.common.v1 import filter_pb2, product_pb2
from sightline_rules.filters import All

BRAND = filter_pb2.Filter(
    comparison=filter_pb2.Comparison(
        field="brand",
        operator=filter_pb2.Comparison.OPERATOR_EQUAL,
        value=filter_pb2.FilterValue(text="O'Neill\\"),
    )
)


def all_of(*filters: filter_pb2.Filter) -> filter_pb2.Filter:
    return filter_pb2.Filter(all=filter_pb2.FilterList(filters=filters))


def scope(own: filter_pb2.Filter | None, buyable_only: bool = True) -> AnswerScope:
    carried = CallersFilter(own, b"", False) if own is not None else None
    return AnswerScope(carried, buyable_only)


def is_buyable(condition: filter_pb2.Filter) -> bool:
    comparison = condition.comparison
    return (
        comparison.field == "availability"
        and comparison.operator == filter_pb2.Comparison.OPERATOR_NOT_EQUAL
        and comparison.value.availability == product_pb2.AVAILABILITY_OUT_OF_STOCK
    )


def test_a_filter_goes_as_it_came_when_nothing_is_added():
    assert filter_of(scope(BRAND, buyable_only=False)) is BRAND
    assert filter_of(scope(None, buyable_only=False)) is None


@pytest.mark.parametrize("own", [None, filter_pb2.Filter()])
def test_without_a_filter_only_the_condition_is_sent(own):
    sent = filter_of(scope(own))

    assert sent is not None
    assert is_buyable(sent)


def test_a_single_comparison_is_joined_with_the_condition():
    sent = filter_of(scope(BRAND))

    assert sent is not None
    own, added = sent.all.filters
    assert own == BRAND
    assert is_buyable(added)


def test_a_list_grows_by_the_condition_and_gets_no_deeper():
    own = all_of(BRAND, BRAND)
    sent = filter_of(scope(own))

    assert sent is not None
    assert list(sent.all.filters)[:2] == [BRAND, BRAND]
    assert is_buyable(sent.all.filters[2])
    assert len(own.all.filters) == 2


def test_a_full_list_is_wrapped():
    sent = filter_of(scope(all_of(*[BRAND] * 64)))

    assert sent is not None
    assert len(sent.all.filters) == 2
    assert len(sent.all.filters[0].all.filters) == 64


@pytest.mark.parametrize(
    ("own", "reported", "expected"),
    [
        (BRAND, "filter.all.filters[0].comparison.field", "filter.comparison.field"),
        (
            all_of(*[BRAND] * 64),
            "filter.all.filters[0].all.filters[3].comparison.field",
            "filter.all.filters[3].comparison.field",
        ),
        (
            all_of(BRAND, BRAND),
            "filter.all.filters[1].comparison.field",
            "filter.all.filters[1].comparison.field",
        ),
        (
            all_of(BRAND, BRAND),
            "filter.all.filters[0].comparison.field",
            "filter.all.filters[0].comparison.field",
        ),
    ],
)
def test_a_culprit_is_named_by_the_path_that_the_caller_sent(own, reported, expected):
    heard = as_sent(FilterInvalid.at(reported, "unknown"), scope(own))

    assert heard.reason == "FILTER_INVALID"
    assert [item.field for item in heard.violations] == [expected]
    assert heard.message == f"{expected}: unknown"


class Watched:
    """A streaming call that never ends by itself."""

    def __init__(self) -> None:
        self.cancelled = False

    def __call__(self, request, timeout):
        return self

    async def __aiter__(self):
        while True:
            yield 1

    def cancel(self) -> None:
        self.cancelled = True


async def test_a_stream_that_nobody_reads_on_is_cancelled_at_the_peer():
    method = Watched()
    answers = PeerCaller(Peer.RANKER, reserve=0.0, longest=1.0).stream(method, None)

    assert await anext(answers) == 1
    await answers.aclose()

    assert method.cancelled


def test_all_that_a_scope_says_is_asked_for_as_the_snapshot_judges_it():
    scope = AnswerScope(
        buyable_only=True,
        created_micros=5,
        category="Wine",
        other_categories=("Wine > Red", "Beer"),
        attribute=("author", ("ann", "bob")),
        without=(of_words("brand = Aurora"),),
    )
    asked = filter_of(scope)

    assert asked is not None
    assert len(asked.all.filters) == 6
    assert condition_of(AnswerScope(CallersFilter(asked, b"", False))) == All(
        (condition_of(scope),)
    )
