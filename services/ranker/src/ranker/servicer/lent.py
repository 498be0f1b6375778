"""What the ranker lends to the other services of its process: its use cases with values. The
servicers answer the same calls on the wire."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ranker.domain.answer_arrays import NOTHING
from ranker.domain.arrays import Doubles
from ranker.domain.columns import read_lazily
from ranker.domain.events import Identity
from ranker.domain.events import Shopper as KnownShopper
from ranker.domain.features import CATEGORY_KIND, Money, Product
from ranker.domain.recommenders import AnchorSource, CountScope, Recommender
from ranker.domain.recommenders import RequestAnchors as Anchors
from ranker.servicer.candidates import offers_of
from ranker.servicer.rank_requests import DEFAULT_GENERATED
from ranker.servicer.ranking import RankingServicer, vector_message
from ranker.servicer.replies import cause_number, note_message, score_event
from ranker.servicer.requests import check_shopper
from ranker.serving.give_reasons import ReasonsQuery
from ranker.serving.nominate import NominateQuery
from ranker.serving.rank_products import RankedProducts, RankQuery
from ranker.serving.ranking.breakdown import Contributions
from ranker.serving.ranking.diversity import RankPolicy
from ranker.serving.ranking.objective import ObjectiveGoal
from ranker.serving.ranking.order import CollapseKeys, RankedOrder
from ranker.serving.ranking.rank import RankCandidates
from ranker.serving.ranking.recommenders import RecommenderList as CountedList
from ranker.serving.record_ranking import AnswerDraft
from ranker.serving.request_model import RequestModel
from servicekit import tracing
from servicekit.clock import now_micros
from servicekit.rpc.requests import catalog
from servicekit.rpc.server import Binding
from servicekit.telemetry import Stages
from sightline_core import ranking as core
from sightline_core.answer import AnswerOrder, AnswerRecord
from sightline_core.branch import Branch
from sightline_core.candidates import FusedCandidates
from sightline_core.columns import ProductColumns, single
from sightline_core.degradations import Degradation, DegradationCause
from sightline_core.lending import LentRanker
from sightline_core.opaque_messages import ProductRow
from sightline_core.reasons import Move
from sightline_core.score_notes import ScoreNote
from sightline_core.shoppers import Shopper
from sightline_rules.categories import join
from sightline_rules.controls import Control, ControlKind

_BRANCHES = [str(branch) for branch in Branch]
NO_BOOST = 1e-12
"""Boost in place of 0: it moves nothing that differs in score."""
MOST_PAIRS = 10_000
"""Maximum number of pairs of candidates with the same picture that are read."""
_SOURCES = {
    core.AnchorSource.VIEWED: AnchorSource.VIEWED,
    core.AnchorSource.CART: AnchorSource.CART,
    core.AnchorSource.BOUGHT: AnchorSource.BOUGHT,
}
_GOALS = {
    core.Objective.CLICKS: ObjectiveGoal.CLICKS,
    core.Objective.CONVERSION: ObjectiveGoal.CONVERSION,
    core.Objective.PURCHASES: ObjectiveGoal.CONVERSION,
    core.Objective.REVENUE: ObjectiveGoal.REVENUE,
    core.Objective.MARGIN: ObjectiveGoal.MARGIN,
}


def lent_by(bindings: Sequence[Binding]) -> LentRanker:
    """Return what a server lends that offers these services."""
    every = (each.servicer for each in bindings)
    return Lent(next(each for each in every if isinstance(each, RankingServicer)))


@dataclass(frozen=True, eq=False)
class Lent(LentRanker):
    """The use cases of a servicer, whose collaborators it has."""

    ranking: RankingServicer

    def _catalog(self, catalog_id: str) -> str:
        return catalog(catalog_id, self.ranking.catalogs)

    def _actor(self, catalog_id: str, shopper: Shopper | None) -> str | None:
        if shopper is None:
            return None
        who = KnownShopper(Identity(shopper.kind), shopper.id)
        check_shopper("shopper", who)
        return self.ranking.pseudonyms.of(catalog_id, who)

    async def generate(
        self,
        catalog_id: str,
        shopper: Shopper | None,
        *,
        top_k: int,
        exclude: Sequence[str],
        accept_vectors: bool,
        recommenders: core.Recommenders,
        model_version: str,
    ) -> core.RankerCandidates:
        name = self._catalog(catalog_id)
        query = NominateQuery(
            *(name, self._actor(name, shopper), now_micros(), top_k or DEFAULT_GENERATED),
            exclude=tuple(exclude),
            anchors=_anchors(recommenders.anchors),
            recommenders=tuple(map(Recommender, recommenders.names)),
            scope=_scope(recommenders.category_path),
            recommenders_only=recommenders.only,
            accepts_vectors=accept_vectors,
            model_version=model_version,
            last_products=recommenders.last_products,
            last_product_recommenders=tuple(map(Recommender, recommenders.of_last_products)),
        )
        found = await self.ranking.nominate(query)
        last = zip(found.last_products, single([*found.last_products.values()]), strict=True)
        by = found.behaviour
        return core.RankerCandidates(
            product_ids=() if by is None else tuple(dict.fromkeys(by.found.product_ids)),
            basis=_basis("" if by is None else by.found.basis.name),
            model_version="" if by is None else by.served.version,
            degradations=() if by is None else _lost("nominate", by.served),
            vectors=() if by is None else tuple(map(vector_message, by.vectors)),
            exclude=() if by is None else tuple(by.left_out),
            history_token=found.history_token,
            lists=tuple(map(_list, found.lists)),
            anchors=tuple(found.anchors),
            last_products=dict(last),
        )

    async def rank(self, order: core.RankRequest) -> core.Ranked:
        name = self._catalog(order.catalog_id)
        query = _rank_query(order, name, self._actor(name, order.shopper))
        tracing.note("sightline.candidates", len(query.candidates.ids))
        stages, recorded = Stages(), False
        ranked, served = await self.ranking.rank(query, stages)
        if order.record is not None:
            lost = [*map(astuple, _lost("rank", served))]
            draft = _draft(order.record, order.candidates)
            recorded = self.ranking.record(draft, query, ranked, lost)
        return _ranked(order, query, ranked, served, stages, recorded=recorded)

    async def reasons(self, order: core.ReasonRequest) -> core.Reasoned:
        name = self._catalog(order.catalog_id)
        ids = tuple([row.product_id for row in order.rows])
        products = [*map(_product, order.rows)]
        found = await self.ranking.give_reasons(
            ReasonsQuery(
                *(name, self._actor(name, order.shopper)),
                candidates=RankCandidates(ids, products, {}, np.zeros(len(ids))),
                parts={part: np.array(values, np.float64) for part, values in order.parts},
                weights=order.weights,
                now_micros=now_micros(),
                anchors=_anchors(order.anchors),
                explored_places=frozenset(order.explored),
                language_code=order.language_code,
                with_breakdown=order.explain,
                model_version=order.model_version,
            )
        )
        return core.Reasoned([*map(tuple, found.reasons)], _split(found.contributions))


def _draft(record: AnswerRecord, candidates: FusedCandidates) -> AnswerDraft:
    photo = record.photo
    return AnswerDraft(
        answer_id=record.answer_id,
        request_digest=record.request_digest,
        versions=record.versions,
        degradations=[*map(astuple, record.degradations)],
        answer_micros=record.answer_micros,
        expire_micros=record.expire_micros,
        arms=record.arms,
        image_ids=candidates.image_ids if any(candidates.image_ids) else (),
        branch_names=_BRANCHES,
        branches=candidates.branches,
        photo=photo.data if photo else None,
        photo_space=photo.space_version if photo else "",
    )


def _rank_query(order: core.RankRequest, catalog_id: str, actor: str | None) -> RankQuery:
    """Return the query of a request; see rank_requests.rank_query."""
    given, policy = order.candidates, _policy(order.diversity, order.objective)
    columns = CandidateFacts(given.columns)
    count, created = len(columns.product_ids), given.columns.create_time_micros
    parts = (*given.similarities.items(), *order.signals.items())
    explores = policy.exploration_places and len(created)
    controls = bool(given.controls)
    by_category = policy.diversity or policy.calibrated or policy.category_caps
    arranged = bool(by_category or policy.brand_cap)
    return RankQuery(
        *(catalog_id, actor),
        candidates=RankCandidates(
            ids=tuple(columns.product_ids),
            products=read_lazily(columns),
            similarities={name: _doubles(values) for name, values in parts},
            fused=np.maximum(_doubles(given.fused), 0.0) if given.fused else np.zeros(count),
            created_micros=np.array(created, np.int64) if explores else None,
            offers=offers_of(columns) if policy.objective.has_price else None,
            brands=(columns.brands or [""] * count) if arranged else None,
            categories=(columns.category_paths or [""] * count) if arranged else None,
        ),
        weights=order.weights,
        now_micros=order.time_micros or now_micros(),
        policy=policy,
        likeness=_likeness(given) if order.collapse else None,
        controls=[*map(_control, given.controls)],
        page_size=order.page_size if controls else 0,
        pins_first=order.pins_first and controls,
        anchors=_anchors(order.anchors),
        drop_seen=order.drop_seen,
        top_k=order.top_k,
        reason_top_k=order.reason_count,
        with_breakdown=order.explain,
        language_code=order.language_code,
        seed=order.seed,
        session_id=order.session_id,
        model_version=order.model_version,
        history_token=order.history_token,
    )


def _ranked(
    order: core.RankRequest,
    query: RankQuery,
    ranked: RankedProducts,
    served: RequestModel,
    stages: Stages,
    *,
    recorded: bool,
) -> core.Ranked:
    """Return the first products of the order; see replies.ranked_message."""
    hidden, merits = ranked.state.history.hidden, ranked.control_merits
    names = [each.name for each in query.controls]
    return core.Ranked(
        order=_order(order.candidates, query, ranked),
        hidden_count=ranked.order.ranking.hidden_count,
        model_version=served.version,
        degradations=_lost("rank", served),
        work=stages.spent,
        seen_count=ranked.order.ranking.seen_count,
        collapsed_count=ranked.order.collapsed_count,
        recorded=recorded,
        hidden_pins=tuple(each for each in ranked.unplaced if each in hidden),
        seen_pins=tuple(each for each in ranked.unplaced if each not in hidden),
        acted=tuple(ranked.acting_controls),
        merits=dict(zip(names, merits, strict=True)) if merits else {},
        notes=[*map(_note, map(note_message, ranked.notes))],
    )


def _order(candidates: FusedCandidates, query: RankQuery, ranked: RankedProducts) -> AnswerOrder:
    ids, first, model = query.candidates.ids, ranked.order.first(query.top_k), ranked.state.model
    ranking, rows = first.ranking, first.ranking.rows.tolist()
    ranks = first.moves or first.drawn or first.moved
    expected: list[float] = []
    if ranked.expected is not None and query.with_breakdown:
        expected = ranked.expected[ranking.rows].tolist()
    return AnswerOrder(
        product_ids=[ids[row] for row in rows],
        raw_scores=ranking.raw_scores.tolist(),
        parts=[*zip(ranking.parts, np.array([*ranking.parts.values()]).tolist(), strict=True)],
        image_ids=[candidates.image_ids[row] for row in rows],
        branches=[candidates.branches[row] for row in rows],
        collapsed=[[ids[row] for row in members] for members in first.members],
        score_ranks=first.score_ranks.tolist() if ranks else (),
        moves=_moves(first),
        chances=() if first.chances is None else first.chances.tolist(),
        event=score_event(model),
        reasons=[*map(tuple, ranked.reasons)],
        contributions=_split(ranked.contributions),
        expected_values=expected,
        total=len(ranked.order),
    )


def _moves(order: RankedOrder) -> Sequence[Sequence[Move]]:
    if not (order.moves or order.drawn):
        return ()
    found: list[tuple[Move, ...]] = [()] * len(order)
    for cause, steps in order.moves.items():
        number = cause_number(cause)
        for place, step in enumerate(steps.tolist()):
            if step:
                found[place] += (_move(number, step),)
    return found


_move = lru_cache(4_096)(Move)
"""Returns a move; those of an answer are few different ones."""


class CandidateFacts:
    """Columns of candidates, each read when it is used; see CandidateColumns."""

    def __init__(self, columns: ProductColumns) -> None:
        self._columns = columns
        self.product_ids = columns.product_ids

    def __getattr__(self, name: str) -> Sequence[Any]:
        if name not in NOTHING:
            raise AttributeError(name)
        known = any(len(getattr(source, name)) for source, _ in self._columns.blocks)
        found: Sequence[Any] = self._columns.read(name, NOTHING[name]) if known else ()
        self.__dict__[name] = found
        return found


def _product(row: ProductRow) -> Product:
    """Return the facts of a whole product."""
    given: Any = row
    price = None
    if given.HasField("price") and given.price.currency_code:
        micros = given.price.units * 1_000_000 + given.price.nanos // 1_000
        price = Money(micros, given.price.currency_code) if micros >= 0 else None
    texts = (each for each in given.attributes if each.WhichOneof("value") == "text")
    return Product(
        product_id=given.product_id,
        category=join(given.category_path),
        brand=given.brand,
        price=price,
        tags=tuple(given.tags),
        attributes=tuple([(each.key, each.text) for each in texts]),
        title=given.title,
    )


def _likeness(candidates: FusedCandidates) -> CollapseKeys:
    families, hashes = list[str](), list[int]()
    for each in (candidates.own, candidates.columns):
        families += each.families
        hashes += each.image_hashes if len(each.image_hashes) else [0] * len(each.product_ids)
    pairs = np.array(candidates.same_pictures[:MOST_PAIRS], np.int64).reshape(-1, 2)
    own = len(candidates.own.product_ids)
    return CollapseKeys(own, families, np.array(hashes, np.uint64), pairs)


def _control(given: Control) -> Control:
    boost = (given.boost or NO_BOOST) if given.kind is ControlKind.BOOST else 0.0
    place = given.place if given.kind is ControlKind.PIN else 0
    kind = given.kind if boost or place else ControlKind.BURY
    return Control(given.name, kind, tuple(given.rows), place, boost, given.by_merit)


@lru_cache(64)
def _policy(rules: core.ReorderingRules, objective: core.AppliedObjective) -> RankPolicy:
    return RankPolicy(
        diversity=rules.diversity,
        calibrated=rules.calibrated,
        popularity=rules.popularity,
        window=rules.window,
        cap_places=rules.cap_places,
        brand_cap=rules.brand_cap,
        category_caps=rules.category_caps,
        exploration_places=rules.exploration_places,
        exploration_days=rules.exploration_days,
        objective=_GOALS[objective.goal] if objective else ObjectiveGoal.UNSPECIFIED,
        objective_strength=objective.strength if objective else 0.0,
    )


def _anchors(given: core.RequestAnchors) -> Anchors | None:
    if not given:
        return None
    return Anchors(given.product_ids, _SOURCES.get(given.source))


def _scope(category_path: tuple[str, ...]) -> CountScope:
    return CountScope((f"{CATEGORY_KIND}={join(category_path)}",) if category_path else ())


def _basis(name: str) -> core.NominationBasis:
    known = core.NominationBasis.__members__
    return known.get(name, core.NominationBasis.NOTHING)


def _list(found: CountedList) -> core.RecommenderList:
    scores = dict(zip(found.product_ids, single(found.scores), strict=True))
    return core.RecommenderList(str(found.recommender), tuple(scores), tuple(scores.values()))


def _lost(stage: str, served: RequestModel) -> tuple[Degradation, ...]:
    if not served.substitute:
        return ()
    return (Degradation(stage, DegradationCause.MODEL_NOT_READY, served.substitute),)


def _split(
    parts: Mapping[str, Sequence[Contributions]],
) -> Mapping[str, Sequence[Contributions]]:
    return {name: given for name, given in parts.items() if given}


def _note(message: Any) -> ScoreNote:
    return ScoreNote(message.part, message.cause, message.product_count)


def _doubles(values: Sequence[float]) -> Doubles:
    return np.array(values, np.float32).astype(np.float64)
