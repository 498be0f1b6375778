"""The OpenAPI description: valid, complete, and with the limits that the contract names."""

import random
import re
from typing import Any
from urllib.parse import quote, urlencode

import jsonschema
import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from gateway.http import examples, fixes, openapi, serving
from gateway.http.contract import public_methods
from gateway.http.example_values import MEMBERS
from gateway.http.mapping import decode, encode
from gateway.http.mapping.queries import fill_from_path, fill_from_query
from gateway.http.problems import EXACT, STATUS
from gateway.http.routes import Router
from servicekit.errors import Code
from tests.fakes import random_messages

METHODS = public_methods()
DESCRIBED = openapi.describe(METHODS, openapi.sources())
SCHEMAS: dict[str, Any] = DESCRIBED["components"]["schemas"]


@pytest.mark.when("protos", "services/gateway/src/gateway/http")
def test_the_description_is_valid() -> None:
    validate(orjson.loads(orjson.dumps(DESCRIBED)), cls=OpenAPIV31SpecValidator)


@pytest.mark.full
async def test_the_description_is_made_and_compressed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = []

    def compressed(body: bytes) -> bytes:
        packed.append(len(body))
        return b"packed"

    monkeypatch.setattr(serving, "compressed", compressed)
    page = serving._described(METHODS)
    request: Any = None
    answers = [await page(request) for _ in range(3)]
    assert [each.packed for each in answers] == [b"packed"] * 3
    assert len(packed) == 1


def test_each_pattern_is_an_operation_of_its_own() -> None:
    expected = {
        (pattern.path.replace("{request.", "{"), pattern.verb)
        for each in METHODS
        for pattern in each.patterns
    }
    found = {
        (path, verb.upper()): operation
        for path, operations in DESCRIBED["paths"].items()
        for verb, operation in operations.items()
    }
    assert found.keys() == expected
    assert len({each["operationId"] for each in found.values()}) == len(found)
    assert all(each["description"] and each["x-roles"] for each in found.values())
    assert DESCRIBED["servers"] == [{"url": "."}]


def test_calls_of_shops_come_first_and_each_has_a_short_summary() -> None:
    names = [each["name"] for each in DESCRIBED["tags"]]
    assert names[:3] == ["RecommendationService", "CatalogService", "UserEventService"]
    found = [each["summary"] for _, _, each in OPERATIONS.values()]
    assert all(0 < len(each) <= openapi.LONGEST and not each.endswith(".") for each in found)


def test_every_member_is_described_by_its_proto() -> None:
    bare = [
        f"{name}.{member}"
        for name, schema in SCHEMAS.items()
        if name.split(".")[0] in ("common", "gateway", "ranker", "retriever", "embedder")
        for member, each in schema.get("properties", {}).items()
        if not each.get("description")
    ]
    assert bare == []


def test_limits_are_those_of_the_contract() -> None:
    members = SCHEMAS["gateway.v1.RecommendRequest"]["properties"]
    assert members["signals"]["maxItems"] == 8
    assert (members["pageSize"]["minimum"], members["pageSize"]["maximum"]) == (0, 200)
    assert members["requestId"]["maxLength"] == 128
    assert "maxLength" not in SCHEMAS["gateway.v1.CheckSceneRequest"]["properties"]["toml"]


def test_members_that_the_contract_requires_are_required_in_json() -> None:
    assert SCHEMAS["common.v1.Event"]["required"] == ["shopper", "type"]
    assert SCHEMAS["gateway.v1.ReplayRecommendationRequest"]["required"] == ["attributionToken"]
    assert SCHEMAS["gateway.v1.Control"]["required"] == ["kind"], "a place only for a pin"
    assert "required" not in SCHEMAS["gateway.v1.ClassifyRequest"], "a photo may be the body itself"


