"""A scripted ranker on the wire."""

import struct
import time
from typing import Any

from google.rpc import status_pb2

from servicekit.errors import InvalidArgument, NotFound
from servicekit.status import to_status
from sightline.common.v1 import answer_pb2, event_pb2, job_pb2
from sightline.gateway.v1 import user_event_service_pb2 as gateway_pb
from sightline.ranker.v1 import (
    answer_service_pb2,
    answer_service_pb2_grpc,
    evaluation_pb2,
    event_service_pb2,
    event_service_pb2_grpc,
    model_service_pb2,
    online_report_pb2,
    privacy_service_pb2,
    privacy_service_pb2_grpc,
    profile_service_pb2,
    ranking_service_pb2,
    ranking_service_pb2_grpc,
)
from tests.fakes import collapsing
from tests.fakes.gateway_script import Script

SALES_DAY = 20_000
"""Day, since 1970, on which the fake counts sales."""


class Ranking(ranking_service_pb2_grpc.RankingServiceServicer):
    """Fake ranking service: ranks by similarity; candidates are p5 and p1 for shoppers, p4 and p2
    for anonymous requests."""

    def __init__(self, script: Script, answers: "Answers") -> None:
        self.script = script
        self.answers = answers
        self.keeps = True
        """True if it has space for records."""
        self.calibrated = False
        """True if it returns the probability of a click, half of the raw score."""
        self.reasoned: int | None = None
        """Number of products with reasons; None: all."""
        self.reason = answer_pb2.Reason(code="LOOKS_LIKE_QUERY", text="alike")
        self.draws = False
        """True if the first two products swap places, by a draw from four."""
        self.burns = 0.0
        """Seconds of processor time that it spends on an order."""
        self.last_products: dict[str, float] = {}
        """The shoppers' last products; empty: a model knows the shoppers."""

    async def Nominate(self, request, context):
        await self.script.take("Nominate", request, context)
        basis = ranking_service_pb2.NominateResponse
        if request.HasField("shopper"):
            ids, why = ["p5", "p1"], basis.BASIS_LONG_TERM
        else:
            ids, why = ["p4", "p2"], basis.BASIS_POPULARITY
        names = list(request.recommenders)
        if self.last_products and request.last_products:
            why = basis.BASIS_POPULARITY
            names += request.last_product_recommenders
        answer = basis(
            product_ids=ids, scores=[1.0, 0.5], basis=why, model_version="m1", history_token="h1"
        )
        if request.recommenders_only:
            answer = basis(history_token="h1")
        if len(names) > len(request.recommenders):
            answer.last_product_ids.extend(self.last_products.keys())
            answer.last_product_weights.extend(self.last_products.values())
        for name in names:
            answer.lists.add(recommender=name, product_ids=["p4", "p1"], scores=[0.9, 0.5])
        answer.anchor_product_ids.extend(request.anchors.product_ids)
        return answer

    async def Rank(self, request, context):
        until = time.thread_time() + self.burns
        while time.thread_time() < until:
            pass
        await self.script.take("Rank", request, context)
        ids = list(request.candidates.product_ids)
        weights = {item.part: item.weight for item in request.weights}
        seen = [0.0] * len(ids)
        for branch in request.branches:
            seen = [
                score + weights.get(branch.branch, 0.0) * (0.0 if value != value else value)
                for score, value in zip(seen, branch.similarities, strict=True)
            ]
        rows = sorted(range(len(ids)), key=lambda row: (-seen[row], -request.fused[row]))
        groups = (
            _grouped(request, rows) if request.collapse else dict.fromkeys(range(len(rows)), ())
        )
        kept = [rows[at] for at in groups]
        chances = [(seen[row] + 0.25) / 2 for row in kept]
        clicked = event_pb2.EVENT_TYPE_CLICK
        whole = ranking_service_pb2.RankResponse(
            product_ids=[ids[row] for row in kept],
            raw_scores=[seen[row] + 0.25 for row in kept],
            parts=[
                ranking_service_pb2.PartColumn(name="visual", values=[seen[row] for row in kept]),
                ranking_service_pb2.PartColumn(name="taste", values=[0.25] * len(kept)),
            ],
            collapsed=[
                ranking_service_pb2.CollapsedProducts(product_ids=each) for each in groups.values()
            ]
            if any(groups.values())
            else [],
            **({"score_ranks": [at + 1 for at in groups]} if len(kept) < len(rows) else {}),
            total_count=len(kept),
            collapsed_count=len(rows) - len(kept),
            model_version="m1",
            **({"scores": chances, "score_event": clicked} if self.calibrated else {}),
            **(_drawn(len(kept)) if self.draws else {}),
        )
        if request.HasField("record"):
            whole.recorded = self.keeps
            if self.keeps:
                self.answers.kept.setdefault(request.record.answer_id, _record(request, whole))
        answer = _first(whole, request.top_k)
        count = len(rows) if self.reasoned is None else self.reasoned
        if request.HasField("reason_top_k"):
            count = min(count, request.reason_top_k)
        answer.reasons.extend(
            ranking_service_pb2.ReasonList(reasons=[self.reason])
            for _ in answer.product_ids[:count]
        )
        return answer

    async def GiveReasons(self, request, context):
        await self.script.take("GiveReasons", request, context)
        reason = answer_pb2.Reason()
        reason.CopyFrom(self.reason)
        reason.text += ", as asked"
        return ranking_service_pb2.GiveReasonsResponse(
            reasons=[
                ranking_service_pb2.ReasonList(reasons=[reason])
                for _ in request.candidates.product_ids
            ],
            model_version="m1",
        )


