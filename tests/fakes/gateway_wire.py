"""Scripted peers of the gateway on real gRPC servers, and a real gateway in front of them."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc import status_pb2

from gateway.settings import GatewaySettings
from gateway.state.scenes import SceneFiles
from gateway.wiring import build
from servicekit.config import ServerSettings
from servicekit.errors import (
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    ServiceError,
)
from servicekit.server import Binding, RunningServer, start
from servicekit.status import to_status
from sightline.common.v1 import (
    answer_pb2,
    candidate_pb2,
    event_pb2,
    import_pb2,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    photo_pb2,
    product_pb2,
    vector_pb2,
)
from sightline.embedder.v1 import (
    embedding_service_pb2,
    embedding_service_pb2_grpc,
    space_pb2,
    space_service_pb2_grpc,
)
from sightline.gateway.v1 import (
    admin_service_pb2_grpc,
    catalog_service_pb2_grpc,
    recommendation_service_pb2_grpc,
    user_event_service_pb2_grpc,
)
from sightline.ranker.v1 import (
    answer_service_pb2,
    answer_service_pb2_grpc,
    evaluation_pb2,
    event_service_pb2,
    event_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    online_report_pb2,
    profile_service_pb2,
    profile_service_pb2_grpc,
    ranking_service_pb2,
    ranking_service_pb2_grpc,
)
from sightline.retriever.v1 import (
    backup_service_pb2,
    backup_service_pb2_grpc,
    fit_service_pb2_grpc,
    index_service_pb2,
    index_service_pb2_grpc,
    keyword_service_pb2_grpc,
    product_service_pb2,
    product_service_pb2_grpc,
    rebuild_service_pb2_grpc,
    vector_service_pb2,
    vector_service_pb2_grpc,
)
from sightline_rules import duplicates

PRODUCTS = ["p1", "p2", "p3", "p4", "p5"]
NEAREST = {"p1": 0.8, "p2": 0.5, "p3": 0.9, "p4": 0.7}
"""What every photo is near to: p3, p1, p4, p2."""
ALLOWED_URI = "https://photos.test/a.jpg"
"""The one address that the embedder fetches from."""
RECALL = answer_pb2.RecallEstimate(
    plan="graph",
    filter_class="narrow",
    k=100,
    recall=0.875,
    lower=0.75,
    upper=0.9375,
    search_count=40,
    row_count=300,
    below_floor=True,
    ef_factor=2.0,
)
SPACE = answer_pb2.SpaceVersion(space="visual", version="v1", generation="g1")


@dataclass
class Seen:
    """One call that arrived at a peer."""

    method: str
    request: Any
    seconds_left: float | None
    metadata: dict[str, str]


@dataclass
class Script:
    """What the peers of one process do; shared by all servicers of it."""

    errors: dict[str, ServiceError] = field(default_factory=dict)
    """Raised by a method."""
    hang: set[str] = field(default_factory=set)
    """Methods that never answer."""
    parents: dict[str, str] = field(default_factory=dict)
    """Of variants."""
    collapsed: dict[str, list[str]] = field(default_factory=dict)
    """What a search finds to be near-duplicates, by the one that stands for them."""
    degradations: list[answer_pb2.Degradation] = field(default_factory=list)
    """What a search lost on its way."""
    rejected: dict[str | None, str] = field(default_factory=dict)
    """By the kind of a filter the path of the condition that lets no product pass."""
    scans: int = 0
    """Products that one page of a list looks at; 0 = all of them."""
    seen: list[Seen] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, method: str, request: Any, context: Any) -> None:
        """Note the call and do what the script says."""
        metadata = dict(context.invocation_metadata())
        self.seen.append(Seen(method, request, context.time_remaining(), metadata))
        self.arrived.set()
        if method in self.hang:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        if method in self.errors:
            raise self.errors[method]

    def requests(self, method: str) -> list[Any]:
        """The requests of a method."""
        return [item.request for item in self.seen if item.method == method]


SUBJECT = photo_pb2.Box(left=0.25, top=0.25, right=0.75, bottom=0.75)
"""Where the subject of every photo is."""


class Embedding(embedding_service_pb2_grpc.EmbeddingServiceServicer):
    """Embeds every photo but the bytes b"text"; has no text space."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def BatchEmbed(self, request, context):
        await self.script.take("BatchEmbed", request, context)
        return embedding_service_pb2.BatchEmbedResponse(
            results=[self._result(item) for item in request.items],
            stage_timings=[_timing("intake", 0, 10_000), _timing("infer", 10_000, 20_000)],
        )

    def _result(self, item):
        if item.WhichOneof("content") == "text":
            error = FailedPrecondition("no text space", reason="SPACE_UNAVAILABLE")
            return embedding_service_pb2.EmbedResult(status=to_status(error))
        if item.image == b"text":
            refused = InvalidArgument("not a photo", reason="IMAGE_UNDECODABLE")
            return embedding_service_pb2.EmbedResult(status=to_status(refused))
        if item.image_uri and item.image_uri != ALLOWED_URI:
            lost = (
                FailedPrecondition("the host answered 404", reason="URI_UNREADABLE")
                if item.image_uri.endswith("/gone.jpg")
                else InvalidArgument("its host is not allowed", reason="URI_FORBIDDEN")
            )
            return embedding_service_pb2.EmbedResult(status=to_status(lost))
        vector = vector_pb2.Vector(
            space="visual", space_version="v1", dimension=1, data=b"\x00\x00\x80\x3f"
        )
        subject = photo_pb2.Subject(box=SUBJECT) if item.find_subject else None
        return embedding_service_pb2.EmbedResult(vector=vector, subject=subject)

    async def Classify(self, request, context):
        await self.script.take("Classify", request, context)
        (item,) = request.items
        if (failed := self._result(item).status).code:
            result = embedding_service_pb2.ClassifyResult(status=failed)
        else:
            red = photo_pb2.CategoryGuess(category_path=["Wine", "Red"], probability=0.75)
            told = photo_pb2.Classification(guesses=[red], sure=red, space_version="v1")
            result = embedding_service_pb2.ClassifyResult(
                classification=told, subject=self._result(item).subject
            )
        return embedding_service_pb2.ClassifyResponse(results=[result])

    async def ListSpaces(self, request, context):
        await self.script.take("ListSpaces", request, context)
        space = embedding_service_pb2.Space(space="visual", version="v1", model="m1", ready=True)
        return embedding_service_pb2.ListSpacesResponse(spaces=[space])