@pytest.mark.parametrize(
    ("path", "required"),
    [
        ("/v1/catalogs/{catalog_id}/visitors", False),
        ("/v1/catalogs/{catalog_id}:suggest", False),
        ("/v1/catalogs/{catalog_id}:replayRecommendation", True),
    ],
)
def test_a_body_is_required_where_one_of_its_fields_is(path: str, required: bool) -> None:
    assert DESCRIBED["paths"][path]["post"]["requestBody"]["required"] is required


def test_a_oneof_is_a_one_of() -> None:
    signal = SCHEMAS["gateway.v1.QuerySignal"]
    checked = jsonschema.Draft202012Validator(
        {**signal, "properties": {}, "additionalProperties": True}
    )
    assert checked.is_valid({})
    assert checked.is_valid({"text": "a"})
    assert not checked.is_valid({"text": "a", "image": "AA=="})


@pytest.mark.when("protos", "services/gateway/src/gateway/http")
@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.descriptor.name)
def test_messages_fit_their_schemas(method: Any) -> None:
    """Without limits, patterns and required members, which random messages don't keep to."""
    schemas = orjson.loads(orjson.dumps({"components": {"schemas": SCHEMAS}}))
    relaxed = _relaxed(schemas)
    rng = random.Random(method.name)
    for kind in (method.request, method.answer):
        name = kind.DESCRIPTOR.full_name.removeprefix("sightline.")
        if name not in SCHEMAS:
            continue
        checked = jsonschema.Draft202012Validator(
            {**relaxed, "$ref": f"#/components/schemas/{name}"}
        )
        for _ in range(5):
            message = random_messages.fill(kind(), rng, 0.6)
            value = orjson.loads(encode.to_bytes(message))
            assert [error.message for error in checked.iter_errors(value)] == []


OPERATIONS = {
    each["operationId"]: (path, verb, each)
    for path, operations in DESCRIBED["paths"].items()
    for verb, each in operations.items()
}


def problems_of(value: Any, schema: dict[str, Any]) -> list[str]:
    """Return what a value breaks of a schema, with limits and required members."""
    whole = {"components": {"schemas": SCHEMAS}, **schema}
    checked = jsonschema.Draft202012Validator(orjson.loads(orjson.dumps(whole)))
    return [f"{error.json_path}: {error.message}" for error in checked.iter_errors(value)]


@pytest.mark.when("protos", "services/gateway/src/gateway/http")
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_has_an_example_request_that_the_server_reads(name: str) -> None:
    path, verb, operation = OPERATIONS[name]
    queries = {}
    for each in operation["parameters"]:
        if each.get("in") == "path":
            path = path.replace(f"{{{each['name']}}}", quote(each["example"], safe=""))
        elif "example" in each:
            queries[each["name"]] = each["example"]
            assert problems_of(each["example"], each["schema"]) == []
    route, values = Router(METHODS).find(verb.upper(), path)
    message = route.method.request()
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        assert problems_of(content["example"], content["schema"]) == []
        decode.fill(message, orjson.dumps(content["example"]))
    fill_from_query(message, urlencode(queries))
    fill_from_path(message, values)
    assert name.startswith(f"{route.method.descriptor.containing_service.name}_")
    assert route.method.descriptor.name in name


@pytest.mark.when("protos", "services/gateway/src/gateway/http")
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_has_an_example_answer_that_fits_its_schema(name: str) -> None:
    ((kind, content),) = OPERATIONS[name][2]["responses"]["200"]["content"].items()
    if kind == "text/event-stream":
        example, schema = content["x-event-example"], content["x-event-data"]
    else:
        example, schema = content["examples"]["one"], content["schema"]
    value = DESCRIBED["components"]["examples"][example["$ref"].rpartition("/")[2]]["value"]
    assert value
    assert problems_of(value, schema) == []


