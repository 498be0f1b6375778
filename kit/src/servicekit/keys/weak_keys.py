"""Detect low-entropy keys: typed by a person instead of drawn at random."""

from itertools import pairwise

ADVICE = "easily guessed; make one that is random: openssl rand -hex 32"
"""The end of an error message about a weak key."""

_LEAST = 32
"""Distinct pairs of adjacent characters that a random key has at least; for shorter keys five for
every eight characters. 64 random hexadecimal digits have about 56, 32 of them about 29."""


def is_weak(key: str) -> bool:
    """Return whether the key repeats itself too often to be random."""
    return len(set(pairwise(key))) < min(_LEAST, len(key) * 5 // 8)
