"""AnswerService on the wire."""

# ruff: noqa: N802, ARG002 (gRPC names the methods and hands them a context)

from collections.abc import Callable, Iterable, Sequence

from ranker.events.intake import ANSWER_ID
from ranker.model import AnswerMissing
from ranker.pseudonyms import Pseudonyms
from ranker.record.answers import Answer, AnswerLog
from ranker.servicer.requests import Context, actor, check_range
from servicekit.errors import FieldViolation
from servicekit.requests import RequestInvalid, enter
from sightline.ranker.v1 import answer_service_pb2 as pb
from sightline.ranker.v1 import answer_service_pb2_grpc

MOST_ANSWERS = 100
MOST_PRODUCTS = 2000
MOST_ARMS = 16
MOST_ARM = 64
DIGEST_BYTES = 32
LAST_SECOND = 253_402_300_799
"""9999-12-31, the last that a Timestamp can say."""


class AnswerServicer(answer_service_pb2_grpc.AnswerServiceServicer):
    """Keeps answers and gives them back."""

    def __init__(
        self,
        catalogs: Sequence[str],
        pseudonyms: Pseudonyms,
        log: AnswerLog,
        now_micros: Callable[[], int],
        keep_micros: int,
    ) -> None:
        """`keep_micros` is how long an answer is kept that does not say so itself."""
        self._catalogs = catalogs
        self._pseudonyms = pseudonyms
        self._log = log
        self._now = now_micros
        self._keep_micros = keep_micros

    async def RecordAnswers(
        self,
        request: pb.RecordAnswersRequest,
        context: Context,
    ) -> pb.RecordAnswersResponse:
        """Keep answers; the first content of an id stays."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        check_range("answers", len(request.answers), 1, MOST_ANSWERS)
        problems = [*_problems(request.answers)]
        if problems:
            raise RequestInvalid(*(FieldViolation(*problem) for problem in problems))
        now = self._now()
        answers = [self._answer(catalog_id, message, now) for message in request.answers]
        return pb.RecordAnswersResponse(written_count=await self._log.write(answers, now))

    async def GetAnswer(
        self,
        request: pb.GetAnswerRequest,
        context: Context,
    ) -> pb.AnswerRecord:
        """One kept answer, without its shopper."""
        catalog_id = enter(request.catalog_id, request.request_id, self._catalogs)
        content = await self._log.read(catalog_id, request.answer_id, self._now())
        if content is None:
            raise AnswerMissing
        return pb.AnswerRecord.FromString(content)

    def _answer(self, catalog_id: str, message: pb.AnswerRecord, now: int) -> Answer:
        who = actor(message.shopper, catalog_id, self._pseudonyms)
        kept = pb.AnswerRecord()
        kept.CopyFrom(message)
        kept.ClearField("shopper")
        expires = now + self._keep_micros
        if message.HasField("expire_time"):
            expires = message.expire_time.seconds * 1_000_000
        return Answer(
            catalog_id=catalog_id,
            answer_id=message.answer_id,
            actor=who or "",
            key_id=self._pseudonyms.key_id,
            content=kept.SerializeToString(deterministic=True),
            expires_micros=expires,
            answer_micros=_answer_micros(message, now),
            model_version=message.versions.model_version,
            scene=message.scene,
            arms="\n".join(sorted(set(message.arms))),
        )


def _answer_micros(message: pb.AnswerRecord, now: int) -> int:
    """When it was served; now where that was not said."""
    if not message.HasField("answer_time"):
        return now
    return message.answer_time.seconds * 1_000_000 + message.answer_time.nanos // 1000


def _problems(answers: Sequence[pb.AnswerRecord]) -> Iterable[tuple[str, str]]:
    for place, answer in enumerate(answers):
        path = f"answers[{place}]"
        if not ANSWER_ID.fullmatch(answer.answer_id):
            yield f"{path}.answer_id", "is not 1 to 64 of A-Z, a-z, 0-9, _ and -"
        if len(answer.request_digest) not in (0, DIGEST_BYTES):
            yield f"{path}.request_digest", f"is not {DIGEST_BYTES} bytes long"
        if len(answer.products) > MOST_PRODUCTS:
            yield f"{path}.products", f"has more than {MOST_PRODUCTS} entries"
        for name in ("expire_time", "answer_time"):
            if abs(getattr(answer, name).seconds) > LAST_SECOND:
                yield f"{path}.{name}", "is no time before the year 10000"
        if len(answer.arms) > MOST_ARMS or any(map(_no_arm, answer.arms)):
            yield f"{path}.arms", f"are not up to {MOST_ARMS} of 1 to 64 printable characters"


def _no_arm(name: str) -> bool:
    return not (0 < len(name) <= MOST_ARM and name.isprintable())
