"""The options that every command has."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from sightline.filter_text import FilterSyntaxError
from sightline_client.cli.base.option_groups import FLAG
from sightline_client.cli.language import _, filled, later
from sightline_client.convert import to_wire
from sightline_client.convert.filter_text import parse_filter
from sightline_client.errors import SightlineError
from sightline_client.values.fields import FieldKind
from sightline_client.values.filters import Filter as Filter_
from sightline_client.values.products import FILTERED


def text(value: str | list[str] | None) -> str | list[str] | None:
    """Return the value. BadParameter if it is not valid UTF-8, which messages require."""
    for item in [value] if isinstance(value, str) else value or ():
        try:
            item.encode()
        except UnicodeEncodeError:
            raise typer.BadParameter(_("is not valid UTF-8")) from None
    return value


_SCHEMES = ("dns:", "unix:", "unix-abstract:", "ipv4:", "ipv6:", "vsock:", "xds:")
"""URI schemes of gRPC targets, some of which have no port."""
_PORT = re.compile(r"[^:\]]+:\d{1,5}$|^\[.+\]:\d{1,5}$")


def address(value: str) -> str:
    """Return the target. BadParameter if it is empty, not valid UTF-8, or has no port."""
    text(value)
    if not value.strip():
        raise typer.BadParameter(_("must not be empty"))
    if value.startswith(("http://", "https://")):
        raise typer.BadParameter(_("write HOST:PORT, without http://, such as 127.0.0.1:8600"))
    if not value.startswith(_SCHEMES) and not _PORT.search(value):
        raise typer.BadParameter(
            _("{value} has no port: write HOST:PORT, such as 127.0.0.1:8600", value=value)
        )
    return value


def named(value: str | list[str]) -> str | list[str]:
    """Return the id. BadParameter if it is empty."""
    text(value)
    if not all(item.strip() for item in ([value] if isinstance(value, str) else value)):
        raise typer.BadParameter(_("must not be empty"))
    return value


def words(*names: str, metavar: str, help: str | None = None) -> Any:
    """Make an option that is text, or several texts. Here and below: without ``help`` it is that of
    the command's docstring."""
    return typer.Option(*names, metavar=metavar, help=help, callback=text)


def number(
    metavar: str, least: float, most: float | None = None, help: str | None = None, **more: Any
) -> Any:
    """Make an option that is a number within a range."""
    return typer.Option(metavar=metavar, help=help, min=least, max=most, **more)


TIMES = ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d")
ZONE = ", e.g. 2026-03-01T12:00:00Z; UTC if it has no zone."


def moment(help: str) -> Any:
    """Make an option that is a time."""
    return typer.Option(formats=list(TIMES), metavar="TIME", help=help)


Since: TypeAlias = Annotated[datetime | None, moment(f"Only events at or after this time{ZONE}")]
Before: TypeAlias = Annotated[datetime | None, moment("Only events before this time.")]


def in_zone(value: datetime) -> datetime:
    """Return the time, in UTC if it has no zone."""
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def timestamp(value: datetime, option: str) -> Timestamp:
    """Convert a time for a message. BadParameter if no message can hold it."""
    try:
        return to_wire.timestamp(in_zone(value))
    except SightlineError as error:
        raise typer.BadParameter(error.message, param_hint=option) from None


def argument(metavar: str, help: str | None = None) -> Any:
    """Make an argument that is an id, or several."""
    return typer.Argument(metavar=metavar, help=help, callback=named)


def one_shopper(user: str | None, visitor: str | None) -> None:
    """Raise BadParameter for a user and a visitor at once."""
    if user and visitor:
        raise typer.BadParameter(_("give --user or --visitor, not both"), param_hint="--visitor")


Flag: TypeAlias = Annotated[bool, typer.Option(FLAG)]

CONNECTION = later("Connection and output")
"""Title of the options that every command of the suite has. The help of a command names them, and
that of the program describes them."""


def connection(*names: str, **settings: Any) -> Any:
    """Make one of these options."""
    return typer.Option(*names, rich_help_panel=CONNECTION, **settings)


DEFAULT_TARGET = "127.0.0.1:8600"
"""Where `make up` puts the gateway."""

DEFAULT_CATALOG = "default"

