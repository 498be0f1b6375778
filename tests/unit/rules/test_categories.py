import pytest

from sightline_rules import categories


def test_ancestors_run_from_the_root_to_the_path_itself() -> None:
    assert categories.ancestors("Wine > Red > Merlot") == (
        "Wine",
        "Wine > Red",
        "Wine > Red > Merlot",
    )
    assert categories.ancestors("") == ()


def test_a_category_holds_what_lies_below_it_but_not_its_namesakes() -> None:
    assert categories.is_within("Wine > Red", "Wine")
    assert categories.is_within("Wine", "Wine")
    assert not categories.is_within("Wineglasses", "Wine")
    assert not categories.is_within("Wine", "Wine > Red")


def test_join_and_split_are_inverse() -> None:
    assert categories.split(categories.join(("Wine", "Red"))) == ("Wine", "Red")
    assert categories.split(categories.join(())) == ()


@pytest.mark.parametrize(
    "levels", [["a > b"], [""], [" "], ["x" * 129], ["a"] * 9, ["a\nb"], ["a\x85b"], [" a"]]
)
def test_levels_that_would_break_a_path_are_refused(levels: list[str]) -> None:
    with pytest.raises(categories.CategoryInvalidError):
        categories.check_path(levels)


@pytest.mark.parametrize(
    ("path", "category", "child"),
    [
        ("Wine > Red > Merlot", "", "Wine"),
        ("Wine > Red > Merlot", "Wine", "Wine > Red"),
        ("Wine > Red", "Wine > Red", ""),
        ("Wineglasses > Red", "Wine", ""),
        ("", "", ""),
        ("", "Wine", ""),
    ],
)
def test_the_child_of_a_category_is_the_next_level_of_a_path(
    path: str, category: str, child: str
) -> None:
    assert categories.child(path, category) == child
