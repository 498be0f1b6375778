"""Calls that a channel makes again after a lost answer, made twice against a running service."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import grpc
import sqlalchemy as sa
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from servicekit.admission import access
from servicekit.admission.access import PeerName
from servicekit.rpc import owned
from servicekit.sql.database import Database

PROTOS = Path(__file__).parents[2] / "protos" / "sightline"
BESIDE = {"leases", "count_queue"}
"""Tables that no call writes for its own sake. A day that waits to be counted again is counted from
its events, however often."""
NEWEST = {
    ("attributes", "consent_micros"),
    ("products", "touched"),
    ("imports", "active_time"),
    ("reference_photos", "add_time"),
}
"""Columns that say when the newest call was, though it changed nothing."""


def methods(*packages: str, level: int = MethodOptions.IDEMPOTENT) -> dict[str, Any]:
    """Return the descriptors of the methods that may be called again, or of another level, as
    SERVICE/NAME."""

    def found() -> Iterator[tuple[str, Any]]:
        for package in packages:
            for file in sorted((PROTOS / package / "v1").glob("*_service.proto")):
                module: Any = import_module(f"sightline.{package}.v1.{file.stem}_pb2")
                for service in module.DESCRIPTOR.services_by_name.values():
                    yield from chosen(service.methods)
            if package not in ("common", "gateway"):
                forwarded = owned.methods_of(PeerName(package))
                yield from chosen(
                    each for each in forwarded if not access.rule(owned.path_of(each)).once
                )

    def chosen(methods: Iterable[Any]) -> Iterator[tuple[str, Any]]:
        for method in methods:
            if method.GetOptions().idempotency_level == level:
                yield f"{method.containing_service.name}/{method.name}", method

    return dict(found())


def rows(database: Database, metadata: sa.MetaData) -> dict[str, list[str]]:
    """Return the content of all tables."""
    with database.engine.connect() as connection:
        return {
            table.name: sorted(
                repr(
                    [
                        value
                        for name, value in row._mapping.items()
                        if (table.name, name) not in NEWEST
                    ]
                )
                for row in connection.execute(sa.select(table))
            )
            for table in metadata.sorted_tables
            if table.name not in BESIDE
        }


TOLD = re.compile(
    r"^ *(?:(?:written|duplicate|moved|former|deleted)_count: \d+|(?:lifted|deleted): true"
    r"|product_ids: .*|index_token: .*|secret: .*|decoding_time \{\n(?: +nanos: \d+\n)?\})\n",
    re.MULTILINE,
)
"""Fields that say what this call itself changed, and so whether it is a repetition."""


async def outcome(channel: grpc.aio.Channel, method: Any, request: Message) -> str:
    """Return what a call answers, or its error, as text."""
    call = channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=method.input_type._concrete_class.SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    try:
        return TOLD.sub("", str(await call(request)))
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"


async def repeat(
    channel: grpc.aio.Channel,
    database: Database,
    metadata: sa.MetaData,
    method: Any,
    fields: Mapping[str, Any],
    beside: Collection[str] = (),
) -> str:
    """Make a call twice. Assert that the second one answers like the first one and changes nothing
    more, but for the tables `beside`. Return the answer."""
    request = method.input_type._concrete_class(**fields)
    first = await outcome(channel, method, request)
    after = rows(database, metadata)
    second = await outcome(channel, method, request)
    assert second == first, f"{method.full_name}: {first!r}, then {second!r}"
    again = rows(database, metadata)
    changed = {name: (after[name], again[name]) for name in after if after[name] != again[name]}
    changed = {name: values for name, values in changed.items() if name not in beside}
    assert changed == {}, f"{method.full_name} changes {changed}"
    return first
