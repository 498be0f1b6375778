import tracemalloc

import pytest

from servicekit.admission import entry_limits
from servicekit.admission.entry_limits import EntryLimits, RequestMalformed, TooManyEntries
from sightline.common.v1 import filter_pb2
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.ranker.v1 import ranking_service_pb2
from sightline.retriever.v1 import vector_service_pb2
from tests.work import cost

EMPTY_SIGNAL = b"\x2a\x00"
"""Field 5 of RecommendRequest, with nothing in it."""


def check(data: bytes, descriptor: object = pb.RecommendRequest.DESCRIPTOR, most: int = 50) -> None:
    EntryLimits(descriptor, most).check(data)


def refused(
    data: bytes, descriptor: object = pb.RecommendRequest.DESCRIPTOR, most: int = 50
) -> str:
    with pytest.raises(TooManyEntries) as caught:
        check(data, descriptor, most)
    assert caught.value.reason == "REQUEST_INVALID"
    return caught.value.violations[0].field if caught.value.violations else ""


def test_as_many_entries_as_the_proto_takes_pass_and_one_more_does_not() -> None:
    check(EMPTY_SIGNAL * 8)
    assert refused(EMPTY_SIGNAL * 9) == "signals"


def test_what_comes_after_the_first_entry_too_many_is_not_looked_at() -> None:
    assert refused(EMPTY_SIGNAL * 9 + b"\xff") == "signals"
    with pytest.raises(RequestMalformed):
        check(EMPTY_SIGNAL * 8 + b"\xff")


def test_two_mebibytes_of_empty_signals_cost_next_to_nothing() -> None:
    """Check the cost, which was 247 MiB and 27 s in 0.5.6."""
    data = EMPTY_SIGNAL * 2**20
    check(b"")  # what is made once
    tracemalloc.start()
    try:
        assert refused(data) == "signals"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**20
    assert cost(lambda: refused(data)) < 4


def test_whole_requests_pass() -> None:
    full = pb.RecommendRequest(
        catalog_id="wines",
        request_id="r" * 128,
        signals=[pb.QuerySignal(image=bytes(300_000), weight=1.5)],
        exclude_product_ids=[f"p{n}" for n in range(40)],
    )
    full.filter.all.filters.add().comparison.field = "brand"
    check(full.SerializeToString())


def test_lists_within_messages_are_named_by_their_path() -> None:
    values = [filter_pb2.FilterValue(text="x")] * 5_001
    request = pb.RecommendRequest()
    request.filter.all.filters.add().membership.values.extend(values)
    data = request.SerializeToString()
    assert refused(data, most=10**6) == "filter.all.filters.membership.values"


def test_a_message_that_stands_twice_is_counted_as_the_one_that_it_becomes() -> None:
    half = pb.RecommendRequest()
    half.filter.all.filters.extend([filter_pb2.Filter()] * 3_000)
    once = half.SerializeToString()
    check(once, most=10**6)
    assert refused(once + once, most=10**6) == "filter.all.filters"


def test_all_lists_together_are_bounded_too() -> None:
    request = pb.RecommendRequest(exclude_product_ids=["p"] * 30)
    request.filter.all.filters.extend([filter_pb2.Filter()] * 18)
    check(request.SerializeToString())  # with `filter` and `all`: 50
    request.exclude_product_ids.append("p")
    assert not refused(request.SerializeToString())


def test_messages_within_messages_count_where_no_list_grows() -> None:
    deep = filter_pb2.Filter()
    within = deep
    for _ in range(60):
        within = getattr(within, "not")
        within.SetInParent()
    data = pb.RecommendRequest(filter=deep).SerializeToString()
    assert not refused(data, most=50)
    check(data, most=61)


def test_fields_that_are_no_lists_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check six million fields, which are 12 MiB and would block other callers for seconds."""
    monkeypatch.setattr(entry_limits, "FIELDS", 10)
    check(b"\x08\x00" * 10)
    with pytest.raises(TooManyEntries, match="more than 10 fields"):
        check(b"\x08\x00" * 11)


def test_deeper_than_parsers_go_is_malformed() -> None:
    data = b""
    for _ in range(120):
        size = len(data)
        data = b"\x2a" + bytes([size] if size < 128 else [size & 127 | 128, size >> 7]) + data
    with pytest.raises(RequestMalformed):
        check(data, filter_pb2.Filter.DESCRIPTOR, most=10**6)


def test_packed_numbers_are_counted_one_by_one() -> None:
    rank = ranking_service_pb2.RankRequest.DESCRIPTOR
    for request in (
        ranking_service_pb2.RankRequest(fused=[0.5] * 50),
        ranking_service_pb2.RankRequest(same_pictures=[1, 300_000] * 25),
    ):
        check(request.SerializeToString(), rank)
        request.MergeFrom(request)
        assert not refused(request.SerializeToString(), rank)


def test_numbers_that_are_not_packed_are_counted_too() -> None:
    rank = ranking_service_pb2.RankRequest.DESCRIPTOR
    one = bytes([20 << 3 & 127 | 128, 20 >> 4]) + b"\x01"
    assert ranking_service_pb2.RankRequest.FromString(one * 3).same_pictures == [1, 1, 1]
    check(one * 50, rank)
    assert not refused(one * 51, rank)


def test_a_message_of_a_question_is_named_without_it() -> None:
    data = EMPTY_SIGNAL * 9
    asked = pb.ExplainRecommendationRequest.DESCRIPTOR
    number = asked.fields_by_name["request"].number
    assert refused(bytes([number << 3 | 2, len(data)]) + data, asked) == "signals"


@pytest.mark.parametrize(
    "data",
    [
        b"\x2a",  # no length
        b"\x2a\x05a",  # fewer bytes than the length says
        b"\x2b\x2c",  # a group, which none of our messages has
        b"\x80" * 11,  # a number that does not end
        b"\x2d\x00",  # four bytes, of which one is there
        b"\x0f\x00",  # no such kind
    ],
)
def test_what_no_parser_reads_is_malformed(data: bytes) -> None:
    with pytest.raises(RequestMalformed):
        check(data)


def test_rows_with_photos_pass_by_their_number() -> None:
    row = catalog_pb.ImportRow()
    row.product.images.add().content = bytes(1_000)
    request = catalog_pb.ImportProductsRequest(rows=[row] * 100)
    check(request.SerializeToString(), catalog_pb.ImportProductsRequest.DESCRIPTOR, 1_000)
    request.rows.append(row)
    data = request.SerializeToString()
    assert refused(data, catalog_pb.ImportProductsRequest.DESCRIPTOR, 1_000) == "rows"


def test_a_message_without_lists_is_not_looked_into() -> None:
    check(b"\xff", vector_service_pb2.CountRequest.DESCRIPTOR)
