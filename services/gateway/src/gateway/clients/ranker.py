"""The ranker as the use cases see it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import cast

import grpc

from gateway import messages
from gateway.clients.calls import Caller
from gateway.model import (
    AnsweredProduct,
    AnswerRecord,
    Basis,
    Candidates,
    Columns,
    Nominees,
    Ranked,
    RankOrder,
    Score,
    Shopper,
    Vector,
)
from gateway.moving import Diversity
from servicekit.errors import Internal
from sightline.common.v1 import candidate_pb2, product_pb2, vector_pb2
from sightline.ranker.v1 import answer_service_pb2 as answers_pb
from sightline.ranker.v1 import answer_service_pb2_grpc as answers_grpc
from sightline.ranker.v1 import model_service_pb2 as models_pb
from sightline.ranker.v1 import model_service_pb2_grpc as models_grpc
from sightline.ranker.v1 import ranking_service_pb2 as ranking_pb
from sightline.ranker.v1 import ranking_service_pb2_grpc as ranking_grpc

ANSWERS = "sightline.ranker.v1.AnswerService"
EVENTS = "sightline.ranker.v1.EventService"
JOBS = "sightline.common.v1.JobService"
MODELS = "sightline.ranker.v1.ModelService"
PROFILES = "sightline.ranker.v1.ProfileService"
RANKING = "sightline.ranker.v1.RankingService"
IDEMPOTENT = (
    (ANSWERS, "RecordAnswers"),
    (ANSWERS, "GetAnswer"),
    (EVENTS, "AppendEvents"),
    (EVENTS, "MergeShopper"),
    (JOBS, "GetJob"),
    (JOBS, "ListJobs"),
    (JOBS, "CancelJob"),
    (MODELS, "GetOnlineReport"),
    (MODELS, "ListModels"),
    (MODELS, "GetEvaluation"),
    (MODELS, "PromoteModel"),
    (PROFILES, "GetShopperProfile"),
    (PROFILES, "GetProductProfile"),
    (PROFILES, "SetShopperAttributes"),
    (PROFILES, "ListSegments"),
    (RANKING, "Rank"),
    (RANKING, "Nominate"),
)
MOST_MODELS = 1_000

_BASIS: Mapping[int, Basis] = MappingProxyType(
    {
        ranking_pb.NominateResponse.BASIS_LONG_TERM: Basis.LONG_TERM,
        ranking_pb.NominateResponse.BASIS_SESSION: Basis.SESSION,
        ranking_pb.NominateResponse.BASIS_POPULARITY: Basis.POPULARITY,
    }
)


class RankerClient:
    """Nominates, ranks, and keeps answers."""

    def __init__(self, channel: grpc.aio.Channel, caller: Caller) -> None:
        self._ranking = ranking_grpc.RankingServiceStub(channel)
        self._answers = answers_grpc.AnswerServiceStub(channel)
        self._models = models_grpc.ModelServiceStub(channel)
        self._caller = caller

    async def nominate(
        self,
        catalog_id: str,
        shopper: Shopper | None,
        session_id: str,
        *,
        top_k: int,
        exclude: Sequence[str],
        accept_vectors: bool = False,
    ) -> Nominees:
        """Products that fit the shopper's behaviour; popular ones when there is none.

        `accept_vectors`: of a large catalogue the shopper's vectors will do.
        """
        request = ranking_pb.NominateRequest(
            catalog_id=catalog_id,
            shopper=messages.shopper_message(shopper),
            session_id=session_id,
            top_k=top_k,
            exclude_product_ids=exclude,
            accepts_vectors=accept_vectors,
        )
        answer: ranking_pb.NominateResponse = await self._caller.call(
            self._ranking.Nominate, request
        )
        return Nominees(
            product_ids=tuple(dict.fromkeys(answer.product_ids)),
            basis=_BASIS.get(answer.basis, Basis.NOTHING),
            model_version=answer.model_version,
            degradations=messages.degradation_list(answer.degradations),
            vectors=tuple(_vector(item) for item in answer.vectors),
            exclude=tuple(answer.exclude_product_ids),
        )

    async def rank(self, order: RankOrder) -> Ranked:
        """The candidates ordered, hidden ones dropped."""
        request = ranking_pb.RankRequest(
            catalog_id=order.catalog_id,
            language_code=order.language_code,
            shopper=messages.shopper_message(order.shopper),
            session_id=order.session_id,
            candidates=_columns(order.candidates.columns),
            branches=_signals(order.candidates),
            fused=[row.fused for row in order.candidates.rows],
            weights=[
                ranking_pb.PartWeight(part=part, weight=weight)
                for part, weight in order.weights.items()
            ],
            drop_seen=order.drop_seen,
            seed=order.seed,
            diversity=_diversity(order.diversity),
            explain=order.explain,
            time_micros=order.time_micros,
            reason_top_k=order.reason_count,
        )
        answer: ranking_pb.RankResponse = await self._caller.call(self._ranking.Rank, request)
        return _ranked(answer)

    async def answer(self, catalog_id: str, answer_id: str) -> AnswerRecord:
        """A kept answer; ANSWER_RECORD_MISSING when there is none. Its shopper is None."""
        request = answers_pb.GetAnswerRequest(catalog_id=catalog_id, answer_id=answer_id)
        return _record(await self._caller.call(self._answers.GetAnswer, request))

    async def record(self, catalog_id: str, records: Sequence[AnswerRecord]) -> None:
        """Keep up to 100 records."""
        request = answers_pb.RecordAnswersRequest(
            catalog_id=catalog_id, answers=[_record_message(record) for record in records]
        )
        await self._caller.call(self._answers.RecordAnswers, request)

    async def serving_model(self, catalog_id: str) -> str:
        """Version of the serving model; empty = none."""
        request = models_pb.ListModelsRequest(catalog_id=catalog_id, page_size=MOST_MODELS)
        answer: models_pb.ListModelsResponse = await self._caller.call(
            self._models.ListModels, request
        )
        serving = (
            item.model_version
            for item in answer.models
            if item.state == models_pb.Model.STATE_PROMOTED
        )
        return next(serving, "")


def _vector(message: vector_pb2.Vector) -> Vector:
    return Vector(message.space, message.space_version, message.dimension, message.data)


def _columns(columns: Columns) -> candidate_pb2.CandidateColumns:
    return candidate_pb2.CandidateColumns(
        product_ids=columns.product_ids,
        parent_ids=columns.parent_ids,
        category_paths=columns.category_paths,
        brands=columns.brands,
        price_micros=columns.price_micros,
        currencies=columns.currencies,
        availabilities=cast(Sequence[product_pb2.Availability.ValueType], columns.availabilities),
        tags=cast(Sequence[candidate_pb2.TextList], columns.tags),
        attributes=cast(Sequence[candidate_pb2.AttributeList], columns.attributes),
        create_time_micros=columns.create_time_micros,
    )


def _signals(candidates: Candidates) -> list[ranking_pb.BranchSignal]:
    return [
        ranking_pb.BranchSignal(branch=branch, similarities=values)
        for branch, values in candidates.similarities.items()
    ]


def _ranked(answer: ranking_pb.RankResponse) -> Ranked:
    count = len(answer.product_ids)
    lengths = {
        len(answer.raw_scores),
        len(answer.scores) or count,
        len(answer.score_ranks) or count,
        len(answer.moves) or count,
        len(answer.propensities) or count,
    }
    lengths.update(len(part.values) for part in answer.parts)
    if lengths != {count} or len(answer.reasons) > count:
        raise Internal("the ranker's columns differ in length", reason="INTERNAL")
    reasons = tuple(
        tuple(messages.reason(item) for item in entry.reasons) for entry in answer.reasons
    )
    return Ranked(
        product_ids=tuple(answer.product_ids),
        raw_scores=tuple(answer.raw_scores),
        parts=tuple((part.name, tuple(part.values)) for part in answer.parts),
        reasons=reasons + ((),) * (count - len(reasons)),
        hidden_count=answer.hidden_count,
        model_version=answer.model_version,
        degradations=messages.degradation_list(answer.degradations),
        work=messages.work(answer.stage_timings),
        scores=tuple(Score(chance, answer.score_event) for chance in answer.scores),
        score_ranks=tuple(answer.score_ranks),
        moves=tuple(tuple(map(messages.move, entry.moves)) for entry in answer.moves),
        propensities=tuple(answer.propensities),
        addends={
            part.name: tuple(
                tuple((item.name, item.value) for item in entry.features) for entry in part.features
            )
            for part in answer.parts
            if part.features
        },
        seen_count=answer.seen_count,
    )


def _diversity(value: Diversity) -> ranking_pb.Diversity:
    return ranking_pb.Diversity(
        diversity=value.diversity,
        popularity=value.popularity,
        window=value.window,
        cap_places=value.cap_places,
        brand_cap=value.brand_cap,
        category_caps=[
            ranking_pb.CategoryCap(level=level, cap=most) for level, most in value.category_caps
        ],
        exploration_places=value.exploration_places,
        exploration_days=value.exploration_days,
    )


def _record_message(record: AnswerRecord) -> answers_pb.AnswerRecord:
    return answers_pb.AnswerRecord(
        answer_id=record.answer_id,
        request_digest=record.request_digest,
        shopper=messages.shopper_message(record.shopper),
        scene=record.versions.scene,
        versions=messages.versions_message(record.versions),
        seed=record.seed,
        products=[
            answers_pb.AnsweredProduct(
                product_id=item.product_id,
                raw_score=item.raw_score,
                parts=messages.part_messages(item.parts),
                reasons=[messages.reason_message(reason) for reason in item.reasons],
                matched_image_id=item.matched_image_id,
                branches=item.branches,
                collapsed_product_ids=item.collapsed,
                score=item.score.chance if item.score else None,
                score_event=messages.score_event(item.score),
                score_rank=item.score_rank,
                moves=messages.move_messages(item.moves),
                propensity=item.propensity,
            )
            for item in record.products
        ],
        degradations=[messages.degradation_message(item) for item in record.degradations],
        answer_time=messages.timestamp(record.answer_micros),
        expire_time=messages.timestamp(record.expire_micros),
        hidden_count=record.hidden_count,
        arms=record.arms,
    )


def _record(message: answers_pb.AnswerRecord) -> AnswerRecord:
    return AnswerRecord(
        answer_id=message.answer_id,
        request_digest=message.request_digest,
        shopper=None,
        versions=messages.versions(message.versions),
        seed=message.seed,
        products=tuple(
            AnsweredProduct(
                product_id=item.product_id,
                raw_score=item.raw_score,
                parts=tuple((part.name, part.value) for part in item.parts),
                reasons=tuple(messages.reason(reason) for reason in item.reasons),
                matched_image_id=item.matched_image_id,
                branches=tuple(item.branches),
                collapsed=tuple(item.collapsed_product_ids),
                score=(Score(item.score, item.score_event) if item.HasField("score") else None),
                score_rank=item.score_rank,
                moves=tuple(map(messages.move, item.moves)),
                propensity=item.propensity,
            )
            for item in message.products
        ),
        degradations=messages.degradation_list(message.degradations),
        answer_micros=message.answer_time.ToMicroseconds(),
        expire_micros=message.expire_time.ToMicroseconds(),
        hidden_count=message.hidden_count,
        arms=tuple(message.arms),
    )
