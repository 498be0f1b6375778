"""Admission limits of a server: size and arrival of requests, bytes, calls and streams.

A call passes, in this order: authentication (`access`), budget for the bytes of its request, their
number, the entries in its lists (`entry_limits`), its catalog, the caller's quotas (`quotas`), and
the concurrency limit (`concurrency`). The request is read after the first two checks, so that
unauthenticated requests are never read, and parsed after the fourth. At the suite's edge an alias
in a request is then replaced by its catalog: what follows, other services included, knows catalogs
alone. A rejection costs a few hundred microseconds at most. A call without permission is charged to
its caller's quota of calls, and read only if the audit log needs its catalog; a malformed or too
large request is charged too. Streams have limits of their own. Health checks pass none of these:
they are small, have little time to arrive, and never wait for one another (`HealthReads`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from contextvars import Context
from copy import copy
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import grpc
from google.protobuf.descriptor_pb2 import MethodOptions
from prometheus_client import Counter as Total
from prometheus_client import Gauge

from servicekit import deadlines, tracing
from servicekit.admission import access, costs
from servicekit.admission.concurrency import ConcurrencyLimit
from servicekit.admission.entry_limits import EntryLimits, RequestMalformed
from servicekit.admission.memory_budget import (
    ByteBudget,
    HealthReads,
    StreamSlots,
    UnreadAnswers,
    in_flight,
)
from servicekit.admission.quotas import QuotaExhausted, Quotas, QuotaSettings
from servicekit.catalogs.known import KnownCatalogs
from servicekit.config import DEFAULT_CATALOG, LOCAL, ServerSettings
from servicekit.errors import (
    DeadlineExceeded,
    PermissionDenied,
    Refusal,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)
from servicekit.processes import memory
from sightline.common.v1 import limits_pb2

MIB = 2**20
ENTRIES = 50_000
"""Default limit of entries in all lists of a request."""
ARRIVAL = 10.0
"""Seconds in which a request has to arrive once its bytes are granted."""
UNLIMITED = "grpc.health.v1.Health/Check"
ANONYMOUS = "grpc."
"""Prefix of methods without authentication: health and reflection."""
HEALTH_BYTES = 4_096
"""Largest request of health and reflection: it names a service."""
HEALTH_READS = 4
"""Health checks of a port that have HEALTH_ARRIVAL seconds to arrive; older ones have less."""
HEALTH_ARRIVAL = 2.0
"""Seconds in which the request of a health check has to arrive."""
DENIED_ARRIVAL = 2.0
"""Seconds in which the request of a call without permission has to arrive."""
MOST_DENIED = 2**16
"""Bytes of a request that is read for its catalog alone, since its caller lacks permission."""
REFUSAL_SECONDS = 0.2
"""Least delay of the answer to a call above its caller's quota, so that a caller that ignores
RetryInfo makes few such calls."""
REFUSALS_A_SECOND = 50.0
"""Such answers to one caller, at most, while they take no more than half of the time that is left
until their calls' deadlines: later ones would come too late."""
MOST_DELAYED = 1_000
"""Answers that are delayed at a time; further ones are sent at once."""
REPORT_SECONDS = 0.25
"""Seconds after which metrics of concurrent calls are reported, those of many calls together."""
ARRIVING = "x-sightline-arriving"
"""Metadata of a caller that makes its request only once it is admitted: it is told so."""
ADMITTED = "x-sightline-admitted"
"""Initial metadata that tells it: the maximum bytes of its request, and its percent-encoded name,
by which it counts what it holds."""

Work = Callable[[Any], Awaitable[Any]]
"""Handler of a request."""

_END: Any = grpc.aio.EOF  # type: ignore[attr-defined]

