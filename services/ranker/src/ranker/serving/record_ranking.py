"""Use case: record a ranking, without which later pages, explanations and replays are impossible.

Nothing is encoded while the answer waits: a record refers to the ranking, and becomes bytes when
its batch is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Protocol, TypeAlias

import numpy as np

from ranker.domain import answer_arrays
from ranker.domain.answer_arrays import ARRANGED, COSTS, DESCRIBED, PRICED
from ranker.domain.arrays import AnyArray
from ranker.domain.features import Product
from ranker.domain.online import cause_bits
from ranker.domain.pseudonyms import Pseudonyms
from ranker.domain.signals import Signals
from ranker.record.answers import StoredAnswer
from ranker.serving.rank_products import RankedProducts, RankQuery
from ranker.serving.ranking.diversity import DEFAULT, RankPolicy
from ranker.serving.ranking.parts import UNKNOWN, shares
from ranker.serving.replay_answer import attributes_digest, place_of, settings_digest
from servicekit.clock import now_micros
from sightline_core.answer import AnswerRecord
from sightline_core.degradations import Degradation
from sightline_core.versions import Versions

SECOND = 1_000_000
HEADER_BYTES, BYTES_OF_CANDIDATE = 2_000, 80
"""About the size of a record."""


@dataclass(slots=True)  # not frozen: each answer creates one
class AnswerDraft:
    """Record of an answer without its order, and columns of the candidates."""

    record: AnswerRecord
    image_ids: Sequence[str] = ()
    """Photo of each candidate that matched best; empty if none has one."""
    branch_names: Sequence[str] = ()
    branches: Sequence[int] = ()
    """Branches of each candidate: bit i stands for `branch_names[i]`."""


class AnswerSink(Protocol):
    """Stores records of answers after the answer is given."""

    def offer(self, answer: StoredAnswer, /) -> bool:
        """Queue a record. Return False if the queue is full."""


@dataclass(eq=False)
class RecordRanking:
    """Use case that queues records."""

    answers: AnswerSink | None
    """None disables recording."""
    pseudonyms: Pseudonyms
    signals: Signals
    keep_micros: int
    """Retention of records without their own expiry, in microseconds."""

    def __call__(
        self,
        draft: AnswerDraft,
        query: RankQuery,
        ranked: RankedProducts,
        lost: Sequence[Degradation] = (),
    ) -> bool:
        """Queue the record of a ranking. Return whether there was space. `lost`: degradations by
        the ranker."""
        if self.answers is None:
            return False
        now, model, record = now_micros(), ranked.state.model, draft.record
        expires = record.expire_micros // SECOND * SECOND
        return self.answers.offer(
            StoredAnswer(
                catalog_id=query.catalog_id,
                answer_id=record.answer_id,
                actor=query.actor or "",
                key_id=self.pseudonyms.key_id,
                content=RankedAnswer((draft, query, ranked, lost, self.pseudonyms, self.signals)),
                expires_micros=expires or now + self.keep_micros,
                answer_micros=record.answer_micros or now,
                model_version=model.version if model else "",
                scene=record.versions.scene,
                arms="\n".join(sorted(set(record.arms))) if record.arms else "",
                controls=tuple(ranked.acting_controls),
                product_count=len(ranked.order.ranking.rows),
                degraded_by=_causes((*record.degradations, *lost))
                if record.degradations or lost
                else 0,
            )
        )


def _causes(degradations: Sequence[Degradation]) -> int:
    return cause_bits([each.cause for each in degradations])


_Given: TypeAlias = tuple[
    AnswerDraft,
    RankQuery,
    RankedProducts,
    Sequence[Degradation],
    Pseudonyms,
    Signals,
]
"""Draft, query, ranking, degradations, key and settings."""


class RankedAnswer:
    """Content of a record that is encoded when it is needed."""

    __slots__ = ("_given", "size")

    def __init__(self, given: _Given) -> None:
        self._given = given
        self.size = HEADER_BYTES + BYTES_OF_CANDIDATE * len(given[1].candidates.ids)

    def encoded(self) -> bytes:
        """Return the record as bytes. May be called by several threads."""
        return _encoded(self._given)


def _encoded(given: _Given) -> bytes:
    draft, query, ranked, lost, key, signals = given
    state, order, record = ranked.state, ranked.order, draft.record
    calibration = state.model.calibration if state.model else None
    header = {
        "version": answer_arrays.VERSION,
        "answer_id": record.answer_id,
        "digest": record.request_digest.hex(),
        "versions": _versions(record.versions, state.model.version if state.model else ""),
        "lost": [
            (each.stage, each.cause, each.substitute, each.as_of_micros)
            for each in (*record.degradations, *lost)
        ],
        "arms": [*record.arms],
        "served": record.answer_micros,
        "expires": record.expire_micros,
        "images": [*draft.image_ids],
        "branch_names": [*draft.branch_names],
        "ids": query.candidates.ids,
        "parts": [*order.ranking.parts],
        "shares": shares(state.model, state.shopper) if state.model else {},
        "moves": [*order.moves],
        "event": calibration.event if calibration else "",
        "hidden": order.ranking.hidden_count,
        "controls": [*ranked.acting_controls],
        "settings": settings_digest(signals).hex(),
        "draws": ranked.draws.hex() if query.policy.exploration_places else "",
        "anchors": [*state.anchors],
        "described": _described(query, ranked),
        **_asked(query),
        **_of_shopper(query, ranked, key),
    }
    return answer_arrays.pack(header, _arrays(draft, query, ranked))


def _versions(versions: Versions, model_version: str) -> Mapping[str, object]:
    names = ("scene", "scene_version", "plan", "service_version", "objective")
    spaces = [
        {name: getattr(each, name) for name in ("space", "version", "generation")}
        for each in versions.spaces
    ]
    return {
        "spaces": spaces,
        "model_version": model_version,
        **{name: getattr(versions, name) for name in names},
    }


def _asked(query: RankQuery) -> Mapping[str, object]:
    """Return the query without shopper, visit, language and candidates."""
    likeness = query.likeness
    own = [*likeness.families[: likeness.own]] if likeness else None
    families = [*likeness.families[likeness.own :]] if likeness else []
    return {
        "branches": [*query.candidates.similarities],
        "weights": dict(query.weights),
        "policy": _policy(query.policy),
        "caps": query.policy.category_caps,
        "drop_seen": query.drop_seen,
        "seed": query.seed,
        "time_micros": query.now_micros,
        "model_version": query.model_version,
        "controlled": [
            (each.name, each.kind, [*each.rows], each.place, each.boost, each.by_merit)
            for each in query.controls
        ],
        "page_size": query.page_size,
        "pins_first": query.pins_first,
        "own": own,
        "families": families if families != [*query.candidates.ids] else [],
    }


def _policy(policy: RankPolicy) -> Mapping[str, object]:
    """Return the fields of a policy as the Diversity message has them; empty for the default."""
    if policy == DEFAULT:
        return {}
    names = [each.name for each in fields(RankPolicy) if each.init and each.name != "category_caps"]
    return {name: getattr(policy, name) for name in names} | {
        "objective": f"OBJECTIVE_{policy.objective}"
    }


def _of_shopper(query: RankQuery, ranked: RankedProducts, key: Pseudonyms) -> Mapping[str, object]:
    """Return references to the shopper's data."""
    history, model = ranked.state.history, ranked.state.model
    whose = history.owner(query.actor)
    if whose is None:
        return {"personal": False, "shopper_place": 0, "attributes": ""}
    place = place_of(model, whose)
    digest = b"" if place else attributes_digest(model, history, query.catalog_id, key)
    return {"personal": True, "shopper_place": place, "attributes": digest.hex()}


