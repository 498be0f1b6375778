"""Records of answers: what comes from elsewhere is checked, what the ranker knows is put in."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from ranker.domain.answer_columns import MOST_BRANCHES, of_products, packed
from ranker.events.intake import ANSWER_ID
from ranker.ranking.order import Order
from ranker.record.answers import Answer
from ranker.servicer.replies import cause_number
from ranker.servicer.requests import refuse
from sightline.ranker.v1 import answer_service_pb2 as answers_pb
from sightline.ranker.v1 import ranking_service_pb2 as pb

MOST_ARMS = 16
MOST_ARM = 64
DIGEST_BYTES = 32
MOST_MICROS = 253_402_300_800_000_000
"""The year 10000, which is more than a Timestamp can say."""
SECOND = 1_000_000

T = TypeVar("T")


def named_problems(answer_id: str, digest: bytes, arms: Sequence[str]) -> Iterable[tuple[str, str]]:
    """What is wrong with what names an answer, by field."""
    if not ANSWER_ID.fullmatch(answer_id):
        yield "answer_id", "is not 1 to 64 of A-Z, a-z, 0-9, _ and -"
    if len(digest) not in (0, DIGEST_BYTES):
        yield "request_digest", f"is not {DIGEST_BYTES} bytes long"
    if len(arms) > MOST_ARMS or not all(
        0 < len(one) <= MOST_ARM and one.isprintable() for one in arms
    ):
        yield "arms", f"are not up to {MOST_ARMS} of 1 to {MOST_ARM} printable characters"


def check_draft(draft: pb.AnswerDraft, count: int) -> None:
    """RequestInvalid unless an answer of `count` candidates can be kept so."""
    named = named_problems(draft.answer_id, draft.request_digest, draft.arms)
    refuse([*named, *_column_problems(draft, count)], "record.")


def _column_problems(draft: pb.AnswerDraft, count: int) -> Iterable[tuple[str, str]]:
    for name in ("answer_time_micros", "expire_time_micros"):
        if not 0 <= getattr(draft, name) < MOST_MICROS:
            yield name, "is no time before the year 10000"
    if len(draft.branch_names) > MOST_BRANCHES:
        yield "branch_names", f"has more than {MOST_BRANCHES} entries"
    for name in ("matched_image_ids", "branches"):
        if (length := len(getattr(draft, name))) not in (0, count):
            yield name, f"has {length} entries for {count} products"


def stored(
    message: answers_pb.AnswerRecord,
    catalog_id: str,
    who: str | None,
    key_id: str,
    *,
    now_micros: int,
    keep_micros: int,
) -> Answer:
    """A checked record as it is kept, with `who` apart from its content; `keep_micros`: for how
    long, unless it says so itself. The message is changed into that content."""
    message.ClearField("shopper")
    if message.products:
        message.columns.CopyFrom(of_products(message.products))
        message.ClearField("products")
    served, expires = message.answer_time, message.expire_time
    return Answer(
        catalog_id=catalog_id,
        answer_id=message.answer_id,
        actor=who or "",
        key_id=key_id,
        content=message.SerializeToString(),
        expires_micros=(
            expires.seconds * SECOND
            if message.HasField("expire_time")
            else now_micros + keep_micros
        ),
        answer_micros=(
            served.seconds * SECOND + served.nanos // 1000
            if message.HasField("answer_time")
            else now_micros
        ),
        model_version=message.versions.model_version,
        scene=message.scene,
        arms="\n".join(sorted(set(message.arms))),
    )


def record_of(
    request: pb.RankRequest, answer: pb.RankResponse, ids: Sequence[str], order: Order
) -> answers_pb.AnswerRecord:
    """The record of an answer to a request that drafts one; `ids` are those of all candidates."""
    draft = request.record
    made = answers_pb.AnswerRecord(
        answer_id=draft.answer_id,
        request_digest=draft.request_digest,
        scene=draft.versions.scene,
        versions=draft.versions,
        seed=request.seed,
        degradations=[*draft.degradations, *answer.degradations],
        hidden_count=answer.hidden_count,
        arms=draft.arms,
        columns=columns_of(draft, ids, order),
    )
    made.versions.model_version = answer.model_version
    made.columns.score_event = answer.score_event
    for name in ("answer_time", "expire_time"):
        if micros := getattr(draft, f"{name}_micros"):
            getattr(made, name).FromMicroseconds(micros)
    return made


def columns_of(
    draft: pb.AnswerDraft, ids: Sequence[str], order: Order
) -> answers_pb.AnsweredColumns:
    """The whole order; `ids` are those of all candidates."""
    rows = order.ranking.rows.tolist()
    chances, drawn = order.chances, (order.propensities != 1).any()
    return answers_pb.AnsweredColumns(
        product_ids=[ids[row] for row in rows],
        raw_scores=packed(order.ranking.raw_scores),
        parts=[
            answers_pb.PackedPart(name=name, values=packed(values))
            for name, values in order.ranking.parts.items()
        ],
        matched_image_ids=_picked(draft.matched_image_ids, rows),
        branch_names=draft.branch_names,
        branches=_picked(draft.branches, rows),
        collapsed_counts=map(len, order.members),
        collapsed_product_ids=[ids[row] for each in order.members for row in each],
        score_ranks=order.score_ranks.tolist() if order.moved else (),
        moves=[
            answers_pb.MoveColumn(cause=cause_number(cause), places=steps.tolist())
            for cause, steps in order.moves.items()
        ],
        propensities=packed(order.propensities) if drawn else b"",
        scores=b"" if chances is None else packed(chances),
    )


def _picked(column: Sequence[T], rows: Sequence[int]) -> Sequence[T]:
    return [column[row] for row in rows] if column else ()
