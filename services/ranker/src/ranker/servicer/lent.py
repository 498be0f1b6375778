"""What the ranker lends to the other services of its process: its use cases with values. The
servicers answer the same calls on the wire."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ranker.domain.answer_arrays import NOTHING
from ranker.domain.arrays import Doubles
from ranker.domain.events import Identity
from ranker.domain.events import Shopper as KnownShopper
from ranker.domain.features import CATEGORY_KIND, Money, Product
from ranker.domain.recommenders import CountScope
from ranker.servicer.answers import AnswerServicer
from ranker.servicer.candidates import collapse_keys, read_candidates
from ranker.servicer.rank_requests import Whose, read_nominate, read_rank, read_reasons
from ranker.servicer.ranking import RankingServicer, vector_message
from ranker.servicer.replies import lost_of, read_policy, split
from ranker.servicer.requests import check_shopper
from ranker.serving.rank_products import RankQuery
from ranker.serving.ranking.diversity import RankPolicy
from ranker.serving.ranking.objective import ObjectiveGoal
from ranker.serving.ranking.rank import RankCandidates
from ranker.serving.ranking.recommenders import RecommenderList as CountedList
from ranker.serving.record_ranking import AnswerDraft
from servicekit.rpc.requests import catalog
from servicekit.rpc.server import Binding
from servicekit.telemetry import Stages
from sightline.ranker.v1 import answer_service_pb2 as answers_pb
from sightline_core import ranking as core
from sightline_core.branch import Branch
from sightline_core.columns import ProductColumns, single
from sightline_core.lending import LentRanker
from sightline_core.opaque_messages import ProductRow
from sightline_core.shoppers import Shopper
from sightline_rules.categories import join

_BRANCHES = [str(branch) for branch in Branch]


def lent_by(bindings: Sequence[Binding]) -> LentRanker:
    """Return what a server lends that offers these services."""
    by_type: Mapping[type, Any] = {type(each.servicer): each.servicer for each in bindings}
    return Lent(by_type[RankingServicer], by_type[AnswerServicer])


@dataclass(frozen=True, eq=False)
class Lent(LentRanker):
    """The use cases of servicers, whose collaborators these have."""

    ranking: RankingServicer
    answers: AnswerServicer

    def _whose(self, catalog_id: str, shopper: Shopper | None) -> Whose:
        name = catalog(catalog_id, self.ranking.catalogs)
        if shopper is None:
            return name, None
        who = KnownShopper(Identity(shopper.kind), shopper.id)
        check_shopper("shopper", who)
        return name, self.ranking.pseudonyms.of(name, who)

    async def generate(self, order: core.NominateRequest) -> core.RankerCandidates:
        asked = order.recommenders
        query = read_nominate(
            *(order, self._whose(order.catalog_id, order.shopper)),
            anchors=asked.anchors or None,
            recommenders=tuple(map(Branch, asked.names)),
            scope=_scope(asked.category_path),
            recommenders_only=asked.only,
            last_products=asked.last_products,
            last_product_recommenders=tuple(map(Branch, asked.of_last_products)),
        )
        found = await self.ranking.nominate(query)
        last = zip(found.last_products, single([*found.last_products.values()]), strict=True)
        by = found.behaviour
        return core.RankerCandidates(
            product_ids=tuple(dict.fromkeys(by.found.product_ids)),
            basis=by.found.basis,
            model_version=by.served.version,
            degradations=lost_of("nominate", by.served),
            vectors=tuple(map(vector_message, by.vectors)),
            exclude=tuple(by.left_out),
            history_token=found.history_token,
            lists=tuple(map(_list, found.lists)),
            anchors=tuple(found.anchors),
            last_products=dict(last),
        )

    async def rank(self, order: core.RankRequest) -> core.Ranked:
        query, given = self._query(order), order.candidates
        photos, branches = given.image_ids, given.branches
        draft: AnswerDraft | None = None
        if order.record is not None:
            matched = photos if any(photos) else ()
            draft = AnswerDraft(order.record, matched, _BRANCHES, branches)
        return await self.ranking.ranked(query, draft, Stages(), photos, branches)

    def _query(self, order: core.RankRequest) -> RankQuery:
        given, policy = order.candidates, _policy(order.diversity, order.objective)
        columns = CandidateFacts(given.columns)
        count, pairs = len(columns.product_ids), given.same_pictures[: core.MOST_PAIRS]
        parts = (*given.similarities.items(), *order.signals.items())
        candidates = read_candidates(
            columns,
            {name: _doubles(values) for name, values in parts},
            np.maximum(_doubles(given.fused), 0.0) if given.fused else np.zeros(count),
            *(policy, policy.objective),
        )
        alike = (given.own, given.columns, np.array(pairs, np.int64))
        return read_rank(
            *(order, self._whose(order.catalog_id, order.shopper), candidates),
            weights=order.weights,
            policy=policy,
            likeness=collapse_keys(*alike) if order.collapse else None,
            controls=given.controls,
            page_size=order.page_size,
            pins_first=order.pins_first,
            anchors=order.anchors or None,
            reason_top_k=order.reason_count,
        )

    async def reasons(self, order: core.ReasonRequest) -> core.Reasoned:
        ids = tuple([row.product_id for row in order.rows])
        products = RankCandidates(ids, [*map(_product, order.rows)], {}, np.zeros(len(ids)))
        query = read_reasons(
            *(order, self._whose(order.catalog_id, order.shopper), products),
            parts={part: np.array(values, np.float64) for part, values in order.parts},
            weights=order.weights,
            anchors=order.anchors or None,
        )
        found = await self.ranking.give_reasons(query)
        return core.Reasoned([*map(tuple, found.reasons)], split(found.contributions))

    async def answer(self, catalog_id: str, asked: core.AnswerRange) -> answers_pb.AnswerRecord:
        name, who = self._whose(catalog_id, asked.shopper)
        return await self.answers.part(name, asked, who)


class CandidateFacts:
    """Columns of candidates, each read when it is used; see CandidateColumns."""

    def __init__(self, columns: ProductColumns) -> None:
        self._columns = columns
        self.product_ids = columns.product_ids
        self.create_time_micros = columns.create_time_micros

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


@lru_cache(64)
def _policy(rules: core.ReorderingRules, objective: core.AppliedObjective) -> RankPolicy:
    given = (ObjectiveGoal.UNSPECIFIED, 0.0)
    if objective:
        given = (ObjectiveGoal(objective.goal.present), objective.strength)
    return read_policy(rules, rules.category_caps, *given)


def _scope(category_path: tuple[str, ...]) -> CountScope:
    return CountScope((f"{CATEGORY_KIND}={join(category_path)}",) if category_path else ())


def _list(found: CountedList) -> core.RecommenderList:
    scores = dict(zip(found.product_ids, single(found.scores), strict=True))
    return core.RecommenderList(str(found.recommender), tuple(scores), tuple(scores.values()))


def _doubles(values: Sequence[float]) -> Doubles:
    return np.array(values, np.float32).astype(np.float64)
