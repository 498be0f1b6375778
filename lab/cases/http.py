"""Processor time of calls over HTTP, compared with the same calls over gRPC, in alternation.

All processes of a suite count, without the callers. The answers over HTTP are parsed by no one.
Apart, the process that speaks HTTP calls the gateway by a Unix socket.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

import grpc
import httpx
from google.protobuf import json_format

from bench.harness import processes
from bench.harness.model import BenchResult, BenchTable, Goal
from bench.harness.statistics import median_ratio, percentile
from examples.wines import loading
from examples.wines.catalogue import load_wines
from examples.wines.local import own
from lab.cases.beside import suite_in
from local_suite.programs import ALL, APART
from local_suite.suite import Suite
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline.gateway.v1 import recommendation_service_pb2_grpc
from sightline_client import SightlineClient

Say: TypeAlias = Callable[[str], None]
Call: TypeAlias = Callable[[str], Awaitable[object]]

ROUNDS = 24
CALLS = 100
PAGE = 10
IMAGES = Path(__file__).parents[2] / "examples" / "wines" / "images"
V1 = "/v1/catalogs/default"
SHAPES = {"apart": APART, "gateway and HTTP in one process": "gateway", "one process": ALL}
"""Targets of the suite, by what the table calls them."""
MOST = {"search": 1.3, "recommend": 1.3, "photo": 1.15}
"""Goals by call: processor time over HTTP divided by that over gRPC."""


@dataclass(slots=True)
class HttpFigures:
    """Processor seconds of a call, one figure per round."""

    grpc: list[float] = field(default_factory=list)
    http: list[float] = field(default_factory=list)


def run(say: Say) -> BenchResult:
    """Measure the shapes of the suite on the example wines."""
    found: dict[tuple[str, str], HttpFigures] = {}
    for shape, target in SHAPES.items():
        say(f"loading wines: {shape}")
        with own(partial(suite_in, target)) as suite:
            for name, figures in asyncio.run(_measure(suite, say)).items():
                found[shape, name] = figures
    return _result(found)


async def _measure(suite: Suite, say: Say) -> Mapping[str, HttpFigures]:
    gateway = suite.addresses()["gateway"]
    async with SightlineClient(gateway, timeout=30) as client:
        await loading.load_all(client)
    figures = {name: HttpFigures() for name in MOST}
    async with (
        grpc.aio.insecure_channel(gateway) as channel,
        httpx.AsyncClient(base_url=suite.http, trust_env=False, timeout=30) as http,
    ):
        by_grpc, by_http = _over_grpc(channel), _over_http(http)
        for number in range(ROUNDS + 1):  # the first warms up
            say(f"round {number} of {ROUNDS}")
            for name, each in figures.items():
                # In turn: the first finds caches cold that the second finds filled.
                ways = ((by_http, each.http), (by_grpc, each.grpc))
                for calls, found in ways if number % 2 else reversed(ways):
                    spent = await _spent(suite, calls[name])
                    if number:
                        found.append(spent)
    return figures


async def _spent(suite: Suite, call: Call) -> float:
    """Return the processor seconds of the suite for one call."""
    products = [wine.id for wine in load_wines()]
    pids = {suite.pid(name): name for name in suite.programs}
    before = sum(processes.spent(pids).values())
    for number in range(CALLS):
        await call(products[number % len(products)])
    return (sum(processes.spent(pids).values()) - before) / CALLS


def _by_product(product: str) -> Sequence[pb.QuerySignal]:
    return [pb.QuerySignal(product_id=product)]


def _photo(product: str) -> bytes:
    return (IMAGES / f"{product}.jpg").read_bytes()


def _over_grpc(channel: grpc.aio.Channel) -> Mapping[str, Call]:
    stub = recommendation_service_pb2_grpc.RecommendationServiceStub(channel)

    async def search(product: str) -> object:
        return await stub.Search(pb.SearchRequest(signals=_by_product(product), page_size=PAGE))

    async def recommend(product: str) -> object:
        request = pb.RecommendRequest(signals=_by_product(product), page_size=PAGE)
        return await stub.Recommend(request)

    async def photo(product: str) -> object:
        signal = pb.QuerySignal(image=_photo(product))
        return await stub.Search(pb.SearchRequest(signals=[signal], page_size=PAGE))

    return {"search": search, "recommend": recommend, "photo": photo}


def _over_http(client: httpx.AsyncClient) -> Mapping[str, Call]:
    async def post(path: str, product: str) -> object:
        request = pb.SearchRequest(signals=_by_product(product), page_size=PAGE)
        return _checked(await client.post(path, json=json_format.MessageToDict(request)))

    async def photo(product: str) -> object:
        kind = {"content-type": "image/jpeg"}
        path = f"{V1}:search?pageSize={PAGE}"
        return _checked(await client.post(path, content=_photo(product), headers=kind))

    return {
        "search": partial(post, f"{V1}:search"),
        "recommend": partial(post, f"{V1}:recommend"),
        "photo": photo,
    }


def _checked(response: httpx.Response) -> object:
    response.raise_for_status()
    return response


def _result(found: Mapping[tuple[str, str], HttpFigures]) -> BenchResult:
    rows, goals = [], []
    for (shape, name), figures in found.items():
        ratio = median_ratio(figures.http, figures.grpc)
        cells = (
            f"{1000 * percentile(each, 0.5).value:.2f}" for each in (figures.grpc, figures.http)
        )
        shown = ratio.shown(2)
        rows.append((shape, name, *cells, shown))
        goals.append(Goal(f"{shape}: {name} over HTTP", MOST[name], "×", ratio))
    table = BenchTable(
        "Calls over HTTP",
        ("services", "call", "gRPC, ms", "HTTP, ms", "÷ gRPC"),
        tuple(rows),
        f"Processor time of all processes of the suite for an answer of {PAGE} wines, one caller,"
        f" medians of {ROUNDS} alternating rounds of {CALLS} calls.",
    )
    figures_by = {
        f"{shape}.{name}": {"grpc_s": each.grpc, "http_s": each.http}
        for (shape, name), each in found.items()
    }
    return BenchResult((table,), figures_by, tuple(goals))
