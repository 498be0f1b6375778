"""The command that is running, as a user types it again with changes."""

from collections.abc import Collection, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from sightline_client.files.forms import Formed
from sightline_client.files.mapping import ColumnMap
from sightline_client.files.model import RowTable

SECRET = frozenset({"token"})
"""Options whose values are not shown."""


def again(
    context: typer.Context,
    *,
    without: Collection[str] = (),
    more: Sequence[str] = (),
    file: Path | None = None,
) -> list[str]:
    """Return the words of a command.

    Args:
        without: Parameters that are left out, by their names in the code.
        more: Words that are added.
        file: Replaces the file.
    """
    words = ["sightline", *context.command_path.split()[1:]]
    options: list[str] = []
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        typed = source is not None and source.name == "COMMANDLINE"
        if parameter.param_type_name == "argument":
            value = file if name == "file" and file is not None else context.params.get(name)
            words += [] if value is None else [str(value)]
        elif typed and name not in without and name not in SECRET:
            options += _words(parameter.opts[0], context.params.get(name))
    return [*words, *more, *options]


def of_map(by: ColumnMap) -> list[str]:
    """Return the options that say a map."""
    pairs = [("--map", f"{theirs}={ours}") for theirs, ours in by.columns.items()]
    pairs += [("--set", f"{ours}={value}") for ours, value in by.constants.items()]
    return [word for pair in pairs for word in pair]


def of_reading(table: RowTable) -> list[str]:
    """Return the options that say the forms of a table's values: those that were said, and what all
    its rows decided."""
    if not isinstance(table, Formed):
        return []
    said = table.notation
    pairs = [("--decimal", said.decimal), ("--date-order", said.order)]
    pairs += [("--time-zone", str(said.zone or ""))]
    pairs += [("--form", f"{name}={form}") for name, form in table.forms().found.items()]
    return [word for pair in pairs if pair[1] for word in pair]


def _words(option: str, value: Any) -> Iterator[str]:
    for each in value if isinstance(value, list | tuple) else [value]:
        if each is True:
            yield option
        elif each is not None and each is not False:
            yield option
            yield str(each.value if isinstance(each, Enum) else each)
