"""Conversion of answer records to the ranker's messages and back."""

from dataclasses import replace
from typing import Literal

from gateway.clients import messages
from gateway.clients.columns import BRANCHES, order_message, order_of
from gateway.model.replay import Difference, ExpectedOutcome, RankerReplay, RecordedAnswer
from servicekit.rpc.requests import timestamp
from sightline.ranker.v1 import answer_service_pb2 as answers_pb
from sightline.ranker.v1 import ranking_service_pb2 as ranking_pb
from sightline_core.answer import AnswerRecord
from sightline_core.candidates import FusedCandidates


def draft_of(record: AnswerRecord, candidates: FusedCandidates) -> ranking_pb.AnswerDraft:
    """Return the record of an answer that the ranker ranks, without the fields that it fills in."""
    return ranking_pb.AnswerDraft(
        answer_id=record.answer_id,
        request_digest=record.request_digest,
        versions=messages.versions_message(record.versions),
        degradations=messages.degradation_messages(record.degradations),
        answer_time_micros=record.answer_micros,
        expire_time_micros=record.expire_micros,
        arms=record.arms,
        matched_image_ids=candidates.image_ids if any(candidates.image_ids) else (),
        branch_names=BRANCHES,
        branches=candidates.branches,
    )


def message_of(record: AnswerRecord) -> answers_pb.AnswerRecord:
    """Return the message of a complete record of an answer that the ranker did not rank."""
    return answers_pb.AnswerRecord(
        answer_id=record.answer_id,
        request_digest=record.request_digest,
        shopper=messages.shopper_message(record.shopper),
        scene=record.versions.scene,
        versions=messages.versions_message(record.versions),
        seed=record.seed,
        columns=order_message(record.order),
        total_count=record.order.total,
        degradations=messages.degradation_messages(record.degradations),
        answer_time=timestamp(record.answer_micros),
        expire_time=timestamp(record.expire_micros),
        hidden_count=record.hidden_count,
        arms=record.arms,
        controls=record.controls,
    )


def record_of(message: answers_pb.AnswerRecord, offset: int) -> AnswerRecord:
    """Return a record with its order from `offset` on."""
    return AnswerRecord(
        answer_id=message.answer_id,
        request_digest=message.request_digest,
        shopper=None,
        versions=messages.versions(message.versions),
        seed=message.seed,
        order=replace(
            order_of(message.columns, offset, message.total_count),
            left_out=frozenset(message.left_out_product_ids),
        ),
        degradations=messages.degradation_list(message.degradations),
        answer_micros=message.answer_time.ToMicroseconds(),
        expire_micros=message.expire_time.ToMicroseconds(),
        hidden_count=message.hidden_count,
        arms=tuple(message.arms),
        controls=tuple(message.controls),
    )


def replay_of(message: answers_pb.ReplayAnswerResponse) -> RankerReplay:
    """Return the ranker's recomputation of an answer."""
    record = message.record
    return RankerReplay(
        record=RecordedAnswer(
            answer_id=record.answer_id,
            products=tuple(map(messages.answered_product, record.products)),
            versions=messages.versions(record.versions),
            degradations=messages.degradation_list(record.degradations),
            arms=tuple(record.arms),
            request_digest=record.request_digest,
            answer_micros=record.answer_time.ToMicroseconds(),
            seed=record.seed,
            total_count=record.total_count,
        ),
        recomputed=tuple(map(messages.answered_product, message.recomputed)),
        equal=message.equal,
        differences=tuple(
            Difference(item.subject, item.text, item.kind) for item in message.differences
        ),
        model_version=message.model_version,
        changed=tuple(map(messages.answered_product, message.changed)),
        outcome=_outcome(message, "recomputed_outcome"),
        changed_outcome=_outcome(message, "changed_outcome"),
    )


def _outcome(
    message: answers_pb.ReplayAnswerResponse,
    field: Literal["recomputed_outcome", "changed_outcome"],
) -> ExpectedOutcome | None:
    if not message.HasField(field):
        return None
    found: answers_pb.ExpectedOutcome = getattr(message, field)
    return ExpectedOutcome(
        clicks=found.clicks if found.HasField("clicks") else None,
        purchases=found.purchases if found.HasField("purchases") else None,
        revenue=found.revenue if found.HasField("revenue") else None,
        margin=found.margin if found.HasField("margin") else None,
        currency=found.currency_code,
    )
