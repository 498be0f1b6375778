import pytest

from sightline_rules import ids


@pytest.mark.parametrize("value", ["a", "酒-7", "with / slash", "x" * 128, "'\"\\"])
def test_plain_ids_pass_unchanged(value: str) -> None:
    assert ids.check_id(value) == value


@pytest.mark.parametrize("value", ["", "x" * 129, "é" * 65, "a\nb", "a\x00", "e\u0301", "\ud800"])
def test_bad_ids_are_refused(value: str) -> None:
    with pytest.raises(ids.IdInvalidError):
        ids.check_id(value)


def test_derived_ids_tell_apart_where_the_parts_end() -> None:
    assert ids.derive_id("ab", "c") != ids.derive_id("a", "bc")
    assert ids.derive_id("a", "b") == ids.derive_id("a", "b")
    assert len(ids.derive_id("a", length=12)) == 12
