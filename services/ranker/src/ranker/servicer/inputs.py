"""Inputs of a recorded order as a request to rank again.

A record names the model and the shopper's events and holds all other inputs
(serving/record_ranking.py). Changes of the catalog do not affect it, and deleted data of a shopper
disappears from replays too.
"""

import numpy as np

from ranker.domain.answer_arrays import ARRANGED, COSTS, NOTHING, PLACE, PRICED
from ranker.servicer.candidates import goal_of
from sightline.ranker.v1 import answer_service_pb2 as pb
from sightline.ranker.v1 import ranking_service_pb2 as ranking_pb


def asked_again(record: pb.AnswerRecord) -> ranking_pb.RankRequest:
    """Return the request of the record's order, for an anonymous shopper."""
    inputs, columns = record.inputs, record.columns
    asked = ranking_pb.RankRequest()
    asked.CopyFrom(inputs.request)
    named = (
        *columns.product_ids,
        *columns.collapsed_product_ids,
        *inputs.left_out_product_ids,
    )
    places = np.frombuffer(inputs.places, PLACE).tolist()
    by_place = dict(zip(places, named, strict=True))
    asked.candidates.product_ids.extend([by_place[place] for place in range(len(named))])
    asked.reason_top_k = 0
    if inputs.personal:
        asked.shopper.visitor_id = "replayed"
    asked.record.answer_id = record.answer_id
    asked.record.versions.CopyFrom(record.versions)
    return asked


def changed(asked: ranking_pb.RankRequest, change: pb.ReplayChange) -> ranking_pb.RankRequest:
    """Return the request with the changed weights, diversity and product columns.

    Without costs in these columns there are none, as the caller may not read those of the record.
    """
    found = ranking_pb.RankRequest()
    found.CopyFrom(asked)
    found.ClearField("weights")
    found.weights.MergeFrom(change.weights)
    found.ClearField("diversity")
    if change.HasField("diversity"):
        found.diversity.CopyFrom(change.diversity)
    known = {item: row for row, item in enumerate(change.products.product_ids)}
    rows = [known.get(item) for item in found.candidates.product_ids]
    objective = goal_of(change.diversity.objective)
    nothings: tuple[tuple[str, object], ...] = (
        *((name, "") for name in ARRANGED),
        ("create_time_micros", 0),
        *((name, NOTHING[name]) for name in (*PRICED, *COSTS) if objective.has_price),
    )
    for name, nothing in nothings:
        named, held = getattr(change.products, name), getattr(found.candidates, name)
        if not named and name in COSTS:
            del held[:]
        elif named:
            before = [*held] or [nothing] * len(rows)
            pairs = zip(rows, before, strict=True)
            now = [own if row is None else named[row] for row, own in pairs]
            del held[:]
            held.extend(now)
    return found
