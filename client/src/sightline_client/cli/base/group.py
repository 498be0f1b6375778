"""Command group: help from docstrings, errors in plain language."""

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, TypeAlias, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from sightline_client.cli import language
from sightline_client.cli.base import options, running, wrapping
from sightline_client.cli.base.option_groups import spread
from sightline_client.cli.language import _, later

F = TypeVar("F", bound=Callable[..., Any])

_WORDS = (
    (re.compile(r"Input should be a valid integer.*", re.DOTALL), later("is not a whole number")),
    (re.compile(r"Input should be a valid number.*", re.DOTALL), later("is not a number")),
    (
        re.compile(r"Input should be greater than or equal to (?P<least>\S+)"),
        later("is below the minimum, {least}"),
    ),
    (
        re.compile(r"Input should be less than or equal to (?P<most>\S+)"),
        later("is above the maximum, {most}"),
    ),
    (
        re.compile(r"(?:Value error, )?(?P<given>'.*') does not match the formats? .*", re.DOTALL),
        later("{given} is not a time: write 2026-03-01T12:00:00Z, or 2026-03-01"),
    ),
    (
        re.compile(r"(?:Value error, )?(?P<given>'.*') is not one of (?P<known>.*)\.", re.DOTALL),
        later("{given} is not one of {known}"),
    ),
    (re.compile(r"(?:Value error, )(?P<problem>.*)", re.DOTALL), "{problem}"),
)
"""Typer's message about an invalid value → our message."""

_USAGE = (
    later("Invalid value for {option}: {problem}"),
    later("Invalid value: {problem}"),
    later("Missing option {option}."),
    later("Missing argument {argument}."),
    later("Missing command."),
    later("No such option: {option} (Possible options: {known})"),
    later("No such option: {option}"),
    later("No such command '{command}'. Did you mean {known}?"),
    later("No such command '{command}'."),
    later("{message}. Did you mean {known}?"),
    later("Got unexpected extra argument(s) ({arguments})"),
    later("Option '{option}' requires an argument."),
    later("Option '{option}' does not take a value."),
    later("file {path} does not exist."),
    later("dir {path} does not exist."),
    later("file {path} is a directory."),
    later("dir {path} is a file."),
    later("file {path} is not readable."),
    later("dir {path} is not readable."),
)
"""Typer's messages about wrong usage."""

Changes: TypeAlias = dict[tuple[Any, str], Any]
"""Object and name of an attribute → its value."""

_DASHED_TOKEN = re.compile(r"-[\w-]{60,}", re.ASCII)
"""One in 64 signing keys makes tokens that all begin with a dash."""


