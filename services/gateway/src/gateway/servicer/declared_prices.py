"""Prices that protos declare (sightline/common/v1/price.proto), and the charges by them."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, MethodDescriptor

from gateway.clients.embedder import charged, reported_decoding
from gateway.model.price import RequestPrice, decoding_beyond
from gateway.state.prices import RequestPrices
from servicekit.admission import costs
from sightline.common.v1 import price_pb2

Call = Callable[[Any], Awaitable[Any]]
MOST_LEARNED: Final = 10_000
"""Values by which the price of a field is learned, such as ids of watches."""


def around(method: MethodDescriptor, prices: RequestPrices) -> Callable[[Call], Call] | None:
    """Return what charges the calls of a method; `None`: its proto declares no price."""
    options = method.GetOptions()
    if not options.HasExtension(price_pb2.price):
        return None
    declared = DeclaredPrice(options.Extensions[price_pb2.price], method.input_type)
    decodes = "decoding_time" in method.output_type.fields_by_name

    def charging(call: Call) -> Call:
        async def charged_call(request: Any) -> Any:
            async with prices.charged(declared.of(request), request.catalog_id):
                before = costs.spent_ms()
                if decodes:
                    answer = await charged(lambda: call(request), reported_decoding)
                else:
                    answer = await call(request)
                declared.learn(request, (costs.spent_ms() - before) / 1e3)
                return answer

        return charged_call

    return charging


class DeclaredPrice:
    """Price of the requests of a method, as its proto declares it."""

    def __init__(self, declared: price_pb2.Price, request: Descriptor) -> None:
        """Take the declaration. Raises TypeError if it names a field that requests lack."""
        self._seconds = declared.seconds
        self._fields = [_PricedField(each, request) for each in declared.fields]

    def of(self, request: Any) -> RequestPrice:
        """Return the price of a request."""
        parts, queued, decodings, photos = {"": self._seconds}, 0.0, 1.0, list[bytes]()
        for field in self._fields:
            asked = [*field.asked(request)]
            count = sum(map(field.count, asked))
            one = field.seconds(request)
            parts[field.rule.path] = parts.get(field.rule.path, 0.0) + count * one
            queued += count * one if field.rule.queued else 0.0
            decodings += count * field.rule.decodings
            if one == field.rule.seconds:  # what was learned includes the decoding
                photos += (each for each in asked if isinstance(each, bytes))
        parts[""] += decodings * sum(map(decoding_beyond, photos))
        return RequestPrice(parts, exempt=sum(parts.values()) - queued)

    def learn(self, request: Any, seconds: float) -> None:
        """Note the seconds that a request took."""
        for field in self._fields:
            field.learn(request, seconds)


class _PricedField:
    """Price of what a field of a request asks for."""

    def __init__(self, rule: price_pb2.FieldPrice, request: Descriptor) -> None:
        self.rule, self._path = rule, rule.path.split(".")
        self._learned: dict[tuple[str, str], float] = {}
        """Seconds of one, by catalog and value of the field `learned_by`."""
        for names in (self._path, [rule.learned_by] if rule.learned_by else []):
            _check(request, names)

    def asked(self, request: Any) -> Iterator[Any]:
        """Yield the values of the field that a request has."""
        return _values(request, self._path)

    def count(self, value: Any) -> int:
        """Return for how many a value asks: a number out of range is rejected later."""
        if not isinstance(value, int):
            return 1
        least = max(0, value or self.rule.default_count)
        return min(least, self.rule.most) if self.rule.most else least

    def seconds(self, request: Any) -> float:
        """Return the seconds of one."""
        return max(
            self.rule.seconds, self._learned.get((request.catalog_id, self._value(request)), 0.0)
        )

    def learn(self, request: Any, seconds: float) -> None:
        """Note the seconds that a request took, if the price is learned. It falls by half a call at
        most: one that the owner refuses at once does not make the next one cheap."""
        if not self.rule.learned_by or not (count := sum(map(self.count, self.asked(request)))):
            return
        key = request.catalog_id, self._value(request)
        former = self._learned.pop(key, 0.0)  # the last used ones stay
        if len(self._learned) >= MOST_LEARNED:
            del self._learned[next(iter(self._learned))]
        self._learned[key] = max(seconds / count, former / 2)

    def _value(self, request: Any) -> str:
        name = self.rule.learned_by
        return str(getattr(request, name)) if name else ""


def _values(message: Any, path: Sequence[str]) -> Iterator[Any]:
    """Yield the values at a path: each entry of a list, and of a message those that are set."""
    name, *rest = path
    field = message.DESCRIPTOR.fields_by_name[name]
    if field.has_presence and not message.HasField(name):
        return
    value = getattr(message, name)
    if isinstance(value, bytes | str) and not value:
        return
    for each in value if field.is_repeated else (value,):
        if rest:
            yield from _values(each, rest)
        else:
            yield each


def _check(message: Descriptor | None, path: Sequence[str]) -> None:
    """Raise TypeError if a kind of message has no such field."""
    for name in path:
        if message is None or name not in message.fields_by_name:
            raise TypeError(f"no request has {'.'.join(path)}, of which its proto declares a price")
        message = message.fields_by_name[name].message_type
