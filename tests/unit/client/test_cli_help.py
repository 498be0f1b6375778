"""The help of the program and of its commands."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from sightline_client.cli import app
from sightline_client.cli.base.group import connection_options, first_sentence
from tests.fakes.gateway import FakeGateway
from tests.unit.client.command_line import call, flat

REFERENCE = Path(__file__).parents[3] / "docs/reference/cli.md"
PROGRAM = typer.main.get_command(app)


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    below = getattr(command, "commands", {})
    if not below:
        yield path, command
    for name, each in below.items():
        yield from leaves(each, (*path, name))


def shared(command: Any) -> list[Any]:
    return connection_options(command, typer.Context(command))


CONNECTED = [(path, each) for path, each in leaves(PROGRAM) if shared(each)]


def test_the_first_help_has_four_sections_that_hold_every_command() -> None:
    text = call("--help").output
    titles = re.findall(r"^╭─ (.+?) ─", text, re.MULTILINE)
    assert len(titles) == 6
    assert titles[:2] == ["Options", "Connection and output"]
    shown = set(re.findall(r"^│ ([a-z]+) ", text, re.MULTILINE))
    assert shown == set(PROGRAM.commands)  # type: ignore[attr-defined]


def test_the_first_help_describes_the_options_that_every_command_has() -> None:
    text = flat(call("--help").output.replace("│", " "))
    (_, one), *rest = CONNECTED
    assert {each.name for _, each in CONNECTED for each in shared(each)} == {
        each.name for each in shared(one)
    }
    assert len(rest) > 100
    for option in shared(one):
        assert option.opts[0] in text
        assert text.count(flat(option.help)) == 1, option.name


def test_the_help_of_a_command_names_them_on_a_line_and_describes_none() -> None:
    text = flat(call("detect", "--help").output)
    assert "described by `sightline --help`: --target --token" in text
    assert "--timeout (60 s)" in text
    assert "The gateway." not in text
    assert flat(call("keys", "new", "--help").output).count("--target") == 0


def test_the_reference_describes_them_once() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    for option in shared(CONNECTED[0][1]):
        assert len(re.findall(rf"^\* `{option.opts[0]}[ `]", text, re.MULTILINE)) == 1
    assert text.count("](#connection-and-output)") == len(CONNECTED)


@pytest.mark.parametrize("before", [True, False])
def test_they_stand_before_a_command_or_behind_it(gateway: FakeGateway, *, before: bool) -> None:
    where = ("--target", gateway.target, "--catalog=shoes", "--json")
    command = ("products", "get", "wine-1")
    result = call(*where, *command) if before else call(*command, *where)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)
    assert gateway.requests["GetProduct"][0].catalog_id == "shoes"


def test_before_a_command_they_do_not_become_its_arguments(gateway: FakeGateway) -> None:
    result = call("--target", gateway.target, "products", "get", "--", "-dash")
    assert "PRODUCT_NOT_FOUND" in result.stderr
    assert gateway.requests["GetProduct"][0].product_id == "-dash"


def test_before_help_and_version_they_do_nothing() -> None:
    assert "Find and recommend" in call("--json", "--help").output
    assert re.fullmatch(r"[\d.]+\n", call("--target=127.0.0.1:1", "--version").output)


def test_a_command_without_a_connection_rejects_them() -> None:
    result = call("--target", "127.0.0.1:1", "keys", "new")
    assert result.exit_code == 2
    assert "--target" in result.stderr


def test_a_first_sentence_ends_at_its_full_stop() -> None:
    assert first_sentence("One of 2.5 kg. Two.\n\nThree.") == "One of 2.5 kg."