class FittedSpaces(space_service_pb2_grpc.SpaceServiceServicer):
    """Has every space that is asked for."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def PromoteSpace(self, request, context):
        await self.script.take("PromoteSpace", request, context)
        return embedding_service_pb2.Space(version=request.version, forced=request.force)

    async def RetireSpace(self, request, context):
        await self.script.take("RetireSpace", request, context)
        return embedding_service_pb2.Space(
            version=request.version, state=space_pb2.SPACE_STATE_RETIRED
        )


class Fits(fit_service_pb2_grpc.FitServiceServicer):
    """Every job is new."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def FitSpace(self, request, context):
        await self.script.take("FitSpace", request, context)
        return job_pb2.Job(job_id="retriever/4", kind="fit")


class Vectors(vector_service_pb2_grpc.VectorServiceServicer):
    """Finds NEAREST near to everything that exists."""

    def __init__(self, script: Script, products: list[str]) -> None:
        self.script = script
        self.products = products

    async def Search(self, request, context):
        await self.script.take("Search", request, context)
        if request.product_id and request.product_id not in PRODUCTS:
            raise NotFound("no such product", reason="PRODUCT_NOT_FOUND")
        asked = [part.product_id for part in request.blend.parts]
        if gone := [place for place, item in enumerate(asked) if item and item not in PRODUCTS]:
            raise NotFound(
                "no such product",
                reason="PRODUCT_NOT_FOUND",
                violations=[
                    FieldViolation(f"blend.parts[{place}].product_id", "is not in the catalogue")
                    for place in gone
                ],
            )
        if request.filter.comparison.field == "colour" or any(
            item.comparison.field == "colour" for item in request.filter.all.filters
        ):
            path = "filter.all.filters[0].comparison.field"
            raise InvalidArgument(
                f"{path}: unknown field",
                reason="FILTER_INVALID",
                violations=[FieldViolation(path, "unknown field")],
            )
        out = {request.product_id, *asked, *request.exclude_product_ids}
        ids = [item for item in NEAREST if item not in out and item in self.products]
        return vector_service_pb2.SearchResponse(
            candidates=columns(ids, self.script.parents),
            collapsed=[
                vector_service_pb2.ProductIds(product_ids=self.script.collapsed.get(item, []))
                for item in ids
            ],
            query_product=(
                columns([request.product_id], self.script.parents) if request.product_id else None
            ),
            similarities=[NEAREST[item] for item in ids],
            image_ids=[f"image-{item}" for item in ids],
            space=SPACE,
            freshness=answer_pb2.IndexFreshness(index_token="t1", index_time_micros=5),
            plan="flat",
            stage_timings=[_timing("index", 0, 10_000)],
            degradations=self.script.degradations,
        )

    async def Count(self, request, context):
        await self.script.take("Count", request, context)
        return vector_service_pb2.CountResponse(
            products=5, images=5, indexed=5, space=SPACE, recall=[RECALL]
        )


