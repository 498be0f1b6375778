"""What is read of recorded answers to learn from."""

import dataclasses
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from ranker.learning.feedback import answered
from ranker.record.answer_feedback import KeptAnswer
from ranker.serving.ranking import fold_in, parts
from sightline.ranker.v1 import answer_service_pb2 as pb
from tests.unit.ranker.servicer.test_replay import ANN, LATER, known, recorded, trained


async def one_batch(*records: pb.AnswerRecord) -> AsyncIterator[Sequence[KeptAnswer]]:
    """Yield the records without outcomes."""
    yield [
        KeptAnswer(f"{n}", n, "m1", one.SerializeToString(), {}) for n, one in enumerate(records)
    ]


@pytest.mark.parametrize("who", ["returns", "newcomer"])
async def test_parts_are_those_of_the_blend_though_the_shopper_had_other_weights(who: str) -> None:
    served = trained()
    if who == "newcomer":
        served = dataclasses.replace(served, actor_rows={})
    record = await recorded(known(), served, time_micros=LATER)
    shopper = fold_in.by_history(served, ANN, known().histories[ANN], LATER)
    assert shopper.usual < 1
    usual, items = parts.factors(served), parts.all_items(served)
    rows = [served.item_rows[item] for item in record.columns.product_ids]
    found = await answered.feedback(one_batch(record))
    assert "trend" in found.part_names
    raw = parts.raw_parts(served, shopper, items)
    for name in {*found.part_names} & {"taste", "session", "trend"}:
        column = found.parts[:, found.part_names.index(name)]
        np.testing.assert_allclose(column, usual[name] * raw[name][rows])
