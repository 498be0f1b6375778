"""JSON of messages: the same as json_format's in both directions, and stricter where it guesses."""

import base64
import json
import math
import random
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson
import pytest
from google.protobuf import (
    any_pb2,
    duration_pb2,
    json_format,
    message_factory,
    struct_pb2,
)
from google.rpc import status_pb2
from google.type import money_pb2

from gateway.http.mapping import amounts, decode, encode, kinds
from servicekit.errors import ServiceError
from sightline.common.v1 import access_pb2, product_pb2
from sightline.gateway.v1 import catalog_service_pb2
from sightline.gateway.v1.recommendation_service_pb2 import (
    RecommendRequest,
    RecommendShelvesResponse,
    SearchResponse,
)
from tests.fakes import random_messages

ROOT = Path(__file__).parents[4]


def public_types() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the classes of the requests and of the answers of the public calls, by name."""
    requests: dict[str, Any] = {}
    answers: dict[str, Any] = {}
    for file in sorted((ROOT / "protos" / "sightline").glob("*/v1/*_service.proto")):
        module: Any = import_module(f"sightline.{file.parts[-3]}.v1.{file.stem}_pb2")
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                if method.GetOptions().Extensions[access_pb2.access].roles:
                    for found, each in (
                        (requests, method.input_type),
                        (answers, method.output_type),
                    ):
                        found[each.full_name] = message_factory.GetMessageClass(each)
    return requests, answers


EVERY = random_messages.every_kind()
REQUESTS, ANSWERS = public_types()
REQUESTS["test.EveryKind"] = EVERY
TYPES = {**REQUESTS, **ANSWERS, "google.rpc.Status": status_pb2.Status}


@cache
def messages(name: str, count: int = 25) -> list[Any]:
    rng = random.Random(name)
    return [
        random_messages.fill(TYPES[name](), rng, rng.choice((0.1, 0.5, 1.0))) for _ in range(count)
    ]


def same(one: Any, other: Any) -> bool:
    """Compare, with NaN equal to itself."""
    return one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


def completed(message: Any, written: Any) -> Any:
    """Add to JSON of json_format what is ours: lists of answers, and amounts as text."""
    for field, value in message.ListFields():
        kind = field.message_type
        if kind is not None and kind.full_name not in (*kinds.TEXTS, kinds.ANY):
            some = value if field.is_repeated else [value]
            inner = written[field.json_name] if field.is_repeated else [written[field.json_name]]
            for one, other in zip(some, inner, strict=True):
                completed(one, other)
    if message.DESCRIPTOR.name.endswith("Response"):
        for field in message.DESCRIPTOR.fields:
            if field.is_repeated:
                written.setdefault(field.json_name, [])
    if message.DESCRIPTOR.full_name == "google.type.Money" and (
        text := amounts.text(message.units, message.nanos)
    ):
        written["amount"] = text
    return written


@pytest.mark.full
def test_a_message_is_the_json_of_json_format_with_lists_and_amounts() -> None:
    for name in TYPES:
        for message in messages(name):
            written = orjson.loads(encode.to_bytes(message))
            expected = completed(message, json.loads(json_format.MessageToJson(message)))
            assert written == expected, (name, message)


def test_an_answer_without_results_has_an_empty_list() -> None:
    assert orjson.loads(encode.to_bytes(SearchResponse()))["results"] == []
    shelves = RecommendShelvesResponse()
    shelves.shelves.add().list.SetInParent()
    (shelf,) = orjson.loads(encode.to_bytes(shelves))["shelves"]
    assert shelf["list"]["results"] == []
    assert orjson.loads(encode.to_bytes(product_pb2.Product(product_id="a"))) == {"productId": "a"}


@pytest.mark.parametrize(
    ("units", "nanos", "text"),
    [
        (0, 790_000_000, "0.79"),
        (12, 500_000_000, "12.50"),
        (1_200, 0, "1200"),
        (0, 0, "0"),
        (-1, -750_000_000, "-1.75"),
        (0, -1, "-0.000000001"),
        (10**18 - 1, 999_999_999, "999999999999999999.999999999"),
    ],
)
def test_an_amount_has_a_text_which_is_read_again(units: int, nanos: int, text: str) -> None:
    price = money_pb2.Money(currency_code="EUR", units=units, nanos=nanos)
    written = orjson.loads(encode.to_bytes(product_pb2.Product(price=price)))["price"]
    assert written["amount"] == text
    alone = {"currencyCode": "EUR", "amount": text}
    for given in (written, alone, alone | {"units": None, "nanos": None}):
        read = product_pb2.Product()
        decode.fill(read, orjson.dumps({"price": given}))
        assert read.price == price


@pytest.mark.parametrize(
    ("price", "problem"),
    [
        ('{"amount": "1,50"}', "must be a number as text"),
        ('{"amount": "1e2"}', "must be a number as text"),
        ('{"amount": "1234567890123456789"}', "must be a number as text"),
        ('{"amount": 1.5}', "must be a text, not a number"),
        ('{"amount": "1.50", "units": "2"}', "is another amount than units and nanos"),
        ('{"amounts": "1.50"}', "is no field of Money"),
    ],
)
def test_an_amount_that_is_none_is_refused(price: str, problem: str) -> None:
    with pytest.raises(ServiceError, match=problem):
        decode.fill(product_pb2.Product(), f'{{"price": {price}}}'.encode())


def test_every_request_can_be_read() -> None:
    def check(descriptor: Any, known: set[str]) -> None:
        if descriptor.full_name not in known:
            known.add(descriptor.full_name)
            decode.filler(descriptor)
            if descriptor.full_name not in kinds.TEXTS:
                for field in descriptor.fields:
                    if field.message_type is not None:
                        check(field.message_type, known)

    known: set[str] = set()
    for kind in REQUESTS.values():
        check(kind.DESCRIPTOR, known)
    with pytest.raises(TypeError, match=r"a request can't have google\.protobuf\.Struct"):
        check(struct_pb2.Struct.DESCRIPTOR, known)


@pytest.mark.full
@pytest.mark.parametrize("snake", [False, True])
def test_json_of_json_format_gives_the_same_message(snake: bool) -> None:
    for name, kind in REQUESTS.items():
        for message in messages(name):
            text = json_format.MessageToJson(message, preserving_proto_field_name=snake)
            read, expected = kind(), json_format.Parse(text, kind())
            decode.fill(read, text.encode())
            assert same(read, expected), (name, text)


@pytest.mark.full
def test_what_is_written_is_read_again() -> None:
    for name, kind in REQUESTS.items():
        for message in messages(name):
            read = kind()
            decode.fill(read, encode.to_bytes(message))
            assert same(read, message), (name, message)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"oneInt32": "12"}', 12),
        ('{"oneInt32": 1e2}', 100),
        ('{"oneInt32": "1e2"}', 100),
        ('{"oneInt32": 5.0}', 5),
        ('{"one_int32": -2147483648}', -(2**31)),
        ('{"oneInt32": null}', 0),
    ],
)
def test_numbers_may_be_texts_where_the_mapping_allows(text: str, value: int) -> None:
    message = EVERY()
    decode.fill(message, text.encode())
    assert message.one_int32 == value


@pytest.mark.parametrize("alphabet", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padded", [True, False])
def test_bytes_are_read_in_both_alphabets(alphabet: Any, padded: bool) -> None:
    data = bytes(range(256)) + b"\xfb\xff"
    text = alphabet(data).decode()
    message = EVERY()
    decode.fill(message, json.dumps({"oneBytes": text if padded else text.rstrip("=")}).encode())
    assert message.one_bytes == data


@pytest.mark.parametrize(("word", "value"), [('"Infinity"', math.inf), ('"1.5"', 1.5), ("2", 2.0)])
def test_floats_may_be_words(word: str, value: float) -> None:
    message = EVERY()
    decode.fill(message, f'{{"oneFloat": {word}}}'.encode())
    assert message.one_float == value


BAD = [
    ('{"signal": []}', "signal", "did you mean signals?"),
    ('{"pagesize": 3}', "pagesize", "did you mean pageSize?"),
    ('{"signals": [{}, {"wieght": 1}]}', "signals[1].wieght", "did you mean weight?"),
    ('{"pageSize": "many"}', "page_size", "whole number"),
    ('{"pageSize": 1.5}', "page_size", "whole number"),
    ('{"pageSize": true}', "page_size", "not a flag"),
    ('{"pageSize": 2147483648}', "page_size", "must be -2147483648 to 2147483647"),
    ('{"pageSize": 1e400}', "page_size", "whole number"),
    ('{"minQuality": 1e400}', "min_quality", "range of a double"),
    ('{"minQuality": 1%s}' % ("0" * 400), "min_quality", "range of a double"),
    ('{"minQuality": 1%s}' % ("0" * 5000), None, "too many digits"),
    ('{"scene": "\\ud800"}', None, "surrogate"),
    ('{"scene": "\\ud83d\\\\\\ude00"}', None, "surrogate"),
    ("\ufeff{}", None, "not JSON"),
    ('{"minQuality": 1e39}', "min_quality", "range of a float"),
    ('{"minQuality": NaN}', None, "not JSON"),
    ('{"scene": 7}', "scene", "must be a text"),
    ('{"signals": {}}', "signals", "must be a list"),
    ('{"signals": [null]}', "signals[0]", "must be an object"),
    ('{"signals": [{"image": "###"}]}', "signals[0].image", "base64"),
    ('{"signals": [{"image": "AA==", "text": "x"}]}', "signals[0]", "only one of"),
    ('{"explain": "true"}', "explain", "true or false"),
    ('{"priority": "PRIORITY_BLUK"}', "priority", "did you mean PRIORITY_BULK?"),
    ('{"scene": "a", "scene": "b"}', "scene", "given twice"),
    ('{"pageSize": 1, "page_size": 2}', "page_size", "both of its names"),
    ("[]", "body", "must be an object"),
    ('{"scene": "\\ud800"}', None, "not JSON"),
    ("", None, "not JSON"),
    ('{"scene": "a"', None, "not JSON"),
]


@pytest.mark.parametrize(("text", "field", "words"), BAD)
def test_bad_json_is_refused_with_its_field(text: str, field: str | None, words: str) -> None:
    with pytest.raises(ServiceError) as caught:
        decode.fill(RecommendRequest(), text.encode())
    error = caught.value
    assert error.reason == ("REQUEST_MALFORMED" if field is None else "REQUEST_INVALID")
    assert words in error.message
    if field is not None:
        assert error.violations[0].field.startswith(field)


@pytest.mark.parametrize("depth", [250, 2_000, 10_000, 1_000_000])
@pytest.mark.parametrize(("before", "after"), [("[", "]"), ('{"not":', "}")])
def test_json_of_any_depth_is_refused_and_not_followed(depth: int, before: str, after: str) -> None:
    text = '{"filter": ' + before * depth + "1" + after * depth + "}"
    with pytest.raises(ServiceError, match=r"JSON|nested|fields"):
        decode.fill(RecommendRequest(), text.encode())


def test_bad_utf_8_is_refused() -> None:
    with pytest.raises(ServiceError, match="not JSON"):
        decode.fill(RecommendRequest(), b'{"scene": "\xff\xfe"}')


def test_quotes_before_colons_are_no_duplicate_keys() -> None:
    message = RecommendRequest()
    decode.fill(message, b'{"followed": [":", "\\":", "a\\\\" , ":\\"\\":"], "scene" : ":"}')
    assert list(message.followed) == [":", '":', "a\\", ':"":']


def test_values_are_not_repeated_in_errors() -> None:
    with pytest.raises(ServiceError) as caught:
        decode.fill(product_pb2.Product(), b'{"images": "a private text"}')
    assert "private" not in str(caught.value.message)


def test_a_changed_product_is_written_anew() -> None:
    product = product_pb2.Product(product_id="a", title="Old")
    found = SearchResponse(results=[{"product": product}, {"product": product}])
    old = {"productId": "a", "title": "Old"}
    assert orjson.loads(encode.to_bytes(found))["results"] == [{"product": old}] * 2
    found.results[1].product.title = "New"
    new = {"productId": "a", "title": "New"}
    results = orjson.loads(encode.to_bytes(found))["results"]
    assert [each["product"] for each in results] == [old, new]


@pytest.mark.parametrize("size", [1, encode.MOST_KEPT])
def test_a_product_of_any_size_is_written(size: int) -> None:
    product = product_pb2.Product(description="x" * size)
    for _ in range(2):
        assert orjson.loads(encode.to_bytes(product)) == {"description": "x" * size}


def test_a_product_inside_an_any_has_its_type() -> None:
    held = any_pb2.Any()
    held.Pack(product_pb2.Product(product_id="a"))
    written = orjson.loads(encode.to_bytes(held))
    assert written == {"@type": "type.googleapis.com/sightline.common.v1.Product", "productId": "a"}


def test_tables_are_made_once_per_type() -> None:
    descriptor = catalog_service_pb2.UpsertProductsRequest.DESCRIPTOR
    assert encode.writer(descriptor) is encode.writer(descriptor)
    assert decode.filler(descriptor) is decode.filler(descriptor)


@pytest.mark.parametrize("nanos", [0, 1, 1_000, 1_500_000, 20_000_000, 123_456_789, 999_999_999])
@pytest.mark.parametrize("seconds", [0, 7, 10**9 - 1, 10**9, 315_576_000_000])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_duration_is_written_as_protobuf_writes_it(sign: int, seconds: int, nanos: int) -> None:
    duration = duration_pb2.Duration(seconds=sign * seconds, nanos=sign * nanos)
    assert encode.writer(duration.DESCRIPTOR)(duration) == duration.ToJsonString()
