"""The options that every command has."""

from typing import Annotated, TypeAlias

import typer


def text(value: str | list[str] | None) -> str | list[str] | None:
    """The value as given; refused where its bytes are no UTF-8, which a message could not hold."""
    for item in [value] if isinstance(value, str) else value or ():
        try:
            item.encode()
        except UnicodeEncodeError:
            raise typer.BadParameter("is not valid UTF-8") from None
    return value


def address(value: str) -> str:
    """The target as given; refused where it is empty or no UTF-8."""
    text(value)
    if not value.strip():
        raise typer.BadParameter("must not be empty")
    return value


DEFAULT_TARGET = "127.0.0.1:8600"
"""Where `make up` puts the gateway."""

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
        help="Print the answer as JSON: the contract's message in Protobuf's standard JSON mapping"
        " (lowerCamelCase names, 64-bit integers as strings, durations like"
        ' "0.012s"), every field present.',
    ),
]
