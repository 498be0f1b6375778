"""Forms: read whole, within limits, and without files on the disk."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
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
PHOTOS = TABLE + 48 * 2**20
"""Maximum bytes of a form with a file of products and its photos."""
SECONDS = 30.0
"""Maximum seconds for a form to arrive."""
DRAINED = 2**26
"""Maximum bytes beyond the limit of a form which are read and dropped: browsers read no answer
before they have sent all."""
PHOTOS_SECONDS = 300.0
"""Maximum seconds for a form with a file of products and its photos."""
UPLOADS = 8
"""Maximum number of forms with a photo or a file that arrive at once, half of them of one user."""
PHOTOS_AT_ONCE = 2
"""Maximum number of forms with many photos, which are in memory as they arrive."""
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


class TooMany(FormRejected):
    """A form with more files than it may have."""

    def __init__(self, most: int) -> None:
        """`most`: files."""
        super().__init__(413, f"the form has over {most} files")


class _InMemory(MultiPartParser):
    """A parser that writes no file: forms have a limit."""

    spool_max_size = PHOTOS + 1


@dataclass(frozen=True, slots=True)
class Form:
    """A form that was sent."""

    fields: dict[str, str]
    """The last value of each field."""
    files: dict[str, bytes]
    """The content of each field that is a file."""
    names: dict[str, str]
    """The name of each file on its user's disk, as its browser tells it."""
    several: dict[str, list[tuple[str, bytes]]]
    """Names and contents of all files of each field, without empty ones."""


async def read(
    request: Request, most: int = SMALL, seconds: float = SECONDS, *, most_files: int = 1
) -> Form:
    """Return a form. Raises FormRejected."""
    found = await _parsed(request, most, seconds, most_files)
    try:
        texts = {name: each for name, each in found.multi_items() if isinstance(each, str)}
        uploads = [
            (field, each.filename or "", await each.read())
            for field, each in found.multi_items()
            if isinstance(each, UploadFile)
        ]
    finally:
        await found.close()
    several: dict[str, list[tuple[str, bytes]]] = {}
    for field, name, content in uploads:
        if content:
            several.setdefault(field, []).append((name, content))
    files = {field: content for field, _name, content in uploads}
    return Form(texts, files, {field: name for field, name, _content in uploads}, several)


async def _parsed(request: Request, most: int, seconds: float, most_files: int) -> FormData:
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
                    max_files=most_files,
                    max_fields=_FIELDS,
                    max_part_size=_FIELD_BYTES,
                ).parse()
            if kind == "application/x-www-form-urlencoded":
                return await FormParser(
                    request.headers, body, max_fields=_FIELDS, max_part_size=_FIELD_BYTES
                ).parse()
    except TimeoutError:
        raise FormRejected(408, "the form came too late") from None
    except MultiPartException as error:
        if error.message.startswith("Too many files") and most_files > 1:
            await _drop(body, seconds)
            raise TooMany(most_files) from None
        raise FormRejected(400, "the form can't be read") from None
    except (ClientDisconnect, ValueError):
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
            elif size - most > DRAINED:
                break
    if size > most:
        raise TooLarge


async def _drop(body: AsyncGenerator[bytes, None], seconds: float) -> None:
    """Read the rest of a form, as far as browsers have to send it before they read an answer."""
    with suppress(TimeoutError, ClientDisconnect, TooLarge):
        async with asyncio.timeout(seconds):
            async for _chunk in body:
                pass


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
