"""Forms: read whole, within limits, and without files on the disk."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from sightline_client.values.photos import MAX_BYTES

SMALL = 2**16
"""Maximum bytes of a form without a photo."""
TEXTS = 2**19
"""Maximum bytes of a form with texts of scenes."""
LARGE = MAX_BYTES + 2**18
"""Maximum bytes of a form with a photo."""
TABLE = 2**20 + 20 * 2**20
"""Maximum bytes of a form with a file of products."""
SECONDS = 30.0
"""Maximum seconds for a form to arrive."""
DRAINED = 2**26
"""Maximum bytes of a form that is too large which are read and dropped: browsers read no answer
before they have sent all."""
UPLOADS = 8
"""Maximum number of forms with photos that arrive at once, half of them of one user."""
_FIELDS = 64
_FIELD_BYTES = 2**18


class FormRejected(Exception):
    """A form that is not read."""

    def __init__(self, status: int, text: str) -> None:
        """`text` is for the user."""
        super().__init__(text)
        self.status = status


class TooLarge(FormRejected):
    """A form with more bytes than it may have."""

    def __init__(self) -> None:
        super().__init__(413, "the form is too large")


class _InMemory(MultiPartParser):
    """A parser that writes no file: forms have a limit."""

    spool_max_size = TABLE + 1


@dataclass(frozen=True, slots=True)
class Form:
    """A form that was sent."""

    fields: dict[str, str]
    """The last value of each field."""
    files: dict[str, bytes]
    """The content of each field that is a file."""
    names: dict[str, str]
    """The name of each file on its user's disk, as its browser tells it."""


async def read(request: Request, most: int = SMALL, seconds: float = SECONDS) -> Form:
    """Return a form. Raises FormRejected."""
    found = await _parsed(request, most, seconds)
    try:
        texts = {name: each for name, each in found.multi_items() if isinstance(each, str)}
        uploads = {name: each for name, each in found.multi_items() if isinstance(each, UploadFile)}
        files = {name: await each.read() for name, each in uploads.items()}
    finally:
        await found.close()
    return Form(texts, files, {name: each.filename or "" for name, each in uploads.items()})


async def _parsed(request: Request, most: int, seconds: float) -> FormData:
    kind, charset = _content_type(request)
    if charset != "utf-8":
        raise FormRejected(415, "send a form in UTF-8")
    body = _body(request, most)
    try:
        async with asyncio.timeout(seconds):
            if kind == "multipart/form-data":
                return await _InMemory(
                    request.headers,
                    body,
                    max_files=1,
                    max_fields=_FIELDS,
                    max_part_size=_FIELD_BYTES,
                ).parse()
            if kind == "application/x-www-form-urlencoded":
                return await FormParser(
                    request.headers, body, max_fields=_FIELDS, max_part_size=_FIELD_BYTES
                ).parse()
    except TimeoutError:
        raise FormRejected(408, "the form came too late") from None
    except (MultiPartException, ClientDisconnect, ValueError):
        raise FormRejected(400, "the form can't be read") from None
    raise FormRejected(415, "send a form")


def _content_type(request: Request) -> tuple[str, str]:
    """Return the media type and the charset of a body: others than that of pages may decode to
    what is no text, or take long."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    return kind.decode("latin-1"), options.get(b"charset", b"utf-8").decode("latin-1").lower()


async def _body(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    size = 0
    async with aclosing(request.stream()) as stream:
        async for chunk in stream:
            size += len(chunk)
            if size <= most:
                yield chunk
            elif size > DRAINED:
                break
    if size > most:
        raise TooLarge


class Uploads:
    """Places for forms with photos."""

    def __init__(self, most: int = UPLOADS) -> None:
        """`most`: at once."""
        self._most, self._taken = most, Counter[str]()

    @contextmanager
    def place(self, user: str) -> Iterator[None]:
        """Hold a place during the block. Raises FormRejected if there is none."""
        if self._taken.total() >= self._most or self._taken[user] * 2 >= self._most:
            raise FormRejected(503, "too many photos are on their way: try again in a moment")
        self._taken[user] += 1
        try:
            yield
        finally:
            self._taken[user] -= 1
            if not self._taken[user]:
                del self._taken[user]