def _arrays(draft: AnswerDraft, query: RankQuery, ranked: RankedProducts) -> Mapping[str, AnyArray]:
    order, candidates, likeness = ranked.order, query.candidates, query.likeness
    ranking, members, state = order.ranking, order.members, ranked.state
    drawn = (order.propensities != 1).any()
    created = candidates.created_micros if query.policy.exploration_places else None
    return {
        "rows": _column("<u2", ranking.rows),
        "members": _column("<u2", [row for each in members for row in each]),
        "member_counts": _column("<u2", [len(each) for each in members]),
        "raw_scores": _column("<f8", ranking.raw_scores),
        "parts": _column("<f8", list(ranking.parts.values())),
        "score_ranks": _column("<u2", order.score_ranks if order.moved else ()),
        "moves": _column("<i2", list(order.moves.values())),
        "propensities": _column("<f8", order.propensities if drawn else ()),
        "chances": _column("<f8", order.chances),
        "branches": _column("<u4", draft.branches),
        "similarities": _column("<f4", list(candidates.similarities.values())),
        "fused": _column("<f4", candidates.fused),
        "created": _column("<i8", created),
        "hashes": _column("<u8", likeness.hashes if likeness else ()),
        "same_pictures": _column("<u2", likeness.same_pictures if likeness else ()),
        "popularity": _column("<f8", state.popularity),
        "recent_events": _column("<i8", state.history.sequences),
        "marking_events": _column("<i8", _marking(query, ranked)),
    }


