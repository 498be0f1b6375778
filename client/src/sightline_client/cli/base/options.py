"""The options that every command has."""

import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from sightline_client.convert import to_wire
from sightline_client.convert.filter_text import FilterSyntaxError, parse
from sightline_client.errors import SightlineError
from sightline_client.transport.channel import MAX_MESSAGE_BYTES
from sightline_client.values.filters import Filter as Filter_
from sightline_client.values.photos import Uri
from sightline_client.values.signals import Box, Unlike


def text(value: str | list[str] | None) -> str | list[str] | None:
    """The value as given; refused where its bytes are no UTF-8, which a message could not hold."""
    for item in [value] if isinstance(value, str) else value or ():
        try:
            item.encode()
        except UnicodeEncodeError:
            raise typer.BadParameter("is not valid UTF-8") from None
    return value


_SCHEMES = ("dns:", "unix:", "unix-abstract:", "ipv4:", "ipv6:", "vsock:", "xds:")
"""gRPC's own ways to name a server, some of which have no port."""
_PORT = re.compile(r"[^:\]]+:\d{1,5}$|^\[.+\]:\d{1,5}$")


def address(value: str) -> str:
    """The target as given; refused where it is empty or no UTF-8."""
    text(value)
    if not value.strip():
        raise typer.BadParameter("must not be empty")
    if value.startswith(("http://", "https://")):
        raise typer.BadParameter("write HOST:PORT, without http://, such as 127.0.0.1:8600")
    if not value.startswith(_SCHEMES) and not _PORT.search(value):
        raise typer.BadParameter(f"{value} has no port: write HOST:PORT, such as 127.0.0.1:8600")
    return value


def named(value: str | list[str]) -> str | list[str]:
    """The id as given; refused where it is empty."""
    text(value)
    if not all(item.strip() for item in ([value] if isinstance(value, str) else value)):
        raise typer.BadParameter("must not be empty")
    return value


DEFAULT_TARGET = "127.0.0.1:8600"
"""Where `make up` puts the gateway."""

DEFAULT_CATALOG = "default"

Target: TypeAlias = Annotated[
    str,
    typer.Option(
        envvar="SIGHTLINE_TARGET",
        metavar="HOST:PORT",
        help="The gateway.",
        show_default=True,
        callback=address,
    ),
]
Catalog: TypeAlias = Annotated[
    str,
    typer.Option(metavar="ID", help="The catalog (shop) to ask.", show_default=True, callback=text),
]
Timeout: TypeAlias = Annotated[
    float,
    typer.Option(
        min=0.001,
        max=86_400,
        metavar="SECONDS",
        help="Give up after this long. The suite keeps to it and says what it left out.",
        show_default=True,
    ),
]
Json: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print the answer as JSON. One call's answer is the contract's message in Protobuf's"
        " standard JSON mapping"
        " (lowerCamelCase names, 64-bit integers as strings, durations like"
        ' "0.012s"), every field present; work of several calls prints figures of its own.',
    ),
]
Filter: TypeAlias = Annotated[
    str,
    typer.Option(
        "--filter",
        metavar="TEXT",
        callback=text,
        help="Only products that pass, e.g. 'category = \"Wine > Red\" AND price < 30 EUR'. Fields:"
        " category, brand, title, price, availability, tags, create_time, update_time and"
        " attributes.KEY ('attributes.vintage >= 2015'). AND, OR, NOT and parentheses join; OR"
        " binds tighter than AND. 'tags:Beef' asks for a tag, 'title:wine' for a part of the text,"
        " 'price:*' whether it is known.",
    ),
]
Images: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--image",
        exists=True,
        dir_okay=False,
        readable=True,
        metavar="PATH",
        help="A photo to be near to. May be given several times.",
    ),
]
ImageUris: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--image-uri",
        metavar="URI",
        help="Where the suite fetches a photo from, if its settings allow that address.",
        callback=text,
    ),
]
Products: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--product",
        metavar="ID",
        help="A product to be near to. May be given several times.",
        callback=text,
    ),
]
Words: TypeAlias = Annotated[
    str | None,
    typer.Option("--text", metavar="WORDS", help="Words to be near to.", callback=text),
]
NotImages: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--not-image",
        exists=True,
        dir_okay=False,
        readable=True,
        metavar="PATH",
        help="A photo of what is not wanted. May be given several times.",
    ),
]
NotTexts: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--not-text",
        metavar="WORDS",
        help="Words for what is not wanted. May be given several times.",
        callback=text,
    ),
]
NotProducts: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--not-product",
        metavar="ID",
        help="A product that is not wanted, nor what is like it. May be given several times.",
        callback=text,
    ),
]
NotWeight: TypeAlias = Annotated[
    float,
    typer.Option(
        "--not-weight",
        min=0.01,
        max=100,
        metavar="WEIGHT",
        help="How much each --not-… counts against what is wanted, which counts 1.",
        show_default=True,
    ),
]


