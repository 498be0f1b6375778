"""Parameters of addresses: whatever they are, a message or a typed error."""

import contextlib
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http.contract import public_methods
from gateway.http.mapping import decode
from gateway.http.mapping.queries import MOST, fill_from_query
from gateway.http.routes import Router
from servicekit.errors import ServiceError
from servicekit.rpc.requests import RequestInvalid

METHODS = [each for each in public_methods() if any(not p.has_body for p in each.patterns)]
NAMES = sorted({field.name for each in METHODS for field in each.request.DESCRIPTOR.fields})
NUMBERS = ["--5", "-", "+1", "²", "٣", "1e3", "1e400", "9" * 5000, "-0", "0x1", "1_0", " 1", "NaN"]
TEXTS = st.text(max_size=12) | st.sampled_from([*NUMBERS, "", "true", "[1]", "{}", "\ud800"])
ROUTER = Router(public_methods())


def read(kind: Any, query: str) -> RequestInvalid | None:
    """Return the typed error of a query; None: it is a message."""
    try:
        fill_from_query(kind(), query)
    except RequestInvalid as error:
        return error
    return None


@settings(max_examples=300)
@given(
    st.sampled_from(METHODS),
    st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=8), TEXTS), max_size=5),
)
def test_a_query_is_a_message_or_a_typed_error(method: Any, pairs: list[tuple[str, str]]) -> None:
    read(method.request, urlencode(pairs, errors="surrogatepass"))


@given(st.sampled_from(METHODS), st.text(max_size=200))
def test_any_text_is_a_query_or_a_typed_error(method: Any, query: str) -> None:
    read(method.request, query)


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.descriptor.name)
def test_each_field_takes_every_text_or_names_itself(method: Any) -> None:
    for field in method.request.DESCRIPTOR.fields:
        for text in [*NUMBERS, "", "true", "2026-13-01T00:00:00Z", "-1s", "a,b", "%"]:
            error = read(method.request, f"{field.name}={quote(text)}")
            if error is not None:
                assert error.violations[0].field == field.name


def test_a_value_of_an_enum_is_its_name_or_a_number() -> None:
    (method,) = (each for each in METHODS if each.descriptor.name == "ListProducts")
    field = next(each for each in method.request.DESCRIPTOR.fields if each.enum_type)
    assert read(method.request, f"{field.name}=1") is None
    for text in ("--5", "-", "5-", "٣", "9" * 30):
        assert read(method.request, f"{field.name}={quote(text)}") is not None


def test_parameters_are_limited() -> None:
    method = METHODS[0]
    assert read(method.request, "&" * 10_000 + "x=1") is not None
    assert read(method.request, "&".join(["x=1"] * (MOST + 1))) is not None


@given(st.sampled_from(["GET", "POST", "DELETE"]), st.text(max_size=80))
def test_any_address_has_a_route_or_a_typed_error(verb: str, path: str) -> None:
    with contextlib.suppress(ServiceError):
        ROUTER.find(verb, "/v1/catalogs" + quote(path, safe="/:%"))


JSON_VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=200)
@given(st.sampled_from(public_methods()), JSON_VALUES)
def test_any_value_of_json_is_a_message_or_a_typed_error(method: Any, value: Any) -> None:
    with contextlib.suppress(RequestInvalid):
        decode.fill_from(method.request(), value)


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_a_typed_error(data: bytes) -> None:
    with contextlib.suppress(ServiceError):
        decode.parse(data)


def test_every_kind_of_field_is_read_by_a_reader_that_raises_what_is_wrong_alone() -> None:
    for method in public_methods():
        for field in method.request.DESCRIPTOR.fields:
            if field.message_type is None and field.type != FieldDescriptor.TYPE_BYTES:
                for value in (None, [], {}, True, "x", 10**400, 1e308 * 10, "\ud800", -1):
                    with contextlib.suppress(decode.Wrong):
                        decode.reader(field)(value)
