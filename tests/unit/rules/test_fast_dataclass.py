import dataclasses

from sightline_rules.fast_dataclass import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class Named:
    name: str
    place: int = 0


@fast_dataclass(frozen=True)
class Hashed:
    name: str

    def __hash__(self) -> int:
        return 7


@fast_dataclass
class Open:
    name: str


def test_frozen_values_are_equal_and_hashed_by_their_fields() -> None:
    assert {Named("a"): 1}[Named("a", 0)] == 1
    assert Named("a") != Named("a", 1)
    assert dataclasses.replace(Named("a"), place=2) == Named("a", 2)


def test_a_hash_of_its_own_stays_and_open_values_have_none() -> None:
    assert hash(Hashed("a")) == 7
    assert Open.__hash__ is None


def test_no_field_is_set_by_a_call() -> None:
    assert Named.__setattr__ is object.__setattr__
