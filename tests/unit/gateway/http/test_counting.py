"""Values of JSON texts, counted on their bytes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.mapping import counting
from servicekit.admission.entry_limits import RequestMalformed, TooManyEntries

TEXTS = st.text(alphabet='ab"\\[]{},: \n', max_size=8)
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=30,
)


def entries(value: Any) -> tuple[int, int]:
    """Return the number of values within a value, and of those in its lists."""
    if not isinstance(value, dict | list):
        return 0, 0
    parts = list(value.values() if isinstance(value, dict) else value)
    found = [entries(each) for each in parts]
    own = len(parts) if isinstance(value, list) else 0
    return len(parts) + sum(each for each, _ in found), own + sum(each for _, each in found)


@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_counts_are_those_of_the_parsed_value(value: Any, indent: Any, is_ascii: bool) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode()
    values, listed = entries(value)
    outline = counting._outline(data)
    assert counting._counted(outline, listed) == values + 1
    assert counting.values(data, 10**6) >= values + 1
    if listed:
        with pytest.raises(TooManyEntries):
            counting._counted(outline, listed - 1)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_texts_may_go_on_over_parts(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PART", size)
    value = [{"a": 'x"[,]\\'}, ["{", "\\\\"], {}, []] * 9
    data = json.dumps(value).encode()
    assert counting._counted(counting._outline(data), 10**6) == entries(value)[0] + 1


@pytest.mark.parametrize("before", [b"[", b'{"a":'])
def test_depth_is_limited(before: bytes) -> None:
    for depth in (counting.DEEPEST, counting.DEEPEST + 1):
        data = before * depth + b"1" + (b"]" if before == b"[" else b"}") * depth
        if depth <= counting.DEEPEST:
            counting.values(data, 10**6)
        else:
            with pytest.raises(RequestMalformed):
                counting.values(data, 10**6)


def test_members_are_limited_as_the_fields_of_a_message() -> None:
    data = b'{"a":1' + b',"a":1' * counting.FIELDS + b"}"
    with pytest.raises(TooManyEntries):
        counting.values(data, 50_000)