REFUSED = Total(
    "sightline_refused_total",
    "Calls that were rejected for their sender or for what they would cost, by reason.",
    ("service", "reason"),
)
CONCURRENCY = Gauge(
    "sightline_concurrency_limit",
    "Limit of concurrent calls, adapted to the durations of calls.",
    ("service",),
    multiprocess_mode="livesum",
)
IN_FLIGHT = Gauge(
    "sightline_calls_in_flight",
    "Calls in progress, without health, reflection and streams.",
    ("service",),
    multiprocess_mode="livesum",
)
WORKED = Total(
    "sightline_call_seconds_total",
    "Durations of ended calls, of those that sightline_calls_in_flight counts, in sum: its rate is "
    "the mean number of calls in progress. Without calls of cameras, which wait for a peer.",
    ("service",),
)
STREAMS = Gauge(
    "sightline_streams",
    "Open streams: of callers, and anonymous ones (health and reflection).",
    ("service", "of"),
    multiprocess_mode="livesum",
)


class RequestTooLarge(Refusal, ResourceExhausted, reason="REQUEST_TOO_LARGE"):
    """The request has more bytes than its method accepts. A retry fails too."""

    def __init__(self, most: int) -> None:
        shown = f"{most // MIB} MiB" if most >= MIB else f"{most // 1024} KiB"
        super().__init__(
            f"a request of this call has at most {shown}", metadata={"most_bytes": str(most)}
        )


class RequestLate(DeadlineExceeded, reason="REQUEST_LATE"):
    """The request did not arrive in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the request did not arrive within {seconds:g} s")


class StreamExpired(Unavailable, reason="STREAM_EXPIRED"):
    """The stream reached its longest life: open it again."""

    message = "the stream reached its longest life: open it again"
    retry_after = timedelta(0)


def _report_soon(report: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_later(REPORT_SECONDS, report, context=Context())


class RefusalDelay:
    """The delay of calls above quotas."""

    def __init__(self) -> None:
        self._waiting = Counter[str]()
        """Calls that wait, by caller."""

    async def wait(self, caller: str) -> None:
        """Wait for REFUSAL_SECONDS, or longer if more calls of the caller wait than may be answered
        meanwhile; not if MOST_DELAYED calls wait already."""
        if self._waiting.total() >= MOST_DELAYED:
            return
        self._waiting[caller] += 1
        try:
            await asyncio.sleep(_delay(self._waiting[caller]))
        finally:
            self._waiting[caller] -= 1
            if not self._waiting[caller]:
                del self._waiting[caller]


def _delay(waiting: int) -> float:
    """Return the seconds for which the last of a caller's waiting calls waits."""
    seconds = max(REFUSAL_SECONDS, waiting / REFUSALS_A_SECOND)
    left = deadlines.remaining()
    return seconds if left is None else max(0.0, min(seconds, left / 2))


