"""Options of several commands have one group, with the group's defaults."""

import inspect
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer

from sightline_client.cli.base import options
from sightline_client.cli.base.option_groups import OptionGroup, spread


@dataclass(frozen=True)
class Place(OptionGroup):
    shop: Annotated[str, "where"] = "main"
    seconds: float = 10.0


def opened(*, name: str, place: Place, loud: bool = False) -> tuple[str, Place, bool]:
    return name, place, loud


def waited(*, place: Place = Place(seconds=30.0)) -> Place:
    return place


def test_a_groups_options_stand_in_its_place() -> None:
    assert list(inspect.signature(spread(opened)).parameters) == ["name", "shop", "seconds", "loud"]
    found = spread(opened)(name="a", shop="b", seconds=1.0, loud=True)
    assert found == ("a", Place("b", 1.0), True)


def test_a_command_returns_what_it_says() -> None:
    assert inspect.signature(spread(waited)).return_annotation is Place


def test_a_groups_default_holds_those_of_its_options() -> None:
    made = inspect.signature(spread(waited)).parameters
    assert {name: each.default for name, each in made.items()} == {"shop": "main", "seconds": 30.0}
    defaults = inspect.signature(spread(opened)).parameters
    assert defaults["seconds"].default == 10.0


def test_a_command_without_groups_is_left_as_it_is() -> None:
    def plain(*, name: str) -> str:
        return name

    assert spread(plain) is plain


def test_an_option_has_the_help_of_the_docstring_and_a_flag_its_own_name() -> None:
    def command(
        *, name: Annotated[str, typer.Option()] = "", dry_run: options.Flag = False
    ) -> None:
        """Do something.

        sightline something --name this

        Args:
            name: A name
                of two lines.
            dry_run: Do nothing.
        """

    name, dry_run = inspect.signature(spread(command)).parameters.values()
    assert name.annotation.__metadata__[0].help == "A name of two lines."
    assert dry_run.annotation.__metadata__[0].help == "Do nothing."
    assert dry_run.annotation.__metadata__[0].default == "--dry-run"
    assert options.Flag.__metadata__[0].help is None  # type: ignore[attr-defined]


def test_a_docstring_of_a_parameter_that_is_not_there_is_rejected() -> None:
    def command(*, name: Annotated[str, typer.Option()] = "") -> None:
        """Do something.

        Args:
            nome: A name.
        """

    with pytest.raises(TypeError, match="nome"):
        spread(command)