def _grouped(request: Any, rows: list[int]) -> dict[int, tuple[str, ...]]:
    """Return, by place in the order of `rows`, the remaining candidates with those that collapsed
    into them."""
    own, held = request.query_products, request.candidates
    flat = list(request.same_pictures)
    pairs = [pair for pair in zip(flat[::2], flat[1::2], strict=True) if {*pair} <= {*rows}]

    def products(columns: Any, which: Any, marks: Any) -> list[collapsing.Candidate]:
        return [
            collapsing.Candidate(
                columns.product_ids[row],
                columns.parent_ids[row] if columns.parent_ids else "",
                columns.image_hashes[row] if columns.image_hashes else 0,
                [pair for pair in marks if row in pair],
            )
            for row in which
        ]

    count = len(own.product_ids)
    items = (*products(own, range(count), ()), *products(held, rows, pairs))
    groups = collapsing.collapse(items)
    return {group.place - count: group.collapsed for group in groups if group.place >= count}


def _first(whole: Any, count: int) -> Any:
    """Return the first `count` products of an order; 0: all."""
    first = ranking_service_pb2.RankResponse()
    first.CopyFrom(whole)
    columns = [first.product_ids, first.raw_scores, first.score_ranks, first.moves, first.scores]
    columns += [first.propensities, first.collapsed, *(part.values for part in first.parts)]
    for column in columns:
        del column[count or len(column) :]
    return first


def _record(request: Any, whole: Any) -> answer_service_pb2.AnswerRecord:
    """Return the record that the ranker keeps of an answer that it ranked."""
    draft, ids = request.record, list(request.candidates.product_ids)
    rows = [ids.index(product_id) for product_id in whole.product_ids]
    record = answer_service_pb2.AnswerRecord(
        answer_id=draft.answer_id,
        request_digest=draft.request_digest,
        shopper=request.shopper if request.HasField("shopper") else None,
        scene=draft.versions.scene,
        versions=draft.versions,
        seed=request.seed,
        degradations=draft.degradations,
        total_count=whole.total_count,
        columns=answer_service_pb2.AnsweredColumns(
            product_ids=whole.product_ids,
            raw_scores=packed(whole.raw_scores),
            parts=[
                answer_service_pb2.PackedPart(name=part.name, values=packed(part.values))
                for part in whole.parts
            ],
            matched_image_ids=[draft.matched_image_ids[row] for row in rows]
            if draft.matched_image_ids
            else [],
            branch_names=draft.branch_names,
            branches=[draft.branches[row] for row in rows],
            collapsed_counts=[len(each.product_ids) for each in whole.collapsed],
            collapsed_product_ids=[i for each in whole.collapsed for i in each.product_ids],
            score_ranks=whole.score_ranks,
            moves=_move_columns(whole.moves),
            propensities=packed(whole.propensities),
            scores=packed(whole.scores),
            score_event=whole.score_event,
        ),
    )
    record.versions.model_version = whole.model_version
    record.answer_time.FromMicroseconds(draft.answer_time_micros)
    record.expire_time.FromMicroseconds(draft.expire_time_micros)
    return record


