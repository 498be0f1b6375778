"""RankingService on the wire."""

# ruff: noqa: N802, ARG002 (gRPC names the methods and hands them a context)

import time
from collections.abc import Sequence
from dataclasses import replace

from google.protobuf.duration_pb2 import Duration

from ranker import breakdown, diversity, fold_in, nominate, parts, rank
from ranker.breakdown import Evidence
from ranker.diversity import Arrangement
from ranker.explain import explain
from ranker.exploration import seed_of
from ranker.fold_in import FoldIn
from ranker.model import HistoryReader, Model, Models, Reason
from ranker.models.publish import SPACE, query_vector
from ranker.pseudonyms import Pseudonyms
from ranker.servicer.arranging import DEFAULT, features_of, moved, policy_of
from ranker.servicer.candidates import MOST_CANDIDATES, candidates_of, weights_of
from ranker.servicer.events import NUMBERS
from ranker.servicer.packed import doubles
from ranker.servicer.requests import Context, actor, check_range
from ranker.signals import DEFAULTS, Signals
from servicekit.requests import enter
from servicekit.telemetry import Stages
from sightline.common.v1 import answer_pb2, event_pb2, vector_pb2
from sightline.ranker.v1 import ranking_service_pb2 as pb
from sightline.ranker.v1 import ranking_service_pb2_grpc

MOST_NOMINEES = 1000
DEFAULT_NOMINEES = 100
MOST_MICROS = 253_402_300_800_000_000  # the year 10000

BASES = {
    nominate.Basis.NOTHING: pb.NominateResponse.BASIS_UNSPECIFIED,
    nominate.Basis.LONG_TERM: pb.NominateResponse.BASIS_LONG_TERM,
    nominate.Basis.SESSION: pb.NominateResponse.BASIS_SESSION,
    nominate.Basis.POPULARITY: pb.NominateResponse.BASIS_POPULARITY,
}


class RankingServicer(ranking_service_pb2_grpc.RankingServiceServicer):
    """Orders and names candidates."""

    def __init__(
        self,
        catalogs: Sequence[str],
        pseudonyms: Pseudonyms,
        reader: HistoryReader,
        models: Models,
        in_memory_items: int,
        *,
        signals: Signals = DEFAULTS,
    ) -> None:
        """`in_memory_items`: products of a model up to which callers get them out of memory, even
        those that could search the index; `signals`: how events are read."""
        self._signals = signals
        self._in_memory_items = in_memory_items
        self._catalogs = catalogs
        self._pseudonyms = pseudonyms
        self._reader = reader
        self._models = models

    async def Rank(
        self,
        request: pb.RankRequest,
        context: Context,
    ) -> pb.RankResponse:
        """Score and order candidates."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        who = actor(request.shopper, catalog_id, self._pseudonyms)
        candidates, weights = candidates_of(request), weights_of(request.weights)
        check_range("top_k", request.top_k, 0, MOST_CANDIDATES)
        check_range("time_micros", request.time_micros, 0, MOST_MICROS)
        policy = policy_of(request.diversity) if request.HasField("diversity") else DEFAULT
        now = request.time_micros or time.time_ns() // 1000
        check_range("reason_top_k", request.reason_top_k, 0, MOST_CANDIDATES)
        model = self._models.serving(catalog_id)
        stages = Stages()
        with stages.measure("history"):
            history, shopper = await fold_in.read(
                catalog_id,
                who,
                model,
                self._reader,
                with_seen=request.drop_seen,
                signals=self._signals,
                now_micros=now,
            )
            popularity = None
            if policy.popularity or rank.needs_popularity(weights, shopper):
                popularity = await self._reader.popularity(catalog_id, candidates.ids)
        with stages.measure("score"):
            ranking = rank.rank(
                candidates,
                weights,
                shopper,
                model,
                popularity,
                history=history,
                drop_seen=request.drop_seen,
            )
            arrangement = diversity.arranged(
                ranking,
                candidates,
                model,
                popularity,
                policy,
                seed=seed_of(request.seed, history.actor or who, request.session_id, now),
                now_micros=now,
            )
            shown = ranking.take(arrangement.order[: request.top_k or None])
            factors = parts.factors(model, weights) if model else {}
            evidence = Evidence(candidates, shown, shopper, model, factors)
            answer = _answer(request, evidence, arrangement)
        answer.stage_timings.extend(_timings(stages))
        return answer

    async def Nominate(
        self,
        request: pb.NominateRequest,
        context: Context,
    ) -> pb.NominateResponse:
        """Name candidates by behaviour."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        who = actor(request.shopper, catalog_id, self._pseudonyms)
        check_range("top_k", request.top_k, 0, MOST_NOMINEES)
        check_range("exclude_product_ids", len(request.exclude_product_ids), 0, MOST_NOMINEES)
        model = self._models.serving(catalog_id)
        now = time.time_ns() // 1000
        history, shopper = await fold_in.read(
            catalog_id, who, model, self._reader, now_micros=now, signals=self._signals
        )
        top_k = request.top_k or DEFAULT_NOMINEES
        excluded = frozenset(request.exclude_product_ids)
        large = model is not None and len(model.item_ids) > self._in_memory_items
        if model is not None and large and request.accepts_vectors and shopper.personal:
            former = self._models.former(catalog_id)
            before = fold_in.by_history(former, who, history, now, self._signals)
            known = [(model, shopper), (former, before)]
            hidden = sorted(history.hidden.difference(excluded))
            beside = nominate.by_neighbours(shopper, model, top_k, history.hidden | excluded)
            return pb.NominateResponse(
                product_ids=beside.product_ids,
                scores=beside.scores,
                vectors=[_vector(each, found) for each, found in known if each and found.personal],
                exclude_product_ids=[*request.exclude_product_ids, *hidden][:MOST_NOMINEES],
                basis=BASES[beside.basis],
                model_version=model.version,
            )
        found = await nominate.nominate(
            catalog_id,
            shopper,
            model,
            history,
            self._reader,
            top_k=top_k,
            exclude=excluded,
        )
        return pb.NominateResponse(
            product_ids=found.product_ids,
            scores=found.scores,
            basis=BASES[found.basis],
            model_version=model.version if model else "",
            degradations=[] if model else [_model_not_ready("nominate")],
        )


