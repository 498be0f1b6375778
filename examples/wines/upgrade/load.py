"""Simulated shoppers who send requests continuously: with a photo, with a product, as a customer.

Each kind sends requests in two ways. ``sightline recommend --batch`` is a separate process, started
again for every round, as users run it. The watcher sends requests without retries, so that every
failed request is counted, and times each answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any, TypeAlias

import grpc
from google.protobuf import json_format

from examples.wines.catalogue import Rating, Wine
from examples.wines.upgrade.model import Seen
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline.gateway.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from sightline_client.convert import from_wire, requests
from sightline_client.transport import gateway_channel
from sightline_client.values.answers import Recommendations

SIGHTLINE = Path(sys.executable).with_name("sightline")
TOP = 10
Recommend: TypeAlias = (
    "grpc.aio.UnaryUnaryMultiCallable[rec.RecommendRequest, rec.RecommendResponse]"
)
_SECONDS = 10.0
"""Deadline of a request."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request, as a message and as a line for ``--batch``."""

    kind: str
    key: str
    request: rec.RecommendRequest
    line: dict[str, Any]


def questions(
    wines: Sequence[Wine], ratings: Sequence[Rating], catalog: str
) -> dict[str, list[Question]]:
    """Return as many questions of each kind as there are wines."""
    users = sorted({rating.user_id for rating in ratings})[: len(wines)]

    def ask(kind: str, key: str, line: dict[str, Any], **asked: Any) -> Question:
        request = requests.recommend(catalog=catalog, page_size=TOP, **asked)
        return Question(kind, key, request, {"id": key, **line})

    return {
        "photo": [
            ask("photo", wine.id, {"image": str(wine.image)}, images=[wine.image.read_bytes()])
            for wine in wines
        ],
        "product": [
            ask("product", wine.id, {"product": wine.id}, products=wine.id) for wine in wines
        ],
        "user": [ask("user", user, {"user": user}, user=user) for user in users],
    }


@dataclass(slots=True)
class Load:
    """The simulated shoppers."""

    target: str
    catalog: str
    folder: Path
    """For the files of the commands."""
    seen: list[Seen] = field(default_factory=list)
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self, asked: dict[str, list[Question]]) -> AsyncIterator[None]:
        """Send requests until the block is left, and wait for those in progress."""
        tasks = [asyncio.create_task(self._watch(ones)) for ones in asked.values()]
        tasks += [asyncio.create_task(self._command(kind, ones)) for kind, ones in asked.items()]
        try:
            yield
        finally:
            self._over.set()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end

    async def _watch(self, asked: Sequence[Question]) -> None:
        async with gateway_channel.connect(
            self.target, retries=False, credentials=None
        ) as connection:
            recommend = RecommendationServiceStub(connection).Recommend
            for question in cycle(asked):
                if self._over.is_set():
                    return
                self.seen.append(await _once(recommend, question))

    async def _command(self, kind: str, asked: Sequence[Question]) -> None:
        source, out = self.folder / f"{kind}.jsonl", self.folder / f"{kind}-answers.jsonl"
        source.write_text("".join(f"{json.dumps(each.line)}\n" for each in asked))
        arguments = ("recommend", "--batch", str(source), "--out", str(out), "--in-flight", "1")
        connect = ("--top", str(TOP), "--target", self.target, "--catalog", self.catalog)
        while not self._over.is_set():
            process = await asyncio.create_subprocess_exec(
                SIGHTLINE,
                *arguments,
                *connect,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                _, wrong = await process.communicate()
            except asyncio.CancelledError:
                process.kill()
                await process.wait()
                raise
            # 1: the lines say which requests failed; any other code left no lines.
            if process.returncode not in (0, 1):
                error = f"sightline recommend ended with {process.returncode}: {wrong.decode()}"
                self.seen.append(Seen(kind, "", None, 0.0, error=error))
                return
            self.seen.extend(_answers(kind, out))


async def _once(recommend: Recommend, question: Question) -> Seen:
    began, clock = datetime.now(UTC), time.perf_counter()
    try:
        answer = await recommend(question.request, timeout=_SECONDS)
    except grpc.aio.AioRpcError as error:
        wrong = f"{error.code().name}: {error.details()}"
        return Seen(question.kind, question.key, began, 0.0, error=wrong)
    seconds = time.perf_counter() - clock
    return _seen(question.kind, question.key, from_wire.recommendations(answer), began, seconds)


def _answers(kind: str, out: Path) -> Iterator[Seen]:
    """Yield what ``--batch`` wrote."""
    for text in out.read_text().splitlines():
        line = json.loads(text)
        if "error" in line:
            wrong = f"{line['error']['code']}: {line['error']['message']}"
            yield Seen(kind, line["id"], None, 0.0, error=wrong)
        else:
            message = rec.RecommendResponse()
            answer = from_wire.recommendations(json_format.ParseDict(line["response"], message))
            yield _seen(kind, line["id"], answer, None, 0.0)


def _seen(
    kind: str, key: str, answer: Recommendations, began: datetime | None, seconds: float
) -> Seen:
    spaces = [each.generation for each in answer.versions.spaces if each.space == "visual"]
    return Seen(
        kind,
        key,
        began,
        seconds,
        generations=tuple(spaces),
        scores=tuple(item.raw_score for item in answer.results),
        lost=tuple(f"{loss.stage}: {loss.cause}" for loss in answer.degradations),
    )