class Keywords(keyword_service_pb2_grpc.KeywordServiceServicer):
    """Finds p2 by every text."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def SearchKeywords(self, request, context):
        await self.script.take("SearchKeywords", request, context)
        ids = [item for item in ("p2",) if item not in request.exclude_product_ids]
        return vector_service_pb2.SearchResponse(
            candidates=columns(ids, self.script.parents),
            similarities=[0.5 for _ in ids],
            image_ids=["" for _ in ids],
            plan="words",
            stage_timings=[_timing("words", 0, 1_000)],
        )


class Products(product_service_pb2_grpc.ProductServiceServicer):
    """A record of PRODUCTS, all of which pass every filter."""

    def __init__(self, script: Script, products: list[str]) -> None:
        self.script = script
        self.products = products

    async def BatchGetProducts(self, request, context):
        await self.script.take("BatchGetProducts", request, context)
        if not request.product_ids:
            raise InvalidArgument("product_ids: has 0 entries", reason="REQUEST_INVALID")
        ids = [item for item in request.product_ids if item in self.products]
        kind = product_service_pb2.BatchGetProductsResponse
        if request.explain_filter and (
            why := self.script.rejected.get(request.filter.WhichOneof("expression"))
        ):
            return kind(
                filtered_product_ids=ids,
                rejections=[
                    product_service_pb2.Rejection(product_id=i, path=why, condition="c", held=["h"])
                    for i in ids
                ],
            )
        answer = self._answer(kind, ids, request.view)
        held = self.products
        answer.titles.extend(f"Title {i}" if i in held else "" for i in request.title_product_ids)
        return answer

    async def ListProducts(self, request, context):
        await self.script.take("ListProducts", request, context)
        begin = int(request.page_token or 0)
        end = begin + (self.script.scans or len(self.products))
        kind, ids = product_service_pb2.ListProductsResponse, self.products[begin:end]
        answer = self._answer(kind, ids, request.view)
        answer.next_page_token = str(end) if end < len(self.products) else ""
        return answer

    def _answer(self, kind, ids, view):
        if view == product_service_pb2.PRODUCT_VIEW_COLUMNS:
            return kind(columns=columns(ids, self.script.parents))
        return kind(products=[product_pb2.Product(product_id=i, title=f"Title {i}") for i in ids])

    async def UpsertProducts(self, request, context):
        await self.script.take("UpsertProducts", request, context)
        results = [
            product_service_pb2.UpsertResult(
                product_id=item.product_id, etag="e1", image_ids=["i1"]
            )
            for item in request.products
        ]
        bad = InvalidArgument("no title", reason="PRODUCT_INVALID")
        results[-1] = product_service_pb2.UpsertResult(
            product_id=request.products[-1].product_id, status=to_status(bad)
        )
        return product_service_pb2.UpsertProductsResponse(results=results, index_token="t2")

    async def DeleteProducts(self, request, context):
        await self.script.take("DeleteProducts", request, context)
        return product_service_pb2.DeleteProductsResponse(deleted_count=1, index_token="t3")

    async def UpdateProducts(self, request, context):
        await self.script.take("UpdateProducts", request, context)
        gone = NotFound("no such product", reason="PRODUCT_NOT_FOUND")
        result = product_service_pb2.UpsertResult(product_id="p9", status=to_status(gone))
        return product_service_pb2.UpsertProductsResponse(results=[result], index_token="t4")

    async def UpdateOffers(self, request, context):
        await self.script.take("UpdateOffers", request, context)
        bad = InvalidArgument("negative", reason="OFFER_INVALID")
        fine = [status_pb2.Status() for _ in request.offers[:-1]]
        return product_service_pb2.UpdateOffersResponse(
            statuses=[*fine, to_status(bad)], index_token="t5"
        )

    async def PurgeProducts(self, request, context):
        await self.script.take("PurgeProducts", request, context)
        return product_service_pb2.PurgeProductsResponse(
            product_count=2,
            sample_product_ids=["p1", "p2"],
            job=job_pb2.Job(job_id="retriever/9") if request.force else None,
        )

    async def OpenImport(self, request, context):
        await self.script.take("OpenImport", request, context)
        return import_pb2.ImportState(import_id=request.import_id, mode=request.mode, rows_done=7)

    async def ImportProducts(self, request, context):
        await self.script.take("ImportProducts", request, context)
        results = [
            product_service_pb2.UpsertResult(
                product_id=row.product.product_id, etag=f"e{row.row_number}", image_ids=["i1"]
            )
            for row in request.rows
        ]
        state = import_pb2.ImportState(import_id=request.import_id, rows_done=8)
        return product_service_pb2.ImportProductsResponse(
            results=results, state=state, index_token="t6"
        )

    async def CloseImport(self, request, context):
        await self.script.take("CloseImport", request, context)
        return product_service_pb2.CloseImportResponse(
            state=import_pb2.ImportState(import_id=request.import_id, closed=True),
            delete_count=3,
            sample_product_ids=["p3"],
            job=None if request.dry_run else job_pb2.Job(job_id="retriever/10"),
        )

    async def GetImage(self, request, context):
        await self.script.take("GetImage", request, context)
        image = product_pb2.ProductImage(image_id=request.image_id, content=b"bytes")
        return product_service_pb2.GetImageResponse(image=image)


class Index(index_service_pb2_grpc.IndexServiceServicer):
    """Has one generation, "g1", and takes every order."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def CreateGeneration(self, request, context):
        await self.script.take("CreateGeneration", request, context)
        return index_service_pb2.Generation(name=request.name)

    async def BackfillGeneration(self, request, context):
        await self.script.take("BackfillGeneration", request, context)
        return job_pb2.Job(job_id="retriever/11", kind="backfill")

    async def VerifyGeneration(self, request, context):
        await self.script.take("VerifyGeneration", request, context)
        return job_pb2.Job(job_id="retriever/12", kind="verify")

    async def ActivateGeneration(self, request, context):
        await self.script.take("ActivateGeneration", request, context)
        return index_service_pb2.Generation(name=request.name, active=True)

    async def RollbackGeneration(self, request, context):
        await self.script.take("RollbackGeneration", request, context)
        return index_service_pb2.Generation(name="g1", active=True)

    async def DropGeneration(self, request, context):
        await self.script.take("DropGeneration", request, context)
        return index_service_pb2.Generation(
            name=request.name, state=index_service_pb2.Generation.STATE_DROPPED
        )

    async def ListGenerations(self, request, context):
        await self.script.take("ListGenerations", request, context)
        return index_service_pb2.ListGenerationsResponse(
            generations=[index_service_pb2.Generation(name="g1", space_version="v1", active=True)]
        )