class CallLimits:
    """The admission limits of one server, in one process."""

    def __init__(
        self,
        service: str,
        settings: ServerSettings,
        services: int = 1,
        catalogs: KnownCatalogs | None = None,
    ) -> None:
        """`services`: how many share the process. `catalogs`: `None`: those of the settings."""
        self.service = service
        room = settings.max_bytes_in_flight or _share_of_memory(settings, services)
        self.bytes, self.unread = ByteBudget(room), UnreadAnswers(room)
        self.health = HealthReads(HEALTH_READS, HEALTH_ARRIVAL)
        most = settings.max_streams, settings.max_streams_per_connection
        self.streams = StreamSlots(*most, STREAMS.labels(service, "callers"))
        self.probes = StreamSlots(*most, STREAMS.labels(service, "anonymous"))
        """Unauthenticated calls: health and reflection."""
        self.stream_seconds = settings.stream_seconds
        self.concurrency = ConcurrencyLimit(
            settings.max_concurrent_calls,
            learned=CONCURRENCY.labels(service).set,
            working=IN_FLIGHT.labels(service).set,
            worked=WORKED.labels(service).inc,
            later=_report_soon,
        )
        given = settings if isinstance(settings, QuotaSettings) else QuotaSettings()
        self.catalogs = KnownCatalogs(settings.catalogs) if catalogs is None else catalogs
        self.quotas = Quotas(given, self.catalogs.quota_share)
        self.refusals = RefusalDelay()
        refusals = [each.reason for each in Refusal.__subclasses__()]
        for reason in (*refusals, *(each.reason for each in _DENIALS)):
            REFUSED.labels(service, reason)  # start at 0: rates miss the first value

    def of_a_port(self) -> CallLimits:
        """Return the same limits with separate ones of the health checks that are read."""
        own = copy(self)
        own.health = HealthReads(HEALTH_READS, HEALTH_ARRIVAL)
        return own

    async def looked_up(self, request: Any, *, no_alias: bool = False) -> str:
        """Look the catalog of a request up, unless it is known, and return it; empty if there is no
        such catalog: a caller could invent many. Raises CatalogForbidden."""
        if (name := catalog_of(request)) not in self.catalogs:
            await self.catalogs.look_up(name)
            name = self.resolve(request, no_alias=no_alias)  # it may be an alias
        return self.known(name)

    def resolve(self, request: Any, *, no_alias: bool = False) -> str:
        """Replace an alias in a request by its catalog, unless `no_alias`. Return the catalog, from
        now on that of the call.

        Raises CatalogForbidden unless the caller may use the catalog; the alias itself needs no
        permission, and gives none.
        """
        named = catalog = catalog_of(request)
        if not no_alias and named not in self.catalogs:
            catalog = self.catalogs.resolve(named)
            carrier = getattr(request, "request", request)
            if catalog != named and hasattr(carrier, "catalog_id"):
                carrier.catalog_id = catalog
        access.about.set(catalog)
        if not access.caller.get().may_use(catalog):
            raise access.CatalogForbidden
        return catalog

    def known(self, catalog: str) -> str:
        """Return a catalog, or "" if it is not known."""
        return catalog if catalog in self.catalogs else ""


