"""Every call that a service offers, made in this process and cancelled at each of its awaits."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import unified_diff
from types import MappingProxyType
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from embedder.embedding.cache import EmbeddingCache
from embedder.serving.batched_inference import Batching
from embedder.serving.priority import ModelQueue
from servicekit.admission.access import OPEN
from servicekit.admission.concurrency import ConcurrencyLimit
from servicekit.admission.fair_permits import FairSemaphore
from servicekit.admission.limits import CallLimits
from servicekit.admission.memory_budget import ByteBudget, StreamSlots, UnreadAnswers
from servicekit.audit.entries import Audit
from servicekit.catalogs.known import KnownCatalogs
from servicekit.config import ServerSettings
from servicekit.rpc.interceptors import ObservedServer
from servicekit.rpc.local_channel import LocalServer, _Context
from servicekit.rpc.server import Binding
from servicekit.sql.database import Database
from servicekit.tasks.turns import Turns
from tests.cancelling import MOST, cancelled_at_each_await
from tests.waiting import SECONDS, until
from tests.wire.repeated_calls import TOLD

HELD: Mapping[type, Callable[[Any], object]] = {
    asyncio.Lock: lambda lock: lock.locked(),
    asyncio.Semaphore: lambda permits: (permits._value,),
    asyncio.BoundedSemaphore: lambda permits: (permits._value,),
    Batching: lambda batches: batches._free < batches._places or batches._waiting,
    ByteBudget: lambda budget: len(budget._waiting) or dict(budget._held),
    ConcurrencyLimit: lambda limit: limit._total or dict(limit._held),
    Database: lambda store: store._waiting + store.engine.pool.checkedout(),
    EmbeddingCache: lambda cache: dict(cache._making),
    FairSemaphore: lambda permits: (permits._free, permits._free_memory),
    ModelQueue: lambda queue: [dict(each) for each in queue._inside.values() if each],
    StreamSlots: lambda slots: dict(+slots._open),
    Turns: lambda turns: not turns.idle,
    UnreadAnswers: lambda answers: dict(answers._held),
}
"""What is held of each kind of permit, budget, lock and store of this process: false if nothing is;
of a semaphore the free permits, which are never fewer than before."""
REFUSED = (
    *("INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL", "UNIMPLEMENTED", "UNKNOWN"),
    "DEADLINE_EXCEEDED",
)
"""Answers to a request that came nowhere."""
MADE = re.compile(r'(?<=: )"[^\n]{16,}"$|[0-9a-f]{8,}|-?[0-9][0-9.e-]*', re.MULTILINE)
"""Names, times and counts that each answer has of its own."""
PATIENCE = 20.0
"""Seconds after which what is still held is never given back."""
ENDLESS_AWAITS = 8
"""Awaits at which a stream that does not end by itself is cancelled."""


class _Answered(_Context):
    """A call whose answers are read at once."""

    def __init__(self, request: Message, metadata: Sequence[tuple[str, str]]) -> None:
        async def requests() -> Any:
            yield request.SerializeToString()

        super().__init__(requests(), metadata, SECONDS)
        self.written: list[bytes] = []

    async def write(self, message: Any) -> None:
        self.written.append(self.serialize(message))
        await asyncio.sleep(0)


class Offered:
    """The calls of a service's bindings, by their paths, and the handlers of its server."""

    def __init__(
        self,
        bindings: Sequence[Binding],
        settings: ServerSettings,
        *,
        audit: Audit | None = None,
        catalogs: KnownCatalogs | None = None,
    ) -> None:
        self._server = LocalServer()
        limits = CallLimits("tested", settings, 1, catalogs)
        observed = ObservedServer(self._server, "tested", OPEN, audit, limits)  # type: ignore[arg-type]
        pool: Any = descriptor_pool.Default()  # type: ignore[no-untyped-call]
        self.methods: dict[str, Any] = {}
        for binding in bindings:
            binding.add_to_server(binding.servicer, observed)
            short = binding.full_name.rpartition(".")[2]
            for method in pool.FindServiceByName(binding.full_name).methods:
                self.methods[f"{short}/{method.name}"] = method

    async def answer(self, name: str, request: Message) -> str:
        """Return what a call answers, or its error, as text without what is the call's own."""
        method = self.methods[name]
        context = _Answered(request, ())
        handler = self._server.handler(f"/{method.containing_service.full_name}/{method.name}", ())
        try:
            if method.server_streaming:
                context.serialize = handler.response_serializer
                await handler.stream_stream(None, context)
            else:
                context.written.append(await handler.stream_unary(None, context))
        except grpc.aio.AbortError:
            code = context.code()
            return f"{code.name if code else code}: {MADE.sub('#', context.details())}"
        finally:
            context.done()
        kind = GetMessageClass(method.output_type)
        texts = (str(_untimed(kind.FromString(each))) for each in context.written)
        return "\n".join(MADE.sub("#", TOLD.sub("", text)) for text in texts)


