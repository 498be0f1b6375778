"""The engine is down, hangs and is restarted under load: the shoppers' answers, and the time until
full recovery.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import grpc

from local_suite.suite import Suite
from servicekit.status import from_rpc_error
from sightline.common.v1 import answer_pb2, product_pb2
from sightline.gateway.v1 import catalog_service_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as gateway_pb
from sightline.gateway.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from sightline.retriever.v1 import vector_service_pb2 as vectors_pb
from tests.chaos.model import ENGINES, NotMeasured, Report
from tests.chaos.retriever import bare
from tests.chaos.retriever.calls import Retriever
from tests.chaos.stage import RETRIEVER, channel_to, engine_uri, record_of, stage
from tests.chaos.watching import Return, hung, watch
from tests.fakes.photos import photo

CATALOG = "outages"
SPACE = "visual"
"""Space whose recovery is measured; that of texts is empty."""
KINDS = ("down", "hung", "restarted")
PROGRAMS = ("triton", "embedder", *RETRIEVER, "ranker", "gateway")
PRODUCTS = 60
PHOTOS = [photo(seed=seed) for seed in range(PRODUCTS)]
PAUSE_SECONDS = 0.1
"""Pause between two requests of one shopper."""
ASK_SECONDS = 5.0
AWAY_SECONDS = 4.0
"""Seconds for which the engine is down or hangs."""
RECOVERY_SECONDS = 5.0
"""Promised seconds of the recovery."""
CALM_SECONDS = 1.0
"""Seconds without a fault after which the suite counts as recovered."""
PATIENCE_SECONDS = 90.0
LOST = answer_pb2.Degradation.CAUSE_INDEX_UNAVAILABLE


class Kind(StrEnum):
    """Kind of answer that a shopper got."""

    WHOLE = "whole"
    FLAGGED = "flagged INDEX_UNAVAILABLE"
    REFUSED = "refused INDEX_UNAVAILABLE"
    """Rejection by the retriever, for which its callers have a fallback."""
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Got:
    """One answer; times by time.monotonic()."""

    asker: str
    began: float
    ended: float
    kind: Kind
    words: str = ""
    """Why it is broken."""


@dataclass(slots=True)
class Outage:
    """One loss of the engine."""

    name: str
    lost: float = 0.0
    back: Return = field(default_factory=Return)
    well: float = 0.0
    """Time of the last incomplete answer; 0: there was none."""


Ask = Callable[[], Awaitable[Any]]


def outages(engine: str, turns: int, seed: int, report: Report) -> None:
    """Cause each kind of outage `turns` times on one engine. Raise SuiteError or NotMeasured."""
    with stage(engine, [CATALOG], PROGRAMS) as suite:
        asyncio.run(_outages(suite, engine, turns, seed, report))


async def _outages(suite: Suite, engine: str, turns: int, seed: int, report: Report) -> None:
    got: list[Got] = []
    async with channel_to(suite, "gateway") as front, channel_to(suite, "retriever") as back:
        retriever = Retriever(back, CATALOG)
        await _open_shop(retriever)
        async with _crowd(_askers(front, retriever, random.Random(seed)), got):
            found = [await _outage(suite, engine, name, got, report) for name in KINDS * turns]
    for name in KINDS:
        _judge_answers(engine, name, [each for each in found if each.name == name], got, report)
    _judge_recovery(engine, found, report)


async def _open_shop(retriever: Retriever) -> None:
    """Write products that can be found by their photos."""
    stock = catalog_service_pb2.UpsertProductsRequest(
        products=[
            product_pb2.Product(
                product_id=f"p{number}",
                title=f"Thing {number}",
                images=[product_pb2.ProductImage(content=picture)],
            )
            for number, picture in enumerate(PHOTOS)
        ]
    )
    await retriever.write(retriever.products.UpsertProducts, stock)
    until = time.monotonic() + PATIENCE_SECONDS
    while (await retriever.counts(SPACE)).indexed < PRODUCTS:
        if time.monotonic() > until:
            raise NotMeasured("the photos are not indexed")
        await asyncio.sleep(0.2)


def _askers(
    gateway: grpc.aio.Channel, retriever: Retriever, chance: random.Random
) -> dict[str, Ask]:
    """Return the requests: by photo, by product, and those of the gateway itself."""
    stub = RecommendationServiceStub(gateway)

    async def by_photo() -> Any:
        signal = gateway_pb.QuerySignal(image=chance.choice(PHOTOS))
        return await recommend(signal)

    async def by_product() -> Any:
        signal = gateway_pb.QuerySignal(product_id=f"p{chance.randrange(PRODUCTS)}")
        return await recommend(signal)

    async def recommend(signal: gateway_pb.QuerySignal) -> Any:
        request = gateway_pb.RecommendRequest(catalog_id=CATALOG, page_size=10, signals=[signal])
        return await stub.Recommend(request, timeout=ASK_SECONDS)

    async def direct() -> Any:
        request = vectors_pb.SearchRequest(
            catalog_id=CATALOG, product_id=f"p{chance.randrange(PRODUCTS)}", top_k=10
        )
        return await retriever.vectors.Search(request, timeout=ASK_SECONDS)

    return {"photo": by_photo, "product": by_product, "retriever": direct}


@asynccontextmanager
async def _crowd(askers: dict[str, Ask], got: list[Got]) -> AsyncIterator[None]:
    """Run two shoppers of each kind during the block."""
    tasks = [
        asyncio.create_task(_asks(name, ask, got)) for name, ask in askers.items() for _ in range(2)
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _asks(name: str, ask: Ask, got: list[Got]) -> None:
    while True:
        began = time.monotonic()
        try:
            answer = await ask()
        except grpc.aio.AioRpcError as error:
            reason = from_rpc_error(error).reason
            allowed = name == "retriever" and reason == "INDEX_UNAVAILABLE"
            kind, words = (Kind.REFUSED, "") if allowed else (Kind.BROKEN, f"error {reason}")
        else:
            kind, words = _kind(answer)
        got.append(Got(name, began, time.monotonic(), kind, words))
        await asyncio.sleep(PAUSE_SECONDS)


def _kind(answer: Any) -> tuple[Kind, str]:
    """Return the kind of an answer of the gateway or the retriever, and its details."""
    found = len(answer.results if hasattr(answer, "results") else answer.similarities)
    if not found:
        return Kind.BROKEN, "empty success"
    degradations = getattr(answer, "degradations", ())
    return (Kind.FLAGGED if any(each.cause == LOST for each in degradations) else Kind.WHOLE), ""


async def _outage(suite: Suite, engine: str, name: str, got: list[Got], report: Report) -> Outage:
    """Cause one outage, from one healthy state to the next."""
    await _calm(got, time.monotonic())
    outage = Outage(name)
    with record_of(suite) as record:
        of_photos = [each for each in await record.generations(CATALOG) if each.space == SPACE]
    (generation,) = of_photos
    async with bare.client(engine_uri(suite)) as client, asyncio.TaskGroup() as group:
        await client.has_collection(generation.collection)  # connects
        await _lose(suite, name, outage)
        if name == "down":
            group.create_task(asyncio.to_thread(suite.start, "milvus", PATIENCE_SECONDS))
        outage.back = await asyncio.wait_for(
            watch(client, generation.collection, generation.dimension), PATIENCE_SECONDS
        )
    outage.well = await _calm(got, outage.lost)
    seconds = _recovery(engine, outage)
    report.say(
        f"{ENGINES[engine]} {name}: back {outage.back.word - outage.lost:.1f} s after its loss, "
        f"finds rows after {outage.back.rows - outage.lost:.1f} s; all well {seconds:.1f} s "
        "after its return"
    )
    return outage


async def _lose(suite: Suite, name: str, outage: Outage) -> None:
    """Take the engine away; when this ends, it is about to come back."""
    if name == "hung":
        with hung(suite.pid("milvus")):
            outage.lost = time.monotonic()
            await asyncio.sleep(AWAY_SECONDS)
    elif name == "down":
        await asyncio.to_thread(lambda: suite.stop("milvus", kill=True))
        outage.lost = time.monotonic()
        await asyncio.sleep(AWAY_SECONDS)
    else:
        await asyncio.to_thread(suite.kill, "milvus")
        outage.lost = time.monotonic()


async def _calm(got: Sequence[Got], since: float) -> float:
    """Wait until every shopper got only complete answers for a while. Return the time of the last
    other one."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        now = time.monotonic()
        bad = [each.ended for each in got if each.ended >= since and each.kind is not Kind.WHOLE]
        recent = {each.asker for each in got if each.began > max([since, *bad])}
        if len(recent) == 3 and now - max([since, *bad]) > CALM_SECONDS:
            return max(bad, default=since)
        if now > until:
            raise NotMeasured(f"not well again within {PATIENCE_SECONDS:.0f} s")
        await asyncio.sleep(0.05)


