"""A suite of its own whose costs are measured: keys, quotas of production, watched event loops."""

from __future__ import annotations

import asyncio
import io
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import grpc
from PIL import Image

from bench.harness import processes
from examples.wines.local import free_port_base
from local_suite.model import Program
from local_suite.programs import sightline
from local_suite.suite import Suite
from servicekit.admission.access import Role
from servicekit.admission.quotas import PRODUCTION, QuotaKind
from servicekit.status import from_rpc_error
from sightline.gateway.v1 import admin_service_pb2 as admin_pb
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb
from sightline.gateway.v1 import inspection_service_pb2_grpc as inspection_grpc
from sightline.gateway.v1 import watch_service_pb2_grpc as watch_grpc
from sightline.vision.v1 import inspection_service_pb2 as inspection_pb
from sightline.vision.v1 import watch_pb2
from sightline.vision.v1 import watch_service_pb2 as watch_pb
from sightline_client.cli.work.keys import CallerKey, new_token
from tests.chaos.model import NotMeasured
from tests.fuzz.cost.recipes import CATALOG, REFERENCE, ROLES, WATCHES, Recipe, product
from tests.fuzz.cost.search import Cost
from tests.fuzz.cost.watched import LoopWatch
from tests.fuzz.surface import named

PRODUCTS: Final = 5_000
ATTRIBUTES: Final = 30
SERVICES: Final = ("gateway", "embedder", "retriever", "ranker", "vision")
DEADLINE_SECONDS: Final = 10.0
ATTACKERS: Final = 8
CALM: Final = "calm"
PHOTOGRAPHED: Final = 20
"""Products that have a photo, so that photos find something."""
_SEARCHERS: Final = 12
"""Keys that the search takes in turn, as one has a quota."""
_BATCH: Final = 100
_GOOD: Final = 10
"""Photos of the reference, the fewest that can be fitted."""
_IDLE_SECONDS: Final = 0.2
"""Seconds between two reads of the suite's processor time."""
_IDLE: Final = 0.1
"""Processors in use above the idle rate, at most, when work has ended."""
SETTLE_SECONDS: Final = 120.0
INDEX_SECONDS: Final = 900.0
_SAID_SECONDS: Final = 20.0
_AFTER_SECONDS: Final = 5.0
"""Seconds for which work after an answer still counts for it."""
_MESSAGES: Final = [
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True, slots=True)
class Keys:
    """Tokens by the names of keys."""

    tokens: dict[str, str] = field(default_factory=dict)

    @classmethod
    def new(cls) -> Keys:
        """Make a token of each key."""
        return cls({key.name: new_token() for key in cls.all()})

    @staticmethod
    def all() -> Iterator[CallerKey]:
        """Return the keys: one of all roles, and of the role `read` a calm one and attackers."""
        yield CallerKey("owner", [role.value for role in Role], [CATALOG])
        yield CallerKey(CALM, ["read"], [CATALOG])
        for number in range(_SEARCHERS):
            yield CallerKey(f"search-{number}", [role.value for role in Role], [CATALOG])
        for number in range(ATTACKERS):
            yield CallerKey(f"attacker-{number}", sorted(set(ROLES.values())), [CATALOG])

    def metadata(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return the headers of a caller."""
        return (("authorization", f"Bearer {self.tokens[name]}"),)

    def write(self, file: Path) -> None:
        """Write the gateway's file of keys."""
        file.write_text("\n".join(key.entry(self.tokens[key.name]) for key in self.all()))


def make(
    keys: Keys,
    say: Callable[[str], None],
    data: Path,
    quotas: Mapping[QuotaKind, float] = PRODUCTION,
) -> Suite:
    """Return a suite with keys, quotas and watched event loops."""
    keys.write(data / "callers.toml")
    (data / "loops").mkdir()
    programs = [
        _watched(_guarded(each, data, quotas), data)
        for each in sightline(data, free_port_base(), (CATALOG,), vision=True)
    ]
    return Suite(data, programs, report=say)


def _guarded(program: Program, data: Path, quotas: Mapping[QuotaKind, float]) -> Program:
    if program.name != "gateway":
        return program
    settings = {f"GATEWAY_QUOTA_{kind.value.upper()}": str(quotas[kind]) for kind in quotas}
    environment = {
        **program.environment,
        **settings,
        "GATEWAY_KEYS_FILE": str(data / "callers.toml"),
        "GATEWAY_LOG_LEVEL": "warning",
    }
    return replace(program, environment=environment)


def _watched(program: Program, data: Path) -> Program:
    if program.name not in SERVICES:
        return program
    python, run, module = program.command
    watch = (python, run, "tests.fuzz.cost.watched", str(data / "loops" / program.name), module)
    return replace(program, command=watch)


@dataclass(slots=True)
class Meter:
    """Meter of processor time of a suite's processes, and of the time that their event loops were
    blocked."""

    suite: Suite
    idle: float = 0.0
    """Processors that it uses without requests."""
    _pids: dict[int, str] = field(init=False)
    _loops: dict[str, LoopWatch] = field(init=False)

    def __post_init__(self) -> None:
        self._pids = {row.pid: row.name for row in self.suite.status() if row.pid}
        folder = self.suite.layout.data / "loops"
        self._loops = {name: LoopWatch(folder / name) for name in SERVICES}

    def spent(self) -> dict[str, float]:
        """Return processor seconds by program, ended children included."""
        pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
        found = processes.by_program(processes.read(pids), self._pids)
        found.pop("other", None)
        return found

    def reset(self) -> None:
        """Reset the times for which the loops were blocked."""
        for watch in self._loops.values():
            watch.reset()

    def blocked(self) -> tuple[float, str, float]:
        """Return the longest block since the reset, its program, and the longest lateness."""
        worst = {name: watch.worst() for name, watch in self._loops.items()}
        where = max(worst, key=lambda name: worst[name][0])
        return worst[where][0], where, max(late for _, late in worst.values())

    async def settle(self, seconds: float) -> bool:
        """Wait until the suite spends nothing above `idle`. Return False if it takes too long."""
        end, calm = time.monotonic() + seconds, 0
        before, at = sum(self.spent().values()), time.monotonic()
        while calm < 2:
            if time.monotonic() > end:
                return False
            await asyncio.sleep(_IDLE_SECONDS)
            now, then = sum(self.spent().values()), time.monotonic()
            calm = calm + 1 if (now - before) / (then - at) <= self.idle + _IDLE else 0
            before, at = now, then
        return True

    async def learn_idle(self, seconds: float) -> None:
        """Measure the suite's processor time without requests."""
        before = sum(self.spent().values())
        await asyncio.sleep(seconds)
        self.idle = (sum(self.spent().values()) - before) / seconds


def noise() -> bytes:
    """Return a small photo that no other one is like."""
    out = io.BytesIO()
    Image.effect_noise((300, 300), 50).convert("RGB").save(out, "JPEG")
    return out.getvalue()


@asynccontextmanager
async def channel_to(address: str) -> AsyncIterator[grpc.aio.Channel]:
    """Yield a connection of its own to a gateway."""
    async with grpc.aio.insecure_channel(address, options=_MESSAGES) as channel:
        yield channel


async def fill(channel: grpc.aio.Channel, keys: Keys, products: int, attributes: int) -> None:
    """Write the catalog. Raises NotMeasured."""
    method = named("UpsertProducts")
    call = channel.unary_unary(method.path, None, catalog_pb.UpsertProductsResponse.FromString)
    for begin in range(0, products, _BATCH):
        made = [
            product(number, attributes) for number in range(begin, min(begin + _BATCH, products))
        ]
        for each in made[: max(0, PHOTOGRAPHED - begin)]:
            each.images.add(content=noise())
        raw = catalog_pb.UpsertProductsRequest(catalog_id=CATALOG, products=made)
        answer = await _patiently(call, raw.SerializeToString(), keys.metadata("owner"))
        if refused := [each.status for each in answer.results if each.status.code]:
            raise NotMeasured(f"the catalog could not be written: {refused[0].message}")


async def prepare(channel: grpc.aio.Channel, keys: Keys) -> None:
    """Make the watches and the reference that requests name. Raises AioRpcError."""
    owner = {"metadata": keys.metadata("owner"), "timeout": SETTLE_SECONDS}
    watches = watch_grpc.WatchServiceStub(channel)
    for name, parts in WATCHES.items():
        asked = watch_pb.CreateWatchRequest(catalog_id=CATALOG, watch=watch_of(name, parts))
        await watches.CreateWatch(asked, **owner)
    references = inspection_grpc.InspectionServiceStub(channel)
    good = inspection_pb.AddReferencePhotosRequest(
        catalog_id=CATALOG, reference_id=REFERENCE, images=[noise() for _ in range(_GOOD)]
    )
    await references.AddReferencePhotos(good, **owner)
    named = {"catalog_id": CATALOG, "reference_id": REFERENCE}
    await references.FitReference(inspection_pb.FitReferenceRequest(**named), **owner)
    await references.PromoteReference(inspection_pb.PromoteReferenceRequest(**named), **owner)


def watch_of(name: str, parts: int) -> watch_pb2.Watch:
    """Return a watch whose rules compare some parts of a frame; all but the first one count objects
    that look like a photo."""
    made, side = watch_pb2.Watch(watch_id=name), math.isqrt(max(parts, 1))
    for place in range(parts):
        row, column = divmod(place, side)
        region = made.regions.add(region_id=f"r{place}")
        region.box.left, region.box.right = column / side, (column + 1) / side
        region.box.top, region.box.bottom = row / side, (row + 1) / side
    target = watch_pb2.WatchTarget(image=noise())
    if parts:
        count = watch_pb2.CountCondition(
            target=target, region_ids=[each.region_id for each in made.regions], below=1
        )
        made.rules.add(rule_id="regions", count=count)
    if name != "regions":
        found = watch_pb2.DetectedCondition(target=target, below=1)
        made.rules.add(rule_id="objects", detected=found)
    return made


async def indexed(channel: grpc.aio.Channel, keys: Keys, say: Callable[[str], None]) -> None:
    """Wait until the texts and photos of the catalog are in the index. Raises NotMeasured."""
    call = channel.unary_unary(named("GetStatus").path, None, admin_pb.GetStatusResponse.FromString)
    raw = admin_pb.GetStatusRequest(catalog_id=CATALOG).SerializeToString()
    end, last = time.monotonic() + INDEX_SECONDS, 0.0
    while True:
        status = await call(raw, timeout=60.0, metadata=keys.metadata("owner"))
        pending = status.pending_texts + status.pending_images
        if status.indexed_texts and not pending:
            return
        if time.monotonic() > end:
            raise NotMeasured(f"{pending} texts and photos wait for the index")
        if time.monotonic() - last > _SAID_SECONDS:
            last = time.monotonic()
            say(f"  {status.indexed_texts:,} texts are in the index, {pending:,} wait")
        await asyncio.sleep(1.0)


async def _patiently(call, raw: bytes, metadata) -> catalog_pb.UpsertProductsResponse:  # type: ignore[no-untyped-def]
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            return await call(raw, timeout=60.0, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            wait = from_rpc_error(error).retry_after
            if wait is None or time.monotonic() > end:
                raise NotMeasured(f"the catalog could not be written: {error.details()}") from error
            await asyncio.sleep(wait.total_seconds())


@dataclass(slots=True)
class Measuring:
    """Sender of one request at a time that measures its cost."""

    meter: Meter
    channel: grpc.aio.Channel
    keys: Keys
    sent: int = 0

    async def measure(self, recipe: Recipe) -> Cost:
        """Send a request when its caller's quota takes it, and wait until its work has ended."""
        end = time.monotonic() + 3 * DEADLINE_SECONDS
        while True:
            cost, wait = await self._once(recipe)
            if not wait or time.monotonic() > end:
                return cost
            await asyncio.sleep(wait)

    async def _once(self, recipe: Recipe) -> tuple[Cost, float]:
        """Return its cost, and how many seconds to wait if the quota was used up."""
        self.sent += 1
        raw = await asyncio.to_thread(recipe.build, self.sent)
        await self.meter.settle(_AFTER_SECONDS)
        before, began = self.meter.spent(), time.monotonic()
        self.meter.reset()
        code, wait = await self._send(recipe, raw)
        answered = time.monotonic() - began
        await self.meter.settle(_AFTER_SECONDS)
        now = self.meter.spent()
        by = {name: now[name] - before.get(name, 0.0) for name in now}
        blocked, where, late = self.meter.blocked()
        idle = self.meter.idle * (time.monotonic() - began)
        await self._remove(recipe)
        ordered = sorted(
            ((n, round(s, 2)) for n, s in by.items() if s >= 0.01), key=lambda x: -x[1]
        )
        cost = Cost(
            cpu=max(0.0, sum(by.values()) - idle),
            blocked=blocked,
            code=code,
            by_program=tuple(ordered),
            where=where,
            late=late,
            seconds=answered,
            bytes=len(raw),
        )
        return cost, wait

    async def _remove(self, recipe: Recipe) -> None:
        """Delete the products that a request wrote, so that the catalog stays as it is said to be.

        Otherwise products with a hundred long attributes would make later requests expensive.
        """
        if names := recipe.names(self.sent):
            call = self.channel.unary_unary(named("DeleteProducts").path, None, None)
            raw = catalog_pb.DeleteProductsRequest(catalog_id=CATALOG, product_ids=names)
            caller = self.keys.metadata("owner")
            await call(raw.SerializeToString(), timeout=SETTLE_SECONDS, metadata=caller)

    async def _send(self, recipe: Recipe, raw: bytes) -> tuple[str, float]:
        caller = self.keys.metadata(f"search-{self.sent % _SEARCHERS}")
        call = self.channel.unary_unary(recipe.method.path, None, None)
        try:
            await call(raw, timeout=DEADLINE_SECONDS, metadata=caller)
        except grpc.aio.AioRpcError as error:
            reported = from_rpc_error(error)
            wait = reported.retry_after if reported.reason == "QUOTA_EXHAUSTED" else None
            name = reported.reason or error.code().name
            return name, wait.total_seconds() if wait else 0.0
        return "OK", 0.0
