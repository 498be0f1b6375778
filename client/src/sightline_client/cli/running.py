"""Runs one command's work and turns its end into text and an exit code."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console, RenderableType
from rich.text import Text

from sightline_client.cli import failures
from sightline_client.client import SightlineClient
from sightline_client.errors import SightlineError
from sightline_client.files.model import FileRefused

T = TypeVar("T")

PIPED_WIDTH = 120
"""Columns of a table that goes to a file or another program, which has no width."""


def guarded(work: Callable[[], T]) -> T:
    """The work's value; what goes wrong is explained on standard error and ends with code 1."""
    try:
        return work()
    except SightlineError as error:
        say(failures.explain(error))
    except FileRefused as error:
        say(failures.of_file(error))
    except OSError as error:
        say(failures.of_system(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        say(Text("Interrupted. What was acknowledged is kept; run it again to go on."))
    raise typer.Exit(1)


def run(
    work: Callable[[SightlineClient], Awaitable[T]], *, target: str, catalog: str, timeout: float
) -> T:
    """The work's answer; what goes wrong is explained on standard error and ends with code 1."""

    async def _run() -> T:
        async with SightlineClient(target, catalog=catalog, timeout=timeout) as client:
            return await work(client)

    return guarded(lambda: asyncio.run(_run()))


def console(*, stderr: bool = False) -> Console:
    """As wide as the terminal, or PIPED_WIDTH where there is none."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else PIPED_WIDTH, highlight=False)


def say(renderable: RenderableType) -> None:
    """Prints on standard error, which a program that reads the answer does not see."""
    console(stderr=True).print(renderable)


def show(renderable: RenderableType) -> None:
    """Prints for people."""
    console().print(renderable)


def show_json(message: Message) -> None:
    """Prints for programs: Protobuf's standard JSON mapping."""
    show_facts(facts(message))


def facts(message: Message) -> dict[str, Any]:
    """A message in Protobuf's standard JSON mapping, every field present."""
    return MessageToDict(message, always_print_fields_with_no_presence=True)


def show_facts(values: Mapping[str, Any]) -> None:
    """Prints JSON that is no message, or one with more beside it."""
    typer.echo(json.dumps(values, indent=2, ensure_ascii=False))
