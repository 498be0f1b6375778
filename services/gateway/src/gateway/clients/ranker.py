"""The ranker's client."""

from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import asdict
from functools import lru_cache
from itertools import chain
from typing import cast

import grpc

from gateway.clients import messages
from gateway.clients.columns import columns_message, columns_of
from gateway.clients.experiments import experiment_message, running_of
from gateway.clients.peer_calls import PeerCaller
from gateway.clients.records import draft_of, message_of, record_of, replay_of
from gateway.model.diversity import Diversity
from gateway.model.experiment import ExperimentFile, RunningExperiment
from gateway.model.peers import ReplayRules
from gateway.model.replay import RankerReplay
from gateway.ports import ExperimentKeeper, RankerPort
from servicekit.errors import Internal
from servicekit.rpc.channel import idempotent
from servicekit.rpc.requests import timestamp
from sightline.common.v1 import job_service_pb2
from sightline.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from sightline.ranker.v1 import answer_service_pb2 as answers_pb
from sightline.ranker.v1 import answer_service_pb2_grpc as answers_grpc
from sightline.ranker.v1 import event_service_pb2 as events_pb
from sightline.ranker.v1 import event_service_pb2_grpc as events_grpc
from sightline.ranker.v1 import experiment_service_pb2 as experiments_pb
from sightline.ranker.v1 import experiment_service_pb2_grpc as experiments_grpc
from sightline.ranker.v1 import model_service_pb2 as models_pb
from sightline.ranker.v1 import privacy_service_pb2
from sightline.ranker.v1 import privacy_service_pb2_grpc as privacy_grpc
from sightline.ranker.v1 import ranking_service_pb2 as ranking_pb
from sightline.ranker.v1 import ranking_service_pb2_grpc as ranking_grpc
from sightline_core import ranking as core
from sightline_core.answer import AnswerOrder, AnswerRecord
from sightline_core.candidates import Contributions
from sightline_core.degradations import Degradation, DegradationCause
from sightline_core.reasons import Reason
from sightline_core.score_notes import ScoreNote
from sightline_core.shoppers import Shopper
from sightline_rules.controls import ControlKind

IDEMPOTENT = idempotent(
    *(job_service_pb2, answers_pb, events_pb, experiments_pb, privacy_service_pb2, ranking_pb)
)
MOST_MODELS = 1_000
MOST_SEARCHES = 10_000
"""Past searches of a catalog that are suggested."""
_BASES = {
    ranking_pb.NominateResponse.Basis.Value(f"BASIS_{each.name}"): each
    for each in core.NominationBasis
    if each is not core.NominationBasis.NOTHING
}
_SOURCES = {
    each: ranking_pb.Anchors.Source.Value(f"SOURCE_{each.name}")
    for each in core.AnchorSource
    if each.is_history
}