def _move_columns(moves: Any) -> list[answer_service_pb2.MoveColumn]:
    causes = dict.fromkeys(move.cause for each in moves for move in each.moves)
    return [
        answer_service_pb2.MoveColumn(
            cause=cause,
            places=[sum(m.places for m in each.moves if m.cause == cause) for each in moves],
        )
        for cause in causes
    ]


def packed(values: Any) -> bytes:
    """Return numbers packed as a column of an answer's record."""
    return struct.pack(f"<{len(values)}d", *values)


def unpacked(data: bytes) -> list[float]:
    """Return the numbers in a column of an answer's record."""
    return list(struct.unpack(f"<{len(data) // 8}d", data))


def _drawn(count: int) -> dict[str, Any]:
    """Return the recorded probabilities of an order whose first two products were drawn for each
    other's places."""
    explored = answer_pb2.Move.CAUSE_EXPLORATION
    steps = [1, -1] + [0] * (count - 2)
    moves = [[answer_pb2.Move(cause=explored, places=step)] if step else [] for step in steps]
    return {
        "score_ranks": [2, 1, *range(3, count + 1)],
        "moves": [ranking_service_pb2.MoveList(moves=each) for each in moves],
        "propensities": [0.25, 1.0] + [0.5] * (count - 2),
    }


class Answers(answer_service_pb2_grpc.AnswerServiceServicer):
    """Fake answer service that keeps answers in a dictionary."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.kept: dict[str, Any] = {}
        self.exposures: dict[str, int] = {}
        """Number of answers that each control changed."""

    async def CountControls(self, request, context):
        await self.script.take("CountControls", request, context)
        return answer_service_pb2.CountControlsResponse(
            counts=[
                answer_service_pb2.ControlCount(name=name, count=count)
                for name, count in self.exposures.items()
            ]
        )

    async def RecordAnswers(self, request, context):
        await self.script.take("RecordAnswers", request, context)
        for answer in request.answers:
            self.kept.setdefault(answer.answer_id, answer)
        return answer_service_pb2.RecordAnswersResponse(written_count=len(request.answers))

    async def GetAnswer(self, request, context):
        await self.script.take("GetAnswer", request, context)
        if request.answer_id not in self.kept:
            raise NotFound("no record", reason="ANSWER_RECORD_MISSING")
        found = answer_service_pb2.AnswerRecord()
        found.CopyFrom(self.kept[request.answer_id])
        found.ClearField("shopper")
        begin, columns = request.offset, found.columns
        end = begin + request.limit if request.limit else found.total_count
        before = sum(columns.collapsed_counts[:begin])
        count = sum(columns.collapsed_counts[begin:end])
        names = columns.collapsed_product_ids[before : before + count]
        del columns.collapsed_product_ids[:]
        columns.collapsed_product_ids.extend(names)
        for column in (
            columns.product_ids,
            columns.matched_image_ids,
            columns.branches,
            columns.collapsed_counts,
            columns.score_ranks,
            *(each.places for each in columns.moves),
        ):
            del column[end:]
            del column[:begin]
        for name in ("raw_scores", "propensities", "scores"):
            setattr(columns, name, getattr(columns, name)[begin * 8 : end * 8])
        for part in columns.parts:
            part.values = part.values[begin * 8 : end * 8]
        return found


class Events(event_service_pb2_grpc.EventServiceServicer):
    """Fake event service that accepts all events except the last, unless its script says more."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def ExportEvents(self, request, context):
        await self.script.take("ExportEvents", request, context)
        return job_pb2.Job(job_id="ranker/3", kind="export_events")

    async def ListSearches(self, request, context):
        await self.script.take("ListSearches", request, context)
        counts = [("red wine", 30), ("merlots", 20)]
        return event_service_pb2.ListSearchesResponse(
            searches=[
                event_service_pb2.SearchCount(text=text, shopper_count=count)
                for text, count in counts
            ],
            least_shoppers=20,
        )

    async def CountSales(self, request, context):
        """Two units of each product were sold on each of the last 56 days."""
        await self.script.take("CountSales", request, context)
        days = range(SALES_DAY - 56, SALES_DAY)
        return event_service_pb2.CountSalesResponse(
            first_day=days[0],
            last_day=days[-1],
            products=[
                event_service_pb2.ProductSales(first_day=days[0], days=days, units=[2] * 56)
                for _ in request.product_ids
            ],
        )

    async def WriteEvents(self, request, context):
        await self.script.take("WriteEvents", request, context)
        if self.script.times_valid:
            count = len(request.events)
            return gateway_pb.WriteEventsResponse(
                statuses=[status_pb2.Status()] * count, written_count=count
            )
        late = InvalidArgument("too far ahead", reason="EVENT_TIME_INVALID")
        fine = [status_pb2.Status() for _ in request.events[:-1]]
        return gateway_pb.WriteEventsResponse(
            statuses=[*fine, to_status(late)], written_count=len(fine)
        )

    async def GetEvents(self, request, context):
        raise NotImplementedError


