"""Tables that are described by their columns, and commands that are described by entries."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import NoneType
from typing import Annotated, Any, get_args, get_type_hints

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from rich.text import Text

from sightline_client.cli import app
from sightline_client.cli.base import options
from sightline_client.cli.show.value_tables import MADE, ValueTable, written
from sightline_client.cli.work.plain_commands import Given, PlainCommands, arguments
from sightline_client.client import SightlineClient
from sightline_client.values.operations import Takedown

assert app.registered_groups  # the modules of all commands are imported, with their tables


def paths() -> Iterator[Any]:
    for table in MADE:
        for heading, column in table.columns.items():
            if isinstance(column, str):
                path = column.partition(" or ")[0].partition(":")[0]
                yield pytest.param(table.of, path, id=f"{table.of.__name__}.{heading}")


@pytest.mark.parametrize(("kind", "path"), [*paths()])
def test_each_column_names_a_field_of_its_value(kind: type, path: str) -> None:
    for name in path.split("."):
        if issubclass(kind, Message):
            field = descriptor(kind).fields_by_name[name]
            assert field.message_type is None or "." in path
            return
        hint = get_type_hints(kind)[name]
        kind = next((each for each in get_args(hint) or [hint] if each is not NoneType), hint)


def descriptor(kind: type[Message]) -> Descriptor:
    found: Descriptor = kind.DESCRIPTOR
    return found


@dataclass(frozen=True)
class Thing:
    name: str
    number: int | None
    time: datetime | None
    span: timedelta | None
    names: tuple[str, ...]


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("name", ""),
        ("name or –", "–"),
        ("number", "1,234"),
        ("number:.1f", "1234.0"),
        ("time", "2026-11-30 04:05:06Z"),
        ("time:%Y", "2026"),
        ("span", "1500.0"),
        ("names", "a, b"),
    ],
)
def test_a_field_is_written_by_its_type_or_format(column: str, text: str) -> None:
    time = datetime(2026, 11, 30, 4, 5, 6, tzinfo=UTC)
    assert written(Thing("", 1234, time, timedelta(seconds=1.5), ("a", "b")), column) == text


@pytest.mark.parametrize("column", ["number", "number:.1f", "time", "span", "number.anything"])
def test_what_is_not_known_is_a_dash(column: str) -> None:
    assert written(Thing("", None, None, None, ()), column) == "–"


def test_a_table_without_rows_is_its_text() -> None:
    table = ValueTable(Thing, {"name": "name"}, empty="None at all.")
    try:
        assert table([]) == Text("None at all.")
    finally:
        MADE.remove(table)


NAME = Given("name", Annotated[str | None, options.words("--name", metavar="TEXT", help="")], None)


def test_what_is_not_given_is_left_out_of_the_call() -> None:
    upper = Given("other", str, "", to="text", by=str.upper)
    assert arguments([NAME, upper], {"name": None, "other": "a"}) == {"text": "A"}


def test_a_command_for_an_argument_that_the_method_lacks_is_rejected() -> None:
    commands = PlainCommands()
    with pytest.raises(TypeError, match="name"):
        commands.call("get", "", "", SightlineClient.get_catalog, NAME, shows=lambda _: Text())
    with pytest.raises(TypeError, match="name"):
        commands.job("copy", "", "", SightlineClient.copy_catalog, NAME)
    with pytest.raises(ValueError, match="name"):
        commands.message("list", "", "", "admin.ListCatalogs", NAME, shows=lambda _: Text())


def test_a_value_without_a_table_names_what_is_missing() -> None:
    with pytest.raises(TypeError, match="say what shows"):
        PlainCommands()._rows(Takedown("a", "", None))
