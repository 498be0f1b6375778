"""Runs one command's work and turns its end into text and an exit code."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from io import TextIOWrapper
from typing import TypeVar

import typer
from google.protobuf.json_format import Error as JsonError
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Error as MessageError
from google.protobuf.message import Message
from rich.console import Console, RenderableType
from rich.text import Text

from sightline_client.cli import failures, tables
from sightline_client.client import SightlineClient
from sightline_client.errors import SightlineError

T = TypeVar("T")

PIPED_WIDTH = 120
"""Columns of a table that goes to a file or another program, which has no width."""


def run(
    work: Callable[[SightlineClient], Awaitable[T]], *, target: str, catalog: str, timeout: float
) -> T:
    """The work's answer; a SightlineError is explained on standard error and ends with code 1."""

    async def _run() -> T:
        async with SightlineClient(target, catalog=catalog, timeout=timeout) as client:
            return await work(client)

    try:
        return asyncio.run(_run())
    except SightlineError as error:
        console(stderr=True).print(failures.explain(error))
        raise typer.Exit(1) from None


def console(*, stderr: bool = False) -> Console:
    """As wide as the terminal, or PIPED_WIDTH where there is none. What the terminal's encoding
    lacks becomes a question mark."""
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="replace")
    return Console(stderr=stderr, width=None if stream.isatty() else PIPED_WIDTH, highlight=False)


def show(renderable: RenderableType) -> None:
    """Prints for people."""
    console().print(renderable)


def show_json(message: Message) -> None:
    """Prints for programs: Protobuf's standard JSON mapping.

    What that can't hold (a time after the year 9999, a detail of a type that only a newer client
    knows) is explained on standard error and ends with code 1; nothing half is printed.
    """
    try:
        told = MessageToJson(
            message, always_print_fields_with_no_presence=True, indent=2, ensure_ascii=False
        )
    except (JsonError, MessageError, TypeError, ValueError) as error:
        problem = f"The answer can't be told as JSON: {tables.plain(str(error))}"
        console(stderr=True).print(Text(problem))
        raise typer.Exit(1) from None
    typer.echo(told)
