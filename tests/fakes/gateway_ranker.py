"""A ranker that orders by similarity and a little taste."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

from gateway.model.errors import AnswerMissing
from gateway.model.peers import ReplayRules
from gateway.model.replay import RankerReplay
from gateway.ranking.near_duplicates import collapse
from gateway.recommend.controls.moves import acting, apply_boosts, apply_pins
from servicekit.errors import ServiceError
from sightline.common.v1.vector_pb2 import Vector
from sightline_core.answer import AnswerOrder, AnswerRecord
from sightline_core.candidates import FusedCandidates
from sightline_core.columns import ProductColumns
from sightline_core.degradations import Degradation, DegradationCause
from sightline_core.ranking import (
    AnswerRange,
    NominateRequest,
    NominationBasis,
    Ranked,
    RankerCandidates,
    RankRequest,
    Reasoned,
    ReasonRequest,
    RecommenderList,
    Recommenders,
)
from sightline_core.reasons import Move, Reason
from tests.fakes import collapsing


def part_of(order: AnswerOrder, offset: int, limit: int) -> AnswerOrder:
    """Return a part of a whole order, as the ranker answers it; without a limit, all from the
    offset on."""
    end = offset + limit if limit else order.total
    parts = [(name, values[offset:end]) for name, values in order.parts]
    columns = {
        item.name: values[offset:end]
        for item in fields(AnswerOrder)
        if isinstance(values := getattr(order, item.name), Sequence) and item.name != "parts"
    }
    return replace(order, **columns, parts=parts, offset=offset)  # type: ignore[arg-type]


def _grouped(candidates: FusedCandidates, rows: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """Return, by the remaining candidates' places, the products that collapse into each, best
    first; by the rule for single products."""
    pairs = [pair for pair in candidates.same_pictures if {*pair} <= {*rows}]
    own, columns = candidates.own, candidates.columns

    def products(held: ProductColumns, which: Sequence[int]) -> list[collapsing.Candidate]:
        return [
            collapsing.Candidate(
                held.product_ids[row],
                held.parent_ids[row] if held.parent_ids else "",
                held.image_hashes[row] if held.image_hashes else 0,
                [pair for pair in pairs if row in pair] if held is columns else (),
            )
            for row in which
        ]

    count = len(own.product_ids)
    groups = collapsing.collapse((*products(own, range(count)), *products(columns, rows)))
    return {group.place - count: group.collapsed for group in groups if group.place >= count}


NOT_READY = Degradation("rank", DegradationCause.MODEL_NOT_READY, "the promoted model")


@dataclass
class FakeRanker:
    """Fake ranker: ranks by similarity, else by the fused order; `generated` has candidates by
    shopper id."""

    generated: dict[str, tuple[NominationBasis, tuple[str, ...]]] = field(default_factory=dict)
    """Candidates by shopper id; "": anonymous requests."""
    hidden: frozenset[str] = frozenset()
    vectors: tuple[Vector, ...] = ()
    """The shopper's vectors, for callers that accept vectors."""
    neighbours: tuple[str, ...] = ()
    """Candidates returned beside those vectors."""
    fails: dict[str, ServiceError] = field(default_factory=dict)
    hang: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    reasons_given: tuple[Reason, ...] = (Reason(code="LOOKS_LIKE_QUERY", text="alike"),)
    moves: tuple[tuple[Move, ...], ...] = ()
    records: dict[tuple[str, str], AnswerRecord] = field(default_factory=dict)
    calls: list[tuple[str, object]] = field(default_factory=list)
    counted: dict[str, dict[str, float]] = field(default_factory=dict)
    """Scores of products, best first, by recommender."""
    anchors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Anchors by source."""
    last_products: dict[str, float] = field(default_factory=dict)
    """The shoppers' last products, unless a model knows them: basis LONG_TERM or SESSION."""
    searched: tuple[str, ...] = ()
    """Past searches, most shoppers first."""
    recommenders: list[Recommenders] = field(default_factory=list)
    """Recommenders requested by each call that generates candidates."""

    async def generate(self, order: NominateRequest) -> RankerCandidates:
        shopper, recommenders, exclude = (
            order.shopper,
            order.recommenders,
            order.exclude_product_ids,
        )
        await self._called("generate", shopper)
        self.recommenders.append(recommenders)
        nobody = (NominationBasis.NOTHING, ())
        basis, ids = self.generated.get(shopper.id if shopper else "", nobody)
        unknown = basis not in (NominationBasis.LONG_TERM, NominationBasis.SESSION)
        counted = basis is not NominationBasis.LONG_TERM and self.last_products
        of_last = recommenders.of_last_products if counted else ()
        last = list(self.last_products.items())[: recommenders.last_products if unknown else 0]
        lists = tuple(
            RecommenderList(name, tuple(scores), tuple(scores.values()))
            for name in (*recommenders.names, *of_last)
            for scores in (self.counted.get(name, {}),)
        )
        anchors = recommenders.anchors.product_ids or self.anchors.get(
            recommenders.anchors.source, ()
        )
        if recommenders.only:
            return RankerCandidates(
                (), NominationBasis.NOTHING, "", lists=lists, anchors=anchors, history_token="h1"
            )
        if order.accepts_vectors and self.vectors:
            left_out = (*exclude, *self.hidden)
            kept = tuple(item for item in self.neighbours if item not in left_out)
            return RankerCandidates(
                kept,
                NominationBasis.SESSION,
                "m1",
                vectors=self.vectors,
                exclude=left_out,
                lists=lists,
            )
        named = tuple(item for item in ids if item not in exclude)[: order.top_k]
        return RankerCandidates(
            named,
            basis,
            "m1",
            history_token=self.history_token,
            lists=lists,
            anchors=anchors,
            last_products=dict(last),
        )

    replays: dict[str, RankerReplay] = field(default_factory=dict)
    """Recomputed answers by answer id; by other rules, the same in the reverse order."""

    async def newest_answers(
        self, catalog_id: str, scene: str, since_micros: int, limit: int
    ) -> Sequence[str]:
        await self._called("newest_answers", (scene, since_micros))
        return list(self.replays)[:limit]

    async def replay(
        self, catalog_id: str, answer_id: str, limit: int, rules: ReplayRules | None = None
    ) -> RankerReplay:
        await self._called("replay", rules)
        if answer_id not in self.replays:
            raise AnswerMissing
        found = self.replays[answer_id]
        changed = tuple(reversed(found.recomputed)) if rules is not None else ()
        products = found.record.products[:limit]
        return replace(
            found,
            record=replace(found.record, products=products),
            recomputed=found.recomputed[:limit],
            changed=changed[:limit],
        )

    full: bool = False
    """True if it has no space for records."""
    merits: dict[str, float] = field(default_factory=dict)
    """Share of relevance by control."""
    history_token: str = ""
    models: set[str] = field(default_factory=set)
    """Models that scenes may pin, which order products the other way round."""
    loading: int = 0
    """Number of rankings for which these are not ready yet."""

    async def rank(self, order: RankRequest) -> Ranked:
        await self._called("rank", order)
        pinned, sign = order.model_version in self.models, -1
        if pinned and self.loading:
            self.loading -= 1
        elif pinned:
            sign = 1
        unseen = self.seen if order.drop_seen else set()
        near, ids = order.candidates.nearest, order.candidates.columns.product_ids
        left = [row for row in order.candidates.order if ids[row] not in self.hidden]
        rows = [row for row in left if ids[row] not in unseen]
        rows.sort(key=lambda row: sign * (near[row] or 0.0))
        whole, acted = self._controlled(order, rows)
        if order.record is not None and not self.full:
            versions = order.record.versions._replace(model_version="m1")
            hidden = len(ids) - len(left)
            kept = replace(
                order.record, order=whole, versions=versions, hidden_count=hidden, controls=acted
            )
            self.records[order.catalog_id, kept.answer_id] = kept
        first = part_of(whole, 0, order.top_k)
        count = len(first.product_ids) if order.reason_count is None else order.reason_count
        taste = dict(first.parts)["taste"]
        return Ranked(
            order=replace(
                first,
                reasons=[self.reasons_given for _ in first.product_ids[:count]],
                contributions={"taste": [(("brand=b", value),) for value in taste[:count]]}
                if order.explain
                else {},
            ),
            hidden_count=len(ids) - len(left),
            seen_count=len(left) - len(rows),
            collapsed_count=len(rows) - whole.total,
            model_version="m1",
            degradations=(NOT_READY,) if pinned and sign < 0 else (),
            work=0.003,
            recorded=order.record is not None and not self.full,
            acted=acted,
            merits=self.merits,
            hidden_pins=tuple(self.hidden),
            seen_pins=tuple(unseen),
        )

    def _controlled(
        self, order: RankRequest, rows: Sequence[int]
    ) -> tuple[AnswerOrder, tuple[str, ...]]:
        """Return the whole order, and the controls that changed its first page."""
        candidates = order.candidates
        if not candidates.controls:
            return self._whole(order, rows), ()
        plain = self._whole(replace(order, collapse=False), rows)
        whole, raised = apply_boosts(candidates, plain)
        if order.collapse:
            whole = collapse(candidates, whole)
        if not order.pins_first:
            whole = apply_pins(candidates, whole)
        return whole, acting(candidates, whole, order.page_size, raised)

    exposures: dict[str, int] = field(default_factory=dict)
    """Number of answers of a day that each control changed."""

    async def searches(self, catalog_id: str) -> Sequence[str]:
        await self._called("searches", catalog_id)
        return self.searched

    async def control_counts(
        self, catalog_id: str, day: int, names: Sequence[str]
    ) -> dict[str, int]:
        await self._called("control_counts", day)
        return self.exposures

    def _whole(self, order: RankRequest, rows: Sequence[int]) -> AnswerOrder:
        """Return the whole order of the candidates in these rows, best first."""
        near, columns = order.candidates.nearest, order.candidates.columns
        groups = _grouped(order.candidates, rows) if order.collapse else None
        kept = list(groups or range(len(rows)))
        visual = [order.weights.get("visual", 0.0) * (near[rows[at]] or 0.0) for at in kept]
        taste = [order.weights.get("taste", 0.0) * 0.5 for _ in kept]
        return AnswerOrder(
            product_ids=[columns.product_ids[rows[at]] for at in kept],
            raw_scores=[a + b for a, b in zip(visual, taste, strict=True)],
            parts=(("visual", visual), ("taste", taste)),
            image_ids=[order.candidates.image_ids[rows[at]] for at in kept],
            branches=[order.candidates.branches[rows[at]] for at in kept],
            collapsed=[groups[at] for at in kept] if groups else [],
            score_ranks=[at + 1 for at in kept],
            moves=[self.moves[at] if at < len(self.moves) else () for at in kept],
            total=len(kept),
        )

    async def reasons(self, order: ReasonRequest) -> Reasoned:
        await self._called("reasons", order)
        taste = dict(order.parts).get("taste", ())
        return Reasoned(
            [self.reasons_given for _ in order.rows],
            {"taste": [(("brand=b", value),) for value in taste]} if order.explain else {},
        )

    async def answer(self, catalog_id: str, asked: AnswerRange) -> AnswerRecord:
        await self._called("answer", asked.answer_id)
        if (catalog_id, asked.answer_id) not in self.records:
            raise AnswerMissing
        kept = self.records[catalog_id, asked.answer_id]
        left_out = self.hidden | (self.seen if asked.drop_seen else set())
        order = replace(
            part_of(kept.order, asked.offset, asked.limit),
            left_out=left_out if asked.shopper else (),
        )
        return replace(kept, shopper=None, order=order)

    async def has_model(self, catalog_id: str, version: str) -> bool:
        await self._called("has_model", version)
        return version in self.models

    async def _called(self, name: str, what: object) -> None:
        self.calls.append((name, what))
        if name in self.hang:
            await asyncio.Event().wait()
        if name in self.fails:
            raise self.fails[name]

    @property
    def asked(self) -> list[str]:
        """The names of the calls made."""
        return [name for name, _ in self.calls]
