"""RankingService on the wire."""

# ruff: noqa: N802, ARG002 (gRPC names the methods and hands them a context)

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from google.protobuf.duration_pb2 import Duration

from ranker import breakdown, diversity, exploration, fold_in, nominate, parts, rank
from ranker.breakdown import Addends, Evidence
from ranker.columns import products_of
from ranker.explain import explain
from ranker.fold_in import FoldIn
from ranker.model import Doubles, HistoryReader, Model, Models, Reason
from ranker.pseudonyms import Pseudonyms
from ranker.publish import SPACE, query_vector
from ranker.servicer.arranging import moves_of, policy_of
from ranker.servicer.events import NUMBERS
from ranker.servicer.requests import Context, actor, check_range
from servicekit.errors import FieldViolation
from servicekit.requests import RequestInvalid, enter
from servicekit.telemetry import Stages
from sightline.common.v1 import answer_pb2, event_pb2, vector_pb2
from sightline.ranker.v1 import ranking_service_pb2 as pb
from sightline.ranker.v1 import ranking_service_pb2_grpc
from sightline_rules.categories import MAX_LEVEL_CHARACTERS, MAX_LEVELS, SEPARATOR
from sightline_rules.ids import MAX_ID_BYTES, IdInvalidError, check_id

MOST_CANDIDATES = 2000
MOST_NOMINEES = 1000
DEFAULT_NOMINEES = 100
MOST_BRANCHES = 16
MOST_WEIGHT = 1000.0
MOST_NAME = 64
MOST_MICROS = 253_402_300_800_000_000  # the year 10000
MOST_PATH = MAX_LEVELS * MAX_LEVEL_CHARACTERS + (MAX_LEVELS - 1) * len(SEPARATOR)

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
    ) -> None:
        """`in_memory_items`: products of a model up to which callers get them out of memory, even
        those that could search the index."""
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
        candidates, weights = _candidates(request), _weights(request.weights)
        check_range("top_k", request.top_k, 0, MOST_CANDIDATES)
        check_range("time_micros", request.time_micros, 0, MOST_MICROS)
        policy, now = policy_of(request.diversity), request.time_micros or time.time_ns() // 1000
        check_range("reason_top_k", request.reason_top_k, 0, MOST_CANDIDATES)
        model = self._models.serving(catalog_id)
        stages = Stages()
        with stages.measure("history"):
            history, shopper = await fold_in.read(
                catalog_id, who, model, self._reader, with_seen=request.drop_seen
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
                seed=exploration.seed_of(
                    request.seed, history.actor or who, request.session_id, now
                ),
                now_micros=now,
            )
            shown = arrangement.order[: request.top_k or None]
            ranking = ranking.take(shown)
            factors = parts.factors(model, weights) if model else {}
            told = request.reason_top_k if request.HasField("reason_top_k") else None
            evidence = Evidence(candidates, ranking.take(slice(told)), shopper, model, factors)
            reasons = explain(evidence, request.language_code, arrangement.explored)
            addends = breakdown.split(evidence) if request.explain else {}
            chances = rank.calibrated(model, ranking.raw_scores)
        return pb.RankResponse(
            product_ids=[candidates.ids[row] for row in ranking.rows.tolist()],
            raw_scores=ranking.raw_scores.tolist(),
            parts=[
                pb.PartColumn(
                    name=name, values=values.tolist(), features=_features(addends.get(name, ()))
                )
                for name, values in ranking.parts.items()
            ],
            reasons=[pb.ReasonList(reasons=map(_reason, ones)) for ones in reasons],
            hidden_count=ranking.hidden_count,
            seen_count=ranking.seen_count,
            model_version=model.version if model else "",
            degradations=[] if model else [_model_not_ready("rank")],
            stage_timings=_timings(stages),
            score_ranks=(shown + 1).tolist(),
            moves=moves_of(arrangement, len(shown)),
            propensities=arrangement.propensities[: len(shown)].tolist(),
            scores=None if chances is None else chances.tolist(),
            score_event=_score_event(model),
        )

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
        history, shopper = await fold_in.read(catalog_id, who, model, self._reader)
        top_k = request.top_k or DEFAULT_NOMINEES
        excluded = frozenset(request.exclude_product_ids)
        large = model is not None and len(model.item_ids) > self._in_memory_items
        if model is not None and large and request.accepts_vectors and shopper.personal:
            former = self._models.former(catalog_id)
            known = [(model, shopper), (former, fold_in.by_history(former, who, history))]
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