def _column(kind: str, values: Any) -> AnyArray:
    """Return numbers as they are stored; none for None."""
    return _empty(kind) if values is None or not len(values) else np.array(values, kind)


@cache
def _empty(kind: str) -> AnyArray:
    return np.empty(0, kind)


def _marking(query: RankQuery, ranked: RankedProducts) -> list[int]:
    """Return the events by which candidates or last products are hidden or seen."""
    history = ranked.state.history
    if not history.marks:
        return []
    counted = dict.fromkeys(
        (*query.candidates.ids, *(event.product_id for event in history.recent))
    )
    return [history.marks[item] for item in counted if item in history.marks]


def _described(query: RankQuery, ranked: RankedProducts) -> Mapping[str, Mapping[int, object]]:
    """Return the properties of candidates on which the order depends, by column and row: all of
    those that the model does not know; of the policy's window, categories and brands if it moves
    products by them, and prices and costs if it has an objective that reads them."""
    policy, items = query.policy, ranked.arranged.items
    unknown = list[int]()
    if items is not None and items.rows is not None and not items.known:
        unknown = (items.rows == UNKNOWN).nonzero()[0].tolist()
    first = ranked.arranged.rows[: policy.window].tolist()
    by_category = policy.diversity or policy.calibrated or policy.category_caps
    window = first if by_category or policy.brand_cap else ()
    valued = first if policy.has_objective and policy.objective.has_price else ()
    if not (unknown or window or valued):
        return {}
    wanted = dict.fromkeys(DESCRIBED, frozenset(unknown))
    wanted |= {name: wanted[name].union(window) for name in ARRANGED}
    wanted |= {name: frozenset(valued).union(wanted.get(name, ())) for name in (*PRICED, *COSTS)}
    found = dict[str, Mapping[int, object]]()
    for name, rows in wanted.items():
        if rows and (name not in COSTS or query.candidates.offers is not None):
            chosen = sorted(rows)
            found[name] = dict(zip(chosen, _column_of(query, name, chosen), strict=True))
    return found


def _column_of(query: RankQuery, name: str, rows: Sequence[int]) -> Sequence[object]:
    """Return the values of a column that describes products."""
    candidates = query.candidates
    if name in (*PRICED, *COSTS) and candidates.offers is not None:
        column = getattr(candidates.offers, name)
        return [_plain(column[row]) for row in rows]
    if name == "category_paths":
        return candidates.categories_of(rows)
    if name == "brands":
        return candidates.brands_of(rows)
    return [_property(candidates.products[row], name) for row in rows]


def _plain(value: Any) -> object:
    return value if isinstance(value, str) else int(value)


def _property(product: Product, name: str) -> object:
    match name:
        case "price_micros":
            return product.price.micros if product.price else -1
        case "currencies":
            return product.price.currency if product.price else ""
        case "tags":
            return product.tags
        case "attributes":
            return product.attributes
        case _:
            return product.title