def _untimed(message: Message) -> Message:
    """Remove the times of stages, whose order is each answer's own."""
    if "stage_timings" in message.DESCRIPTOR.fields_by_name:
        message.ClearField("stage_timings")
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for each in value if field.is_repeated else (value,):
            _untimed(each)
    return message


def filled(method: Any, values: Mapping[str, Any], fields: Mapping[str, Any]) -> Message:
    """Return a request: `fields`, and of `values` those that the method has fields for."""
    known = {
        field.name: [values[field.name]] if field.is_repeated else values[field.name]
        for field in method.input_type.fields
        if field.name in values
    }
    request: Message = GetMessageClass(method.input_type)(**(known | dict(fields)))
    return request


class _Rest:
    """Permits, locks and tasks of this process between calls."""

    def __init__(self) -> None:
        self._tasks = _tasks()
        self._kept = [each for each in gc.get_objects() if type(each) in HELD]
        self._before: list[Any] = [HELD[type(each)](each) for each in self._kept]

    def disturbed(self) -> list[object]:
        """Return what is held or runs now and did not before."""
        changed: list[object] = []
        for place, each in enumerate(self._kept):
            held, before = HELD[type(each)](each), self._before[place]
            if isinstance(held, tuple):
                if any(now < then for now, then in zip(held, before, strict=True)):
                    changed.append(f"{type(each).__name__}: free {held}, before {before}")
                self._before[place] = tuple(map(max, held, before))
            elif held:
                changed.append(f"{type(each).__name__}: {held}")
        return [*changed, *(_tasks() - self._tasks)]


def _tasks() -> set[asyncio.Task[Any]]:
    """Return the tasks but for those in which gRPC waits for calls."""
    return {
        task
        for task in asyncio.all_tasks()
        if not getattr(task.get_coro(), "__qualname__", "").startswith(("AioServer.", "_"))
    }


async def cancel_all(
    offered: Offered,
    values: Mapping[str, Any],
    rows: Mapping[str, Mapping[str, Any]],
    *,
    refused: Mapping[str, str] = MappingProxyType({}),
    endless: Collection[str] = (),
) -> dict[str, int]:
    """Cancel each call at each of its awaits; assert that afterwards the same call answers as
    before, and nothing is held and no task runs. Return the number of awaits of each.

    `rows`: fields of requests beside `values`; `refused`: calls that find nothing when made again,
    each with the reason, which are the last; `endless`: streams that end when they are cancelled.
    """
    assert rows.keys() | set(refused) | set(endless) <= offered.methods.keys()
    awaits = {}
    for name in sorted(offered.methods, key=lambda name: (name in refused, "/Delete" in name)):
        method = offered.methods[name]
        request = filled(method, values, rows.get(name, {}))
        try:
            awaits[name] = await _cancel(offered, name, request, name in endless)
            if name not in endless:
                answer = await offered.answer(name, request)
                assert answer.startswith(REFUSED) == (name in refused), answer
        except BaseException as error:
            error.add_note(f"call: {name}")
            raise
    return awaits


async def _cancel(offered: Offered, name: str, request: Message, endless: bool) -> int:
    async def ask() -> str:
        return "" if endless else await offered.answer(name, request)

    await ask()
    usual, rest = await ask(), _Rest()

    async def check() -> None:
        answer = await ask()
        difference = "\n".join(unified_diff(usual.splitlines(), answer.splitlines(), n=1))
        assert not difference, difference
        try:
            await until(lambda: not rest.disturbed(), PATIENCE)
        except AssertionError:
            raise AssertionError(rest.disturbed()) from None

    most = ENDLESS_AWAITS if endless else MOST
    return await cancelled_at_each_await(lambda: offered.answer(name, request), check, most)
