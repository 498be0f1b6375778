"""One run of the fuzzer against a suite that is up."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from local_suite.suite import Suite
from sightline.common.v1 import event_pb2, job_pb2, product_pb2
from sightline.common.v1.job_service_pb2 import GetJobRequest
from sightline.gateway.v1.catalog_service_pb2 import UpsertProductsRequest
from sightline.gateway.v1.recommendation_service_pb2 import QuerySignal, RecommendRequest
from sightline.gateway.v1.user_event_service_pb2 import WriteEventsRequest
from sightline.ranker.v1.model_service_pb2 import (
    ListModelsRequest,
    PromoteModelRequest,
    TrainModelRequest,
)
from tests.fuzz import conditions, keeping, logs, memory, pictures
from tests.fuzz.composing import Composer
from tests.fuzz.importing import TURNS, OwnImport
from tests.fuzz.keeping import Outcome, Unanswered
from tests.fuzz.ledger import Ledger
from tests.fuzz.model import CATALOGS, FUZZ, PHOTOS, Answer, Call, Check, Finding, Plan, Verdict
from tests.fuzz.surface import METHODS, SERVICES, named
from tests.fuzz.wire import Sender

Report = Callable[[str], None]

WARM_SHARE = 0.25
"""After this share of what is sent, memory is measured for the first time."""
PHOTOS_A_REQUEST = 8
DECIDED_SHARE = 0.5
"""So much of what is sent has to be decided: else a dead service would pass for a safe one."""

_IMAGE_SENDERS = 2
_LEARNED, _LEARNED_BYTES = 0.3, 4_000
_DEEP = 20_000
"""A run of so many requests has every call accepted at least once."""
_REPORT_SECONDS = 10.0
_CALM_SECONDS = 3.0
_TRAINING_SECONDS = 40.0
_UNDECIDED = frozenset({"DEADLINE_EXCEEDED", "UNAVAILABLE", "CANCELLED", "RESOURCE_EXHAUSTED"})


@dataclass(slots=True)
class Result:
    """What a run found."""

    checks: list[Check] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    more_findings: int = 0
    """Alike ones that were not kept."""
    codes: dict[tuple[str, str], int] = field(default_factory=dict)
    """Answers by call and status code."""

    @property
    def clean(self) -> bool:
        """Whether every check could run and held."""
        return all(check.verdict is Verdict.HELD for check in self.checks)

    def add(self, name: str, held: bool, measured: str) -> None:
        """A check that ran."""
        self.checks.append(Check(name, Verdict.HELD if held else Verdict.VIOLATED, measured))

    def miss(self, name: str, why: str) -> None:
        """A check that could not run."""
        self.checks.append(Check(name, Verdict.NOT_MEASURED, why))


async def run(suite: Suite, plan: Plan, report: Report) -> Result:
    """Send what the plan says, and look at what is left."""
    async with grpc.aio.insecure_channel(
        suite.addresses()["gateway"], options=[("grpc.max_receive_message_length", 64 * 2**20)]
    ) as channel:
        ledger = Ledger()
        return await _Run(suite, Sender(channel, ledger), ledger, plan, report).run()


async def open_shop(
    sender: Sender, photos: tuple[bytes, ...], *, train: bool
) -> list[tuple[str, Answer]]:
    """Right products, events and, with `train`, a serving model; what was called and answered."""
    answers = []
    for catalog in CATALOGS:
        upsert = UpsertProductsRequest(catalog_id=catalog)
        for number, photo in enumerate(photos):
            upsert.products.append(_product(number, photo))
        answers.append(("UpsertProducts", await _sent(sender, "UpsertProducts", upsert)))
    events = WriteEventsRequest(catalog_id=FUZZ)
    for number in range(300):
        event = events.events.add(
            event_id=f"seed-{number}",
            type=event_pb2.EVENT_TYPE_VIEW,
            product_id=f"seed-{number * 7 % len(photos)}",
        )
        event.shopper.user_id = f"u-{number % 20}"
        event.event_time.FromSeconds(int(time.time()) - 3_600 + number)
    answers.append(("WriteEvents", await _sent(sender, "WriteEvents", events)))
    if train:
        answers += await _train(sender)
    for catalog in CATALOGS:
        query = RecommendRequest(catalog_id=catalog, page_size=5)
        query.signals.append(QuerySignal(image=photos[0]))
        answers.append(("Recommend", await _sent(sender, "Recommend", query)))
    return answers


async def _train(sender: Sender) -> list[tuple[str, Answer]]:
    """A model of few events; a catalog without one is fuzzed as well."""
    answer = await _sent(sender, "TrainModel", TrainModelRequest(catalog_id=FUZZ))
    job, until = job_pb2.Job(), time.monotonic() + _TRAINING_SECONDS
    while answer.code == "OK" and time.monotonic() < until:
        job.ParseFromString(answer.responses[0])
        if job.state not in (job_pb2.Job.STATE_PENDING, job_pb2.Job.STATE_RUNNING):
            break
        await asyncio.sleep(0.5)
        request = GetJobRequest(catalog_id=FUZZ, job_id=job.job_id)
        answer = await _sent(sender, "GetJob", request)
    for result in job.results:
        if result.name == "model_version":
            promote = PromoteModelRequest(catalog_id=FUZZ, model_version=result.value, force=True)
            await _sent(sender, "PromoteModel", promote)
    models = await _sent(sender, "ListModels", ListModelsRequest(catalog_id=FUZZ))
    return [("GetJob", answer), ("ListModels", models)]


async def _sent(sender: Sender, name: str, request: Message) -> Answer:
    return await sender.send(Call(named(name).path, request.SerializeToString(), 20.0))


def _product(number: int, photo: bytes) -> product_pb2.Product:
    return product_pb2.Product(
        product_id=f"seed-{number}",
        title=f"Thing {number}",
        category_path=conditions.LEVELS[: number % 4],
        brand=conditions.BRANDS[number % len(conditions.BRANDS)],
        tags=conditions.TAGS[: number % 3],
        price=conditions.money("EUR", conditions.AMOUNTS[number % len(conditions.AMOUNTS)]),
        images=[product_pb2.ProductImage(content=photo)],
    )


class _Run:
    def __init__(
        self, suite: Suite, sender: Sender, ledger: Ledger, plan: Plan, report: Report
    ) -> None:
        self._suite, self._sender, self._ledger = suite, sender, ledger
        self._plan, self._report = plan, report
        self._chance = random.Random(plan.seed)
        self._photos = pictures.seeds(plan.seed)
        self._composer = Composer(self._chance, self._photos)
        self._own = OwnImport(sender, ledger, self._photos)
        self._requests = self._images = 0
        self._until = time.monotonic() + plan.seconds

    async def run(self) -> Result:
        programs = memory.pids(self._suite)
        marks, triton = logs.marks(self._suite), logs.end_of(self._suite, "triton")
        result = Result()
        await self._surface(result)
        opened = await open_shop(self._sender, self._photos, train=self._plan.train)
        for name, answer in opened:
            self._report(f"  the shop: {name} {answer.code} {answer.message[:100]}")
            if answer.responses:
                self._learn(named(name).response(), answer)
        begin = memory.resident(programs)
        warm = await self._send_all(programs)
        await asyncio.sleep(_CALM_SECONDS)
        self._sent(result)
        await self._kept(result)
        self._grown(result, begin, warm, memory.resident(programs))
        self._alive(result, programs, triton)
        self._logged(result, marks)
        found = [finding for finding in self._sender.findings if finding.check == "answers"]
        total = sum(self._sender.codes.values())
        measured = f"{total:,} answers: {len(found) + self._sender.more} complaints"
        result.add("no INTERNAL, no UNKNOWN, no leak, no hang", not found, measured)
        result.findings, result.more_findings = self._sender.findings, self._sender.more
        result.codes = dict(self._sender.codes)
        return result

    async def _surface(self, result: Result) -> None:
        """The gateway itself says which services it has."""
        address = self._suite.addresses()["gateway"]

        def ask() -> set[str]:
            with grpc.insecure_channel(address) as channel:
                found = ProtoReflectionDescriptorDatabase(channel).get_services()
            return {name for name in found if not name.startswith("grpc.")}

        there = await asyncio.to_thread(ask)
        missing = ", ".join(sorted(there ^ SERVICES)) or "none missing"
        result.add("every public call", there == SERVICES, f"{len(METHODS)} calls, {missing}")

    async def _send_all(self, programs: dict[str, int]) -> dict[str, int]:
        """Memory after the warm-up; empty when it never came so far."""
        warm: dict[str, int] = {}

        async def watch() -> None:
            last = time.monotonic()
            while True:
                await asyncio.sleep(0.2)
                if not warm and self._share() >= WARM_SHARE:
                    warm.update(await asyncio.to_thread(memory.resident, programs))
                if time.monotonic() - last > _REPORT_SECONDS:
                    last = time.monotonic()
                    self._report(self._line())

        watcher = asyncio.create_task(watch())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._plan.in_flight):
                    group.create_task(self._requests_on())
                for _ in range(_IMAGE_SENDERS):
                    group.create_task(self._images_on())
                group.create_task(self._own_on())
        finally:
            watcher.cancel()
        self._report(self._line())
        return warm

    def _share(self) -> float:
        return min(
            self._requests / max(1, self._plan.requests), self._images / max(1, self._plan.images)
        )

    def _line(self) -> str:
        left = max(0.0, self._until - time.monotonic())
        return (
            f"  {self._requests:,} of {self._plan.requests:,} requests, "
            f"{self._images:,} of {self._plan.images:,} photos, "
            f"{len(self._sender.findings) + self._sender.more} findings, at most {left:.0f} s left"
        )

    async def _requests_on(self) -> None:
        while self._requests < self._plan.requests and time.monotonic() < self._until:
            self._requests += 1
            method, raw = self._composer.draw()
            raw = self._ledger.admit(method, raw, self._composer.fresh)
            seconds = 4.0 if self._chance.random() > 0.03 else self._chance.uniform(0.001, 0.03)
            if method.streams:
                seconds = min(seconds, 0.3)
            answer = await self._sender.send(
                Call(method.path, raw, seconds, self._composer.metadata())
            )
            small = len(answer.responses[0]) < _LEARNED_BYTES if answer.responses else False
            if small and self._chance.random() < _LEARNED:
                self._learn(method.response(), answer)

    def _learn(self, response: Message, answer: Answer) -> None:
        try:
            response.ParseFromString(answer.responses[0])
        except DecodeError:
            return  # judged already
        self._composer.learn(response)

    async def _images_on(self) -> None:
        while self._images < self._plan.images and time.monotonic() < self._until:
            if self._chance.random() < 0.5:
                count = min(PHOTOS_A_REQUEST, self._plan.images - self._images)
                self._images += count
                await _sent(self._sender, "UpsertProducts", self._with_photos(count))
            else:
                self._images += 1
                await _sent(self._sender, "Recommend", self._like_a_photo())

    async def _own_on(self) -> None:
        """The ledger's own import keeps step with the rest."""
        with contextlib.suppress(Unanswered):  # the look at the end says so
            await self._own.open()
            turn = 0
            while turn < TURNS and time.monotonic() < self._until:
                if self._share() < turn / TURNS:
                    await asyncio.sleep(0.05)
                    continue
                await self._own.turn(turn)
                turn += 1

    def _like_a_photo(self) -> RecommendRequest:
        photo = pictures.mutated(self._chance, self._photos)
        signals = [QuerySignal(image=photo)]
        return RecommendRequest(catalog_id=PHOTOS, page_size=3, signals=signals)

    def _with_photos(self, count: int) -> UpsertProductsRequest:
        request = UpsertProductsRequest(catalog_id=PHOTOS)
        for _ in range(count):
            photo = product_pb2.ProductImage(content=pictures.mutated(self._chance, self._photos))
            name = self._composer.fresh("photo")
            request.products.append(product_pb2.Product(product_id=name, title="P", images=[photo]))
        return request

    def _sent(self, result: Result) -> None:
        for name, sent, planned in (
            ("mutated requests", self._requests, self._plan.requests),
            ("mutated photos", self._images, self._plan.images),
        ):
            if sent < planned:
                result.miss(name, f"{sent:,} of {planned:,} sent when the time was up")
            else:
                result.add(name, True, f"{sent:,} sent")
        total = sum(self._sender.codes.values())
        open_ = sum(n for (_, code), n in self._sender.codes.items() if code in _UNDECIDED)
        silent = [m.name for m in METHODS.values() if not self._taken(m.name)]
        measured = f"{1 - open_ / max(1, total):.1%} of {total:,} answers (at least 50%)"
        if silent:
            measured += f"; never accepted: {', '.join(silent)}"
        for said, count in self._sender.unavailable.most_common(3):
            measured += f"; {count} × UNAVAILABLE {said}"
        deep = not silent or self._plan.requests < _DEEP
        result.add("decided, not shed", deep and open_ < total * (1 - DECIDED_SHARE), measured)

    def _taken(self, name: str) -> bool:
        return bool(self._sender.codes[name, "OK"])

    async def _kept(self, result: Result) -> None:
        until = time.monotonic() + self._plan.filter_seconds
        await self._look(result, "acknowledged rows and offers", self._own.check())
        await self._look(result, "acknowledged products", keeping.products(*self._both()))
        await self._look(result, "acknowledged events", keeping.events(*self._both()))
        found = keeping.filters(*self._both(), self._chance, self._plan.filters, until)
        await self._look(result, "filters as the rules say", found)

    def _both(self) -> tuple[Sender, Ledger]:
        return self._sender, self._ledger

    async def _look(self, result: Result, name: str, look: Awaitable[Outcome]) -> None:
        try:
            outcome = await look
        except Unanswered as error:
            result.miss(name, str(error))
        else:
            result.add(name, outcome.held, outcome.measured)

    def _grown(
        self, result: Result, begin: dict[str, int], warm: dict[str, int], end: dict[str, int]
    ) -> None:
        for name in begin:
            label = f"memory of {name}"
            if not warm.get(name) or not end.get(name):
                result.miss(label, "ended or was never warm")
                continue
            at_most = memory.limit(name, warm[name])
            figures = " → ".join(f"{each[name] / 2**20:.0f}" for each in (begin, warm, end))
            allowed = f"at most {at_most / 2**20:.0f}: {memory.tolerance(name)}"
            measured = f"{figures} MiB ({allowed})"
            result.add(label, end[name] <= at_most, measured)

    def _alive(self, result: Result, before: dict[str, int], triton: int) -> None:
        """`triton`: how long its log was at first."""
        after = memory.pids(self._suite)
        gone = [name for name, pid in before.items() if not pid or after.get(name) != pid]
        measured = f"{len(before)} programs; ended or started again: {', '.join(gone) or 'none'}"
        if gone == ["triton"] and logs.triton_gave_up(self._suite, triton):
            result.miss("no process died", f"{measured}, by itself (boost's lock_exception)")
        else:
            result.add("no process died", not gone, measured)

    def _logged(self, result: Result, marks: dict[str, int]) -> None:
        guilty = logs.guilty(self._suite, marks)
        for program, line in guilty[:40]:
            self._sender.find(Finding("logs", f"{program}: {line}"))
        measured = f"{len(guilty)} lines with INTERNAL, UNKNOWN or a stack trace"
        result.add("clean logs of every service", not guilty, measured)
