"""Texts of scenes: controls are changed, and every other character stays."""

import tomllib
from datetime import UTC, datetime
from typing import Any

import pytest

from sightline_console.screens import merging, scene_text
from sightline_console.screens.scene_text import TextUnreadable

COMMENTED = """# Our home page. "[[controls]]" are below.
views = 2  # two

# a hero
[[controls]]
name = "hero"   # Christmas
kind = "pin"
product_ids = ["wine-7"]
place = 1

[[controls]]
name = "reds"
kind = "boost"
filter = "brand = Aurora"
boost = 0.2
[controls.when]
words = ["red"]

# weights
[branches]
visual = 1.0
"""
PIN: dict[str, Any] = {"kind": "pin", "product_ids": ["wine-9"], "place": 3}


@pytest.mark.parametrize("text", ["", "views = 2", "views = 2\n", COMMENTED, "[branches]\nnew = 1"])
def test_a_control_is_added_and_nothing_else_changes(text: str) -> None:
    made = scene_text.steered(text, PIN)
    before, after = tomllib.loads(text), tomllib.loads(made)
    assert after.pop("controls") == [
        *before.pop("controls", []), {"name": "pin-wine-9", **PIN}
    ]  # fmt: skip
    assert after == before
    kept = iter(made.split("\n"))
    assert all(line in kept for line in text.split("\n") if line), "in its order"
    assert made.endswith("\n")


def test_a_control_that_was_added_is_removed_without_a_trace() -> None:
    made = scene_text.steered(COMMENTED, PIN)
    assert scene_text.changed(made, "pin-wine-9", None) == COMMENTED


def test_a_changed_control_keeps_its_place_and_its_condition() -> None:
    (hero, reds) = scene_text.controls(COMMENTED)
    start = datetime(2026, 12, 1, tzinfo=UTC)
    made = scene_text.changed(COMMENTED, "reds", {**reds, "boost": 0.5, "start_time": start})
    assert scene_text.controls(made) == [hero, {**reds, "boost": 0.5, "start_time": start}]
    assert "start_time = 2026-12-01T00:00:00Z" in made
    assert made.startswith(COMMENTED.partition('[[controls]]\nname = "reds"')[0])
    assert made.endswith("\n# weights\n[branches]\nvisual = 1.0\n")


HOSTILE = ['a"b', "a\\b", "a'b", "]]\n[[controls]]", "酒 🍷", "\x7f", "#", '"""', "\t", "a\u0085b"]


@pytest.mark.parametrize("product_id", HOSTILE)
def test_any_id_is_written_as_it_is(product_id: str) -> None:
    made = scene_text.pinned(COMMENTED, product_id, 5)
    assert scene_text.controls(made)[-1]["product_ids"] == [product_id]
    assert scene_text.pinned(made, product_id, 6).count("place = 6") == 1


def test_many_ids_are_written_on_lines_that_the_suite_takes() -> None:
    ids = [f"product-number-{number}" for number in range(100)]
    made = scene_text.steered("", {"kind": "bury", "product_ids": ids})
    assert max(map(len, made.split("\n"))) < 60
    assert scene_text.controls(made)[0]["product_ids"] == ids


def test_a_pin_moves_others_down_as_far_as_they_must() -> None:
    text = COMMENTED
    for product_id, place in (("a", 2), ("b", 4)):
        text = scene_text.pinned(text, product_id, place)
    text = scene_text.pinned(text, "c", 1)
    places = {
        each["product_ids"][0]: each["place"]
        for each in scene_text.controls(text)
        if each["kind"] == "pin"
    }
    assert places == {"c": 1, "wine-7": 2, "a": 3, "b": 4}
    assert 'name = "hero"' in text


def test_another_rule_of_a_product_takes_the_place_of_its_former_one() -> None:
    text = scene_text.pinned(COMMENTED, "wine-7", 4)
    assert [each["place"] for each in scene_text.controls(text) if "place" in each] == [4]
    text = scene_text.steered(text, {"kind": "exclude", "product_ids": ["wine-7"]})
    kinds = [(each["kind"], each["name"]) for each in scene_text.controls(text)]
    assert kinds == [("boost", "reds"), ("exclude", "exclude-wine-7")]


