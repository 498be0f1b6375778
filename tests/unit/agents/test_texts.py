"""Texts of the catalog, as agents read them."""

import pytest

from sightline_agents.catalog.texts import shown


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Château d'Yquem 🍷", "Château d'Yquem 🍷"),
        ("a\u202eb\u2066c\u200b", "abc"),
        ("a\U000e0041\U000e0042b", "ab"),
        ("line\nline\x1b[31m", "line\nline[31m"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_invisible_characters_are_removed(text: str, read: str) -> None:
    assert shown(text) == read


def test_a_long_text_is_cut() -> None:
    assert shown("x" * 20, 10) == "xxxxxxxxx…"
    assert shown("x" * 10, 10) == "x" * 10
