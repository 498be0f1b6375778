"""A gateway that answers each public call with one message of its type, which a test makes."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeAlias

import grpc
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2
from grpc_status import rpc_status

from servicekit.rpc import owned

Make: TypeAlias = Callable[[Any], Any]
"""Makes the answer to a call of a method: a message, or a status with which it fails."""
DEEPEST = 6
SECONDS = 1_700_000_000
"""A time of which every field for times is."""


class UniformGateway:
    """Gateway that serves inside its context."""

    def __init__(self, make: Make) -> None:
        self.make = make
        self.calls: Counter[str] = Counter()
        """Number of calls by the method's name."""
        self.delay = 0.0
        """Seconds before every answer."""
        self._server = grpc.server(ThreadPoolExecutor(max_workers=8))
        self._server.add_generic_rpc_handlers((_Methods(self),))
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop(None).wait()

    def answer(self, method: Any, context: Any) -> Any:
        """Return the answer to a call, or end it."""
        self.calls[method.name] += 1
        time.sleep(self.delay)
        found = self.make(method)
        if isinstance(found, status_pb2.Status):
            context.abort_with_status(rpc_status.to_status(found))
        return found


class _Methods(grpc.GenericRpcHandler):
    """The public methods of the suite."""

    def __init__(self, gateway: UniformGateway) -> None:
        self._gateway = gateway
        self._methods = {
            f"/{owned.path_of(method)}": method
            for service in owned.public_services()
            for method in service.methods
        }

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """Return the handler of a method; None: there is no such method."""
        method = self._methods.get(details.method)
        if method is None:
            return None
        gateway = self._gateway

        def one(_request: Any, context: Any) -> Any:
            return gateway.answer(method, context)

        def many(requests: Any, context: Any) -> Iterator[Any]:
            for _request in requests if method.client_streaming else (requests,):
                yield gateway.answer(method, context)

        kinds: Any = (
            (grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler),
            (grpc.stream_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler),
        )
        made: grpc.RpcMethodHandler = kinds[method.client_streaming][method.server_streaming](
            many if method.server_streaming else one,
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )
        return made


def filled(kind: Any, text: str, variant: int = 0, numbers: int = 1) -> Any:
    """Return a message in which every field is set, down to DEEPEST messages: each string is
    `text`. `kind`: its descriptor. `variant`: which values of enumerations, flags and choices it
    has. `numbers`: value of whole numbers."""
    return _Filling(text, variant, numbers).message(kind, ())


class _Filling:
    def __init__(self, text: str, variant: int, numbers: int) -> None:
        self._text, self._variant, self._numbers = text, variant, numbers

    def message(self, kind: Any, inside: tuple[Any, ...]) -> Any:
        made = GetMessageClass(kind)()
        match kind.full_name:
            case "google.protobuf.Timestamp":
                made.seconds = SECONDS
            case "google.protobuf.Duration":
                made.seconds = 1
            case "google.type.Money":
                made.currency_code, made.units = "EUR", 12
            case "google.rpc.Status":
                made.code, made.message = 3 * (self._variant % 2), self._text
            case "google.protobuf.Any":
                pass
            case _:
                self._fill(made, kind, (*inside, kind))
        return made

    def _fill(self, made: Any, kind: Any, inside: tuple[Any, ...]) -> None:
        for each in kind.fields:
            choice = each.containing_oneof
            if choice is not None and each is not choice.fields[self._variant % len(choice.fields)]:
                continue
            if each.message_type is None:
                self._scalars(made, each)
            elif each.message_type.GetOptions().map_entry:
                self._entry(made, each)
            elif len(inside) < DEEPEST and each.message_type not in inside:
                held = self.message(each.message_type, inside)
                if each.is_repeated:
                    getattr(made, each.name).extend([held, held])
                else:
                    getattr(made, each.name).CopyFrom(held)

    def _scalars(self, made: Any, each: Any) -> None:
        value = self._scalar(each)
        if each.is_repeated:
            getattr(made, each.name).append(value)
        else:
            setattr(made, each.name, value)

    def _entry(self, made: Any, each: Any) -> None:
        value = each.message_type.fields_by_name["value"]
        if value.message_type is None:
            getattr(made, each.name)[self._text] = self._scalar(value)

    def _scalar(self, each: Any) -> Any:
        match each.type:
            case Field.TYPE_STRING:
                return self._string(each.name)
            case Field.TYPE_BYTES:
                return b"\x89PNG"
            case Field.TYPE_BOOL:
                return self._variant % 2 == 0
            case Field.TYPE_DOUBLE | Field.TYPE_FLOAT:
                return 0.5
            case Field.TYPE_ENUM:
                values = each.enum_type.values
                return values[1 + self._variant % (len(values) - 1)].number
        return SECONDS * 10**6 if each.name.endswith("micros") else self._numbers

    def _string(self, name: str) -> str:
        text = self._text
        match name:
            case "next_page_token":
                return ""
            case "json":
                return json.dumps({text: text, "time_micros": text, "product_id": text})
            case "toml":
                return toml(text)
            case "filter_text":
                return f"brand = {json.dumps(text, ensure_ascii=False)}"
        return text


def toml(text: str) -> str:
    """Return the text of a scene with one control of each kind, whose names and filters are
    `text`."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(
        f"[[controls]]\nname = {quoted}\nkind = {kind!r}\n{more}\n"
        for kind, more in (
            ("pin", f"product_ids = [{quoted}]\nplace = 1"),
            ("boost", f"filter = {quoted}\nboost = 0.5"),
            ("exclude", f"product_ids = [{quoted}]"),
            (text.replace("'", ""), f"product_ids = [{quoted}]"),
        )
    )
