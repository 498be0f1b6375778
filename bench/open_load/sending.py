"""Sends requests on schedule, and records the outcome of each.

Latency counts from the scheduled time, not from the actual sending: if a service blocks for a
second, all requests of that second are late, not only one (coordinated omission). How late the
sender itself was is noted beside it.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import grpc
import numpy as np

from bench.open_load.schedule import Times
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.errors import from_rpc_error
from sightline_client.transport import gateway_channel as transport
from sightline_client.transport.token import say_with_calls

METHOD = "/sightline.gateway.v1.RecommendationService/Recommend"
WHOLE, DEGRADED = "whole", "degraded"
"""Outcomes of answers; all others are errors: the status, and the reason if there is one."""
MOST_OPEN = 20_000
"""Maximum number of concurrent calls; further requests are not sent, and counted as such."""
UNSENT = "not sent: too many concurrent calls"
JPEG = b"\xff\xd8"

Ask: TypeAlias = Callable[..., Awaitable[rec.RecommendResponse]]


@dataclass(frozen=True, slots=True)
class Where:
    """Target and credentials."""

    target: str
    timeout: float
    token: str | None = None
    ca: bytes | None = None
    cert: bytes | None = None
    key: bytes | None = None
    tls: bool = False

    def connect(self) -> grpc.aio.Channel:
        """Open a channel without retries: one request is sent once."""
        credentials = None
        if self.tls or self.ca or self.cert:
            credentials = grpc.ssl_channel_credentials(self.ca, self.key, self.cert)
        made = transport.connect(self.target, retries=False, credentials=credentials)
        if self.token is not None:
            say_with_calls(made, self.token)
        return made


@dataclass(slots=True)
class Sent:
    """Outcomes of the requests, in no particular order."""

    due: list[float] = field(default_factory=list)
    """Scheduled times, in seconds since the start."""
    late: list[float] = field(default_factory=list)
    """Seconds by which the sender was late."""
    seconds: list[float] = field(default_factory=list)
    """Seconds from the scheduled time to the end."""
    ends: list[str] = field(default_factory=list)

    def add(self, due: float, late: float, seconds: float, end: str) -> None:
        self.due.append(due)
        self.late.append(late)
        self.seconds.append(seconds)
        self.ends.append(end)

    def extend(self, other: "Sent") -> None:
        """Add the outcomes of another process."""
        self.due += other.due
        self.late += other.late
        self.seconds += other.seconds
        self.ends += other.ends


def questions(
    given: Sequence[rec.RecommendRequest], seed: int, *, fresh: bool
) -> Iterator[rec.RecommendRequest]:
    """Yield the requests in random order without end.

    `fresh`: give each JPEG other bytes every time, as the embedder caches vectors of photos by
    their bytes.
    """
    draw = random.Random(seed)
    for number in itertools.count():
        request = given[draw.randrange(len(given))]
        yield _fresh(request, f"{seed:08x}{number:012x}") if fresh else request


def _fresh(request: rec.RecommendRequest, comment: str) -> rec.RecommendRequest:
    """Return the request with a comment (COM) in each JPEG."""
    if not any(signal.image.startswith(JPEG) for signal in request.signals):
        return request
    made = rec.RecommendRequest()
    made.CopyFrom(request)
    content = comment.encode()
    segment = b"\xff\xfe" + (len(content) + 2).to_bytes(2, "big") + content
    for signal in made.signals:
        file = signal.image
        if file.startswith(JPEG):
            signal.image = file[:2] + segment + file[2:]
    return made


async def send(
    where: Where, times: Times, asked: Iterator[rec.RecommendRequest], begin: float
) -> Sent:
    """Send every request at its time. `begin` is a time.time(), which all processes share."""
    sent = Sent()
    async with where.connect() as channel, asyncio.TaskGroup() as calls:
        method = channel.unary_unary(
            METHOD, rec.RecommendRequest.SerializeToString, rec.RecommendResponse.FromString
        )
        await asyncio.sleep(0)
        zero = time.perf_counter() + begin - time.time()
        under_way: set[asyncio.Task[None]] = set()

        async def call(due: float, request: rec.RecommendRequest) -> None:
            late = time.perf_counter() - zero - due
            end = await _ended(method, request, where.timeout)
            sent.add(due, late, time.perf_counter() - zero - due, end)

        for due in np.asarray(times).tolist():
            await asyncio.sleep(max(due - (time.perf_counter() - zero), 0))
            if len(under_way) >= MOST_OPEN:
                sent.add(due, time.perf_counter() - zero - due, 0.0, UNSENT)
                continue
            task = calls.create_task(call(due, next(asked)))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
    return sent


async def _ended(method: Ask, request: rec.RecommendRequest, seconds: float) -> str:
    """Return the outcome of a call."""
    try:
        answer = await method(request, timeout=seconds)
    except grpc.aio.AioRpcError as error:
        failure = from_rpc_error(error).failure
        return f"{failure.code.name} {failure.reason}".rstrip()
    return DEGRADED if answer.degradations else WHOLE