class Ranking(ranking_service_pb2_grpc.RankingServiceServicer):
    """Ranks by similarity; for shoppers it nominates p5 and p1, for nobody p4 and p2."""

    def __init__(self, script: Script, answers: "Answers") -> None:
        self.script = script
        self.answers = answers
        self.keeps = True
        """Whether it has room for records."""
        self.calibrated = False
        """Whether it gives the chance of a click, half of the raw score."""
        self.reasoned: int | None = None
        """Of how many products it gives reasons; None = of all."""
        self.reason = answer_pb2.Reason(code="LOOKS_LIKE_QUERY", text="alike")
        self.draws = False
        """Whether the first two change places, by a draw from four."""

    async def Nominate(self, request, context):
        await self.script.take("Nominate", request, context)
        basis = ranking_service_pb2.NominateResponse
        if request.HasField("shopper"):
            ids, why = ["p5", "p1"], basis.BASIS_LONG_TERM
        else:
            ids, why = ["p4", "p2"], basis.BASIS_POPULARITY
        return basis(
            product_ids=ids, scores=[1.0, 0.5], basis=why, model_version="m1", history_token="h1"
        )

    async def Rank(self, request, context):
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
    """By their places in the order of `rows`, the candidates that stay and what they stand for."""
    own, held = request.query_products, request.candidates
    flat = list(request.same_pictures)
    pairs = [pair for pair in zip(flat[::2], flat[1::2], strict=True) if {*pair} <= {*rows}]

    def products(columns: Any, which: Any, marks: Any) -> list[duplicates.Candidate]:
        return [
            duplicates.Candidate(
                columns.product_ids[row],
                columns.parent_ids[row] if columns.parent_ids else "",
                columns.image_hashes[row] if columns.image_hashes else 0,
                [pair for pair in marks if row in pair],
            )
            for row in which
        ]

    count = len(own.product_ids)
    items = (*products(own, range(count), ()), *products(held, rows, pairs))
    groups = duplicates.collapse(items)
    return {group.place - count: group.collapsed for group in groups if group.place >= count}


