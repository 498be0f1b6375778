"""RankingService on the wire. Edge: translates and decides nothing."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Self

from ranker.adapters.retriever import SPACE
from ranker.domain.pseudonyms import Pseudonyms
from ranker.domain.signals import DEFAULTS, Signals
from ranker.ports import CountReader, HistoryReader, Models
from ranker.servicer import replies
from ranker.servicer.answers import draft_of
from ranker.servicer.rank_requests import nominate_query, rank_query, reasons_query
from ranker.servicer.requests import actor
from ranker.serving.give_reasons import GiveReasons
from ranker.serving.nominate import Nominate, ShopperVector
from ranker.serving.rank_products import RankProducts, RankQuery
from ranker.serving.ranking.shopper_reads import Shoppers
from ranker.serving.record_ranking import AnswerDraft, AnswerSink, RecordRanking
from servicekit import tracing
from servicekit.rpc.requests import enter
from servicekit.rpc.server import Context
from servicekit.telemetry import Stages
from sightline.common.v1 import vector_pb2
from sightline.ranker.v1 import ranking_service_pb2 as pb
from sightline.ranker.v1 import ranking_service_pb2_grpc
from sightline_core.ranking import NominationBasis, Ranked

BASES = {
    NominationBasis.NOTHING: pb.NominateResponse.BASIS_UNSPECIFIED,
    NominationBasis.LONG_TERM: pb.NominateResponse.BASIS_LONG_TERM,
    NominationBasis.SESSION: pb.NominateResponse.BASIS_SESSION,
    NominationBasis.POPULARITY: pb.NominateResponse.BASIS_POPULARITY,
}


@dataclass(eq=False)
class RankingServicer(ranking_service_pb2_grpc.RankingServiceServicer):
    """Servicer of RankingService."""

    catalogs: Collection[str]
    pseudonyms: Pseudonyms
    rank: RankProducts
    nominate: Nominate
    give_reasons: GiveReasons
    record: RecordRanking
    forget: Callable[[], None]
    """Drops what is kept of shoppers between calls."""

    @classmethod
    def of(
        cls,
        catalogs: Collection[str],
        pseudonyms: Pseudonyms,
        reader: HistoryReader,
        models: Models,
        in_memory_items: int,
        *,
        signals: Signals = DEFAULTS,
        answers: AnswerSink | None = None,
        keep_micros: int = 0,
        counts: CountReader | None = None,
    ) -> Self:
        """Build the use cases, which share the histories that Nominate reads for Rank. `answers`:
        destination of records of answers; None disables recording. `keep_micros`: their retention
        without an expiry of their own. `counts`: None disables recommenders by counts.
        `in_memory_items`: see Nominate.
        """
        shoppers = Shoppers(reader, signals)
        return cls(
            *(catalogs, pseudonyms, RankProducts(reader, models, shoppers)),
            nominate=Nominate(reader, models, shoppers, counts, in_memory_items),
            give_reasons=GiveReasons(models, shoppers),
            record=RecordRanking(answers, pseudonyms, signals, keep_micros),
            forget=shoppers.forget,
        )

    async def Rank(self, request: pb.RankRequest, context: Context) -> pb.RankResponse:
        """Score and order candidates."""
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        who = actor(request.shopper, catalog_id, self.pseudonyms)
        query, stages = rank_query(request, catalog_id, who), Stages()
        draft = draft_of(request.record) if request.HasField("record") else None
        return replies.ranked_message(await self.ranked(query, draft, stages), stages)

    async def ranked(
        self,
        query: RankQuery,
        draft: AnswerDraft | None,
        stages: Stages,
        image_ids: Sequence[str] = (),
        branches: Sequence[int] = (),
    ) -> Ranked:
        """Rank, and queue the record that is drafted. See replies.ranked_of."""
        tracing.note("sightline.candidates", len(query.candidates.ids))
        found, served = await self.rank(query, stages)
        lost = replies.lost_of("rank", served)
        return replies.ranked_of(
            *(query, found, lost, image_ids, branches),
            work=stages.spent,
            recorded=draft is not None and self.record(draft, query, found, lost),
        )

    async def GiveReasons(
        self, request: pb.GiveReasonsRequest, context: Context
    ) -> pb.GiveReasonsResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        who = actor(request.shopper, catalog_id, self.pseudonyms)
        query = reasons_query(request, catalog_id, who)
        found = await self.give_reasons(query)
        parts = query.parts.items() if request.explain else ()
        return pb.GiveReasonsResponse(
            reasons=replies.reason_lists(found.reasons),
            parts=replies.part_columns(parts, found.contributions),
            model_version=found.model_version,
        )

    async def Nominate(self, request: pb.NominateRequest, context: Context) -> pb.NominateResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        who = actor(request.shopper, catalog_id, self.pseudonyms)
        found = await self.nominate(nominate_query(request, catalog_id, who))
        by = found.behaviour
        return pb.NominateResponse(
            product_ids=by.found.product_ids,
            scores=by.found.scores,
            basis=BASES[by.found.basis],
            model_version=by.served.version,
            degradations=replies.lost_messages(replies.lost_of("nominate", by.served)),
            vectors=map(vector_message, by.vectors),
            exclude_product_ids=by.left_out,
            history_token=found.history_token,
            anchor_product_ids=found.anchors,
            lists=[
                pb.RecommenderList(
                    recommender=one.recommender, product_ids=one.product_ids, scores=one.scores
                )
                for one in found.lists
            ],
            count_lag_micros=found.count_lag_micros,
            last_product_ids=found.last_products.keys(),
            last_product_weights=found.last_products.values(),
        )


def vector_message(vector: ShopperVector) -> vector_pb2.Vector:
    """Return a shopper's vector as a message."""
    return vector_pb2.Vector(
        space=SPACE,
        space_version=vector.model_version,
        dimension=len(vector.values),
        data=vector.values.astype("<f4").tobytes(),
    )