class RankerClient(RankerPort, ExperimentKeeper):
    """Client that nominates and ranks candidates and stores answers and experiments."""

    def __init__(self, channel: grpc.aio.Channel, caller: PeerCaller) -> None:
        self._ranking = ranking_grpc.RankingServiceStub(channel)
        self._answers = answers_grpc.AnswerServiceStub(channel)
        self._events = events_grpc.EventServiceStub(channel)
        self._admin = AdminServiceStub(channel)
        self._experiments = experiments_grpc.ExperimentServiceStub(channel)
        self._privacy = privacy_grpc.PrivacyServiceStub(channel)
        self._caller = caller

    async def generate(self, order: core.NominateRequest) -> core.RankerCandidates:
        asked = order.recommenders
        request = ranking_pb.NominateRequest(
            catalog_id=order.catalog_id,
            shopper=messages.shopper_message(order.shopper),
            session_id=order.session_id,
            top_k=order.top_k,
            exclude_product_ids=order.exclude_product_ids,
            accepts_vectors=order.accepts_vectors,
            anchors=_anchors(asked.anchors),
            recommenders=asked.names,
            recommenders_only=asked.only,
            model_version=order.model_version,
            last_products=asked.last_products,
            last_product_recommenders=asked.of_last_products,
        )
        if asked.category_path:
            request.scope.category_path.extend(asked.category_path)
        answer = await self._caller.call_idempotent(self._ranking.Nominate, request)
        last = zip(answer.last_product_ids, answer.last_product_weights, strict=True)
        return core.RankerCandidates(
            product_ids=tuple(dict.fromkeys(answer.product_ids)),
            basis=_BASES.get(answer.basis, core.NominationBasis.NOTHING),
            model_version=answer.model_version,
            degradations=() if asked.only else _lost("nominate", order.model_version, answer),
            vectors=tuple(answer.vectors),
            exclude=tuple(answer.exclude_product_ids),
            history_token=answer.history_token,
            lists=tuple(map(_list, answer.lists)),
            anchors=tuple(answer.anchor_product_ids),
            last_products=dict(last),
        )

    async def rank(self, order: core.RankRequest) -> core.Ranked:
        answer = await self._caller.call(self._ranking.Rank, rank_message(order))
        return _ranked(order, answer)

    async def reasons(self, order: core.ReasonRequest) -> core.Reasoned:
        request = ranking_pb.GiveReasonsRequest(
            catalog_id=order.catalog_id,
            language_code=order.language_code,
            shopper=messages.shopper_message(order.shopper),
            session_id=order.session_id,
            candidates=columns_of(order.rows),
            parts=[ranking_pb.PartColumn(name=name, values=values) for name, values in order.parts],
            weights=_weights(order.weights),
            explored_places=order.explored_places,
            explain=order.explain,
            anchors=_anchors(order.anchors),
            model_version=order.model_version,
        )
        answer = await self._caller.call(self._ranking.GiveReasons, request)
        reasoned = core.Reasoned(_reasons(answer.reasons), _contributions(answer.parts))
        if any(
            len(column) != len(order.rows)
            for column in (reasoned.reasons, *reasoned.contributions.values())
        ):
            raise Internal("the ranker's columns differ in length", reason="INTERNAL")
        return reasoned

    async def answer(self, catalog_id: str, asked: core.AnswerRange) -> AnswerRecord:
        request = answers_pb.GetAnswerRequest(
            **(asdict(asked) | {"shopper": messages.shopper_message(asked.shopper)}),
            catalog_id=catalog_id,
            as_columns=True,
        )
        return record_of(await self._caller.call(self._answers.GetAnswer, request), asked.offset)

    async def newest_answers(
        self, catalog_id: str, scene: str, since_micros: int, limit: int
    ) -> Sequence[str]:
        request = answers_pb.ListAnswersRequest(
            catalog_id=catalog_id, scene=scene, from_time=timestamp(since_micros), limit=limit
        )
        return (await self._caller.call(self._answers.ListAnswers, request)).answer_ids

    async def replay(
        self, catalog_id: str, answer_id: str, limit: int, rules: ReplayRules | None = None
    ) -> RankerReplay:
        request = answers_pb.ReplayAnswerRequest(
            catalog_id=catalog_id, answer_id=answer_id, limit=limit
        )
        if rules is not None:
            request.change.weights.extend(_weights(rules.weights))
            request.change.diversity.CopyFrom(_diversity(rules.diversity, rules.objective))
            products = columns_of(rules.products)
            if not rules.costs:
                products.ClearField("cost_micros")
                products.ClearField("cost_currencies")
            request.change.products.CopyFrom(products)
        return replay_of(await self._caller.call(self._answers.ReplayAnswer, request))

    async def searches(self, catalog_id: str) -> Sequence[str]:
        return [each.text for each in (await self.search_counts(catalog_id)).searches]

    async def search_counts(
        self, catalog_id: str, limit: int = MOST_SEARCHES
    ) -> events_pb.ListSearchesResponse:
        """Return the texts that most shoppers searched for, with their numbers of shoppers."""
        request = events_pb.ListSearchesRequest(catalog_id=catalog_id, limit=limit)
        return await self._caller.call(self._events.ListSearches, request)

    async def experiment_products(self, catalog_id: str, name: str) -> Sequence[str]:
        """Return the products that an experiment's units bought, most bought first."""
        request = experiments_pb.ListExperimentProductsRequest(catalog_id=catalog_id, name=name)
        answer = await self._caller.call(self._experiments.ListExperimentProducts, request)
        return [*answer.product_ids]

    async def experiment_report(
        self, catalog_id: str, name: str
    ) -> experiments_pb.ExperimentReport:
        """Return the report of an experiment by events alone."""
        request = experiments_pb.GetExperimentReportRequest(catalog_id=catalog_id, name=name)
        return await self._caller.call(self._experiments.GetExperimentReport, request)

    async def counted_experiment(
        self, catalog_id: str, name: str, offers: Sequence[experiments_pb.ProductOffer]
    ) -> experiments_pb.ExperimentReport:
        """Return the report of an experiment, with money by these prices and costs."""
        request = experiments_pb.CountExperimentRequest(
            catalog_id=catalog_id, name=name, offers=offers
        )
        return await self._caller.call(self._experiments.CountExperiment, request)

    async def control_counts(
        self, catalog_id: str, day: int, names: Sequence[str]
    ) -> Mapping[str, int]:
        request = answers_pb.CountControlsRequest(catalog_id=catalog_id, day=day, names=names)
        answer = await self._caller.call(self._answers.CountControls, request)
        return {item.name: item.count for item in answer.counts}

    async def record(self, catalog_id: str, records: Sequence[AnswerRecord]) -> None:
        """Store up to 100 records. Raises ServiceError."""
        request = answers_pb.RecordAnswersRequest(
            catalog_id=catalog_id, answers=[message_of(record) for record in records]
        )
        await self._caller.call(self._answers.RecordAnswers, request)

    async def register(self, catalog_id: str, experiments: Sequence[ExperimentFile]) -> None:
        request = experiments_pb.RegisterExperimentsRequest(
            catalog_id=catalog_id, experiments=map(experiment_message, experiments)
        )
        await self._caller.call(self._experiments.RegisterExperiments, request)

    async def experiments(self, catalog_id: str) -> Sequence[RunningExperiment]:
        request = experiments_pb.ListExperimentsRequest(catalog_id=catalog_id)
        answer = await self._caller.call(self._admin.ListExperiments, request)
        return [running_of(each) for each in answer.experiments]

    async def in_experiments(self, catalog_id: str, shopper: Shopper) -> bool:
        request = privacy_service_pb2.GetConsentRequest(
            catalog_id=catalog_id, shopper=messages.shopper_message(shopper)
        )
        answer = await self._caller.call(self._admin.GetConsent, request)
        experiment = privacy_service_pb2.PURPOSE_EXPERIMENT
        return any(one.granted for one in answer.states if one.purpose == experiment)

    async def last_erasure(self, catalog_id: str) -> int:
        """Return when the newest erasure of a shopper was requested, microseconds since 1970
        (UTC); 0: never."""
        request = privacy_service_pb2.GetLastErasureRequest(catalog_id=catalog_id)
        answer = await self._caller.call(self._privacy.GetLastErasure, request)
        return answer.request_time.ToMicroseconds()

    async def serving_model(self, catalog_id: str) -> str:
        """Return the version of the serving model; empty if none."""
        states = await self._model_states(catalog_id, note=True)
        promoted = models_pb.Model.STATE_PROMOTED
        return next((version for version, state in states.items() if state == promoted), "")

    async def has_model(self, catalog_id: str, version: str) -> bool:
        """Return whether the ranker can rank by a model of this version."""
        states = await self._model_states(catalog_id)
        return states.get(version, models_pb.Model.STATE_PRUNED) != models_pb.Model.STATE_PRUNED

    async def _model_states(
        self, catalog_id: str, *, note: bool = False
    ) -> Mapping[str, models_pb.Model.State.ValueType]:
        """Return the states of the newest models, by version."""
        request = models_pb.ListModelsRequest(catalog_id=catalog_id, page_size=MOST_MODELS)
        answer = await self._caller.call(self._admin.ListModels, request, note=note)
        return {item.model_version: item.state for item in answer.models}