def _first(whole: Any, count: int) -> Any:
    """The first `count` products of an order; 0 = all."""
    first = ranking_service_pb2.RankResponse()
    first.CopyFrom(whole)
    columns = [first.product_ids, first.raw_scores, first.score_ranks, first.moves, first.scores]
    columns += [first.propensities, first.collapsed, *(part.values for part in first.parts)]
    for column in columns:
        del column[count or len(column) :]
    return first


def _record(request: Any, whole: Any) -> answer_service_pb2.AnswerRecord:
    """What the ranker keeps of an answer that it ranked."""
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
    """Numbers as a column of an answer's record has them."""
    return struct.pack(f"<{len(values)}d", *values)


def unpacked(data: bytes) -> list[float]:
    """Numbers of a column of an answer's record."""
    return list(struct.unpack(f"<{len(data) // 8}d", data))


def _drawn(count: int) -> dict[str, Any]:
    """What is told of an order whose first two were drawn into each other's places."""
    explored = answer_pb2.Move.CAUSE_EXPLORATION
    steps = [1, -1] + [0] * (count - 2)
    moves = [[answer_pb2.Move(cause=explored, places=step)] if step else [] for step in steps]
    return {
        "score_ranks": [2, 1, *range(3, count + 1)],
        "moves": [ranking_service_pb2.MoveList(moves=each) for each in moves],
        "propensities": [0.25, 1.0] + [0.5] * (count - 2),
    }


class Backups(backup_service_pb2_grpc.BackupServiceServicer):
    """Every job is new, and there is one backup."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def CreateBackup(self, request, context):
        await self.script.take("CreateBackup", request, context)
        return job_pb2.Job(job_id="retriever/1", kind="backup")

    async def ListBackups(self, request, context):
        await self.script.take("ListBackups", request, context)
        return backup_service_pb2.ListBackupsResponse(
            backups=[backup_service_pb2.Backup(backup_id="b1")]
        )

    async def RestoreBackup(self, request, context):
        await self.script.take("RestoreBackup", request, context)
        return job_pb2.Job(job_id="retriever/2", kind="restore")


class Rebuilds(rebuild_service_pb2_grpc.RebuildServiceServicer):
    """Every job is new."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def RebuildIndex(self, request, context):
        await self.script.take("RebuildIndex", request, context)
        return job_pb2.Job(job_id="retriever/3", kind="rebuild_index")


class Answers(answer_service_pb2_grpc.AnswerServiceServicer):
    """Keeps answers in a dictionary."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.kept: dict[str, Any] = {}

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
    """Takes all events but the last."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def ExportEvents(self, request, context):
        await self.script.take("ExportEvents", request, context)
        return job_pb2.Job(job_id="ranker/3", kind="export_events")

    async def AppendEvents(self, request, context):
        await self.script.take("AppendEvents", request, context)
        late = InvalidArgument("too far ahead", reason="EVENT_TIME_INVALID")
        fine = [status_pb2.Status() for _ in request.events[:-1]]
        return event_service_pb2.AppendEventsResponse(
            statuses=[*fine, to_status(late)], written_count=len(fine)
        )

    async def GetEvents(self, request, context):
        raise NotImplementedError


class Models(model_service_pb2_grpc.ModelServiceServicer):
    """Has one model, which serves."""

    def __init__(self, script: Script) -> None:
        self.script = script

    async def TrainModel(self, request, context):
        await self.script.take("TrainModel", request, context)
        return job_pb2.Job(job_id="ranker/1", kind="train")

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