def _share_of_memory(settings: ServerSettings, services: int) -> int:
    """Return a quarter of the memory, shared among the processes and the services of each; at least
    two of the largest requests for each of two callers."""
    sharers = getattr(settings, "processes", 1) * services
    return max(memory.limit() // 4 // sharers, 4 * settings.max_message_bytes)


class CallAdmission:
    """Admission of the calls of one method."""

    def __init__(
        self, limits: CallLimits, method: str, handler: Any, read: Callable[[bytes], Any]
    ) -> None:
        """`read` parses a request from its bytes, and may reject it."""
        self._limits, self._read = limits, read
        self._serialize = handler.response_serializer or bytes
        found = descriptor(method)
        rule = found.GetOptions().Extensions[limits_pb2.limits] if found else limits_pb2.Limits()
        self._anonymous = method.startswith(ANONYMOUS)
        self._most = HEALTH_BYTES if self._anonymous else request_bytes(rule)
        self._held = min(self._most, limits.bytes.each)
        """Bytes that are held until a request has arrived."""
        # Calls between services are not counted: their callers are services of the suite.
        public = found is not None and access.rule(method).is_callers(limits.service)
        self._counts = EntryLimits(found.input_type, rule.entries or ENTRIES) if public else None
        self._writes = found is not None and _writes(found)
        self._no_alias = access.rule(method).no_alias
        self._seconds = rule.stream_seconds or limits.stream_seconds
        self._is_work = not rule.waits_for_peer
        self._streams = limits.probes if self._anonymous else limits.streams
        self._reads_stream = handler.request_streaming
        self._carry = self._call
        if handler.request_streaming or handler.response_streaming:
            self._carry = self._stream
        if method == UNLIMITED:
            self._carry = self._plainly

    def carry(
        self, work: Work, context: Any, metadata: Mapping[str, str]
    ) -> Coroutine[Any, Any, Any]:
        """Read the request and run `work` for it, within all limits. Raises ServiceError; of those,
        the caller counts Refusals.

        `metadata`: of the call, with one value for each key.
        """
        in_flight.set((self._limits.bytes, access.caller.get().name))
        return self._carry(work, context, metadata)

    def count(self, error: ServiceError) -> None:
        """Count a rejected call."""
        REFUSED.labels(self._limits.service, error.reason).inc()

    def charge(self, error: PermissionDenied, catalog: str) -> ServiceError:
        """Count a call without permission, and charge it to its caller's quota of calls.

        Return the error for the caller: once the quota is used up, QuotaExhausted.
        """
        self.count(error)
        return self._charged(error, self._limits.known(catalog))

    def charge_unread(self, error: ServiceError) -> ServiceError:
        """Charge a request that is malformed or too large to its caller's quota of calls.

        Its catalog is not known: such calls share the quota of undeclared catalogs. Return the
        error for the caller: once the quota is used up, QuotaExhausted.
        """
        return error if self._anonymous else self._charged(error, "")

    def _charged(self, error: ServiceError, catalog: str) -> ServiceError:
        try:
            self._limits.quotas.enter(access.caller.get().name, catalog, writes=False)
        except QuotaExhausted as exhausted:
            self.count(exhausted)
            return exhausted
        return error

    async def delay(self, error: BaseException) -> None:
        """Wait before an answer that says that a quota is used up."""
        if isinstance(error, QuotaExhausted):
            await self._limits.refusals.wait(access.caller.get().name)

    async def read_denied(self, context: Any) -> None:
        """Read the request of a call without permission, for its catalog alone, as `read` of the
        constructor does; unless the request is a stream, large, late or malformed."""
        if self._reads_stream:
            return
        room = self._limits.bytes.reserve(access.caller.get().name, self._most)
        metadata = dict(context.invocation_metadata() or ())
        with suppress(ServiceError, TimeoutError):
            async with room, asyncio.timeout(DENIED_ARRIVAL):
                await _tell_admitted(context, metadata, MOST_DENIED)
                data = await context.read()
                if data is not _END and len(data) <= MOST_DENIED:
                    self._parsed(data)

    async def _plainly(self, work: Work, context: Any, metadata: Mapping[str, str]) -> Any:  # noqa: ARG002
        found = await work(self._parsed(await self._from_unknown(context)))
        return self._serialize(found)

    async def _from_unknown(self, context: Any) -> Any:
        now = asyncio.get_running_loop().time
        since = now()
        try:
            async with self._limits.health.limit():
                return await context.read()
        except TimeoutError:
            raise RequestLate(round(now() - since, 2)) from None

    async def _call(self, work: Work, context: Any, metadata: Mapping[str, str]) -> Any:
        limits, caller = self._limits, access.caller.get().name
        limits.unread.check(caller)
        request, size = await self._arrived(context, metadata, caller)
        try:
            catalog = await self._catalog(request)
            party = caller, catalog, self._writes
            if tracing.is_recording:
                tracing.note(tracing.CATALOG, catalog)
            limits.quotas.enter(caller, catalog, writes=self._writes)
            given, ok = deadlines.remaining(), False
            began = limits.concurrency.enter(party)
            try:
                answer = self._serialize(await work(request))
                ok = True
                limits.unread.hold(caller, len(answer), context)
                return answer
            finally:
                began += costs.waited()
                limits.concurrency.leave(party, began, given, ok=ok, counted=self._is_work)
        finally:
            limits.bytes.release(caller, size)

    async def _stream(self, work: Work, context: Any, metadata: Mapping[str, str]) -> Any:
        with self._streams.count(_connection(context), self._counted(context, metadata)):
            life = asyncio.timeout(self._seconds)
            try:
                async with life:
                    if self._reads_stream:
                        return await work(self._each(context))
                    if self._anonymous:
                        return await work(self._parsed(await self._from_unknown(context)))
                    caller = access.caller.get().name
                    request, size = await self._arrived(context, metadata, caller)
                    # It is small, and would be held until the stream ends.
                    self._limits.bytes.release(caller, size)
                    await self._charge_message(request, is_first=True)
                    return await work(request)
            except TimeoutError:
                if life.expired():
                    raise StreamExpired from None
                raise

    async def _catalog(self, request: Any) -> str:
        """Return the catalog of a request that was read; empty if there is none."""
        catalog = access.about.get()
        if catalog in self._limits.catalogs:
            return catalog
        return await self._limits.looked_up(request, no_alias=self._no_alias)

    async def _charge_message(self, request: Any, *, is_first: bool) -> None:
        """Charge a message of a stream as a call, the first one as a stream."""
        catalog = await self._catalog(request)
        caller = access.caller.get().name
        self._limits.quotas.enter(caller, catalog, writes=self._writes, stream=is_first)

    def _counted(self, context: Any, metadata: Mapping[str, str]) -> str:
        """Return the caller that a stream counts for: of anonymous ones the address, without the
        port, as a caller may have many."""
        if self._anonymous:
            return str(context.peer().rpartition(":")[0])
        return access.caller_behind(metadata)

    async def _arrived(
        self, context: Any, metadata: Mapping[str, str], caller: str
    ) -> tuple[Any, int]:
        """Return the one request of a call, and its bytes, which are held until they are released.

        Until it has arrived, the bytes of the largest one are held. Raises RequestLate,
        RequestMalformed.
        """
        held, size = self._limits.bytes, self._held
        if not held.taken(caller, size):
            await held.acquire(caller, size)
        try:
            if ARRIVING in metadata:
                await _tell_admitted(context, metadata, self._most)
            with deadlines.TimeLimit(ARRIVAL):
                data = await context.read()
            request = self._parsed(data)
        except TimeoutError:
            held.release(caller, size)
            raise RequestLate(ARRIVAL) from None
        except BaseException:
            held.release(caller, size)
            raise
        held.release(caller, size - len(data))
        return request, len(data)

    async def _each(self, context: Any) -> AsyncIterator[Any]:
        """Yield the messages of a stream."""
        is_first = True
        while (data := await context.read()) is not _END:
            request = self._parsed(data)
            await self._charge_message(request, is_first=is_first)
            is_first = False
            yield request

    def _parsed(self, data: Any) -> Any:
        """Parse a request. Raises ServiceError."""
        if data is _END:
            raise RequestMalformed
        if len(data) > self._most:
            raise RequestTooLarge(self._most)
        if self._counts is not None:
            self._counts.check(data)
        return self._read(data)


async def _tell_admitted(context: Any, metadata: Mapping[str, str], most: int) -> None:
    """Tell a caller that waits for it (ARRIVING) that its request is read now."""
    if ARRIVING in metadata:
        told = f"{most} {quote(access.caller.get().name)}"
        await context.send_initial_metadata(((ADMITTED, told),))


def _connection(context: Any) -> str:
    """Return the name of a call's connection; empty for one within this process or this machine's
    user, on which a face of the server passes on the calls of all of its callers."""
    peer: str = context.peer()
    return "" if peer.startswith((LOCAL, "unix:")) else peer


_DENIALS = (
    *(access.TokenMissing, access.TokenInvalid, access.PeerUnknown),
    *(access.RoleMissing, access.CatalogForbidden),
)
"""Errors of calls that access rejected."""


def catalog_of(request: Any) -> str:
    """Return the catalog of a request."""
    about = getattr(request, "request", request)  # the explanation of an answer holds its request
    return getattr(about, "catalog_id", "") or DEFAULT_CATALOG


def descriptor(method: str) -> Any:
    """Return the method descriptor of `package.Service/Method`; None without a proto."""
    service, _, name = method.partition("/")
    try:
        return access.POOL.FindServiceByName(service).methods_by_name[name]
    except KeyError:
        return None


def request_bytes(rule: limits_pb2.Limits) -> int:
    """Return the most bytes of a request under this rule."""
    return (rule.request_mib or 1) * MIB


def largest(services: Iterable[str]) -> int:
    """Return the bytes of the largest request that any method of these services accepts, or that
    health and reflection accept."""
    sizes = [HEALTH_BYTES]
    for name in services:
        try:
            methods = access.POOL.FindServiceByName(name).methods
        except KeyError:
            sizes.append(request_bytes(limits_pb2.Limits()))
            continue
        rules = (each.GetOptions().Extensions[limits_pb2.limits] for each in methods)
        sizes += map(request_bytes, rules)
    return max(sizes)


def _writes(found: Any) -> bool:
    return bool(found.GetOptions().idempotency_level != MethodOptions.NO_SIDE_EFFECTS)