def _return(engine: str, outage: Outage) -> float:
    """Return the time from which recovery counts. A restarted Milvus Lite waits until the retriever
    loads its collections, so its first answer counts. A server loads the earlier collections by
    itself, which takes time of its own."""
    return outage.back.word if engine == "lite" else outage.back.rows


def _recovery(engine: str, outage: Outage) -> float:
    """Return the seconds from the engine's return to the last incomplete answer; 0 if there was
    none."""
    return max(0.0, outage.well - _return(engine, outage))


def _judge_answers(
    engine: str, name: str, outages: Sequence[Outage], got: Sequence[Got], report: Report
) -> None:
    """Judge the answers to shoppers from the engine's loss until full recovery."""
    lost = [g for g in got for o in outages if g.began > o.lost and g.ended < o.back.word]
    around = [g for g in got for o in outages if g.ended > o.lost and g.began < _end(engine, o)]
    broken = Counter(f"{g.asker}: {g.words}" for g in around if g.kind is Kind.BROKEN)
    kinds = Counter(str(each.kind) for each in lost)
    silent = kinds.pop(Kind.WHOLE, 0)
    slowest = max((each.ended - each.began for each in around), default=0.0)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    why = ", ".join(f"{what} {count}" for what, count in broken.most_common(4))
    report.add(
        f"{ENGINES[engine]} {name}: the fallbacks answer",
        bool(lost) and not broken and not silent,
        f"while lost: {counted or 'no answer'}; {silent} unflagged; broken: {why or 'none'}; "
        f"slowest {slowest:.1f} s",
    )


def _end(engine: str, outage: Outage) -> float:
    """Return the time by which an outage is certainly over, by time.monotonic()."""
    return max(_return(engine, outage), outage.well) + CALM_SECONDS


def _judge_recovery(engine: str, found: Sequence[Outage], report: Report) -> None:
    seconds = [_recovery(engine, outage) for outage in found]
    each = ", ".join(f"{o.name} {s:.1f} s" for o, s in zip(found, seconds, strict=True))
    name = f"{ENGINES[engine]}: recovered within {RECOVERY_SECONDS:.0f} s of its return"
    report.add(name, max(seconds) <= RECOVERY_SECONDS, each)
