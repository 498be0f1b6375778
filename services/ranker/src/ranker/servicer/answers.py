"""AnswerService, and records of answers: input is validated, and the ranker's own data is added."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ranker.domain import answer_columns
from ranker.domain.answer_arrays import VERSION, read_record
from ranker.domain.answer_columns import MOST_BRANCHES, MOST_PRODUCTS, UNKNOWN
from ranker.domain.errors import AnswerMissing
from ranker.domain.online import cause_bits
from ranker.domain.pseudonyms import Pseudonyms
from ranker.events.intake import ANSWER_ID
from ranker.ports import HistoryReader
from ranker.record.answers import AnswerQueue, StoredAnswer
from ranker.servicer.controls import name_problems
from ranker.servicer.events import NUMBERS
from ranker.servicer.replies import cause_name, cause_number
from ranker.servicer.requests import actor, check_range, refuse
from ranker.serving.answered_order import AnsweredOrder
from ranker.serving.record_ranking import AnswerDraft
from servicekit.clock import now_micros
from servicekit.rpc.requests import enter
from servicekit.rpc.server import Context
from sightline.ranker.v1 import answer_service_pb2 as pb
from sightline.ranker.v1 import answer_service_pb2_grpc
from sightline.ranker.v1 import ranking_service_pb2 as ranking_pb
from sightline_core.answer import AnswerOrder, AnswerRecord
from sightline_core.degradations import Degradation
from sightline_core.ranking import AnswerRange

MOST_ANSWERS = 100
MOST_LISTED, DEFAULT_LISTED = 200, 100
MOST_COUNTED = 1000
LAST_SECOND = 253_402_300_799
"""9999-12-31, the latest time of a Timestamp."""

EVENTS = {number: event for event, number in NUMBERS.items()}
_NO_ORDER = AnswerOrder()
Replay = Callable[
    [str, pb.ReplayAnswerRequest, pb.AnswerRecord, str], Awaitable[pb.ReplayAnswerResponse]
]
"""(catalog, request, record, shopper): computes the record's order again."""


@dataclass(eq=False)
class AnswerServicer(answer_service_pb2_grpc.AnswerServiceServicer):
    catalogs: Collection[str]
    pseudonyms: Pseudonyms
    answers: AnswerQueue
    keep_micros: int
    """Retention of answers without their own expiry, in microseconds."""
    replay: Replay
    reader: HistoryReader

    async def RecordAnswers(
        self, request: pb.RecordAnswersRequest, context: Context
    ) -> pb.RecordAnswersResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        check_range("answers", len(request.answers), 1, MOST_ANSWERS)
        refuse(_problems(request.answers))
        for message in request.answers:  # set by the ranker only
            message.ClearField("inputs")
        keep = (self.pseudonyms.key_id, self.keep_micros)
        answers = [
            stored(message, catalog_id, actor(message.shopper, catalog_id, self.pseudonyms), *keep)
            for message in request.answers
        ]
        return pb.RecordAnswersResponse(written_count=await self.answers.write(answers))

    async def GetAnswer(self, request: pb.GetAnswerRequest, context: Context) -> pb.AnswerRecord:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        who = actor(request.shopper, catalog_id, self.pseudonyms)
        return await self.part(catalog_id, request, who, as_columns=request.as_columns)

    async def part(
        self,
        catalog_id: str,
        asked: pb.GetAnswerRequest | AnswerRange,
        who: str | None,
        *,
        as_columns: bool = True,
    ) -> pb.AnswerRecord:
        """Return a part of a recorded answer, with the products of it that Rank would drop now for
        the shopper. Raises RequestInvalid, AnswerMissing."""
        check_range("offset", asked.offset, 0, MOST_PRODUCTS)
        check_range("limit", asked.limit, 0, MOST_PRODUCTS)
        record = await self._read(catalog_id, asked.answer_id, inputs=False)
        answer_columns.page(record, asked.offset, asked.limit, as_columns=as_columns)
        given = record.columns.product_ids or [one.product_id for one in record.products]
        if who is not None:
            now = await self.reader.history(catalog_id, who, limit=0, with_seen=asked.drop_seen)
            out = now.hidden | now.seen
            record.left_out_product_ids[:] = filter(out.__contains__, given)
        return record

    async def _read(
        self, catalog_id: str, answer_id: str, *, inputs: bool = True
    ) -> pb.AnswerRecord:
        content = await self.answers.read(catalog_id, answer_id)
        if content is None:
            raise AnswerMissing
        return read_record(content, inputs=inputs)

    async def ListAnswers(
        self, request: pb.ListAnswersRequest, context: Context
    ) -> pb.ListAnswersResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        check_range("limit", request.limit, 0, MOST_LISTED)
        check_range("from_time", request.from_time.seconds, -LAST_SECOND, LAST_SECOND)
        since = request.from_time.seconds * SECOND + request.from_time.nanos // 1000
        limit = request.limit or DEFAULT_LISTED
        found = await self.answers.newest(catalog_id, request.scene, since, limit)
        return pb.ListAnswersResponse(answer_ids=found)

    async def ReplayAnswer(
        self, request: pb.ReplayAnswerRequest, context: Context
    ) -> pb.ReplayAnswerResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        check_range("limit", request.limit, 0, MOST_PRODUCTS)
        record = await self._read(catalog_id, request.answer_id)
        whose = await self.answers.owner(catalog_id, request.answer_id)
        return await self.replay(catalog_id, request, record, whose)

    async def CountControls(
        self, request: pb.CountControlsRequest, context: Context
    ) -> pb.CountControlsResponse:
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        check_range("names", len(request.names), 0, MOST_COUNTED)
        counts = await self.answers.exposures(catalog_id, request.day, request.names)
        return pb.CountControlsResponse(
            counts=[pb.ControlCount(name=name, count=count) for name, count in counts.items()]
        )