class Profiles(profile_service_pb2_grpc.ProfileServiceServicer):
    """Tells of everybody and everything the same."""

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


class Jobs(job_service_pb2_grpc.JobServiceServicer):
    """Knows every job that is asked for; lists those of `created`, newest first."""

    def __init__(self, script: Script, owner: str, created: dict[str, int]) -> None:
        self.script = script
        self.owner = owner
        self.created = created
        """When each job was made, in seconds since 1970, by its id without owner."""

    async def GetJob(self, request, context):
        await self.script.take("GetJob", request, context)
        return job_pb2.Job(job_id=request.job_id, catalog_id=request.catalog_id)

    async def ListJobs(self, request, context):
        await self.script.take("ListJobs", request, context)
        ids = sorted(self.created, reverse=True)
        left = [item for item in ids if not request.page_token or item < request.page_token]
        shown = left[: request.page_size or 50]
        answer = job_service_pb2.ListJobsResponse(
            next_page_token=shown[-1] if len(shown) < len(left) else ""
        )
        for item in shown:
            job = answer.jobs.add(job_id=f"{self.owner}/{item}")
            job.create_time.seconds = self.created[item]
        return answer

    async def CancelJob(self, request, context):
        await self.script.take("CancelJob", request, context)
        return job_pb2.Job(job_id=request.job_id, state=job_pb2.Job.STATE_CANCELLED)

    async def WatchJob(self, request, context):
        await self.script.take("WatchJob", request, context)
        for done in (1, 2):
            yield job_pb2.Job(job_id=request.job_id, done=done)


def columns(ids: list[str], parents: dict[str, str]) -> candidate_pb2.CandidateColumns:
    """Columns with only some of them filled, as the contract allows."""
    return candidate_pb2.CandidateColumns(
        product_ids=ids,
        brands=[f"brand {item}" for item in ids],
        parent_ids=[parents.get(item, "") for item in ids] if parents else [],
    )


def _timing(stage: str, start: int, total: int) -> answer_pb2.StageTiming:
    timing = answer_pb2.StageTiming(stage=stage)
    timing.start.FromNanoseconds(start)
    timing.total.FromNanoseconds(total)
    return timing


@dataclass
class Peer:
    """A server of scripted servicers that can be stopped and started again on its port."""

    bindings: list[Binding]
    script: Script
    name: str
    server: RunningServer | None = None
    port: int = 0

    async def up(self) -> None:
        self.server = await start(self.bindings, ServerSettings(port=self.port), self.name)
        self.port = self.server.port

    async def down(self) -> None:
        if self.server is not None:
            await self.server.stop()
            self.server = None


@dataclass
class Suite:
    """Three scripted peers, a real gateway and stubs to call it by."""

    embedder: Peer
    retriever: Peer
    ranker: Peer
    products: list[str]
    """What the retriever's record holds now."""
    answers: Answers
    port: int
    recommendation: recommendation_service_pb2_grpc.RecommendationServiceStub
    catalog: catalog_service_pb2_grpc.CatalogServiceStub
    events: user_event_service_pb2_grpc.UserEventServiceStub
    admin: admin_service_pb2_grpc.AdminServiceStub
    jobs: job_service_pb2_grpc.JobServiceStub
    retriever_jobs: dict[str, int]
    """The retriever's jobs; see Jobs."""
    ranker_jobs: dict[str, int]


@asynccontextmanager
async def running(**settings: object) -> AsyncIterator[Suite]:
    """A gateway with the given settings before scripted peers.

    Answers have more time than a shop gives them, as other tests may have the processor.
    """
    products = list(PRODUCTS)
    answers = Answers(Script())
    retriever_jobs, ranker_jobs = {"2": 2}, {"1": 1}
    embedder, retriever, ranker = _peers(products, answers, retriever_jobs, ranker_jobs)
    for peer in (embedder, retriever, ranker):
        await peer.up()
    values = GatewaySettings(
        **{  # type: ignore[arg-type]
            "port": 0,
            "embedder_target": f"127.0.0.1:{embedder.port}",
            "retriever_target": f"127.0.0.1:{retriever.port}",
            "ranker_target": f"127.0.0.1:{ranker.port}",
            "catalogs": ("default", "other"),
            "default_seconds": 10.0,
            **settings,
        }
    )
    gateway = build(values, SceneFiles())
    server = await start(gateway.bindings, values, "gateway")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        try:
            yield Suite(
                embedder=embedder,
                retriever=retriever,
                ranker=ranker,
                products=products,
                answers=answers,
                port=server.port,
                recommendation=recommendation_service_pb2_grpc.RecommendationServiceStub(channel),
                catalog=catalog_service_pb2_grpc.CatalogServiceStub(channel),
                events=user_event_service_pb2_grpc.UserEventServiceStub(channel),
                admin=admin_service_pb2_grpc.AdminServiceStub(channel),
                jobs=job_service_pb2_grpc.JobServiceStub(channel),
                retriever_jobs=retriever_jobs,
                ranker_jobs=ranker_jobs,
            )
        finally:
            await server.stop()
            await gateway.close(0.1)
            for peer in (embedder, retriever, ranker):
                await peer.down()


