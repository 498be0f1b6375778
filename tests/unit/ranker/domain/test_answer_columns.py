"""Products of a kept answer are the same one by one and as columns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.domain import answer_columns
from sightline.common.v1 import answer_pb2, event_pb2
from sightline.ranker.v1 import answer_service_pb2 as pb
from tests.fakes.answered import of_products

CAUSES = (
    answer_pb2.Move.CAUSE_DIVERSITY,
    answer_pb2.Move.CAUSE_EXPLORATION,
    answer_pb2.Move.CAUSE_CONTROL,
)


@st.composite
def products(draw: st.DrawFn) -> list[pb.AnsweredProduct]:
    """Draw products one by one, without the fields that columns do not keep."""
    scored = draw(st.booleans())
    made = []
    for n in range(draw(st.integers(0, 6))):
        one = pb.AnsweredProduct(
            product_id=f"p{n}",
            raw_score=draw(st.floats(-2, 2)),
            parts=[answer_pb2.ScorePart(name=name, value=n + 0.5) for name in ("taste", "visual")],
            matched_image_id=draw(st.sampled_from(["", "i1"])),
            branches=draw(st.sampled_from([[], ["visual"], ["visual", "text"]])),
            collapsed_product_ids=draw(st.lists(st.sampled_from(["x", "y"]), unique=True)),
            score_rank=draw(st.sampled_from([n + 1, 0, 4])),
            moves=[
                answer_pb2.Move(cause=cause, places=draw(st.integers(1, 3)))
                for cause in draw(st.sets(st.sampled_from(CAUSES)).map(sorted))
            ],
            propensity=draw(st.sampled_from([0.0, 0.5, 1.0])),
        )
        if scored and draw(st.booleans()):
            one.score, one.score_event = 0.5, event_pb2.EVENT_TYPE_CLICK
        made.append(one)
    return made


def same(one: pb.AnsweredProduct, other: pb.AnsweredProduct) -> bool:
    """Return whether two products are equal, whatever the order of their branches."""
    pair = [pb.AnsweredProduct.FromString(each.SerializeToString()) for each in (one, other)]
    for each in pair:
        each.branches.sort()
    return pair[0] == pair[1]


@pytest.mark.slow
@given(products(), st.integers(0, 7), st.integers(0, 7))
def test_a_range_is_the_same_of_every_form(
    given_: list[pb.AnsweredProduct], offset: int, limit: int
) -> None:
    expected = given_[offset : offset + limit if limit else None]
    columns = pb.AnswerRecord(columns=of_products(given_))
    assert not [*answer_columns.problems(columns.columns)]
    for as_columns in (False, True):
        record = pb.AnswerRecord.FromString(columns.SerializeToString())
        answer_columns.page(record, offset, limit, as_columns=as_columns)
        assert record.total_count == len(given_)
        assert record.HasField("columns") == as_columns
        found = record.products
        if as_columns:
            assert not found
            assert not [*answer_columns.problems(record.columns)]
            ranks = list(record.columns.score_ranks) or [
                n + 1 for n in range(len(record.columns.product_ids))
            ]
            assert ranks == [one.score_rank for one in expected]
            found = list(answer_columns.to_products(record.columns))
        assert len(found) == len(expected)
        assert all(map(same, found, expected))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"raw_scores": b"1234567"}, "raw_scores"),
        ({"raw_scores": bytes(16)}, "raw_scores"),
        ({"parts": [pb.PackedPart(name="taste")]}, "parts[0].values"),
        ({"matched_image_ids": ["a", "b"]}, "matched_image_ids"),
        ({"branch_names": [f"b{n}" for n in range(33)]}, "branch_names"),
        ({"branches": [1, 2]}, "branches"),
        ({"collapsed_counts": [2]}, "collapsed_counts"),
        ({"collapsed_counts": [-1]}, "collapsed_counts"),
        ({"collapsed_product_ids": ["x"]}, "collapsed_counts"),
        ({"score_ranks": [1, 2]}, "score_ranks"),
        ({"moves": [pb.MoveColumn(cause=1)]}, "moves[0].places"),
        ({"propensities": bytes(4)}, "propensities"),
        ({"scores": bytes(9)}, "scores"),
        ({"product_ids": [f"p{n}" for n in range(2001)]}, "product_ids"),
    ],
)
def test_columns_that_do_not_fit_are_refused_by_name(fields: dict[str, object], field: str) -> None:
    columns = pb.AnsweredColumns(**{"product_ids": ["a"], **fields})
    assert [name for name, _ in answer_columns.problems(columns)] == [field]


def test_a_range_keeps_by_how_much_a_part_counted_for_the_shopper() -> None:
    part = pb.PackedPart(name="trend", values=bytes(16), share=0.25)
    whole = pb.AnsweredColumns(product_ids=["a", "b"], parts=[part])
    assert answer_columns.cut(whole, 0, 1).parts[0].share == 0.25
