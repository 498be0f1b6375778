"""Products of an answer as the columns in which they are recorded."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from ranker.domain.answer_columns import UNKNOWN
from ranker.domain.arrays import packed
from sightline.common.v1 import answer_pb2
from sightline.ranker.v1 import answer_service_pb2 as pb

_CAUSES = answer_pb2.Move.Cause.Value
STEPS = (
    *map(_CAUSES, ("CAUSE_OBJECTIVE", "CAUSE_POPULARITY", "CAUSE_DIVERSITY")),
    _CAUSES("CAUSE_CALIBRATION"),
    *map(_CAUSES, ("CAUSE_CATEGORY_CAP", "CAUSE_BRAND_CAP", "CAUSE_EXPLORATION")),
)
"""Causes of moves in the order in which they are applied."""
Name = TypeVar("Name")
Value = TypeVar("Value", int, float)


def of_products(products: Sequence[pb.AnsweredProduct]) -> pb.AnsweredColumns:
    """Return products as columns, without their reasons."""
    parts = _table([{part.name: part.value for part in one.parts} for one in products])
    moves = _table([{move.cause: move.places for move in one.moves} for one in products])
    named = dict.fromkeys(name for one in products for name in one.branches)
    branches = {name: place for place, name in enumerate(named)}
    ranks = [one.score_rank for one in products]
    propensities = np.array([one.propensity for one in products])
    chances = [one.score if one.HasField("score") else np.nan for one in products]
    known = not np.isnan(chances).all()
    return pb.AnsweredColumns(
        product_ids=[one.product_id for one in products],
        raw_scores=packed(np.array([one.raw_score for one in products])),
        parts=[pb.PackedPart(name=name, values=packed(np.array(parts[name]))) for name in parts],
        matched_image_ids=[one.matched_image_id for one in products],
        branch_names=branches,
        branches=[sum(1 << branches[name] for name in set(one.branches)) for one in products],
        collapsed_counts=[len(one.collapsed_product_ids) for one in products],
        collapsed_product_ids=[item for one in products for item in one.collapsed_product_ids],
        score_ranks=[] if ranks == list(range(1, len(ranks) + 1)) else ranks,
        moves=[
            pb.MoveColumn(cause=cause, places=[int(one) for one in moves[cause]])
            for cause in sorted(moves, key=lambda one: (*STEPS, one).index(one))
        ],
        propensities=b"" if (propensities == 1).all() else packed(propensities),
        scores=packed(np.array(chances)) if known else b"",
        score_event=max((one.score_event for one in products if known), default=UNKNOWN),
    )


def _table(rows: Sequence[Mapping[Name, Value]]) -> dict[Name, list[Value | int]]:
    """Return the value in each row by name, in the order in which names appear; 0 where a row
    has none."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name, 0) for row in rows] for name in names}