def _problems(answers: Sequence[pb.AnswerRecord]) -> Iterable[tuple[str, str]]:
    for place, answer in enumerate(answers):
        path = f"answers[{place}]"
        for name, problem in _answer_problems(answer):
            yield f"{path}.{name}", problem


def _answer_problems(answer: pb.AnswerRecord) -> Iterable[tuple[str, str]]:
    yield from named_problems(answer.answer_id, answer.request_digest, answer.arms)
    yield from name_problems(answer.controls)
    if answer.products:
        yield "products", "must be empty: set columns"
    if answer.HasField("columns"):
        for name, problem in answer_columns.problems(answer.columns):
            yield f"columns.{name}", problem
    for name in ("expire_time", "answer_time"):
        if abs(getattr(answer, name).seconds) > LAST_SECOND:
            yield name, "must be a time before the year 10000"


MOST_ARMS = 16
MOST_ARM = 64
DIGEST_BYTES = 32
MOST_MICROS = 253_402_300_800_000_000
"""The year 10000, beyond the range of a Timestamp."""
SECOND = 1_000_000


def named_problems(answer_id: str, digest: bytes, arms: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Yield problems of the fields that identify an answer, as (field, problem)."""
    if not ANSWER_ID.fullmatch(answer_id):
        yield "answer_id", "is not 1 to 64 of A-Z, a-z, 0-9, _ and -"
    if len(digest) not in (0, DIGEST_BYTES):
        yield "request_digest", f"is not {DIGEST_BYTES} bytes long"
    if len(arms) > MOST_ARMS or not all(
        0 < len(one) <= MOST_ARM and one.isprintable() for one in arms
    ):
        yield "arms", f"are not up to {MOST_ARMS} of 1 to {MOST_ARM} printable characters"


def check_draft(draft: ranking_pb.AnswerDraft, count: int) -> None:
    """Raise RequestInvalid unless the draft fits an answer of `count` candidates."""
    named = named_problems(draft.answer_id, draft.request_digest, draft.arms)
    refuse([*named, *_column_problems(draft, count)], "record.")


def _column_problems(draft: ranking_pb.AnswerDraft, count: int) -> Iterable[tuple[str, str]]:
    for name in ("answer_time_micros", "expire_time_micros"):
        if not 0 <= getattr(draft, name) < MOST_MICROS:
            yield name, "must be a time before the year 10000"
    if len(draft.branch_names) > MOST_BRANCHES:
        yield "branch_names", f"has more than {MOST_BRANCHES} entries"
    for name in ("matched_image_ids", "branches"):
        if (length := len(getattr(draft, name))) not in (0, count):
            yield name, f"has {length} entries for {count} products"


def stored(
    message: pb.AnswerRecord, catalog_id: str, who: str | None, key_id: str, keep_micros: int
) -> StoredAnswer:
    """Convert a checked record for the store, with the shopper `who` outside its content.
    `keep_micros` applies if the record has no expiry. Modify the message."""
    message.ClearField("shopper")
    message.inputs_version = VERSION
    served, expires, now = message.answer_time, message.expire_time, now_micros()
    return StoredAnswer(
        catalog_id=catalog_id,
        answer_id=message.answer_id,
        actor=who or "",
        key_id=key_id,
        content=message.SerializeToString(),
        expires_micros=(
            expires.seconds * SECOND if message.HasField("expire_time") else now + keep_micros
        ),
        answer_micros=(
            served.seconds * SECOND + served.nanos // 1000
            if message.HasField("answer_time")
            else now
        ),
        model_version=message.versions.model_version,
        scene=message.scene,
        arms="\n".join(sorted(set(message.arms))),
        controls=tuple(message.controls),
        product_count=len(message.columns.product_ids),
        degraded_by=cause_bits(each.cause for each in message.degradations),
    )


def draft_of(message: ranking_pb.AnswerDraft) -> AnswerDraft:
    """Return a checked draft."""
    versions: Any = message.versions  # has the fields of its value, which are read later
    record = AnswerRecord(
        answer_id=message.answer_id,
        request_digest=message.request_digest,
        shopper=None,
        versions=versions,
        seed=0,
        degradations=tuple(map(_degradation, message.degradations)),
        answer_micros=message.answer_time_micros,
        expire_micros=message.expire_time_micros,
        order=_NO_ORDER,
        arms=tuple(message.arms),
    )
    columns = (message.matched_image_ids, message.branch_names, message.branches)
    return AnswerDraft(record, *columns)


def _degradation(message: Any) -> Degradation:
    """Return a degradation, whose cause may be one that only a newer gateway knows."""
    as_of = message.as_of.ToMicroseconds()
    return Degradation(message.stage, message.cause, message.substitute, as_of)


def columns_message(order: AnsweredOrder) -> pb.AnsweredColumns:
    """Return an order as the columns of a record."""
    return pb.AnsweredColumns(
        product_ids=order.product_ids,
        raw_scores=order.raw_scores,
        parts=[pb.PackedPart(name=name, values=values) for name, values in order.parts],
        collapsed_counts=order.collapsed_counts,
        collapsed_product_ids=order.collapsed_product_ids,
        score_ranks=order.score_ranks,
        moves=[
            pb.MoveColumn(cause=cause_number(cause), places=places) for cause, places in order.moves
        ],
        propensities=order.propensities,
        scores=order.scores,
        score_event=NUMBERS[order.score_event] if order.score_event else UNKNOWN,
    )


def order_of_record(record: pb.AnswerRecord) -> AnsweredOrder:
    """Return the order stored in a record."""
    columns = record.columns
    return AnsweredOrder(
        product_ids=tuple(columns.product_ids),
        raw_scores=columns.raw_scores,
        parts=tuple((one.name, one.values) for one in columns.parts),
        collapsed_counts=tuple(columns.collapsed_counts),
        collapsed_product_ids=tuple(columns.collapsed_product_ids),
        score_ranks=tuple(columns.score_ranks),
        moves=tuple((cause_name(one.cause), tuple(one.places)) for one in columns.moves),
        propensities=columns.propensities,
        scores=columns.scores,
        score_event=EVENTS.get(columns.score_event),
        hidden_count=record.hidden_count,
    )