def _answer(
    request: pb.RankRequest, evidence: Evidence, arrangement: Arrangement
) -> pb.RankResponse:
    """The ranking with all that is told of it."""
    ranking, model = evidence.ranking, evidence.model
    told = request.reason_top_k if request.HasField("reason_top_k") else None
    first = replace(evidence, ranking=ranking.take(slice(told)))
    reasons = () if told == 0 else explain(first, request.language_code, arrangement.explored)
    addends = breakdown.split(first) if request.explain else {}
    chances = rank.calibrated(model, ranking.raw_scores)
    answer = pb.RankResponse(
        product_ids=[evidence.candidates.ids[row] for row in ranking.rows.tolist()],
        reasons=[pb.ReasonList(reasons=map(_reason, ones)) for ones in reasons],
        hidden_count=ranking.hidden_count,
        seen_count=ranking.seen_count,
        model_version=model.version if model else "",
        degradations=[] if model else [_model_not_ready("rank")],
        score_event=_score_event(model),
        **moved(arrangement, len(ranking.rows)),
    )
    answer.MergeFromString(doubles(answer.RAW_SCORES_FIELD_NUMBER, ranking.raw_scores))
    if chances is not None:
        answer.MergeFromString(doubles(answer.SCORES_FIELD_NUMBER, chances))
    for name, values in ranking.parts.items():
        column = answer.parts.add(name=name, features=features_of(addends.get(name, ())))
        column.MergeFromString(doubles(column.VALUES_FIELD_NUMBER, values))
    return answer


def _vector(model: Model, shopper: FoldIn) -> vector_pb2.Vector:
    """The shopper as the index knows products of the model."""
    query = query_vector(*parts.query(model, shopper, parts.factors(model)))
    return vector_pb2.Vector(
        space=SPACE,
        space_version=model.version,
        dimension=len(query),
        data=query.astype("<f4").tobytes(),
    )


def _score_event(model: Model | None) -> event_pb2.EventType.ValueType:
    """Of which event calibrated scores are the chance."""
    if model is None or model.calibration is None:
        return event_pb2.EVENT_TYPE_UNSPECIFIED
    return NUMBERS[model.calibration.event]


def _reason(reason: Reason) -> answer_pb2.Reason:
    return answer_pb2.Reason(
        code=reason.code,
        parameters=[
            answer_pb2.ReasonParameter(name=name, value=value) for name, value in reason.parameters
        ],
        text=reason.text,
    )


def _model_not_ready(stage: str) -> answer_pb2.Degradation:
    return answer_pb2.Degradation(
        stage=stage,
        cause=answer_pb2.Degradation.CAUSE_MODEL_NOT_READY,
        substitute="similarity and popularity",
    )


def _timings(stages: Stages) -> list[answer_pb2.StageTiming]:
    return [
        answer_pb2.StageTiming(
            stage=stage.name, total=duration, work=duration, start=_duration(stage.start)
        )
        for stage in stages.finished
        for duration in [_duration(stage.duration)]
    ]


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