def _vector(model: Model, shopper: FoldIn) -> vector_pb2.Vector:
    """The shopper as the index knows products of the model."""
    query = query_vector(*parts.query(model, shopper, parts.factors(model)))
    return vector_pb2.Vector(
        space=SPACE,
        space_version=model.version,
        dimension=len(query),
        data=query.astype("<f4").tobytes(),
    )


def _candidates(request: pb.RankRequest) -> rank.Candidates:
    """The candidates with their signals; RequestInvalid."""
    ids = request.candidates.product_ids
    check_range("candidates.product_ids", len(ids), 1, MOST_CANDIDATES)
    products = products_of(request.candidates, "candidates")
    problems = [
        *_id_problems(ids),
        *_path_problems(request.candidates.category_paths),
        *_branch_problems(request.branches, len(ids)),
    ]
    fused = np.array(request.fused, dtype=np.float64)
    if len(fused) not in (0, len(ids)):
        problems.append(("fused", f"has {len(fused)} entries for {len(ids)} products"))
    elif not (np.isfinite(fused) & (fused >= 0)).all():
        problems.append(("fused", "holds values that are negative or not finite"))
    if problems:
        raise RequestInvalid(*(FieldViolation(*problem) for problem in problems))
    return rank.Candidates(
        ids=tuple(ids),
        products=products,
        similarities={
            branch.branch: np.array(branch.similarities, dtype=np.float64)
            for branch in request.branches
        },
        fused=fused if len(fused) else np.zeros(len(ids)),
        created_micros=np.array(request.candidates.create_time_micros, np.int64)
        if request.candidates.create_time_micros
        else None,
    )


def _id_problems(ids: Sequence[str]) -> Iterable[tuple[str, str]]:
    if len(set(ids)) != len(ids):
        yield "candidates.product_ids", "holds an id twice"
    for place, item in enumerate(ids):
        if item.isascii() and item.isprintable() and 0 < len(item) <= MAX_ID_BYTES:
            continue  # what the check would find, twenty times faster
        try:
            check_id(item)
        except IdInvalidError as error:
            yield f"candidates.product_ids[{place}]", str(error)


def _path_problems(paths: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Every level becomes a feature with all above it: a deep path would take the memory."""
    for place, path in enumerate(paths):
        if len(path) > MOST_PATH or path.count(SEPARATOR) >= MAX_LEVELS:
            problem = f"has more than {MAX_LEVELS} levels or {MOST_PATH} characters"
            yield f"candidates.category_paths[{place}]", problem


def _branch_problems(branches: Sequence[pb.BranchSignal], count: int) -> Iterable[tuple[str, str]]:
    if len(branches) > MOST_BRANCHES:
        yield "branches", f"has more than {MOST_BRANCHES} entries"
    names = Counter(branch.branch for branch in branches)
    for place, branch in enumerate(branches):
        path = f"branches[{place}]"
        if not 0 < len(branch.branch) <= MOST_NAME or names[branch.branch] > 1:
            yield f"{path}.branch", f"is empty, longer than {MOST_NAME} characters or named twice"
        elif branch.branch in parts.OWN_PARTS:
            yield f"{path}.branch", "is the name of a part that the ranker computes"
        if len(branch.similarities) != count:
            length = len(branch.similarities)
            yield f"{path}.similarities", f"has {length} entries for {count} products"
        elif np.isinf(_column(branch)).any():
            yield f"{path}.similarities", "holds an infinite value"


def _column(branch: pb.BranchSignal) -> Doubles:
    return np.array(branch.similarities, dtype=np.float64)


def _weights(given: Sequence[pb.PartWeight]) -> dict[str, float]:
    """Weight of each part; RequestInvalid."""
    names = Counter(weight.part for weight in given)
    for place, weight in enumerate(given):
        path = f"weights[{place}]"
        if not 0 < len(weight.part) <= MOST_NAME or names[weight.part] > 1:
            problem = f"is empty, longer than {MOST_NAME} characters or named twice"
            raise RequestInvalid(FieldViolation(f"{path}.part", problem))
        if not (math.isfinite(weight.weight) and 0 <= weight.weight <= MOST_WEIGHT):
            problem = f"is not within 0 and {MOST_WEIGHT:g}"
            raise RequestInvalid(FieldViolation(f"{path}.weight", problem))
    return {weight.part: weight.weight for weight in given}


def _features(column: Sequence[Addends]) -> list[pb.FeatureList]:
    return [
        pb.FeatureList(
            features=[answer_pb2.ScoreFeature(name=name, value=value) for name, value in addends]
        )
        for addends in column
    ]


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
            stage=stage.name,
            total=_duration(stage.duration),
            work=_duration(stage.duration),
            start=_duration(stage.start),
        )
        for stage in stages.finished
    ]


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