def box(value: str | None) -> str | None:
    """The box as given; refused where it is none."""
    if value is not None:
        part(value)
    return value


BoxText: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--box",
        metavar="L,T,R,B",
        help="The part of the photo that is meant: left, top, right and bottom in shares of its"
        " sides, such as 0.1,0.2,0.6,0.9.",
        callback=box,
    ),
]
FindSubject: TypeAlias = Annotated[
    bool,
    typer.Option("--find-subject", help="Look for the photo's subject, and say where it is."),
]
User: TypeAlias = Annotated[
    str | None, typer.Option(metavar="ID", help="The customer to recommend to.", callback=text)
]
Visitor: TypeAlias = Annotated[
    str | None, typer.Option(metavar="ID", help="A visitor who is not logged in.", callback=text)
]
Scene: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="The plan to answer by; empty = the default one.", callback=text
    ),
]
Excluded: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ID", help="A product to leave out. May be given several times.", callback=text
    ),
]
Language: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="CODE", help="Language of the reasons: en, zh. Empty = en.", callback=text
    ),
]
Top: TypeAlias = Annotated[
    int,
    typer.Option(
        "--top", min=1, max=200, metavar="K", help="How many products.", show_default=True
    ),
]
Currency: TypeAlias = Annotated[
    str,
    typer.Option(
        envvar="SIGHTLINE_CURRENCY",
        metavar="CODE",
        callback=text,
        help="ISO 4217 code of amounts in --filter that name none: price < 30 is price < 30 EUR"
        " with --currency EUR.",
    ),
]
Force: TypeAlias = Annotated[
    bool, typer.Option("--force", help="Do it. Without it the command only says what it would do.")
]
InFlight: TypeAlias = Annotated[
    int,
    typer.Option(
        "--in-flight",
        min=1,
        max=32,
        metavar="N",
        help="Batches under way at once.",
        show_default=True,
    ),
]
Ignore: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        metavar="COLUMN",
        help="A column of the file to pass over. May be given several times.",
    ),
]


def condition(text: str, currency: str, *, option: str = "--filter") -> Filter_ | None:
    """The filter that the text stands for; wrong text is wrong usage, shown with a caret."""
    try:
        found = parse(text, currency=currency) if text.strip() else None
        to_wire.filter_(found)
    except FilterSyntaxError as error:
        raise typer.BadParameter(f"{error.message}\n{error.pointer}", param_hint=option) from None
    except SightlineError as error:
        raise typer.BadParameter(error.message, param_hint=option) from None
    return found


def part(text: str | None) -> Box | None:
    """The part of a photo that a text names; None = all of it."""
    if text is None:
        return None
    try:
        left, top, right, bottom = (float(number) for number in text.split(","))
    except ValueError:
        told = "is four numbers, such as 0.1,0.2,0.6,0.9: left, top, right, bottom"
        raise typer.BadParameter(told, param_hint="--box") from None
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        told = "has left below right and top below bottom, each from 0 to 1"
        raise typer.BadParameter(told, param_hint="--box")
    return Box(left, top, right, bottom)


def unlike(
    images: Sequence[Path] | None,
    texts: Sequence[str] | None,
    products: Sequence[str] | None,
    weight: float,
) -> Unlike | None:
    """What is not wanted; None = nothing was said of it."""
    if not (images or texts or products):
        return None
    return Unlike(photos(images), texts or (), products or (), weight)


def photos(paths: Sequence[Path] | None) -> list[bytes]:
    """The photos that were asked with, read; what can't be read is wrong usage."""
    return [_photo(path) for path in paths or ()]


def uris(values: Sequence[str] | None) -> list[Uri]:
    """The addresses that were asked with."""
    return [Uri(value) for value in values or ()]


def _photo(path: Path) -> bytes:
    """The file's bytes, as far as a message could hold them: a device may have no end."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_MESSAGE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise typer.BadParameter(f"{path}: {reason}", param_hint="--image") from None
    if len(content) > MAX_MESSAGE_BYTES:
        raise typer.BadParameter(f"{path} has more than 32 MiB", param_hint="--image")
    return content


def new_request_id() -> str:
    """For a call that starts a job: tried again, it must not start a second one."""
    return str(uuid.uuid4())
