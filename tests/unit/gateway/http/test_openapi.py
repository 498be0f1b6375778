"""The OpenAPI description is valid, and complete."""

from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.http.comments import comments
from gateway.http.contract import public_methods
from gateway.http.openapi import describe

DESCRIBED = describe(public_methods(), comments())


def test_it_is_valid_openapi() -> None:
    assert not [error.message for error in OpenAPIV31SpecValidator(DESCRIBED).iter_errors()]


def test_every_call_is_described_at_each_of_its_paths() -> None:
    for method in public_methods():
        for pattern in method.patterns:
            operation = DESCRIBED["paths"][pattern.path][pattern.verb.lower()]
            assert operation["description"], method.name


def test_every_field_of_a_request_has_its_comment() -> None:
    request = DESCRIBED["components"]["schemas"]["gateway.v1.SearchRequest"]
    assert "200" in request["properties"]["pageSize"]["description"]
