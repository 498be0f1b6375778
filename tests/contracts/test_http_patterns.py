"""Each public call has an HTTP pattern in its proto, as AIP-127 and AIP-136 say."""

import re
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodOptions

from sightline.common.v1 import access_pb2

ROOT = Path(__file__).parents[2]
PATH = re.compile(r"/v1(/([a-z][A-Za-z]*|\{[a-z_.]+\}))*(:[a-z][A-Za-z]*)?")

POSTED = {
    "CheckScene": "a file of 64 KiB is longer than an address",
    "DiffScene": "a file of 64 KiB is longer than an address",
    "Suggest": "what a shopper types belongs in no log of addresses",
    "CreateVisitor": "each call creates another visitor",
    "Inspect": "a photo is longer than an address",
    "ReplayRecommendation": "the token of an answer belongs in no log of addresses",
}
"""Reads without nested fields that are no GET nevertheless, and why."""


def public() -> Iterator[Any]:
    """Yield the descriptor of each method that callers with a role may call."""
    for file in sorted((ROOT / "protos" / "sightline").glob("*/v1/*_service.proto")):
        module: Any = import_module(f"sightline.{file.parts[-3]}.v1.{file.stem}_pb2")
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                if method.GetOptions().Extensions[access_pb2.access].roles:
                    yield method


def bindings(options: Any) -> list[tuple[str, str, str]]:
    """Return the HTTP method, the pattern and the body of each binding of a call."""
    rule = options.Extensions[annotations_pb2.http]
    rules = [rule, *rule.additional_bindings] if rule.WhichOneof("pattern") else []
    verbs = (each.WhichOneof("pattern") for each in rules)
    return [(verb, getattr(each, verb), each.body) for verb, each in zip(verbs, rules, strict=True)]


METHODS = {method.full_name.removeprefix("sightline."): method for method in public()}


def bindable(method: Any) -> bool:
    """Return whether path and query can hold every field of a request."""
    times = ("google.protobuf.Timestamp", "google.protobuf.Duration")
    kinds = [each.message_type for each in method.input_type.fields if each.message_type]
    return all(each.full_name in times for each in kinds)


@pytest.mark.parametrize("name", METHODS)
def test_a_public_call_has_a_pattern(name: str) -> None:
    found = bindings(METHODS[name].GetOptions())
    assert found, f"{name} has no option (google.api.http)"
    for verb, path, body in found:
        assert PATH.fullmatch(path), path
        assert body == ("*" if verb == "post" else ""), "a call without a body binds none"


def test_no_call_takes_a_stream_of_requests_which_http_has_not() -> None:
    assert [name for name, method in METHODS.items() if method.client_streaming] == []


@pytest.mark.parametrize("name", METHODS)
def test_variables_are_text_fields_of_the_request(name: str) -> None:
    for _, path, _ in bindings(METHODS[name].GetOptions()):
        for variable in re.findall(r"\{([^}]+)\}", path):
            *outer, last = variable.split(".")
            message = METHODS[name].input_type
            for each in outer:
                message = message.fields_by_name[each].message_type
            field = message.fields_by_name[last]
            assert field.type == field.TYPE_STRING, variable
            assert not field.is_repeated, variable


@pytest.mark.parametrize("name", METHODS)
def test_a_read_that_path_and_query_can_hold_is_a_get_and_a_write_never_is(name: str) -> None:
    method = METHODS[name]
    verbs = {verb for verb, _, _ in bindings(method.GetOptions())}
    reads = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    if reads and bindable(method) and method.name not in POSTED:
        assert verbs == {"get"}
    if not reads:
        assert "get" not in verbs


def test_no_two_calls_have_the_same_pattern() -> None:
    patterns = Counter(
        (verb, re.sub(r"\{[^}]+\}", "*", path))
        for method in METHODS.values()
        for verb, path, _ in bindings(method.GetOptions())
    )
    assert [pattern for pattern, count in patterns.items() if count > 1] == []


def test_shoppers_are_named_in_bodies_only() -> None:
    """Addresses are written to logs of proxies and browsers."""
    for name, method in METHODS.items():
        if any(
            each.message_type and each.message_type.name == "Shopper"
            for each in method.input_type.fields
        ):
            assert {verb for verb, _, _ in bindings(method.GetOptions())} == {"post"}, name


def released() -> dict[str, Any]:
    """Return the options of each call of the last release, by its name."""
    image = FileDescriptorSet.FromString((ROOT / "protos/image.binpb").read_bytes())
    return {
        f"{file.package}.{service.name}.{method.name}".removeprefix("sightline."): method.options
        for file in image.file
        for service in file.service
        for method in service.method
        if method.options.Extensions[access_pb2.access].roles
    }


def test_every_released_address_leads_to_its_call() -> None:
    """Keep what callers over HTTP rely on: `buf breaking` compares calls and messages, not
    addresses."""
    calls = released()
    kept = calls.keys() & METHODS.keys()
    assert len(kept) > 100
    for name in kept:
        options, now = calls[name], METHODS[name].GetOptions()
        assert set(bindings(options)) <= set(bindings(now)), name
        assert {*options.Extensions[access_pb2.access].roles} <= {
            *now.Extensions[access_pb2.access].roles
        }, name