def rank_message(order: core.RankRequest) -> ranking_pb.RankRequest:
    """Return the message of a request to rank."""
    candidates = order.candidates
    request = ranking_pb.RankRequest(
        catalog_id=order.catalog_id,
        language_code=order.language_code,
        shopper=messages.shopper_message(order.shopper),
        session_id=order.session_id,
        branches=[
            ranking_pb.BranchSignal(branch=branch, similarities=values)
            for branch, values in (*candidates.similarities.items(), *order.signals.items())
        ],
        # Negative signals may lower it below 0, which the ranker rejects.
        fused=[0.0 if each < 0.0 else each for each in candidates.fused],
        weights=_weights(order.weights),
        top_k=order.top_k,
        drop_seen=order.drop_seen,
        seed=order.seed,
        diversity=_diversity(order.diversity, order.objective),
        explain=order.explain,
        time_micros=order.time_micros,
        reason_top_k=order.reason_count,
        collapse=order.collapse,
        history_token=order.history_token,
        anchors=_anchors(order.anchors),
        model_version=order.model_version,
    )
    # Filled in place: a constructor copies its arguments message by message.
    request.candidates.CopyFrom(columns_message(candidates.columns))
    if order.collapse:
        request.query_products.CopyFrom(columns_message(candidates.own))
        pairs = candidates.same_pictures[: core.MOST_PAIRS]
        request.same_pictures.extend(chain.from_iterable(pairs))
    if order.record is not None:
        request.record.CopyFrom(draft_of(order.record, candidates))
    if candidates.controls:
        request.controls.CopyFrom(_controls(order))
    return request


