"""A group of commands whose help is the function's own docstring."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import typer

F = TypeVar("F", bound=Callable[..., Any])


class Commands(typer.Typer):
    """Paragraphs flow to the terminal's width; indented lines stay as they are."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[F], F]:
        """As typer's own."""
        settings.setdefault("help", None)
        outer = super().command

        def register(function: F) -> F:
            told = settings | {"help": flowing(function.__doc__ or "")}
            return outer(name, **told)(function)

        return register


def flowing(text: str) -> str:
    """The text with each paragraph on one line."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(
        paragraph if paragraph.startswith(" ") else " ".join(paragraph.split("\n"))
        for paragraph in paragraphs
    )
