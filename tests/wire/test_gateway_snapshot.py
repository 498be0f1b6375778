"""A gateway answers from its snapshot while the real retriever and ranker hang or are dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from google.type import money_pb2
from prometheus_client import REGISTRY

from gateway.settings import GatewaySettings
from gateway.state.scenes import SceneFiles
from gateway.wiring import Gateway, build
from servicekit.errors import Code
from servicekit.keys.keyring import signing_keys
from servicekit.rpc.server import start
from sightline.common.v1 import answer_pb2, event_pb2, filter_pb2, product_pb2
from sightline.gateway.v1 import (
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    recommendation_service_pb2_grpc,
)
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from tests.engines import free_port
from tests.waiting import SECONDS, until, with_time_left
from tests.wire.gateway_calls import causes, ids, refused

IN_STOCK, SOLD_OUT = product_pb2.AVAILABILITY_IN_STOCK, product_pb2.AVAILABILITY_OUT_OF_STOCK
WINES = [("w1", "A", 10, IN_STOCK), ("w2", "A", 30, IN_STOCK), ("w3", "B", 10, IN_STOCK)]
GONE = ("w4", "A", 5, SOLD_OUT)


@dataclass
class Behind:
    """The services behind the gateway."""

    processes: dict[str, subprocess.Popen[bytes]]
    ports: dict[str, int]

    def signal(self, number: signal.Signals) -> None:
        for process in self.processes.values():
            process.send_signal(number)


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Behind]:
    ports = {name: free_port() for name in ("retriever", "ranker")}
    with program("retriever", ports, tmp_path) as one, program("ranker", ports, tmp_path) as other:
        yield Behind({"retriever": one, "ranker": other}, ports)


@contextmanager
def program(name: str, ports: dict[str, int], at: Path) -> Iterator[subprocess.Popen[bytes]]:
    settings = {
        f"{name.upper()}_PORT": str(ports[name]),
        "RETRIEVER_DATABASE_URL": f"sqlite:///{at}/record.db",
        "RETRIEVER_PHOTOS_URL": str(at / "photos"),
        "RANKER_DATABASE_URL": f"sqlite:///{at}/ranker.db",
        "RANKER_MODEL_STORE": str(at / "models"),
        "RANKER_KEY_FILE": str(at / "pseudonym.key"),
        "RANKER_CREATE_KEY": "true",
        "VISION_DATABASE_URL": f"sqlite:///{at}/vision.db",
        "VISION_PHOTOS_URL": str(at / "frames"),
        **{
            f"VISION_{each.upper()}_TARGET": f"127.0.0.1:{ports.get(each, 9)}"
            for each in ("embedder", "retriever", "ranker")
        },
    }
    with (at / f"{name}.log").open("wb") as log:
        command = [sys.executable, "-m", name]
        process = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def front(
    behind: Behind, folder: Path, scenes: Path | None = None
) -> AsyncIterator[tuple[Gateway, grpc.aio.Channel]]:
    targets = {f"{name}_target": f"127.0.0.1:{port}" for name, port in behind.ports.items()}
    settings = GatewaySettings(
        port=0,
        embedder_target=f"127.0.0.1:{free_port()}",
        snapshots=folder,
        snapshot_seconds=0.2,
        **targets,  # type: ignore[arg-type]
    )
    gateway = build(settings, SceneFiles(scenes), signing_keys(None))
    server = await start(gateway.bindings, settings, "gateway", audit=gateway.audit)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        try:
            yield gateway, channel
        finally:
            await server.stop()
            await gateway.close(0.1)


def wine(name: str, brand: str, euros: int, availability: int) -> product_pb2.Product:
    price = money_pb2.Money(currency_code="EUR", units=euros)
    return product_pb2.Product(
        product_id=name, title=name, brand=brand, price=price, availability=availability
    )  # type: ignore[arg-type]


def brand(text: str) -> filter_pb2.Filter:
    equal = filter_pb2.Comparison.OPERATOR_EQUAL
    value = filter_pb2.FilterValue(text=text)
    return filter_pb2.Filter(
        comparison=filter_pb2.Comparison(field="brand", operator=equal, value=value)
    )


def counted(quality: str) -> float:
    labels = {"quality": quality}
    return REGISTRY.get_sample_value("sightline_gateway_answers_total", labels) or 0.0


def degraded(cause: str) -> float:
    labels = {"cause": cause}
    return REGISTRY.get_sample_value("sightline_gateway_degraded_total", labels) or 0.0


async def open_shop(gateway: Gateway, channel: grpc.aio.Channel) -> None:
    """Write the wines into the record, and wait until the snapshot has them."""
    catalog = catalog_service_pb2_grpc.CatalogServiceStub(channel)
    products = [wine(*each) for each in (*WINES, GONE)]
    request = catalog_service_pb2.UpsertProductsRequest(products=products)

    async def written() -> bool:
        try:
            answer = await catalog.UpsertProducts(request, timeout=5)
        except grpc.aio.AioRpcError:
            return False  # it starts
        assert not any(each.status.code for each in answer.results)
        return True

    def held() -> bool:
        copy = gateway.snapshots.get("default")
        return copy is not None and {*copy.rows} == {"w1", "w2", "w3"}

    await until(written)
    await until(held)


@pytest.mark.full
async def test_the_snapshot_answers_whatever_becomes_of_the_others(
    behind: Behind, tmp_path: Path
) -> None:
    ann = event_pb2.Shopper(user_id="ann")
    async with front(behind, tmp_path / "kept") as (gateway, channel):
        recommend = recommendation_service_pb2_grpc.RecommendationServiceStub(channel).Recommend
        await open_shop(gateway, channel)

        behind.signal(signal.SIGSTOP)
        answer = await with_time_left(
            lambda seconds: recommend(pb.RecommendRequest(filter=brand("A")), timeout=seconds),
            lambda answer: len(answer.results) == 2,
        )
        assert sorted(ids(answer)) == ["w1", "w2"]
        assert answer.quality == answer_pb2.ANSWER_QUALITY_SNAPSHOT

        behind.signal(signal.SIGKILL)
        before, lost = counted("snapshot"), degraded("RETRIEVER_UNAVAILABLE")
        answer = await recommend(
            pb.RecommendRequest(filter=brand("A"), shopper=ann), timeout=SECONDS
        )
        assert sorted(ids(answer)) == ["w1", "w2"]
        assert answer.quality == answer_pb2.ANSWER_QUALITY_SNAPSHOT
        assert {"RETRIEVER_UNAVAILABLE", "PROFILE_UNAVAILABLE"} <= {c for _, c in causes(answer)}
        assert [each.stage for each in answer.degradations if each.HasField("as_of")] == ["hydrate"]
        assert counted("snapshot") == before + 1
        assert degraded("RETRIEVER_UNAVAILABLE") == lost + 1  # several stages lack it

        error = await refused(recommend(pb.RecommendRequest(filter=brand("C")), timeout=SECONDS))
        assert (error.code, error.reason) == (Code.UNAVAILABLE, "NOTHING_AVAILABLE")
        assert error.retry_after is not None
        least = pb.RecommendRequest(min_answer_quality=answer_pb2.ANSWER_QUALITY_FALLBACK)
        error = await refused(recommend(least, timeout=SECONDS))
        assert (error.code, error.reason) == (Code.UNAVAILABLE, "ANSWER_DEGRADED")
        assert error.metadata["quality"] == "snapshot"

    async with front(behind, tmp_path / "kept") as (gateway, channel):
        recommend = recommendation_service_pb2_grpc.RecommendationServiceStub(channel).Recommend
        await until(lambda: gateway.snapshots.get("default"))
        answer = await recommend(pb.RecommendRequest(filter=brand("B")), timeout=SECONDS)
        assert ids(answer) == ["w3"], "a gateway that starts while all is down has the file"
