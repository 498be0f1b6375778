"""Run one command; convert its outcome to text and an exit code."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from io import TextIOWrapper
from typing import Any, NoReturn, TypeVar

import grpc
import typer
from google.protobuf.json_format import Error as JsonError
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Error as MessageError
from google.protobuf.message import Message
from rich.console import Console, RenderableType
from rich.text import Text

from sightline_client.cli import failures
from sightline_client.cli.language import for_programs
from sightline_client.cli.show.grids import phrase
from sightline_client.errors import Failure, SightlineError, make
from sightline_client.files.model import FileRefused

T = TypeVar("T")

PIPED_WIDTH = 120
"""Columns of a table that goes to a file or another program, without COLUMNS."""
INTERRUPTED = 130
"""The exit code of a command that was interrupted, as of other programs: 128 + SIGINT."""


def guarded(work: Callable[[], T], *, keeps: bool = False) -> T:
    """Return the work's value. Explain an error on standard error and exit with 1; exit with
    INTERRUPTED after an interrupt. ``keeps``: say that finished work is kept and the next run
    continues there."""
    try:
        return work()
    except (SightlineError, FileRefused, OSError) as error:
        complain(error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        if keeps:
            tell("Interrupted. Acknowledged work is kept; run the command again to continue.")
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(1)


def complain(error: failures.Reported) -> None:
    """Explain an error on standard error: to people, or as a line of JSON to a program."""
    if for_programs():
        say_json(failures.facts(error))
    else:
        say(failures.explain(error))


def refuse(reason: str, message: str) -> NoReturn:
    """Explain an error that the command itself found, and exit with 1."""
    complain(make(Failure(grpc.StatusCode.FAILED_PRECONDITION, message, reason)))
    raise typer.Exit(1)


def say_json(values: Mapping[str, Any]) -> None:
    """Print a line of JSON on standard error."""
    typer.echo(as_json(values, encoding=sys.stderr.encoding), err=True)


def console(*, stderr: bool = False) -> Console:
    """Return a console as wide as the terminal; without one, as COLUMNS says, or PIPED_WIDTH.
    Characters that the terminal's encoding lacks become question marks."""
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="replace")
    columns = os.environ.get("COLUMNS", "")
    piped = int(columns) if columns.isdecimal() and int(columns) else PIPED_WIDTH
    return Console(stderr=stderr, width=None if stream.isatty() else piped, highlight=False)


def say(renderable: RenderableType) -> None:
    """Print on standard error, which a program that reads the answer does not see."""
    console(stderr=True).print(renderable)


def tell(message: str, of: object = None, /, **values: object) -> None:
    """Print a text as ``say`` does; see ``grids.phrase``."""
    say(phrase(message, of, style="", **values))


def say_line(text: str) -> None:
    """Print a line on standard error that is not wrapped, so that it can be copied."""
    console(stderr=True).print(Text(text), soft_wrap=True)


def show(renderable: RenderableType, *, whole_lines: bool = False) -> None:
    """Print for people. ``whole_lines`` are not wrapped, so that they can be copied."""
    console().print(renderable, soft_wrap=whole_lines)


def show_json(message: Message) -> None:
    """Print for programs: Protobuf's standard JSON mapping."""
    show_facts(facts(message))


def facts(message: Message) -> dict[str, Any]:
    """Convert a message to Protobuf's standard JSON mapping, with every field. If JSON can't hold
    it, explain that on standard error and exit with 1, with nothing printed."""
    return guarded(lambda: json_of(message))


def json_of(message: Message) -> dict[str, Any]:
    """Do as ``facts``, but raise ServerFault for what JSON can't hold: a time after the year 9999,
    a detail of a type that only a newer client knows."""
    try:
        return MessageToDict(message, always_print_fields_with_no_presence=True)
    except (JsonError, MessageError, TypeError, ValueError) as error:
        problem = f"the answer can't be written as JSON: {error}"
        raise make(Failure(code=grpc.StatusCode.INTERNAL, message=problem)) from None


def show_facts(values: Mapping[str, Any]) -> None:
    """Print JSON other than a message, or a message with further keys."""
    typer.echo(as_json(values, indent=2, encoding=sys.stdout.encoding))


def as_json(
    values: Mapping[str, Any], *, indent: int | None = None, encoding: str = "utf-8"
) -> str:
    """Convert values to JSON, escaped if the encoding lacks a character or a name is not valid
    UTF-8."""
    text = json.dumps(values, indent=indent, ensure_ascii=False)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(values, indent=indent)
    return text
