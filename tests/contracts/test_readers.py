"""Every reader of bytes that callers send: its work grows with their number, not faster.

A module that decodes, decompresses or parses fails here until it has a row: an input of any size
that is the worst known for it, or why its bytes are not a caller's.
"""

from __future__ import annotations

import ast
import base64
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gateway.http.connect import message_of_query
from gateway.http.contract import public_methods
from gateway.http.exchange import HttpRequest, _decompressor
from gateway.http.mapping import counting, decode
from gateway.http.mapping.queries import fill_from_query
from gateway.http.photos import parts_of
from gateway.http.protocol import HEAD_BYTES
from gateway.http.routes import Router
from gateway.model.filters import expression
from gateway.model.photo_header import decoding_seconds
from servicekit.admission.entry_limits import EntryLimits
from servicekit.admission.limits import ENTRIES, MIB
from servicekit.decoding import toml_process
from servicekit.decoding.untrusted_toml import MOST_BYTES, TomlInvalid, check_limits
from servicekit.errors import ServiceError
from servicekit.keys.keyring import SignatureInvalid, open_keys
from servicekit.rpc.requests import unpack_token
from sightline.filter_text import MAX_LENGTH, FilterSyntaxError
from sightline.gateway.v1.recommendation_service_pb2 import RecommendRequest
from sightline_agents.catalog.photos import MAX_ENCODED, PhotoInvalid, decoded
from sightline_console.screens import importing, product_photos, scene_text
from sightline_console.web.forms import SMALL
from sightline_rules.photo_metadata import without_metadata
from sightline_rules.photos import sniff
from tests.code import nodes
from tests.work import assert_grows_evenly

ROOT = Path(__file__).parents[2]
SOURCES = {
    "gateway": ROOT / "services/gateway/src/gateway",
    "servicekit": ROOT / "kit/src/servicekit",
    "sightline_agents": ROOT / "agents/src/sightline_agents",
    "sightline_console": ROOT / "console/src/sightline_console",
    "sightline_rules": ROOT / "rules/src/sightline_rules",
    "sightline_core": ROOT / "core/src/sightline_core",
}
"""Packages that see what callers send."""
PRIMITIVES = {
    *("a2b_base64", "b64decode", "urlsafe_b64decode", "decompressobj", "decompress", "unpack"),
    *("loads", "literal_eval", "model_validate_json", "parse_qsl", "parse_qs", "csv"),
    *("DictReader", "FromString", "ParseFromString", "FromJsonString", "unpack_from", "frombuffer"),
    "from_bytes",
}
"""Names of functions that make values of bytes or texts."""

GATEWAY_LIMIT = max(each.most_bytes for each in public_methods()) * 2
WORST = MIB
"""Bytes up to which a reader without smaller limit is measured: its growth shows there."""

FAILS = (ServiceError, ValueError, FilterSyntaxError, SignatureInvalid, PhotoInvalid, TomlInvalid)