def test_rules_at_other_times_stand_beside_each_other() -> None:
    later = {**PIN, "start_time": datetime(2027, 1, 1, tzinfo=UTC)}
    text = scene_text.steered(scene_text.steered("", PIN), later)
    assert [each["name"] for each in scene_text.controls(text)] == ["pin-wine-9", "pin-wine-9-2"]


def test_a_name_is_one_that_the_suite_takes() -> None:
    for subject in ("Ä/" * 99, "", "!!!", "a" * 99):
        name = scene_text.new_name("pin", subject, ["pin"])
        assert name
        assert len(name) <= 64
        assert not set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    assert scene_text.new_name("pin", "a", ["pin-a", "pin-a-2"]) == "pin-a-3"


@pytest.mark.parametrize(
    "text",
    [
        'controls = [{ name = "a", kind = "pin", product_ids = ["x"], place = 1 }]',
        '[["controls"]]\nname = "a"',
        'note = """\n[[controls]]\n"""',
        "controls = 3",
        "not toml",
        "a = " + "[" * 5_000,
        "a = " + "9" * 399 + "\nb = " + "9" * 401,
        "a" + ".a" * 200 + " = 1",
        "# " + "x" * 65_537,
    ],
)
def test_a_text_that_is_written_in_another_way_stays_untouched(text: str) -> None:
    with pytest.raises(TextUnreadable):
        scene_text.steered(text, PIN)


@pytest.mark.parametrize(
    ("path", "said", "line"),
    [
        ("views", "must be less", 2),
        ("plce", "is no entry", 0),
        ("branches.visual", "too large", 21),
        ("branches.text", "is not there", 20),
        ("controls[0].place", "is taken", 9),
        ("controls.1.boost", "must be more", 15),
        ("controls[1].when.words[0]", "must contain a word", 17),
        ("controls.reds.filter", "no such product", 14),
        ("controls[7].place", "is gone", 0),
        ("", "Expected '=' after a key (at line 4, column 3)", 4),
        ("", "is longer than 65536 bytes", 0),
    ],
)
def test_a_problem_has_its_line(path: str, said: str, line: int) -> None:
    assert scene_text.line_of(COMMENTED, path, said) == line


def test_problems_of_controls_are_told_one_by_one() -> None:
    said = "Value error, [0].place is taken by b; [1].name must be 1 to 64 characters; and unique"
    assert list(scene_text.findings("controls", said)) == [
        ("controls[0].place", "is taken by b"),
        ("controls[1].name", "must be 1 to 64 characters; and unique"),
    ]
    assert list(scene_text.findings("views", "must be 1; or 2")) == [("views", "must be 1; or 2")]


def test_two_texts_are_merged_line_by_line() -> None:
    theirs, mine = "a\nb\nc\nd\n", "a\nB\nc\nd\ne\n"
    differing = [at for at, each in enumerate(merging.hunks(theirs, mine)) if not each.is_same]
    assert len(differing) == 2
    assert merging.merged(theirs, mine, {}) == mine
    assert merging.merged(theirs, mine, dict.fromkeys(differing, merging.THEIRS)) == theirs
    assert merging.merged(theirs, mine, {differing[0]: merging.BOTH}) == "a\nb\nB\nc\nd\ne\n"
    assert merging.merged(theirs, mine, {differing[0]: merging.THEIRS}) == "a\nb\nc\nd\ne\n"


def test_texts_that_differ_everywhere_are_merged_as_a_whole() -> None:
    theirs = "\n".join(f"{n}\nsame {n}" for n in range(50))
    mine = "\n".join(f"{n} x\nsame {n}" for n in range(50))
    assert len(merging.hunks(theirs, mine)) == 1
    assert merging.merged(theirs, mine, {0: merging.THEIRS}) == theirs
    assert len(merging.hunks("a\n" * 601, "a\n" * 601)) == 1
    assert len(merging.hunks("a\nb\n", "a\nc\n")) == 3


