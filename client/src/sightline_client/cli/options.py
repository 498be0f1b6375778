"""The options that every command has."""

from typing import Annotated, TypeAlias

import typer

DEFAULT_TARGET = "127.0.0.1:8600"
"""Where `make up` puts the gateway."""

Target: TypeAlias = Annotated[
    str,
    typer.Option(
        envvar="SIGHTLINE_TARGET", metavar="HOST:PORT", help="The gateway.", show_default=True
    ),
]
Catalog: TypeAlias = Annotated[
    str, typer.Option(metavar="ID", help="The catalog (shop) to ask.", show_default=True)
]
Timeout: TypeAlias = Annotated[
    float,
    typer.Option(
        min=0.001,
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
