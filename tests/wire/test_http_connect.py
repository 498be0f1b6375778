"""Connect over HTTP: raw requests as its protocol says, and its own client for browsers."""

import asyncio
import base64
import json
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
from google.protobuf import descriptor_pb2, json_format
from google.rpc import error_details_pb2

from gateway.http.contract import public_methods
from sightline.common.v1.product_pb2 import Product
from sightline.gateway.v1 import catalog_service_pb2 as catalog
from sightline.gateway.v1 import recommendation_service_pb2 as recommendation
from tests import npm
from tests.tools import tool
from tests.wire.http_face import Face, face

__all__ = ["face"]  # fixtures
CLIENT = Path(__file__).parent / "connect_client"
GET_PRODUCT = "/sightline.gateway.v1.CatalogService/GetProduct"
UPSERT = "/sightline.gateway.v1.CatalogService/UpsertProducts"
PROTO = {"content-type": "application/proto", "connect-protocol-version": "1"}


async def test_json_is_answered_in_json(face: Face) -> None:
    response = await face.post(GET_PRODUCT, {"productId": "p1"})
    assert response.headers["content-type"] == "application/json"
    assert response.json()["title"] == "Title p1"


async def test_protobuf_is_answered_in_protobuf(face: Face) -> None:
    data = catalog.GetProductRequest(product_id="p1").SerializeToString()
    response = await face.post(GET_PRODUCT, data, headers=PROTO)
    assert response.headers["content-type"] == "application/proto"
    assert Product.FromString(response.content).title == "Title p1"


async def test_a_large_message_is_read_once_its_caller_is_known(face: Face) -> None:
    request = recommendation.SearchRequest(
        signals=[recommendation.QuerySignal(image=bytes(3 * 2**20))], page_size=1
    )
    path = "/sightline.gateway.v1.RecommendationService/Search"
    binary = await face.post(path, request.SerializeToString(), headers=PROTO)
    text = await face.post(path, json_format.MessageToJson(request))
    assert binary.status_code == text.status_code == 200
    (result,) = recommendation.SearchResponse.FromString(binary.content).results
    assert text.json()["results"][0]["product"]["productId"] == result.product.product_id


@pytest.mark.parametrize("encoding", ["json", "proto"])
@pytest.mark.parametrize("encoded", [True, False])
async def test_a_read_may_be_a_get(face: Face, encoding: str, encoded: bool) -> None:
    message = catalog.GetProductRequest(product_id="红/&%")
    data = (
        json_format.MessageToJson(message).encode()
        if encoding == "json"
        else message.SerializeToString()
    )
    text = base64.urlsafe_b64encode(data).rstrip(b"=") if encoded else data
    query = f"?connect=v1&encoding={encoding}&message={quote(text)}" + "&base64=1" * encoded
    await face.call("GET", GET_PRODUCT + query)
    (sent,) = face.suite.retriever.script.requests("BatchGetProducts")
    assert list(sent.product_ids) == ["红/&%"]


async def test_a_write_is_no_get(face: Face) -> None:
    response = await face.call("GET", f"{UPSERT}?encoding=json&message=%7B%7D")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["code"] == "unimplemented"


async def test_an_error_has_the_details_of_grpc(face: Face) -> None:
    response = await face.post(GET_PRODUCT, {"productId": "nope"})
    found = response.json()
    assert (response.status_code, found["code"]) == (404, "not_found")
    detail = found["details"][0]
    assert detail["type"] == "google.rpc.ErrorInfo"
    padded = detail["value"] + "=" * (-len(detail["value"]) % 4)
    info = error_details_pb2.ErrorInfo.FromString(base64.b64decode(padded))
    assert (info.reason, info.domain) == ("PRODUCT_NOT_FOUND", "sightline")
    assert detail["debug"]["reason"] == "PRODUCT_NOT_FOUND"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/grpc-web+proto"}, 415),
        ({"connect-protocol-version": "2"}, 400),
        ({"connect-timeout-ms": "soon"}, 400),
        ({"content-encoding": "br"}, 415),
    ],
)
async def test_what_the_protocol_does_not_allow_is_refused(face: Face, headers, status) -> None:
    response = await face.post(GET_PRODUCT, b"{}", headers=headers)
    assert response.status_code == status
    assert response.json()["code"] == "invalid_argument"


async def test_bytes_that_are_no_message_are_refused_by_the_gateway(face: Face) -> None:
    response = await face.post(GET_PRODUCT, b"\xff\xff\xff", headers=PROTO)
    assert response.status_code == 400
    assert response.json()["details"][0]["debug"]["reason"] == "REQUEST_MALFORMED"


async def test_a_deadline_is_that_of_its_header(face: Face) -> None:
    face.suite.retriever.script.hang.add("BatchGetProducts")
    response = await face.post(
        GET_PRODUCT, {"productId": "p1"}, headers={"connect-timeout-ms": "300"}
    )
    assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")


def descriptors() -> bytes:
    """Return the descriptors of the contract and of all that it imports."""
    files: dict[str, bytes] = {}

    def add(file) -> None:
        for each in file.dependencies:
            add(each)
        files[file.name] = file.serialized_pb

    for method in public_methods():
        add(method.descriptor.containing_service.file)
    add(error_details_pb2.DESCRIPTOR)
    made = descriptor_pb2.FileDescriptorSet()
    for content in files.values():
        file = made.file.add()
        file.ParseFromString(content)
        for message in file.message_type:
            name_in_json(message)
    return made.SerializeToString()


def name_in_json(message: descriptor_pb2.DescriptorProto) -> None:
    """Set the names that protoc sets, and that Python leaves out."""
    for field in message.field:
        head, *rest = field.name.split("_")
        field.json_name = head + "".join(part.capitalize() for part in rest)
    for nested in message.nested_type:
        name_in_json(nested)


@pytest.mark.when("client", "protos", "services/gateway/src/gateway/http")
async def test_the_client_for_browsers_works_unchanged(face: Face, tmp_path: Path) -> None:
    for name in ("package.json", "package-lock.json", "client.mjs"):
        shutil.copy(CLIENT / name, tmp_path)
    (tmp_path / "descriptors.binpb").write_bytes(descriptors())
    environment = npm.environment()
    await run(tmp_path, environment, "npm", "ci")
    face.suite.retriever.script.hang.add("ListProducts")
    address = f"http://127.0.0.1:{face.port}"
    printed = await run(tmp_path, environment, "node", "client.mjs", address, "descriptors.binpb")
    found = json.loads(printed)
    assert found.keys() == {"json", "binary", "get", "binaryGet"}
    for way, each in found.items():
        assert each["title"] == "Title p1", way
        assert each["results"] == ["p3", "p1", "p4"], way
        assert each["written"] == "t2", way
        assert (each["missing"]["code"], each["missing"]["reasons"]) == (
            "NotFound",
            ["PRODUCT_NOT_FOUND"],
        )
        assert each["invalid"]["fields"] == ["page_size"], way
        assert each["late"]["code"] == "DeadlineExceeded", way


async def run(folder: Path, environment: dict[str, str], *command: str) -> bytes:
    """Run a command to its end. Return what it prints."""
    tool(command[0])
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdout=pipe, stderr=pipe
    )
    printed, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return printed
