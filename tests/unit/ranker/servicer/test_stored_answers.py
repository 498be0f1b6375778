"""Records of answers, as they are stored."""

import pytest

from ranker.domain.online import causes_of
from ranker.servicer.answers import stored
from sightline.common.v1 import answer_pb2
from sightline.ranker.v1 import answer_service_pb2 as pb


@pytest.mark.parametrize(
    ("products", "causes", "kept"), [([], [], []), (["p1", "p2"], [6, 4, 6], [4, 6])]
)
def test_a_record_tells_how_many_products_it_has_and_what_it_lacks(
    products: list[str], causes: list[int], kept: list[int]
) -> None:
    message = pb.AnswerRecord(
        answer_id="a",
        columns=pb.AnsweredColumns(product_ids=products),
        degradations=[answer_pb2.Degradation(cause=cause) for cause in causes],  # type: ignore[arg-type]
    )
    made = stored(message, "default", None, "k", 1)
    assert made.product_count == len(products)
    assert made.degraded_by is not None
    assert causes_of(made.degraded_by) == kept