class PlainCommand(TyperCommand):
    """A command. Flags are shown without a type, and invalid values are explained in plain
    language.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(super().get_params(ctx))

    def get_usage(self, ctx: Any) -> str:
        return _usage(super().get_usage(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        with _shown(self, ctx, _named_only(self, ctx)):
            super().format_help(ctx, formatter)

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


class Group(TyperGroup):
    """A group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(super().get_params(ctx))

    def get_usage(self, ctx: Any) -> str:
        return _usage(super().get_usage(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        commands = self.commands.values()
        changes: Changes = {(each, "help"): first_sentence(each.help or "") for each in commands}
        if ctx.parent is None:
            changes[self, "params"] = [*self.params, *self._connection(ctx)]
        with _shown(self, ctx, changes):
            super().format_help(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move connection options before the command behind it."""
        return super().parse_args(ctx, args if ctx.parent else self._moved(ctx, args))

    def _connection(self, ctx: Any) -> list[Any]:
        """Return the connection options as the first command describes them that has them."""
        found = (connection_options(each, ctx) for each in self.commands.values())
        return next(filter(None, found), [])

    def _moved(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the arguments with connection options before the command moved to their end."""
        takers = {name: each for each in self._connection(ctx) for name in each.opts}
        end = 0
        while end < len(args) and (option := takers.get(args[end].partition("=")[0])):
            end += 1 if option.is_flag or "=" in args[end] else 2
        rest = args[end:]
        if rest[:1] and rest[0].startswith("-"):
            return rest  # --help or --version, which call nothing
        last = rest.index("--") if "--" in rest else len(rest)
        return [*rest[:last], *args[:end], *rest[last:]]

    def main(self, args: Sequence[str] | None = None, **settings: Any) -> Any:  # type: ignore[override]
        """Run the program. If standard output can't be written to, such as on a full disk, print a
        message and exit with 1."""
        with language.english(wanted=_asks_json(args)):
            try:
                return super().main(args, **settings)
            except OSError as error:
                _give_up_standard_output()
                if not error.filename:
                    why = error.strerror or str(error)
                    error = OSError(
                        error.errno, _("standard output can't be written: {why}", why=why)
                    )
                running.complain(error)
                sys.exit(1)

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        with _in_own_words():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: Any) -> Any:
        with _in_own_words():
            return super().invoke(ctx)


def _usage(text: str) -> str:
    return text.replace("Usage: ", _("Usage: "), 1)


def connection_options(command: Any, ctx: Any) -> list[Any]:
    """Return the options of a command that the program's help describes once."""
    return [
        each
        for each in command.get_params(ctx)
        if getattr(each, "rich_help_panel", None) == options.CONNECTION
    ]


def _named_only(command: Any, ctx: Any) -> Changes:
    """Replace the descriptions of a command's connection options by a line with their names, unless
    the command is the whole program."""
    shared = connection_options(command, ctx)
    if not shared or ctx.parent is None:
        return {}
    names = " ".join(
        f"{each.opts[0]} ({each.default:g} s)" if each.name == "timeout" else each.opts[0]
        for each in shared
    )
    program = ctx.find_root().info_name
    line = _(
        "Connection and output, described by `{program} --help`: {names}",
        program=program,
        names=names,
    )
    return {(each, "hidden"): True for each in shared} | {(command, "epilog"): line}


def first_sentence(text: str) -> str:
    """Return the first sentence of a help text, in the user's language."""
    first = language.described(text.partition("\n\n")[0])
    return re.split(r"(?<=\.)\s|(?<=。)", first)[0]


@contextmanager
def _shown(command: TyperCommand | TyperGroup, ctx: Any, changes: Changes) -> Iterator[None]:
    """Change attributes within the block, and translate the help of a command, of its options and
    of its commands."""
    with _replaced(changes):
        held = getattr(command, "commands", {}).values()
        parts = [command, *command.get_params(ctx), *held] if language.translated() else []
        translated = {
            (each, name): language.described(text)
            for each in parts
            for name in ("help", "rich_help_panel")
            if (text := getattr(each, name, None)) and (each, name) not in changes
        }
        with _replaced(translated), wrapping.flowing() if translated else nullcontext():
            yield


@contextmanager
def _replaced(changes: Changes) -> Iterator[None]:
    former = {(each, name): getattr(each, name) for each, name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(former)


def _set(values: Changes) -> None:
    for (each, name), value in values.items():
        setattr(each, name, value)


class _WrongUsage(typer.BadParameter):
    """Wrong usage, in the user's language."""

    def format_message(self) -> str:
        return self.message


@contextmanager
def _in_own_words() -> Iterator[None]:
    """Translate Typer's messages about wrong usage. For a program, print them as JSON."""
    try:
        yield
    except typer.TyperException as error:
        said = error.format_message()
        if language.for_programs() and said:
            running.say_json({"reason": "WRONG_USAGE", "detail": said})
            raise typer.Exit(error.exit_code) from error
        if not language.translated() or (words := usage_in_words(said)) == said:
            raise
        raise _WrongUsage(words, getattr(error, "ctx", None)) from error


def usage_in_words(message: str) -> str:
    """Return Typer's message about wrong usage in the user's language."""
    for words in _USAGE:
        named = re.sub(r"\\{(\w+)\\}", r"(?P<\1>.*?)", re.escape(words))
        if found := re.fullmatch(named, message, re.DOTALL):
            parts = {name: usage_in_words(part) for name, part in found.groupdict().items()}
            return _(words, **parts)
    return message


def _without_types(parameters: list[Any]) -> list[Any]:
    """Remove "<bool>" from flags, which take no value."""
    for parameter in parameters:
        if isinstance(parameter, TyperOption) and parameter.is_flag:
            parameter.metavar = ""
    return parameters


class Commands(typer.Typer):
    """Wrap paragraphs to the terminal's width; keep indented lines."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"cls": Group} | settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[F], F]:
        settings.setdefault("help", None)
        settings.setdefault("cls", PlainCommand)
        outer = super().command

        def register(function: F) -> F:
            helped = settings | {"help": described(function.__doc__ or "")}
            outer(name, **helped)(spread(function))
            return function

        return register

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        """Run the command, with Typer's texts in the user's language."""
        with language.english(wanted=_asks_json(None)):
            language.install()
        return super().__call__(*arguments, **settings)


def _asks_json(args: Sequence[str] | None) -> bool:
    """Return whether arguments, by default those of the process, ask for JSON."""
    given = sys.argv[1:] if args is None else list(args)
    end = given.index("--") if "--" in given else len(given)
    return "--json" in given[:end]


def _give_up_standard_output() -> None:
    """Discard buffered output: flushing it at exit would fail again, with a traceback."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def in_words(message: str) -> str:
    """Return Click's error in plain words."""
    for pattern, words in _WORDS:
        if found := pattern.match(message):
            return _(words, **found.groupdict()) + message[found.end() :]
    return message


def described(text: str) -> str:
    """Return the help of a docstring: without what it says of parameters, and with a heading above
    the examples, which are at its end."""
    paragraphs = inspect.cleandoc(text).partition("\n\nArgs:\n")[0].split("\n\n")
    below = [each for each in paragraphs if each.startswith((" ", "sightline "))]
    prose = "\n\n".join(paragraphs[: len(paragraphs) - len(below)])
    examples = [line.strip() for each in below for line in each.split("\n")]
    if not examples:
        return flowing(prose)
    heading = "[bold]Examples[/bold]" if len(examples) > 1 else "[bold]Example[/bold]"
    return "\n\n".join([flowing(prose), heading, *(f"  {each}" for each in examples)])


def flowing(text: str) -> str:
    """Return the text with each paragraph on one line."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(
        paragraph if paragraph.startswith(" ") else " ".join(paragraph.split("\n"))
        for paragraph in paragraphs
    )
