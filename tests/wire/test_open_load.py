"""The load generator measures latency from the scheduled time, over real gRPC."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import grpc
import numpy as np
import pytest
import pytest_asyncio

from bench.open_load import findings
from bench.open_load.__main__ import FAILED, NOT_KEPT, main
from bench.open_load.findings import LoadFindings
from bench.open_load.schedule import Curve
from bench.open_load.sending import DEGRADED, WHOLE, Where, questions, send
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline.gateway.v1 import recommendation_service_pb2_grpc as rec_grpc
from sightline_client.convert import requests

pytestmark = pytest.mark.full

LOAD = Curve([(0, 60), (3, 60)])
Answer: TypeAlias = Callable[[], Awaitable[None]]


class Shop(rec_grpc.RecommendationServiceServicer):
    """Service that answers when it is released."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.tokens: set[object] = set()

    async def Recommend(
        self, request: rec.RecommendRequest, context: grpc.aio.ServicerContext
    ) -> rec.RecommendResponse:
        self.tokens.add(dict(context.invocation_metadata() or ()).get("authorization"))
        if self.answer:
            await self.answer()
        if request.scene == "poor":
            return rec.RecommendResponse(degradations=[{}])  # type: ignore[list-item]
        return rec.RecommendResponse()


@pytest_asyncio.fixture
async def shop() -> AsyncIterator[tuple[Shop, Where]]:
    server, servicer = grpc.aio.server(), Shop()
    rec_grpc.add_RecommendationServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield servicer, Where(f"127.0.0.1:{port}", 5.0, token="it-is-me")
    await server.stop(None)


async def loaded(where: Where, *scenes: str) -> LoadFindings:
    asked = [requests.recommend(catalog="default", scene=scene) for scene in scenes or ("",)]
    sent = await send(where, LOAD.times(1), questions(asked, 1, fresh=True), time.time() + 0.3)
    return LoadFindings(LOAD, sent)


async def test_a_service_that_stands_still_is_felt_by_all_who_ask_meanwhile(
    shop: tuple[Shop, Where],
) -> None:
    servicer, where = shop
    begin = time.monotonic()

    async def stand_still() -> None:
        """Answer no request from 1 to 2 s after the begin."""
        if 1.0 < time.monotonic() - begin < 2.0:
            await asyncio.sleep(2.0 - (time.monotonic() - begin))

    servicer.answer = stand_still
    found = await loaded(where)
    slow = np.array(found.sent.seconds) > 0.4
    # 60 a second for .6 s; who waits for answers would have seen one.
    assert slow.sum() > 25
    assert found.ends == {WHOLE: len(LOAD.times(1))}
    assert servicer.tokens == {"Bearer it-is-me"}


async def test_a_sender_that_stands_still_says_so(shop: tuple[Shop, Where]) -> None:
    servicer, where = shop
    stood: list[float] = []

    async def stop_everybody() -> None:
        if len(stood) < 1:
            stood.append(0.4)
            time.sleep(0.4)  # noqa: ASYNC251, the sender's own loop

    servicer.answer = stop_everybody
    found = await loaded(where)
    assert found.late_share > 0.05
    assert not found.kept
    assert np.quantile(found.sent.seconds, 0.99) > 0.3, "and its requests were not quick either"


async def test_poor_answers_and_errors_are_apart(shop: tuple[Shop, Where]) -> None:
    servicer, where = shop
    poor = await loaded(where, "poor")
    assert set(poor.ends) == {DEGRADED}
    servicer.answer = asyncio.get_running_loop().create_future  # type: ignore[assignment]
    late = await loaded(Where(where.target, 0.05))
    assert set(late.ends) == {"DEADLINE_EXCEEDED"}
    assert late.milliseconds() == {}


def test_the_command_ends_by_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "LATE", 5.0)  # other tests take the processors
    file, out = tmp_path / "requests.jsonl", tmp_path / "found.json"
    file.write_text('{"product": "kettle"}\n')
    server = grpc.server(ThreadPoolExecutor(8))
    port = server.add_insecure_port("127.0.0.1:0")

    def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
        if context.invocation_metadata() and busy:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many")
        return b""

    busy: list[bool] = []
    method = grpc.unary_unary_rpc_method_handler(answer)
    service = "sightline.gateway.v1.RecommendationService"
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"Recommend": method}),)
    )
    server.start()
    try:
        given = [str(file), "--target", f"127.0.0.1:{port}", "--rate", "50", "--seconds", "1"]
        assert main([*given, "--out", str(out)]) == 0
        figures = json.loads(out.read_text())
        assert figures["kept_the_rate"] is True
        assert figures["ends"] == {WHOLE: figures["requests"]}
        busy.append(True)
        assert main([*given, "--most-failed", "0.5"]) == FAILED
        monkeypatch.setattr(findings, "LATE", -1.0)
        assert main(given) == NOT_KEPT
    finally:
        server.stop(None)
    with pytest.raises(SystemExit):
        main([str(tmp_path / "absent"), "--rate", "1", "--seconds", "1"])
