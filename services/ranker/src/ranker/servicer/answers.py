"""AnswerService on the wire."""

# ruff: noqa: N802, ARG002 (gRPC names the methods and hands them a context)

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ranker.domain import answer_columns
from ranker.domain.answer_columns import MOST_BRANCHES, MOST_PRODUCTS
from ranker.domain.errors import AnswerMissing
from ranker.domain.pseudonyms import Pseudonyms
from ranker.record.answers import AnswerQueue
from ranker.servicer.records import named_problems, stored
from ranker.servicer.requests import actor, check_range, refuse
from servicekit.jobs import now_micros
from servicekit.requests import enter
from servicekit.server import Context
from sightline.ranker.v1 import answer_service_pb2 as pb
from sightline.ranker.v1 import answer_service_pb2_grpc

MOST_ANSWERS = 100
LAST_SECOND = 253_402_300_799
"""9999-12-31, the last that a Timestamp can say."""


@dataclass(eq=False)
class AnswerServicer(answer_service_pb2_grpc.AnswerServiceServicer):
    """Keeps answers and gives them back."""

    catalogs: Sequence[str]
    pseudonyms: Pseudonyms
    answers: AnswerQueue
    keep_micros: int
    """How long an answer is kept that does not say so itself."""

    async def RecordAnswers(
        self, request: pb.RecordAnswersRequest, context: Context
    ) -> pb.RecordAnswersResponse:
        """Keep answers; the first content of an id stays."""
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        check_range("answers", len(request.answers), 1, MOST_ANSWERS)
        refuse(_problems(request.answers))
        now = now_micros()
        answers = [
            stored(
                message,
                catalog_id,
                actor(message.shopper, catalog_id, self.pseudonyms),
                self.pseudonyms.key_id,
                now_micros=now,
                keep_micros=self.keep_micros,
            )
            for message in request.answers
        ]
        return pb.RecordAnswersResponse(written_count=await self.answers.write(answers))

    async def GetAnswer(self, request: pb.GetAnswerRequest, context: Context) -> pb.AnswerRecord:
        """One kept answer, or a range of its products, without its shopper."""
        catalog_id = enter(request.catalog_id, request.request_id, self.catalogs)
        check_range("offset", request.offset, 0, MOST_PRODUCTS)
        check_range("limit", request.limit, 0, MOST_PRODUCTS)
        content = await self.answers.read(catalog_id, request.answer_id)
        if content is None:
            raise AnswerMissing
        record = pb.AnswerRecord.FromString(content)
        if record.products:  # of a release before 0.6, which kept them one by one
            raise AnswerMissing
        answer_columns.page(record, request.offset, request.limit, as_columns=request.as_columns)
        return record


def _problems(answers: Sequence[pb.AnswerRecord]) -> Iterable[tuple[str, str]]:
    for place, answer in enumerate(answers):
        path = f"answers[{place}]"
        for name, problem in _answer_problems(answer):
            yield f"{path}.{name}", problem


def _answer_problems(answer: pb.AnswerRecord) -> Iterable[tuple[str, str]]:
    yield from named_problems(answer.answer_id, answer.request_digest, answer.arms)
    if len(answer.products) > MOST_PRODUCTS:
        yield "products", f"has more than {MOST_PRODUCTS} entries"
    elif len({name for one in answer.products for name in one.branches}) > MOST_BRANCHES:
        yield "products", f"name more than {MOST_BRANCHES} branches"
    if answer.HasField("columns"):
        if answer.products:
            yield "columns", "are there beside products"
        for name, problem in answer_columns.problems(answer.columns):
            yield f"columns.{name}", problem
    for name in ("expire_time", "answer_time"):
        if abs(getattr(answer, name).seconds) > LAST_SECOND:
            yield name, "is no time before the year 10000"
