"""Every panel, rule and alert reads metrics that a running suite has, by a real Prometheus."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

import grpc
import pytest

from local_suite.suite import Suite
from sightline.retriever.v1.vector_service_pb2 import SearchRequest
from sightline.retriever.v1.vector_service_pb2_grpc import VectorServiceStub
from sightline_client import Event, EventType, NotFound, SightlineClient
from tests import monitoring
from tests.engines import ROOT, free_port
from tests.live import hands
from tests.live.prometheus import Prometheus, prometheus
from tests.waiting import SECONDS, until

pytestmark = pytest.mark.full

ABSENT = {
    "sightline_certificate_expiry_timestamp_seconds": "connections of the suite are plain",
    "nv_gpu_.+": "there is no GPU",
    "kube_.+": "there is no Kubernetes",
    "container_.+": "there is no Kubernetes",
    "milvus_.+": "Milvus Lite has no metrics",
    "sightline_ranker_sink_events_total": "events go to the record itself",
}
"""Metrics that this suite can't have, with reasons. Their names are in
docs/reference/metrics.md."""
TABLE = (ROOT / "docs/reference/metrics.md").read_text("utf-8")


@pytest.fixture(scope="module")
def watched(
    suite: Suite, gateway: str, shop_is_open: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Yield a Prometheus that scraped the shop at work."""
    port, second, http = free_port(), free_port(), free_port()
    folder = tmp_path_factory.mktemp("prometheus")
    beside = {"second": second, "gateway-http": http}
    with (
        engine_asked(suite, folder, port, second),
        http_face(gateway, folder, http),
        prometheus(suite, folder, beside) as found,
    ):
        asyncio.run(_watch(found, gateway, f"127.0.0.1:{port}"))
        yield found


@contextmanager
def engine_asked(suite: Suite, folder: Path, port: int, metrics_port: int) -> Iterator[None]:
    """Run a second retriever that compares nothing in memory and checks every search: the suite's
    own catalogs are too small for a recall below 1."""
    program = suite.programs["retriever"]
    own = {"PORT": port, "METRICS_PORT": metrics_port, "EXACT_ROWS": 0, "WATCH_SHARE": 1}
    environment = os.environ | program.environment
    environment |= {f"RETRIEVER_{name}": str(value) for name, value in own.items()}
    with running(program.command, environment, folder / "retriever.log", program.folder):
        yield


@contextmanager
def http_face(gateway: str, folder: Path, metrics_port: int) -> Iterator[None]:
    """Run the process that answers HTTP for a gateway."""
    own = {"PORT": 0, "METRICS_PORT": metrics_port, "GATEWAY_TARGET": gateway}
    environment = os.environ | {f"GATEWAY_HTTP_{name}": str(value) for name, value in own.items()}
    command = (sys.executable, "-m", "gateway.http")
    with running(command, environment, folder / "http.log", folder):
        yield


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path
) -> Iterator[None]:
    """Run a process beside the suite."""
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=environment, stderr=errors, cwd=folder)
    try:
        yield
    finally:
        process.terminate()
        process.wait(SECONDS)


async def _watch(found: Prometheus, gateway: str, retriever: str) -> None:
    async with (
        SightlineClient(gateway, timeout=SECONDS) as client,
        grpc.aio.insecure_channel(retriever) as channel,
    ):
        vectors = VectorServiceStub(channel)
        await until(lambda: _recall_is_known(found, vectors, client))
        await until(lambda: _ready(found))


async def _recall_is_known(
    found: Prometheus, vectors: VectorServiceStub, client: SightlineClient
) -> bool:
    """Return whether recall is known, which takes some ten seconds after the first search;
    meanwhile use the shop."""
    for wine in hands.WINES[:3]:
        request = SearchRequest(product_id=wine.id, top_k=20)
        await vectors.Search(request, timeout=SECONDS, wait_for_ready=True)
    await _shop(client)
    try:
        return bool(await asyncio.to_thread(found.samples, "sightline_recall"))
    except URLError:
        return False  # Prometheus starts


def _ready(found: Prometheus) -> bool:
    """Return whether every process was scraped twice."""
    scraped = {one["metric"]["job"] for one in found.samples("count_over_time(up[1h]) >= 2")}
    return len(scraped) == len(found.samples("up == 1")) == 11


async def _shop(client: SightlineClient) -> None:
    """Search by photo, text and product, click and buy; request a missing page."""
    wine = hands.WINES[0]
    looks: list[dict[str, Any]] = [
        {},
        {"image": wine.image},
        {"text": "barolo"},
        {"scene": "similar", "anchors": [wine.id]},
    ]
    answers = [await client.recommend(visitor="watched", page_size=5, **one) for one in looks]
    await client.search(image=wine.image)
    seen, token = answers[0].results[0].product.product_id, answers[0].attribution_token
    kinds = (
        *(EventType.IMPRESSION, EventType.CLICK),
        *(EventType.ADD_TO_CART, EventType.PURCHASE),
    )
    events = [
        Event(f"watched-{kind}", kind, seen, visitor="watched", attribution_token=token)
        for kind in kinds
    ]
    await client.write_events(events)
    with pytest.raises(NotFound):
        await client.get_product("never-was")


def as_value(expr: str) -> str:
    """Return an alert's condition as a value, which also exists while nothing is wrong."""
    number = re.sub(r" ([<>]=?|[=!]=) (?!bool)", r" \1 bool ", expr)
    return re.sub(r"absent\((\w+)\)", r"\1", number)


def lacks(expr: str) -> bool:
    """Return whether an expression reads metrics that this suite can't have."""
    return any(re.fullmatch(pattern, name) for name in monitoring.names(expr) for pattern in ABSENT)


def test_each_panel_rule_and_alert_asks_for_what_there_is(watched: Prometheus) -> None:
    asked = {*monitoring.panels(), *monitoring.rules()}
    waiting = {
        (where, as_value(expr) if where.startswith("Sightline") else expr)  # an alert's name
        for where, expr in asked
        if not lacks(expr)
    }
    assert len(waiting) > 150

    def answered() -> bool:
        for one in sorted(waiting):
            if watched.samples(one[1]):
                waiting.discard(one)
        return not waiting

    end = time.monotonic() + SECONDS
    while not answered():
        assert time.monotonic() < end, sorted(waiting)
        time.sleep(0.5)
    # `or vector(0)` answers for metrics that there are not, too.
    recorded = set(watched.get("label/__name__/values"))
    named = {name for _, expr in asked if not lacks(expr) for name in monitoring.names(expr)}
    assert named <= {*watched.exposed(), *recorded, "up"}
    for pattern in ABSENT:
        assert watched.samples(f'{{__name__=~"{pattern}"}}') == [], pattern


def test_the_table_of_metrics_has_each_that_a_process_exposes(watched: Prometheus) -> None:
    exposed = watched.exposed()
    ours = {name for name in exposed if name.startswith("sightline_")}
    kept = {name for name in ours if not name.endswith("_created")}
    listed = set(re.findall(r"^\| `(sightline_(?!agents_)\w+)`", TABLE, re.M))
    assert kept - listed == set()
    assert listed - kept == set()
    sections = re.split(r"^## ", TABLE, flags=re.M)
    for service in ("gateway", "embedder", "retriever", "ranker"):
        (text,) = [each for each in sections if each.lower().startswith(f"{service}\n")]
        for name in re.findall(r"^\| `(sightline_\w+)`", text, re.M):
            beside = {f"{service}-worker", f"{service}-http", "second"}
            assert exposed[name] <= {service, *beside}, name
