"""Command group: help from docstrings, errors in plain language."""

import inspect
import os
import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import typer
from rich.text import Text
from typer.core import TyperCommand, TyperGroup, TyperOption

from sightline_client.cli import failures
from sightline_client.cli.base import running
from sightline_client.cli.base.option_groups import spread

F = TypeVar("F", bound=Callable[..., Any])

_WORDS = (
    (re.compile(r"Input should be a valid integer.*", re.DOTALL), "is not a whole number"),
    (re.compile(r"Input should be a valid number.*", re.DOTALL), "is not a number"),
    (re.compile(r"Input should be greater than or equal to (\S+)"), r"is below the minimum, \1"),
    (re.compile(r"Input should be less than or equal to (\S+)"), r"is above the maximum, \1"),
    (
        re.compile(r"(?:Value error, )?('.*') does not match the formats? .*", re.DOTALL),
        r"\1 is not a time: write 2026-03-01T12:00:00Z, or 2026-03-01",
    ),
    (
        re.compile(r"(?:Value error, )?('.*') is not one of (.*)\.", re.DOTALL),
        r"\1 is not one of \2",
    ),
    (re.compile(r"Value error, "), ""),
)
"""Typer's message about an invalid value → our message."""

_DASHED_TOKEN = re.compile(r"-[\w-]{60,}", re.ASCII)
"""One in 64 signing keys makes tokens that all begin with a dash."""


class PlainCommand(TyperCommand):
    """A command. Flags are shown without a type, and invalid values are explained in plain
    language.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, self._tokens_last(ctx, args))
        except typer.BadParameter as error:
            error.message = in_words(error.message)
            raise

    def _tokens_last(self, ctx: Any, args: list[str]) -> list[str]:
        """Move token arguments to the end, after ``--``, so that none is parsed as an option."""
        options = [each for each in self.get_params(ctx) if isinstance(each, TyperOption)]
        takers = {name for each in options if not each.is_flag for name in each.opts}
        tokens = [
            each
            for before, each in zip(["", *args], args, strict=False)
            if _DASHED_TOKEN.fullmatch(each) and before not in takers
        ]
        if not tokens or "--" in args:
            return args
        return [*(each for each in args if each not in tokens), "--", *tokens]


class _Group(TyperGroup):
    """A group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(super().get_params(ctx))


def _without_types(parameters: list[Any]) -> list[Any]:
    """Remove "<bool>" from flags, which take no value."""
    for parameter in parameters:
        if isinstance(parameter, TyperOption) and parameter.is_flag:
            parameter.metavar = ""
    return parameters


class Commands(typer.Typer):
    """Wrap paragraphs to the terminal's width; keep indented lines."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=_Group, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[F], F]:
        settings.setdefault("help", None)
        settings.setdefault("cls", PlainCommand)
        outer = super().command

        def register(function: F) -> F:
            described = settings | {"help": flowing(function.__doc__ or "")}
            outer(name, **described)(spread(function))
            return function

        return register

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        """Run the command. If standard output can't be written to, such as on a full disk, print a
        message and exit with 1."""
        try:
            return super().__call__(*arguments, **settings)
        except OSError as error:
            _give_up_standard_output()
            if error.filename:
                running.say(failures.of_system(error))
            else:
                why = error.strerror or str(error)
                running.say(Text(f"FILE_UNUSABLE: standard output can't be written: {why}"))
            sys.exit(1)


def _give_up_standard_output() -> None:
    """Discard buffered output: flushing it at exit would fail again, with a traceback."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def in_words(message: str) -> str:
    """Return Click's error in plain words."""
    for pattern, words in _WORDS:
        if pattern.match(message):
            return pattern.sub(words, message, count=1)
    return message


def flowing(text: str) -> str:
    """Return the text with each paragraph on one line."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(
        paragraph if paragraph.startswith(" ") else " ".join(paragraph.split("\n"))
        for paragraph in paragraphs
    )