def _anchors(value: core.RequestAnchors) -> ranking_pb.Anchors | None:
    if not value:
        return None
    source = _SOURCES.get(value.source, ranking_pb.Anchors.SOURCE_UNSPECIFIED)
    return ranking_pb.Anchors(product_ids=value.product_ids, source=source)


def _list(message: ranking_pb.RecommenderList) -> core.RecommenderList:
    if len(message.product_ids) != len(message.scores):
        raise Internal("the ranker's columns differ in length", reason="INTERNAL")
    scores = dict(zip(message.product_ids, message.scores, strict=True))
    return core.RecommenderList(message.recommender, tuple(scores), tuple(scores.values()))


def _controls(order: core.RankRequest) -> ranking_pb.Controls:
    message = ranking_pb.Controls(page_size=order.page_size, pins_first=order.pins_first)
    for each in order.candidates.controls:
        made = message.controls.add(name=each.name, candidates=each.rows, by_merit=each.by_merit)
        if each.kind is ControlKind.PIN:
            made.place = each.place
        elif each.kind is ControlKind.BOOST:
            made.boost = each.boost
        else:
            made.bury = True
    return message


def _weights(weights: Mapping[str, float]) -> list[ranking_pb.PartWeight]:
    return [ranking_pb.PartWeight(part=part, weight=weight) for part, weight in weights.items()]


def _lost(
    stage: str, pinned: str, answer: ranking_pb.RankResponse | ranking_pb.NominateResponse
) -> tuple[Degradation, ...]:
    """Return the degradations that the ranker reports, and the lack of the pinned model if it does
    not report that."""
    found = messages.degradation_list(answer.degradations)
    cause = DegradationCause.MODEL_NOT_READY
    if pinned in ("", answer.model_version) or any(item.cause == cause for item in found):
        return found
    substitute = "the promoted model" if answer.model_version else "similarity and popularity"
    return (*found, Degradation(stage, cause, substitute))


