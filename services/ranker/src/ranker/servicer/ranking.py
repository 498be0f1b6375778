"""RankingService on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

from ranker.adapters.retriever import SPACE
from ranker.domain.events import Interaction
from ranker.domain.model import Model
from ranker.domain.pseudonyms import Pseudonyms
from ranker.domain.recommenders import Anchors, Recommender
from ranker.domain.signals import DEFAULTS, Signals
from ranker.events.record.answers import Answer
from ranker.learning.publish import query_vector
from ranker.ports import CountReader, HistoryReader, Models
from ranker.servicer.answers import MOST_MICROS, check_draft, record_of, stored
from ranker.servicer.candidates import (
    MOST_CANDIDATES,
    candidates_of,
    explained_of,
    likeness_of,
    weights_of,
)
from ranker.servicer.controls import add_unplaced, controls_of
from ranker.servicer.inputs import Origin, add_inputs
from ranker.servicer.recommenders import anchors_of, list_messages, recommenders_of, scope_of
from ranker.servicer.replies import DEFAULT, add_parts, add_reasons, policy_of, ranked, timings
from ranker.servicer.requests import actor, check_range, check_version
from ranker.serving.ranking import breakdown, diversity, generate, parts, rank, recommenders
from ranker.serving.ranking.breakdown import Evidence, again
from ranker.serving.ranking.controls import controlled
from ranker.serving.ranking.explain import explain
from ranker.serving.ranking.exploration import seed_of
from ranker.serving.ranking.fold_in import FoldIn
from ranker.serving.ranking.order import order_of
from ranker.serving.ranking.shoppers import Known, Shoppers
from servicekit import tracing
from servicekit.clock import now_micros
from servicekit.requests import catalog, enter
from servicekit.server import Context
from servicekit.telemetry import Stages
from sightline.common.v1 import answer_pb2, vector_pb2
from sightline.ranker.v1 import ranking_service_pb2 as pb
from sightline.ranker.v1 import ranking_service_pb2_grpc
from sightline.ranker.v1.answer_service_pb2 import AnswerRecord
from sightline_rules.controls import acting

MOST_GENERATED = 1000
DEFAULT_GENERATED = 100

Request = pb.NominateRequest
Candidates = pb.NominateResponse
BASES = {one: Candidates.Basis.Value(f"BASIS_{one}") for one in generate.Basis}


class About(NamedTuple):
    """What a request is about."""

    anchors: Sequence[str]
    """None = the shopper's own last products."""
    trail: Sequence[Interaction]
    """The shopper's newest events, where they were read."""


class Keeper(Protocol):
    """Keeps records of answers."""

    def offer(self, answer: Answer, /) -> bool:
        """Take a record; False = there is no room for it."""


