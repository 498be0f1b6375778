"""Records of answers as releases 0.14 to 0.37 wrote them: serialized messages."""

from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np

from ranker.domain.answer_arrays import NOTHING as _NOTHING
from ranker.domain.answer_arrays import VERSION
from ranker.domain.arrays import Ints, packed
from ranker.domain.pseudonyms import Pseudonyms
from ranker.domain.signals import Signals
from ranker.servicer.answers import columns_message
from ranker.servicer.candidates import goal_of
from ranker.serving.answered_order import answered_order
from ranker.serving.rank_products import RankedProducts, RankQuery
from ranker.serving.ranking.diversity import DEFAULT
from ranker.serving.ranking.order import RankedOrder
from ranker.serving.ranking.parts import UNKNOWN
from ranker.serving.ranking.rank import ScoredCandidates
from ranker.serving.replay_answer import attributes_digest, place_of, settings_digest
from sightline.common.v1 import candidate_pb2
from sightline.ranker.v1 import answer_service_pb2 as pb
from sightline.ranker.v1 import ranking_service_pb2 as ranking_pb

T = TypeVar("T")

PLACE = "<u2"
"""Stored type of an index among up to 2,000 candidates."""
_NOT_KEPT = frozenset(
    {
        *("catalog_id", "request_id", "language_code", "shopper", "session_id", "candidates"),
        *("top_k", "explain", "reason_top_k", "record", "history_token"),
    }
)
_ARRANGED_BY = ("category_paths", "brands")
_VALUED_BY = ("price_micros", "currencies", "cost_micros", "cost_currencies")
"""Columns that an objective reads."""
_COSTS = ("cost_micros", "cost_currencies")
"""Columns of which no feature of a product is made."""


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


def record_of(
    request: ranking_pb.RankRequest,
    answer: ranking_pb.RankResponse,
    query: RankQuery,
    ranked: RankedProducts,
) -> pb.AnswerRecord:
    """Return the record of an answer to a request that drafts one."""
    draft = request.record
    made = pb.AnswerRecord(
        answer_id=draft.answer_id,
        request_digest=draft.request_digest,
        scene=draft.versions.scene,
        versions=draft.versions,
        seed=request.seed,
        degradations=[*draft.degradations, *answer.degradations],
        hidden_count=answer.hidden_count,
        arms=draft.arms,
        controls=answer.acted_controls,
    )
    _add_columns(made.columns, draft, query, ranked)
    made.versions.model_version = answer.model_version
    for name in ("answer_time", "expire_time"):
        if micros := getattr(draft, f"{name}_micros"):
            getattr(made, name).FromMicroseconds(micros)
    return made


def _add_columns(
    columns: pb.AnsweredColumns,
    draft: ranking_pb.AnswerDraft,
    query: RankQuery,
    ranked: RankedProducts,
) -> None:
    order, rows = ranked.order, ranked.order.ranking.rows.tolist()
    kept = answered_order(query.candidates.ids, order, ranked.state.model)
    columns.CopyFrom(columns_message(kept))
    columns.matched_image_ids.extend(_picked(draft.matched_image_ids, rows))
    columns.branch_names.extend(draft.branch_names)
    columns.branches.extend(_picked(draft.branches, rows))


def _picked(column: Sequence[T], rows: Sequence[int]) -> Sequence[T]:
    return [column[row] for row in rows] if column else ()
