"""Detection of low-entropy keys: typed ones are found, generated ones are not."""

import base64
import uuid
from random import Random

import pytest

from servicekit.keys.weak_keys import is_weak


@pytest.mark.parametrize(
    "key",
    [
        "a" * 32,
        "5e" * 32,
        "0" * 64,
        "deadbeefcafebabe" * 4,
        "0123456789abcdef" * 4,
        "0123456789abcdef" * 2,
        "change-me-" * 4,
        "a key that we chose.\n" * 3,
    ],
)
def test_what_repeats_itself_is_guessed(key: str) -> None:
    assert is_weak(key)


def test_what_is_drawn_is_not() -> None:
    draw = Random(17)  # the same ones every time
    for _ in range(2_000):
        made = draw.randbytes(32)
        drawn = str(uuid.UUID(bytes=made[:16], version=4))
        ways = (made.hex(), made[:16].hex(), base64.b64encode(made[:24]).decode(), drawn)
        assert not any(map(is_weak, ways)), made.hex()