Target: TypeAlias = Annotated[
    str,
    connection(
        envvar="SIGHTLINE_TARGET", metavar="HOST:PORT", help="The gateway.", callback=address
    ),
]
Token: TypeAlias = Annotated[
    str | None,
    connection(
        envvar="SIGHTLINE_TOKEN",
        metavar="TOKEN",
        help="The caller's token, for a gateway that requires one. Other users of the machine can "
        "see"
        " it in the list of processes: --token-file is safer.",
    ),
]
TokenFile: TypeAlias = Annotated[
    Path | None,
    connection(
        envvar="SIGHTLINE_TOKEN_FILE",
        metavar="FILE",
        help="File whose first line is the token.",
    ),
]
Tls: TypeAlias = Annotated[
    bool,
    connection(
        "--tls",
        envvar="SIGHTLINE_TLS",
        help="Use TLS and trust public certificate authorities.",
    ),
]
Ca: TypeAlias = Annotated[
    Path | None,
    connection(
        envvar="SIGHTLINE_CA_FILE",
        metavar="FILE",
        help="Use TLS and trust these certificate authorities (PEM).",
    ),
]
Cert: TypeAlias = Annotated[
    Path | None,
    connection(
        envvar="SIGHTLINE_CERT_FILE",
        metavar="FILE",
        help="Use TLS with this client certificate (PEM), for a gateway that requires one; with"
        " --key.",
    ),
]
Key: TypeAlias = Annotated[
    Path | None,
    connection(envvar="SIGHTLINE_KEY_FILE", metavar="FILE", help="Key (PEM) of --cert."),
]
Catalog: TypeAlias = Annotated[
    str, connection(metavar="ID", callback=text, help="Catalog (shop) of the call.")
]
Timeout: TypeAlias = Annotated[
    float,
    connection(
        min=0.001,
        max=86_400,
        metavar="SECONDS",
        help="Deadline of the call. The suite answers within it and reports what it left out.",
    ),
]
Json: TypeAlias = Annotated[
    bool,
    connection(
        "--json",
        help="Print the answer as JSON. For a single call this is the contract's message in"
        " Protobuf's standard JSON mapping (lowerCamelCase names, 64-bit integers as strings,"
        ' durations like "0.012s"), with every field; a command of several calls prints a'
        " summary.",
    ),
]
Html: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--html",
        dir_okay=False,
        metavar="FILE",
        help="Also write the answer as a page, with photos.",
    ),
]
Verbose: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--verbose", help="Also print the time of each stage, and the versions that answered."
    ),
]
FIELDS = ", ".join(field.name for field in FILTERED if field.kind is not FieldKind.ATTRIBUTES)
"""Fields of filters beside the attributes, in words."""
Filter: TypeAlias = Annotated[
    str,
    typer.Option(
        "--filter",
        metavar="TEXT",
        callback=text,
        help=filled(
            "Only products that pass, e.g. 'category = \"Wine > Red\" AND price < 30 EUR'. Fields:"
            " {fields} and attributes.KEY ('attributes.vintage >= 2015'). Combine conditions with"
            " AND, OR, NOT and parentheses; OR binds tighter than AND. 'tags:Beef' tests for a tag,"
            " 'title:wine' for a part of the text, 'price:*' for a known value.",
            fields=FIELDS,
        ),
    ),
]
Currency: TypeAlias = Annotated[
    str,
    typer.Option(
        envvar="SIGHTLINE_CURRENCY",
        metavar="CODE",
        callback=text,
        help="Currency (ISO 4217) of amounts in --filter without one: price < 30 means"
        " price < 30 EUR with --currency EUR.",
    ),
]
Market: TypeAlias = Annotated[
    str,
    words(
        "--market",
        metavar="ID",
        help="Market, such as de: products that are sold there, with its prices, availability and"
        " titles.",
    ),
]
ForcePromotion: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--force", help="Promote even if the evaluation failed or is missing; this is logged."
    ),
]
Wait: TypeAlias = Annotated[bool, typer.Option(help="Follow the job to its end, or only start it.")]
File: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", exists=True, dir_okay=False, help="A .csv, .jsonl or .parquet file."
    ),
]
Newest: TypeAlias = Annotated[int, number("N", 1, 1000, help="Maximum number, newest first.")]
Force: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Apply the change. Without this option the command only shows what it would do.",
    ),
]
InFlight: TypeAlias = Annotated[
    int,
    typer.Option(
        "--in-flight", min=1, max=32, metavar="N", help="Number of batches sent concurrently."
    ),
]
Ignore: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore",
        metavar="COLUMN",
        help="Column of the file to ignore. Repeatable.",
    ),
]


def condition(text: str, currency: str) -> Filter_ | None:
    """Parse a filter. Wrong text is wrong usage, shown with a caret."""
    try:
        found = parse_filter(text, currency=currency) if text.strip() else None
        to_wire.filter_(found)
    except FilterSyntaxError as error:
        raise typer.BadParameter(
            f"{error.message}\n{error.pointer}", param_hint="--filter"
        ) from None
    except SightlineError as error:
        raise typer.BadParameter(error.message, param_hint="--filter") from None
    return found
