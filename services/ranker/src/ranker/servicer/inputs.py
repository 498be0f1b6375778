"""Inputs of an answer's order: as recorded, and as a request to rank again.

A record names the model and the shopper's events and holds all other inputs. Changes of the catalog
do not affect it, and deleted data of a shopper disappears from replays too.
"""

from collections.abc import Collection, Sequence

import numpy as np

from ranker.domain.arrays import Ints, packed
from ranker.domain.pseudonyms import Pseudonyms
from ranker.domain.signals import Signals
from ranker.servicer.candidates import goal_of
from ranker.serving.rank_products import RankedProducts, RankQuery
from ranker.serving.ranking.diversity import DEFAULT
from ranker.serving.ranking.order import RankedOrder
from ranker.serving.ranking.parts import UNKNOWN
from ranker.serving.ranking.rank import ScoredCandidates
from ranker.serving.replay_answer import attributes_digest, place_of, settings_digest
from sightline.common.v1 import candidate_pb2
from sightline.ranker.v1 import answer_service_pb2 as pb
from sightline.ranker.v1 import ranking_service_pb2 as ranking_pb

VERSION = 1
"""Version of a record's inputs; raise it when a release records other fields."""

PLACE = "<u2"
"""Stored type of an index among up to 2,000 candidates."""
_NOT_KEPT = frozenset(
    {
        *("catalog_id", "request_id", "language_code", "shopper", "session_id", "candidates"),
        *("top_k", "explain", "reason_top_k", "photo_vectors", "record", "history_token"),
    }
)
_ARRANGED_BY = ("category_paths", "brands")
_VALUED_BY = ("price_micros", "currencies", "cost_micros", "cost_currencies")
"""Columns that an objective reads."""
_COSTS = ("cost_micros", "cost_currencies")
"""Columns of which no feature of a product is made."""
_NOTHING = {
    "category_paths": "",
    "brands": "",
    "price_micros": -1,
    "currencies": "",
    "cost_micros": -1,
    "cost_currencies": "",
    "tags": candidate_pb2.TextList(),
    "attributes": candidate_pb2.AttributeList(),
    "titles": "",
}
"""Columns that describe products, with their values for an undescribed product."""


def add_inputs(
    record: pb.AnswerRecord,
    request: ranking_pb.RankRequest,
    query: RankQuery,
    ranked: RankedProducts,
    keep: tuple[Pseudonyms, Signals],
) -> None:
    """Add the inputs of the order to its record. `keep`: the ranker's key and settings."""
    key, signals = keep
    kept, state = record.inputs, ranked.state
    history, model = state.history, state.model
    record.inputs_version = VERSION
    _keep_request(kept.request, request, query, ranked)
    ids = query.candidates.ids
    named, left_out = _places(len(ids), ranked.order)
    kept.places = np.concatenate([named, left_out]).astype(PLACE).tobytes()
    kept.left_out_product_ids.extend([ids[place] for place in left_out.tolist()])
    if state.popularity is not None:
        kept.popularity = packed(state.popularity)
    kept.recent_events.extend(history.sequences)
    if history.marks:
        counted = dict.fromkeys((*ids, *(event.product_id for event in history.recent)))
        marked = [history.marks[item] for item in counted if item in history.marks]
        kept.marking_events.extend(marked)
    kept.settings_digest = settings_digest(signals)
    if query.policy.exploration_places:
        kept.draws = ranked.draws
    if (who := history.owner(query.actor)) is not None:
        kept.personal = True
        kept.shopper_place = place_of(model, who)
        if not kept.shopper_place:
            kept.attributes_digest = attributes_digest(model, history, query.catalog_id, key)


def _keep_request(
    kept: ranking_pb.RankRequest,
    request: ranking_pb.RankRequest,
    query: RankQuery,
    ranked: RankedProducts,
) -> None:
    for field, value in request.ListFields():
        if field.name not in _NOT_KEPT:
            if field.is_repeated:
                getattr(kept, field.name).MergeFrom(value)
            elif field.message_type is not None:
                getattr(kept, field.name).CopyFrom(value)
            else:
                setattr(kept, field.name, value)
    # A replay must not read anchors from their source, which may have changed.
    kept.ClearField("anchors")
    if ranked.state.anchors:
        kept.anchors.product_ids.extend(ranked.state.anchors)
    kept.time_micros = query.now_micros
    if request.HasField("photo_vectors"):
        kept.photo_vectors.space_version = request.photo_vectors.space_version
    _keep_columns(kept.candidates, request, ranked.arranged)


def _keep_columns(
    kept: candidate_pb2.CandidateColumns, request: ranking_pb.RankRequest, ranking: ScoredCandidates
) -> None:
    """Copy the candidates' columns on which the order depends."""
    given, policy = request.candidates, request.diversity
    if request.collapse:
        if any(given.parent_ids):
            kept.parent_ids.MergeFrom(given.parent_ids)
        kept.image_hashes.MergeFrom(given.image_hashes)
    if policy.exploration_places:
        kept.create_time_micros.MergeFrom(given.create_time_micros)
    first = ranking.rows[: policy.window or DEFAULT.window].tolist()
    items, unknown = ranking.items, list[int]()
    if items is not None and items.rows is not None:
        unknown = np.flatnonzero(items.rows == UNKNOWN).tolist()
    by_category = policy.diversity or policy.calibrated or policy.category_caps
    window = first if by_category or policy.brand_cap else []
    valued = first if goal_of(policy.objective).has_price and policy.objective_strength else []
    for name in _NOTHING:
        rows = {*(unknown if name not in _COSTS else ())}
        rows.update(window if name in _ARRANGED_BY else ())
        rows.update(valued if name in _VALUED_BY else ())
        _keep_described(kept, given, rows, name)


def _keep_described(
    kept: candidate_pb2.CandidateColumns,
    given: candidate_pb2.CandidateColumns,
    rows: Collection[int],
    name: str,
) -> None:
    """Copy a column for `rows`, with an empty value in all other rows; nothing without rows."""
    if rows:
        column: Sequence[object] = getattr(given, name)
        nothing = _NOTHING[name]
        getattr(kept, name).extend(
            [value if row in rows else nothing for row, value in enumerate(column)]
        )


def _places(count: int, order: RankedOrder) -> tuple[Ints, Ints]:
    """Return the candidates' rows of the order and its near-duplicates, and all other rows."""
    named = order.ranking.rows
    if order.members:
        members = [row for each in order.members for row in each]
        named = np.concatenate([named, np.array(members, np.int64)])
    others = np.ones(count, bool)
    others[named] = False
    return named, np.flatnonzero(others)


def asked_again(record: pb.AnswerRecord) -> ranking_pb.RankRequest:
    """Return the request of the record's order, for an anonymous shopper."""
    inputs, columns = record.inputs, record.columns
    asked = ranking_pb.RankRequest()
    asked.CopyFrom(inputs.request)
    asked.ClearField("photo_vectors")
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
        *((name, "") for name in _ARRANGED_BY),
        ("create_time_micros", 0),
        *((name, _NOTHING[name]) for name in _VALUED_BY if objective.has_price),
    )
    for name, nothing in nothings:
        named, held = getattr(change.products, name), getattr(found.candidates, name)
        if not named and name in _COSTS:
            del held[:]
        elif named:
            before = [*held] or [nothing] * len(rows)
            pairs = zip(rows, before, strict=True)
            now = [own if row is None else named[row] for row, own in pairs]
            del held[:]
            held.extend(now)
    return found
