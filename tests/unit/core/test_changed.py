"""Changed copies of dataclasses."""

from dataclasses import dataclass, field, replace

import pytest

from sightline_core.changed import changed


@dataclass(frozen=True, slots=True)
class Made:
    one: int
    other: list[int] = field(default_factory=list)
    last: str = ""


@dataclass(frozen=True)
class Checked:
    one: int
    other: int = 0

    def __post_init__(self) -> None:
        if self.one > self.other:
            raise ValueError("one is above other")


def test_a_copy_is_that_of_replace() -> None:
    given = Made(1, [2], "c")
    found = changed(given, last="d")

    assert found == replace(given, last="d")
    assert found.other is given.other
    assert given.last == "c"


def test_a_copy_is_checked_and_has_no_unknown_field() -> None:
    with pytest.raises(ValueError, match="above"):
        changed(Checked(1, 2), one=3)
    with pytest.raises(TypeError):
        changed(Checked(1, 2), nothing=3)