def _peers(
    products: list[str],
    answers: Answers,
    retriever_jobs: dict[str, int],
    ranker_jobs: dict[str, int],
) -> tuple[Peer, Peer, Peer]:
    embedding, retrieving, ranking = Script(), Script(), answers.script
    return (
        Peer(
            [
                Binding(
                    embedding_service_pb2_grpc.add_EmbeddingServiceServicer_to_server,
                    Embedding(embedding),
                    "sightline.embedder.v1.EmbeddingService",
                ),
                Binding(
                    space_service_pb2_grpc.add_SpaceServiceServicer_to_server,
                    FittedSpaces(embedding),
                    "sightline.embedder.v1.SpaceService",
                ),
            ],
            embedding,
            "embedder",
        ),
        Peer(
            [
                Binding(
                    keyword_service_pb2_grpc.add_KeywordServiceServicer_to_server,
                    Keywords(retrieving),
                    "sightline.retriever.v1.KeywordService",
                ),
                Binding(
                    vector_service_pb2_grpc.add_VectorServiceServicer_to_server,
                    Vectors(retrieving, products),
                    "sightline.retriever.v1.VectorService",
                ),
                Binding(
                    product_service_pb2_grpc.add_ProductServiceServicer_to_server,
                    Products(retrieving, products),
                    "sightline.retriever.v1.ProductService",
                ),
                Binding(
                    index_service_pb2_grpc.add_IndexServiceServicer_to_server,
                    Index(retrieving),
                    "sightline.retriever.v1.IndexService",
                ),
                Binding(
                    job_service_pb2_grpc.add_JobServiceServicer_to_server,
                    Jobs(retrieving, "retriever", retriever_jobs),
                    "sightline.common.v1.JobService",
                ),
                Binding(
                    backup_service_pb2_grpc.add_BackupServiceServicer_to_server,
                    Backups(retrieving),
                    "sightline.retriever.v1.BackupService",
                ),
                Binding(
                    rebuild_service_pb2_grpc.add_RebuildServiceServicer_to_server,
                    Rebuilds(retrieving),
                    "sightline.retriever.v1.RebuildService",
                ),
                Binding(
                    fit_service_pb2_grpc.add_FitServiceServicer_to_server,
                    Fits(retrieving),
                    "sightline.retriever.v1.FitService",
                ),
            ],
            retrieving,
            "retriever",
        ),
        Peer(
            [
                Binding(
                    ranking_service_pb2_grpc.add_RankingServiceServicer_to_server,
                    Ranking(ranking, answers),
                    "sightline.ranker.v1.RankingService",
                ),
                Binding(
                    answer_service_pb2_grpc.add_AnswerServiceServicer_to_server,
                    answers,
                    "sightline.ranker.v1.AnswerService",
                ),
                Binding(
                    event_service_pb2_grpc.add_EventServiceServicer_to_server,
                    Events(ranking),
                    "sightline.ranker.v1.EventService",
                ),
                Binding(
                    model_service_pb2_grpc.add_ModelServiceServicer_to_server,
                    Models(ranking),
                    "sightline.ranker.v1.ModelService",
                ),
                Binding(
                    profile_service_pb2_grpc.add_ProfileServiceServicer_to_server,
                    Profiles(ranking),
                    "sightline.ranker.v1.ProfileService",
                ),
                Binding(
                    job_service_pb2_grpc.add_JobServiceServicer_to_server,
                    Jobs(ranking, "ranker", ranker_jobs),
                    "sightline.common.v1.JobService",
                ),
            ],
            ranking,
            "ranker",
        ),
    )