@dataclass(eq=False)
class RankingServicer(ranking_service_pb2_grpc.RankingServiceServicer):
    """Orders and names candidates."""

    catalogs: Sequence[str]
    pseudonyms: Pseudonyms
    reader: HistoryReader
    models: Models
    in_memory_items: int
    """Products of a model up to which callers get them out of memory, even those that could search
    the index."""
    signals: Signals = DEFAULTS
    answers: Keeper | None = None
    """Where records of answers go; None = nowhere."""
    keep_micros: int = 0
    """How long a record is kept that does not say so itself."""
    counts: CountReader | None = None
    """None = recommenders know nothing."""
    draws: bytes = b""
    """What chance is drawn from in every request; empty = from what each one is."""

    def __post_init__(self) -> None:
        self._shoppers = Shoppers(self.reader, self.signals)

    async def Rank(  # noqa: PLR0915 - becomes a use case
        self, request: pb.RankRequest, context: Context
    ) -> pb.RankResponse:
        """Score and order candidates."""
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        who = actor(request.shopper, catalog_id, self.pseudonyms)
        candidates, weights = candidates_of(request), weights_of(request.weights)
        tracing.note("sightline.candidates", len(candidates.ids))
        check_range("top_k", request.top_k, 0, MOST_CANDIDATES)
        check_range("reason_top_k", request.reason_top_k, 0, MOST_CANDIDATES)
        check_range("time_micros", request.time_micros, 0, MOST_MICROS)
        policy = policy_of(request.diversity) if request.HasField("diversity") else DEFAULT
        likeness = likeness_of(request) if request.collapse else None
        if request.HasField("record"):
            check_draft(request.record, len(candidates.ids))
        anchors = anchors_of(request)
        controls = controls_of(request.controls, len(candidates.ids))
        now = request.time_micros or now_micros()
        model = self._model(catalog_id, request.model_version)
        stages = Stages()
        with stages.measure("history"):
            known = await self._shoppers.read(
                catalog_id,
                who,
                model,
                with_seen=request.drop_seen,
                now_micros=now,
                token=request.history_token,
            )
            known, about = await self._about(catalog_id, who, known, anchors)
            history, shopper = known.history, known.shopper
            popularity = None
            if policy.popularity or rank.needs_popularity(weights, shopper):
                popularity = await self.reader.popularity(catalog_id, candidates.ids)
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
            seed = seed_of(request.seed, history.actor or who, request.session_id, now)
            arrange = partial(
                diversity.arranged,
                candidates=candidates,
                model=model,
                popularity=popularity,
                seed=self.draws or seed,
                now_micros=now,
            )
            raised, free = frozenset[int](), ranking
            if controls:
                arrangement, raised, free = controlled(ranking, policy, controls, arrange)
            else:
                arrangement = arrange(ranking, policy=policy)
            seated = () if request.controls.pins_first else controls
            order = order_of(ranking, arrangement, likeness, model, seated)
            most = request.reason_top_k if request.HasField("reason_top_k") else None
            explained = order.first(request.top_k).ranking.take(slice(most))
            factors = parts.factors(model, weights, anchored=shopper.anchored) if model else {}
            answer = ranked(
                request, Evidence(candidates, explained, shopper, model, factors), order
            )
        answer.degradations.extend(
            self._degradations(catalog_id, "rank", request.model_version, model)
        )
        if controls:
            shown = order.ranking.rows[: request.controls.page_size].tolist()
            answer.acted_controls.extend(acting(controls, shown, raised))
            add_unplaced(answer, controls, candidates.ids, ranking.rows, history)
        if request.HasField("record"):
            record = record_of(request, answer, candidates.ids, order)
            origin = Origin(history, model, popularity, free, order, now, seed, who, about.anchors)
            add_inputs(record, request, origin, (catalog_id, self.pseudonyms, self.signals))
            answer.recorded = self._keep(record, catalog_id, who)
        answer.stage_timings.extend(timings(stages))
        return answer

    async def GiveReasons(
        self, request: pb.GiveReasonsRequest, context: Context
    ) -> pb.GiveReasonsResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        who = actor(request.shopper, catalog_id, self.pseudonyms)
        products, parts_given = explained_of(request)
        weights = weights_of(request.weights)
        model = self._model(catalog_id, request.model_version)
        anchors, now = anchors_of(request), now_micros()
        known = await self._shoppers.read(catalog_id, who, model, now_micros=now)
        known, _ = await self._about(catalog_id, who, known, anchors)
        evidence = again(products, parts_given, weights, known.shopper, model)
        explored = frozenset(request.explored_places)
        reasons = explain(evidence, request.language_code, explored)
        answer = pb.GiveReasonsResponse(model_version=model.version if model else "")
        add_reasons(answer, reasons)
        if request.explain:
            add_parts(answer, parts_given, breakdown.split(evidence))
        return answer

    def _model(self, catalog_id: str, pinned: str) -> Model | None:
        """The model that a request goes by: the one that it names, if that is at hand, else the
        promoted one. RequestInvalid."""
        if pinned:
            check_version(pinned)
        found = self.models.pinned(catalog_id, pinned) if pinned else None
        return found or self.models.serving(catalog_id)

    def _degradations(
        self, catalog_id: str, stage: str, pinned: str, model: Model | None
    ) -> list[answer_pb2.Degradation]:
        """What is lost as the promoted model can't be loaded, or `model` is another one than the
        request's. Before the first promotion nothing is: similarity and popularity are all that
        there is to go by."""
        wanted = pinned and (model is None or model.version != pinned)
        if not wanted and (model or not self.models.refused(catalog_id)):
            return []
        cause = answer_pb2.Degradation.CAUSE_MODEL_NOT_READY
        substitute = "the promoted model" if model else "similarity and popularity"
        return [answer_pb2.Degradation(stage=stage, cause=cause, substitute=substitute)]

    def _keep(self, record: AnswerRecord, catalog_id: str, who: str | None) -> bool:
        return self.answers is not None and self.answers.offer(
            stored(record, catalog_id, who, self.pseudonyms.key_id, self.keep_micros)
        )

    async def Nominate(self, request: Request, context: Context) -> Candidates:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        who = actor(request.shopper, catalog_id, self.pseudonyms)
        check_range("top_k", request.top_k, 0, MOST_GENERATED)
        check_range("exclude_product_ids", len(request.exclude_product_ids), 0, MOST_GENERATED)
        anchors, names = anchors_of(request), recommenders_of(request.recommenders)
        scope, now = scope_of(request), now_micros()
        model = self._model(catalog_id, request.model_version)
        read = await self._shoppers.read(catalog_id, who, model, now_micros=now)
        token = self._shoppers.remember(catalog_id, who, read)
        views = Recommender.RECENTLY_VIEWED in names
        known, about = await self._about(catalog_id, who, read, anchors, with_trail=views)
        answer = Candidates()
        if not request.recommenders_only:
            answer = await self._by_behaviour(request, who, known, about.anchors)
        answer.history_token = token
        answer.anchor_product_ids.extend(about.anchors)
        if names and self.counts is not None:
            left_out = read.history.hidden.union(request.exclude_product_ids, about.anchors)
            wanted = recommenders.Wanted(names, scope, request.top_k or DEFAULT_GENERATED, left_out)
            near = recommenders.near(names, about.anchors, read.history, self.signals)
            asked = recommenders.asked(wanted, near, read.history.actor or who)
            counted = await self.counts.counted(catalog_id, asked)
            found = recommenders.lists(wanted, counted, near, about.trail, now)
            answer.lists.extend(list_messages(found))
            answer.count_lag_micros = counted.lag_micros
        return answer

    async def _about(
        self,
        catalog_id: str,
        who: str | None,
        known: Known,
        anchors: Anchors | None,
        *,
        with_trail: bool = False,
    ) -> tuple[Known, About]:
        """What is known for a request about these anchors, and what it then is about."""
        trail: Sequence[Interaction] = ()
        if with_trail or (anchors and not anchors.product_ids):
            trail = await self._shoppers.trail(catalog_id, who, recommenders.TRAIL)
        about = About(recommenders.gone_by(anchors, trail, known.history.hidden), trail)
        return self._shoppers.about(known, who, about.anchors), about

    async def _by_behaviour(
        self, request: Request, who: str | None, known: Known, anchors: Sequence[str]
    ) -> Candidates:
        """The candidates by behaviour or popularity."""
        catalog_id = catalog(request.catalog_id, self.catalogs)
        model, history, shopper = known.model, known.history, known.shopper
        vectors: list[vector_pb2.Vector] = []
        left_out: list[str] = []
        top_k = request.top_k or DEFAULT_GENERATED
        excluded = frozenset((*request.exclude_product_ids, *anchors))
        large = model is not None and len(model.item_ids) > self.in_memory_items
        if model is not None and large and request.accepts_vectors and shopper.personal:
            some = [(model, shopper)]
            for other in (self.models.serving(catalog_id), self.models.former(catalog_id)):
                if other is not None and other.version != model.version:
                    by = self._shoppers.by(other, who, history, known.now_micros)
                    then = self._shoppers.about(Known(history, by, other), who, anchors)
                    some.append((other, then.shopper))
            vectors = [_vector(each, by) for each, by in some if by.personal]
            hidden = sorted(history.hidden.difference(excluded))
            left_out = [*request.exclude_product_ids, *anchors, *hidden][:MOST_GENERATED]
            found = generate.by_neighbours(shopper, model, top_k, history.hidden | excluded)
        else:
            found = await generate.generate(
                *(catalog_id, shopper, model, history, self.reader), top_k=top_k, exclude=excluded
            )
        return Candidates(
            product_ids=found.product_ids,
            scores=found.scores,
            vectors=vectors,
            exclude_product_ids=left_out,
            basis=BASES[found.basis],
            model_version=model.version if model else "",
            degradations=self._degradations(catalog_id, "nominate", request.model_version, model),
        )


def _vector(model: Model, shopper: FoldIn) -> vector_pb2.Vector:
    factors = parts.factors(model, anchored=shopper.anchored)
    query = query_vector(*parts.query(model, shopper, factors))
    return vector_pb2.Vector(
        space=SPACE,
        space_version=model.version,
        dimension=len(query),
        data=query.astype("<f4").tobytes(),
    )
