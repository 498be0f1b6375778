"""The OpenAPI description: valid, complete, and with the limits that the contract names."""

import random
from typing import Any

import jsonschema
import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from gateway.http import openapi
from gateway.http.comments import comments
from gateway.http.contract import public_methods
from gateway.http.mapping import encode
from tests.fakes import random_messages

METHODS = public_methods()
DESCRIBED = openapi.describe(METHODS, comments())
SCHEMAS: dict[str, Any] = DESCRIBED["components"]["schemas"]


def test_the_description_is_valid() -> None:
    validate(orjson.loads(orjson.dumps(DESCRIBED)), cls=OpenAPIV31SpecValidator)


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