def zip_of(size: int) -> bytes:
    """Return a zip of that many bytes, most of them names."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for number in range(size // 110):
            made.writestr(f"{number:08}.jpg", b"")
    return file.getvalue()


def read_json(data: bytes) -> RecommendRequest:
    counting.values(data, ENTRIES)
    request = RecommendRequest()
    decode.fill_from(request, decode.parse(data))
    return request


def expanded(data: bytes) -> list[bytes]:
    expand = _decompressor("gzip", GATEWAY_LIMIT)
    ends = range(2**16, len(data) + 2**16, 2**16)
    return [expand(data[end - 2**16 : end], end >= len(data)) for end in ends]


def request(query: str) -> HttpRequest:
    scope = {"method": "GET", "raw_path": b"/", "query_string": query.encode(), "headers": []}
    return HttpRequest.of(scope, None, 1.0)  # type: ignore[arg-type]


LIMITS = EntryLimits(RecommendRequest.DESCRIPTOR, 10**9)
ROUTER = Router(public_methods())


def keys(size: int) -> bytes:
    names = b"".join(b',"%x":1' % each for each in range(size // 9))
    return b'{"z":"\\":"' + names + b"}"


CASES: dict[str, tuple[str, Callable[[Any], object], Callable[[int], Any], int]] = {
    "keys of one object": ("gateway.http.mapping.decode", decode.parse, keys, 2**16),
    "a key twice at the end": (
        "gateway.http.mapping.decode",
        decode.parse,
        lambda size: keys(size)[:-1] + b',"0":1}',
        2**16,
    ),
    "objects": (
        "gateway.http.mapping.decode",
        decode.parse,
        lambda size: b"[" + b"{}," * (size // 3) + b"{}]",
        WORST // 4,
    ),
    "numbers": (
        "gateway.http.mapping.decode",
        decode.parse,
        lambda size: b"[" + (b"9" * 4000 + b",") * (size // 4001) + b"1]",
        WORST // 4,
    ),
    "halves of surrogates": (
        "gateway.http.mapping.decode",
        decode.parse,
        lambda size: b'"' + b"\\ud83d\\ude00" * (size // 12) + b'"',
        WORST,
    ),
    "a text of base64": (
        "gateway.http.mapping.decode",
        read_json,
        lambda size: b'{"signals":[{"image":"%s"}]}' % (b"AAAA" * (size // 4)),
        4 * WORST,
    ),
    "counts of lists": (
        "gateway.http.mapping.counting",
        lambda data: counting.values(data, 10**9),
        lambda size: b"[" + b"[]," * (size // 30) + b'"",' * (size // 30) + b"[]]",
        WORST,
    ),
    "counts of quotes and escapes": (
        "gateway.http.mapping.counting",
        lambda data: counting.values(data, 1),
        lambda size: b'["' + b'\\\\\\"' * (size // 8) + b'","' + b'","' * (size // 6) + b'"]',
        WORST,
    ),
    "parts of a form": (
        "gateway.http.photos",
        lambda data: list(parts_of("multipart/form-data; boundary=b", data)),
        lambda size: (
            b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\nx\r\n' * (size // 56)
            + b"--b--\r\n"
        ),
        2**16,
    ),
    "line ends in a form": (
        "gateway.http.photos",
        lambda data: list(parts_of("multipart/form-data; boundary=" + "-" * 60, data)),
        lambda size: b"\r\n--" * (size // 4),
        4 * WORST,
    ),
    "the head of a form": (
        "gateway.http.photos",
        lambda kind: list(parts_of(kind, b"")),
        lambda size: 'form-data; a="' + ';a="\\"' * (size // 6),
        HEAD_BYTES,
    ),
    "gzip": (
        "gateway.http.exchange",
        expanded,
        lambda size: gzip.compress(b"".join(b"%d" % each for each in range(size // 6)), 1),
        4 * WORST,
    ),
    "gzip of zeros": (
        "gateway.http.exchange",
        expanded,
        lambda size: gzip.compress(bytes(size), 1),
        4 * WORST,
    ),
    "parameters of a query": (
        "gateway.http.mapping.queries",
        lambda query: fill_from_query(RecommendRequest(), query),
        lambda size: "&".join(["scene="] * min(size // 7, 990)) + "&x" * 9 + "%41" * (size // 3),
        HEAD_BYTES,
    ),
    "a message in a query": (
        "gateway.http.connect",
        lambda query: message_of_query(request(query)),
        lambda size: "base64=1&message=" + "%41" * (size // 12 * 4),
        HEAD_BYTES,
    ),
    "segments of an address": (
        "gateway.http.routes",
        lambda path: ROUTER.find("GET", path),
        lambda size: "/v1/catalogs" + "/a:b%41" * (size // 7),
        HEAD_BYTES,
    ),
    "fields of a message": (
        "servicekit.admission.entry_limits",
        LIMITS.check,
        lambda size: b"\x1a\x00" * (size // 2),
        2**16,
    ),
    "filters as text": (
        "gateway.model.filters",
        expression,
        lambda size: " OR ".join(["brand=a"] * (size // 11)),
        MAX_LENGTH,
    ),
    "parentheses of a filter": (
        "gateway.model.filters",
        expression,
        lambda size: "(" * size,
        MAX_LENGTH,
    ),
    "a page token": (
        "servicekit.rpc.requests",
        unpack_token,
        lambda size: base64.urlsafe_b64encode(b"[%s1]" % (b"1," * (size // 2))).decode(),
        WORST // 4,
    ),
    "a sealed token": (
        "servicekit.keys.keyring",
        lambda token: open_keys().open(("list",), token, 0),
        lambda size: "A" * size,
        MIB,
    ),
    "lines of TOML": (
        "servicekit.decoding.untrusted_toml",
        lambda text: check_limits(text, len(text)),
        lambda size: "a.b=1\n" * (size // 6),
        MOST_BYTES,
    ),
    "entries of TOML": (
        "servicekit.decoding.toml_process",
        lambda text: toml_process.answer(b"", text, 0),
        lambda size: b"".join(b"k%d=1\n" % each for each in range(size // 10)),
        MOST_BYTES,
    ),
    "markers of a photo": (
        "gateway.model.photo_header",
        decoding_seconds,
        lambda size: b"\xff\xd8" + b"\xff\xe0\x00\x02" * (size // 4),
        WORST,
    ),
    "boxes of a photo": (
        "gateway.model.photo_header",
        decoding_seconds,
        lambda size: b"\x00\x00\x00\x18ftypheic" + b"\x00\x00\x00\x14ispe" * (size // 8),
        WORST,
    ),
    "segments of a photo": (
        "sightline_rules.photo_parts",
        without_metadata,
        lambda size: b"\xff\xd8" + b"\xff\xdb\x00\x02" * (size // 4),
        2**17,
    ),
    "boxes of a photo that is stored": (
        "sightline_rules.photo_boxes",
        without_metadata,
        lambda size: b"\0\0\0\x10ftypheic\0\0\0\0" + b"\0\0\0\x08free" * (size // 8),
        2**18,
    ),
    "brands of a photo": (
        "sightline_rules.photos",
        sniff,
        lambda size: size.to_bytes(4, "big") + b"ftyp" + b"none" * (size // 4),
        WORST,
    ),
    "a scene of the console": (
        "sightline_console.screens.scene_text",
        scene_text.entries,
        lambda size: "".join(f"{'a.' * 40}k{each} = 1\n" for each in range(size // 90)),
        scene_text.MOST_BYTES,
    ),
    "columns of the console": (
        "sightline_console.screens.importing",
        importing._chosen,
        lambda size: {"columns": json.dumps({f"c{each}": "id" for each in range(size // 14)})},
        SMALL,
    ),
    "a zip of photos of the console": (
        "sightline_console.screens.product_photos",
        lambda data: product_photos.packed([("a.zip", data)]),
        zip_of,
        2**18,
    ),
    "a photo of an agent": (
        "sightline_agents.catalog.photos",
        decoded,
        lambda size: "AAA A" * (size // 5),
        MAX_ENCODED // 4,
    ),
}
"""By name: the module of a reader, how it is called, an input of a size, and the largest size."""

TRUSTED = {
    "sightline_console.web.oidc": "of a provider that the operator names; at most 256 KiB",
    "gateway.model.experiment": "a digest of fixed size",
    "gateway.state.tokens": "a digest of fixed size",
    "servicekit.clock": "random bytes of this machine",
    "gateway.wiring": "a snapshot's rows",
    "gateway.callers.keys": "the operator's file of keys",
    "gateway.http.calls": "answers of the gateway",
    "gateway.http.examples": "a file of the package",
    "gateway.http.fixes": "a file of the package",
    "gateway.http.mapping.encode": "an answer of the gateway",
    "gateway.servicer.passthrough": "answers of services",
    "gateway.recommend.pages": "a match that the gateway sealed",
    "gateway.clients.matches": "a match that the gateway sealed",
    "gateway.clients.columns": "an answer of a service",
    "gateway.clients.messages": "an answer of a service",
    "gateway.state.scenes": (
        "files of the operator; texts of callers by servicekit.decoding.untrusted_toml"
    ),
    "gateway.state.experiments": "files of the operator",
    "servicekit.artefacts.backups": "a manifest that the suite wrote",
    "servicekit.keys.wrapping": "the answer of the operator's command",
    "servicekit.decoding.fork_server": "a number of the suite's own process",
    "servicekit.decoding.wire": "heads of fixed size between the suite's own processes",
    "servicekit.decoding.pool": "a note of fixed size of the suite's own process",
    "servicekit.decoding.process": "a command of the suite's own process",
    "servicekit.jobs.queue": "a row of the suite's record",
    "servicekit.rpc.breaker": "answers of services",
    "servicekit.rpc.server": "requests, as gRPC's generated code reads them",
    "servicekit.status": "the status of a service's answer",
}
"""Modules whose bytes are not a caller's, and whose they are."""


@cache
def readers() -> frozenset[str]:
    """Return the modules that call one of PRIMITIVES, or pass one on."""
    found = set()
    for package, folder in SOURCES.items():
        for path in folder.rglob("*.py"):
            names = {
                each.attr if isinstance(each, ast.Attribute) else each.id
                for each in nodes(path)
                if isinstance(each, ast.Attribute | ast.Name)
            }
            if names & PRIMITIVES:
                parts = path.relative_to(folder).with_suffix("").parts
                found.add(".".join([package, *(each for each in parts if each != "__init__")]))
    return frozenset(found)


def test_every_module_that_reads_bytes_is_listed() -> None:
    listed = {module for module, *_ in CASES.values()} | TRUSTED.keys()
    assert readers() - listed == set()
    assert TRUSTED.keys() - readers() == set(), "these read nothing any more"


@pytest.mark.first(8)
@pytest.mark.parametrize("name", CASES)
def test_the_work_of_a_reader_grows_as_its_bytes(name: str) -> None:
    _, read, make, most = CASES[name]

    def work(data: Any) -> object:
        with suppress(*FAILS):
            return read(data)
        return None

    assert_grows_evenly(work, make, most)
