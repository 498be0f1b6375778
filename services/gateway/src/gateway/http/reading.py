"""Bodies of requests to messages: admitted, counted, then parsed, off the event loop.

Every body passes here once its caller is admitted (`calls.Admitted`): its bytes are held as those
of the caller while they arrive, decompressed within a ratio, its values are counted and held as
memory, and larger ones are parsed in a thread under the call's deadline.
"""

from __future__ import annotations

from google.protobuf.message import Message

from gateway.http.contract import PublicMethod
from gateway.http.exchange import HttpRequest, off_loop
from gateway.http.mapping import counting, decode
from servicekit.admission.memory_budget import ArrivingBytes

EXPANSION = 2
"""Bytes of JSON for a byte of a message: base64 takes 4/3, and names of fields the rest."""
VALUE_BYTES = 100
"""Bytes of memory for each value of a JSON text."""


class BodyReader:
    """Reads the body of one request whose caller is admitted."""

    def __init__(
        self, method: PublicMethod, request: HttpRequest, held: ArrivingBytes, most: int
    ) -> None:
        """`most`: bytes of a message that the gateway reads from this caller."""
        self.request = request
        self.most = min(most, method.most_bytes)
        """Maximum bytes of the message."""
        self._entries, self._held = method.most_entries, held

    @property
    def most_json(self) -> int:
        """Maximum bytes of the message as JSON; of one that was compressed no more than of the
        message, as photos in JSON don't compress."""
        return self.most * (1 if self.request.is_compressed else EXPANSION)

    async def body(self, most: int) -> bytes:
        """Return the body, decompressed. Raises BytesExhausted, and as `HttpRequest.chunks`."""
        parts = []
        async for part in self.request.chunks(most):
            await self._held.add(len(part))
            parts.append(part)
        return b"".join(parts)

    async def fill(self, message: Message, data: bytes) -> None:
        """Fill a message from JSON.

        Raises TooManyEntries, RequestMalformed, RequestInvalid, BytesExhausted, DeadlineExceeded.
        """
        count = await off_loop(data, lambda: counting.values(data, self._entries))
        await self._held.add(count * VALUE_BYTES)
        await off_loop(data, lambda: decode.fill_from(message, decode.parse(data)))