class Privacy(privacy_service_pb2_grpc.PrivacyServiceServicer):
    """Fake privacy service that erases nothing, and remembers when it was asked to."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.last = privacy_service_pb2.GetLastErasureResponse()

    async def EraseUser(self, request, context):
        await self.script.take("EraseUser", request, context)
        self.last.request_time.GetCurrentTime()
        return job_pb2.Job(job_id="ranker/6", kind="erase")

    async def GetLastErasure(self, request, context):
        await self.script.take("GetLastErasure", request, context)
        return self.last


class Models:
    """Fake model service with one model, which serves."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def TrainModel(self, request, context):
        await self.script.take("TrainModel", request, context)
        return job_pb2.Job(job_id="ranker/1", kind="train", state=job_pb2.Job.STATE_RUNNING)

    async def PublishModel(self, request, context):
        await self.script.take("PublishModel", request, context)
        return job_pb2.Job(job_id="ranker/2", kind="publish")

    async def GetOnlineReport(self, request, context):
        await self.script.take("GetOnlineReport", request, context)
        return online_report_pb2.OnlineReport(groups=[online_report_pb2.OnlineGroup(scene="home")])

    async def ListModels(self, request, context):
        await self.script.take("ListModels", request, context)
        model = model_service_pb2.Model(
            model_version="m1", state=model_service_pb2.Model.STATE_PROMOTED
        )
        return model_service_pb2.ListModelsResponse(models=[model])

    async def EvaluateModel(self, request, context):
        await self.script.take("EvaluateModel", request, context)
        return job_pb2.Job(job_id="ranker/3", kind="evaluate")

    async def GetEvaluation(self, request, context):
        await self.script.take("GetEvaluation", request, context)
        return evaluation_pb2.Evaluation(
            model_version=request.model_version, verdict=evaluation_pb2.Evaluation.VERDICT_PASSED
        )

    async def PromoteModel(self, request, context):
        await self.script.take("PromoteModel", request, context)
        return model_service_pb2.Model(model_version=request.model_version)


class Profiles:
    """Fake profile service with the same answer to every request."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def GetShopperProfile(self, request, context):
        await self.script.take("GetShopperProfile", request, context)
        return profile_service_pb2.ShopperProfile(event_count=7)

    async def GetProductProfile(self, request, context):
        await self.script.take("GetProductProfile", request, context)
        return profile_service_pb2.ProductProfile(product_id=request.product_id)

    async def SetShopperAttributes(self, request, context):
        await self.script.take("SetShopperAttributes", request, context)
        return profile_service_pb2.SetShopperAttributesResponse(kept_count=len(request.attributes))

    async def ListSegments(self, request, context):
        await self.script.take("ListSegments", request, context)
        return profile_service_pb2.ListSegmentsResponse(model_version="m1")