def test_a_pin_that_moves_keeps_its_other_entries() -> None:
    budget = COMMENTED.replace("place = 1", "place = 1\ndaily_budget = 500")
    (hero, _reds) = scene_text.controls(scene_text.pinned(budget, "wine-7", 4))
    assert (hero["name"], hero["place"], hero["daily_budget"]) == ("hero", 4, 500)
    text = scene_text.steered(budget, {"kind": "pin", "product_ids": ["wine-7"], "place": 2})
    assert scene_text.controls(text)[0]["daily_budget"] == 500


def test_a_pin_with_dates_moves_and_is_not_doubled() -> None:
    end = datetime(2100, 1, 1, tzinfo=UTC)
    text = scene_text.pinned(scene_text.steered("", {**PIN, "end_time": end}), "wine-9", 1)
    assert [(each["place"], each["end_time"]) for each in scene_text.controls(text)] == [(1, end)]
    over = scene_text.steered("", {**PIN, "end_time": datetime(2020, 1, 1, tzinfo=UTC)})
    assert [
        each["place"] for each in scene_text.controls(scene_text.pinned(over, "wine-9", 1))
    ] == [
        3,
        1,
    ]


def test_comments_inside_a_changed_control_stay_before_it() -> None:
    text = COMMENTED.replace("place = 1", "# until the new vintage\nplace = 1")
    made = scene_text.pinned(text, "wine-7", 2)
    assert "# a hero\n# until the new vintage\n[[controls]]\n" in made
    assert scene_text.pinned(made, "wine-7", 3).count("# until the new vintage") == 1


def test_a_time_that_no_calendar_has_in_utc_is_written_as_it_is() -> None:
    text = COMMENTED.replace("place = 1", "place = 1\nstart_time = 0001-01-01T00:00:00+01:00")
    (hero, _reds) = scene_text.controls(text)
    made = scene_text.changed(text, "hero", {**hero, "place": 2})
    assert "start_time = 0001-01-01T00:00:00+01:00" in made


EXPLAINED = """\
[[controls]]  # spring
name = "pin-a"
kind = 'pin'  # not "boost"
product_ids = [
  "a",  # the # Riesling
]
place = 3  # as agreed with Ann
[controls.when]  # only few
words = ["wine"]  # and beer?

[ranking]  # of all
relevance = 1
"""


def test_comments_of_a_changed_control_are_kept() -> None:
    (held,) = scene_text.controls(EXPLAINED)
    moved = scene_text.changed(EXPLAINED, "pin-a", {**held, "place": 4})
    assert moved.replace("place = 4 ", "place = 3 ").replace(
        "]\n\n[controls.", "]\n[controls."
    ).split() == (EXPLAINED.split())
    other = scene_text.changed(EXPLAINED, "pin-a", {**held, "product_ids": ["b"], "place": 5})
    assert 'product_ids = ["b"]  # the # Riesling\n' in other
    assert "place = 5  # as agreed with Ann\n" in other
    assert 'words = ["wine"]  # and beer?\n' in other


def test_a_comment_that_does_not_fit_behind_its_entry_stands_above_it() -> None:
    text = f'[[controls]]\nname = "a"\nkind = "bury"\nfilter = "x"  # {"long " * 30}\n'
    made = scene_text.changed(text, "a", {"name": "a", "kind": "bury", "filter": "y"})
    assert f"# {'long ' * 30}".rstrip() + '\nfilter = "y"\n' in made


def test_what_looks_like_a_comment_in_a_string_is_none() -> None:
    text = '[[controls]]\nname = "a"\nkind = "bury"\nfilter = """\n# no comment\n"""\n'
    (held,) = scene_text.controls(text)
    made = scene_text.changed(text, "a", {**held, "kind": "exclude"})
    assert made == text.replace("bury", "exclude")
