"""Replays on the wire: conversion of a record to values of the use case, and of its result to a
message.

Edge: translates and decides nothing.
"""

from collections.abc import Iterable

from ranker.domain import answer_columns
from ranker.domain.answer_arrays import VERSION
from ranker.domain.arrays import numbers
from ranker.domain.columns import check_lengths
from ranker.domain.errors import AnswerOutdated
from ranker.servicer.answers import columns_message, order_of_record
from ranker.servicer.candidates import offers_of
from ranker.servicer.inputs import asked_again, changed
from ranker.servicer.messages import message_of
from ranker.servicer.rank_requests import rank_query
from ranker.serving.answered_order import AnsweredOrder
from ranker.serving.expected_outcome import KnownOffers
from ranker.serving.replay_answer import RecordedRanking, ReplayAnswer
from sightline.common.v1 import candidate_pb2
from sightline.ranker.v1 import answer_service_pb2 as pb

ANONYMOUS = "replayed"
"""Placeholder for the pseudonym in the query of a replay."""
_OUTCOMES = ("recomputed_outcome", "changed_outcome")
_D = pb.ReplayDifference


class Replayer:
    """Answers ReplayAnswer."""

    def __init__(self, replay: ReplayAnswer) -> None:
        self._replay = replay

    async def __call__(
        self, catalog_id: str, request: pb.ReplayAnswerRequest, record: pb.AnswerRecord, actor: str
    ) -> pb.ReplayAnswerResponse:
        """Return the record's order computed again; AnswerOutdated. `actor`: pseudonym of the
        shopper whose record it is, "" if it names none."""
        check_version(record)
        answer = pb.ReplayAnswerResponse()
        if record.HasField("inputs"):
            await self._add_replay(answer, catalog_id, request, record, actor)
        else:
            text = "the ranker did not rank this answer: its order is that of the branches' fusion"
            answer.differences.append(_D(kind=_D.KIND_NOT_RANKED, text=text))
        shown = answer.record
        shown.CopyFrom(record)
        shown.ClearField("inputs")
        shown.ClearField("inputs_version")
        answer_columns.page(shown, 0, request.limit, as_columns=False)
        return answer

    async def _add_replay(
        self,
        answer: pb.ReplayAnswerResponse,
        catalog_id: str,
        request: pb.ReplayAnswerRequest,
        record: pb.AnswerRecord,
        actor: str,
    ) -> None:
        again = asked_again(record)
        who = ANONYMOUS if record.inputs.personal else None
        recorded, other = recorded_ranking(catalog_id, record, actor), None
        if request.HasField("change"):
            check_lengths(request.change.products, "change.products")
            other = rank_query(changed(again, request.change), catalog_id, who)
        offers = _offers(request.change.products)
        found = await self._replay(recorded, other, offers=offers, first=request.limit)
        answer.model_version, answer.equal = found.model_version, found.equal
        answer.differences.extend(message_of(_D, each) for each in found.differences)
        answer.recomputed.extend(_first(found.order, request.limit))
        if found.changed is not None:
            answer.changed.extend(_first(found.changed, request.limit))
        for field, outcome in zip(_OUTCOMES, found.outcomes, strict=True):
            if outcome is not None:
                kind, currency = pb.ExpectedOutcome, outcome.currency
                getattr(answer, field).CopyFrom(message_of(kind, outcome, currency_code=currency))


def _offers(columns: candidate_pb2.CandidateColumns) -> KnownOffers | None:
    offers = offers_of(columns)
    return None if offers is None else KnownOffers(list(columns.product_ids), offers)


def recorded_ranking(catalog_id: str, record: pb.AnswerRecord, actor: str) -> RecordedRanking:
    """Return the recorded inputs of an answer's order."""
    inputs = record.inputs
    who = ANONYMOUS if inputs.personal else None
    query = rank_query(asked_again(record), catalog_id, who)
    return RecordedRanking(
        query=query,
        order=order_of_record(record),
        model_version=record.versions.model_version,
        actor=actor,
        recent_events=tuple(inputs.recent_events),
        marking_events=tuple(inputs.marking_events),
        shopper_place=inputs.shopper_place,
        attributes_digest=inputs.attributes_digest,
        settings_digest=inputs.settings_digest,
        popularity=numbers(inputs.popularity) if inputs.popularity else None,
        draws=inputs.draws,
    )


def check_version(record: pb.AnswerRecord) -> None:
    """Raise AnswerOutdated if the record was written in an older format."""
    if record.inputs_version != VERSION:
        raise AnswerOutdated(record.inputs_version, VERSION)


def _first(order: AnsweredOrder, limit: int) -> Iterable[pb.AnsweredProduct]:
    count = limit or len(order.product_ids)
    return answer_columns.to_products(answer_columns.cut(columns_message(order), 0, count))