def test_requests_of_the_pages_are_the_examples() -> None:
    body = OPERATIONS["RecommendationService_Recommend"][2]["requestBody"]["content"]
    assert body["application/json"]["example"] == {
        "scene": "similar",
        "signals": [{"productId": "100062"}],
        "pageSize": 3,
        "filter": {"text": "price < 50 EUR"},
    }
    (product,) = (
        each["example"]
        for each in OPERATIONS["CatalogService_GetProduct"][2]["parameters"]
        if each.get("name") == "product_id"
    )
    assert product == "100062"


def test_members_that_no_table_gives_are_those_of_calls_that_no_page_shows() -> None:
    calls = {each.descriptor.name: each.name for each in METHODS}
    assert not {calls[name] for name in MEMBERS} & examples.shown().keys()


def reasons(name: str, status: int) -> set[str]:
    """Return the reasons of a status of an operation."""
    response = OPERATIONS[name][2]["responses"].get(str(status), {"description": ""})
    return set(re.findall(r"`([A-Z_]+)`", response["description"]))


@pytest.mark.parametrize("name", OPERATIONS)
def test_errors_of_each_operation_have_their_reasons_by_status(name: str) -> None:
    operation = OPERATIONS[name][2]
    failed = {key: each for key, each in operation["responses"].items() if key != "200"}
    assert {each["$ref"] for each in failed.values()} == {"#/components/responses/Problem"}
    assert {"400", "401", "403", "429", "503", "504", "default"} <= failed.keys()
    assert "REQUEST_INVALID" in reasons(name, 400)
    assert reasons(name, 401) == {"TOKEN_INVALID", "TOKEN_MISSING"}
    assert "ROLE_MISSING" in reasons(name, 403)
    assert "QUOTA_EXHAUSTED" in reasons(name, 429)
    assert "DEADLINE_EXCEEDED" in reasons(name, 504)
    assert ("413" in failed) is ("408" in failed) is ("requestBody" in operation)
    asked = {each["$ref"].rpartition("/")[2] for each in operation["parameters"] if "$ref" in each}
    assert ("412" in failed) is ("If-Match" in asked)
    for status in sorted(int(key) for key in failed if key not in ("412", "default")):
        for reason in reasons(name, status):
            codes = fixes.codes()[reason]
            assert status in {EXACT.get(reason, STATUS[Code(code)]) for code in codes}


def test_reasons_are_those_of_the_comments_and_of_the_fields() -> None:
    update, recommend = "AdminService_UpdateCatalog", "RecommendationService_Recommend"
    assert reasons(update, 412) == {"ETAG_MISMATCH"} <= reasons(update, 409)
    assert {"CATALOG_NOT_FOUND", "CATALOG_DELETED"} <= reasons(update, 404)
    assert "CATALOG_EXISTS" in reasons("AdminService_CreateCatalog", 409)
    assert "CATALOG_NOT_FOUND" not in reasons("AdminService_CreateCatalog", 404)
    assert {"PAGE_TOKEN_INVALID", "FILTER_INVALID"} <= reasons(recommend, 400)
    assert "PRODUCT_NOT_FOUND" in reasons("CatalogService_GetProduct", 404)
    assert "ADMIN_PORT_ONLY" in reasons(update, 403) - reasons(recommend, 403)
    assert reasons(recommend, 413) == {"REQUEST_TOO_LARGE"}
    assert "STREAMS_EXHAUSTED" in reasons("JobService_WatchJob", 429)
    assert "PRODUCT_NOT_FOUND" in str(DESCRIBED["components"]["responses"]["Problem"])


RELAXED = ("maximum", "minimum", "maxLength", "pattern", "maxItems", "enum", "format")


def _relaxed(value: Any) -> Any:
    """Drop limits; numbers may be words (NaN), and enums numbers."""
    if isinstance(value, list):
        return [_relaxed(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _relaxed(each) for name, each in value.items() if name not in RELAXED}
    if "properties" in kept:
        kept.pop("required", None)
    if kept.get("type") == "number" or "enum" in value:
        kept["type"] = ["number", "string"]
    return kept
