"""Conversion of values to messages field by field, and columns of numbers."""

from collections.abc import Sequence

import numpy as np

from ranker.domain.arrays import Doubles
from servicekit.rpc.messages import MessageWriter
from sightline.ranker.v1 import ranking_service_pb2 as pb

message_of = MessageWriter(
    {
        "event_time": "time_micros",
        # privacy
        "decide_time": "decided_micros",
        "spend_time": "spent_micros",
        "request_time": "requested_micros",
        "complete_time": "completed_micros",
        # models
        "model_version": "version",
        "train_time": "trained_micros",
        "promote_time": "promoted_micros",
        # evaluations
        "production_version": "production",
        "production_form": "production_as",
        "evaluate_time": "evaluated_micros",
        "split_time": "moment_micros",
        "event_count_before": "events_before",
        "event_count_after": "events_after",
        "place_share": "places",
        "product_share": "products",
        "interest_share": "interests",
        # online reports
        "answer_count": "answers",
        "shown_answer_count": "shown_answers",
        "arm": "arms",
        "token_count": "tokens",
        "named_count": "named",
        "joined_count": "joined",
        "compute_time": "computed_micros",
        "policy": "name",
        "impression_count": "count",
        "effective_sample_size": "size",
    }
)
"""Converts values to messages; see MessageWriter."""


def of_floats(column: Sequence[float]) -> Doubles:
    """Return the numbers of a message's `repeated float` field."""
    alone = pb.BranchSignal()
    alone.similarities.MergeFrom(column)
    data = alone.SerializeToString()
    return np.frombuffer(data, "<f4", len(column), len(data) - 4 * len(column)).astype(np.float64)