def _ranked(order: core.RankRequest, answer: ranking_pb.RankResponse) -> core.Ranked:
    ids, candidates = list(answer.product_ids), order.candidates
    known = candidates.places
    _check_columns(answer, known, len(candidates.controls))
    places = [known[product_id] for product_id in ids]
    names = [each.name for each in candidates.controls] if answer.control_merits else ()
    made = AnswerOrder(
        product_ids=ids,
        # Only the page's columns are read, so they are not copied.
        raw_scores=answer.raw_scores,
        parts=[(part.name, part.values) for part in answer.parts],
        image_ids=[candidates.image_ids[place] for place in places],
        branches=[candidates.branches[place] for place in places],
        collapsed=[item.product_ids for item in answer.collapsed],
        score_ranks=answer.score_ranks,
        moves=[messages.moves(entry.moves) for entry in answer.moves],
        chances=answer.scores,
        event=answer.score_event,
        reasons=_reasons(answer.reasons),
        contributions=_contributions(answer.parts),
        expected_values=answer.expected_values,
        total=max(answer.total_count, len(ids)),
    )
    return core.Ranked(
        order=made,
        hidden_count=answer.hidden_count,
        model_version=answer.model_version,
        degradations=_lost("rank", order.model_version, answer),
        work=messages.work(answer.stage_timings),
        seen_count=answer.seen_count,
        collapsed_count=answer.collapsed_count,
        recorded=answer.recorded,
        hidden_pins=tuple(answer.hidden_product_ids),
        seen_pins=tuple(answer.seen_product_ids),
        acted=tuple(answer.acted_controls),
        merits=dict(zip(names, answer.control_merits, strict=True)),
        propensities=answer.propensities,
        history_changed=answer.history_changed,
        notes=[ScoreNote(each.part, each.cause, each.product_count) for each in answer.score_notes],
    )


def _check_columns(
    answer: ranking_pb.RankResponse, known: Mapping[str, int], controls: int
) -> None:
    """Raise Internal unless the columns have equal lengths and hold candidates only."""
    count = len(answer.product_ids)
    optional: Sequence[Sized] = (
        *(answer.scores, answer.score_ranks, answer.moves, answer.propensities),
        *(answer.collapsed, answer.expected_values),
    )
    held: list[Sized] = [answer.raw_scores, *filter(None, optional)]
    held += [part.values for part in answer.parts]
    merits = len(answer.control_merits)
    if {*map(len, held)} != {count} or len(answer.reasons) > count or merits not in (0, controls):
        raise Internal("the ranker's columns differ in length", reason="INTERNAL")
    if not known.keys() >= set(answer.product_ids):
        raise Internal("the ranker returned products that were not candidates", reason="INTERNAL")


def _reasons(entries: Iterable[ranking_pb.ReasonList]) -> list[tuple[Reason, ...]]:
    return [*map(messages.reasons_of, map(ranking_pb.ReasonList.SerializeToString, entries))]


def _contributions(parts: Iterable[ranking_pb.PartColumn]) -> Mapping[str, Sequence[Contributions]]:
    return {
        part.name: [
            tuple((item.name, item.value) for item in entry.features) for entry in part.features
        ]
        for part in parts
        if part.features
    }


@lru_cache(64)
def _diversity(
    value: core.ReorderingRules, objective: core.AppliedObjective
) -> ranking_pb.Diversity:
    caps = [ranking_pb.CategoryCap(level=level, cap=most) for level, most in value.category_caps]
    given = asdict(cast(Diversity, value)) | {"category_caps": caps}
    message = ranking_pb.Diversity(**given)
    if objective:
        name = f"OBJECTIVE_{objective.goal.present}"
        message.objective = ranking_pb.Diversity.Objective.Value(name)
        message.objective_strength = objective.strength
    return message
