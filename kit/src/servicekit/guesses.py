"""Keys that somebody typed instead of drawing them: whoever tries a few finds them."""

from itertools import pairwise

ADVICE = "easily guessed; make one that is random: openssl rand -hex 32"
"""What is said of such a key, behind its file's name."""

_LEAST = 32
"""Different pairs of neighbouring characters that a key has, or five for eight characters of a
shorter one. 64 random hexadecimal digits have some 56, and 32 of them some 29."""


def guessed(key: str) -> bool:
    """Whether a key repeats itself too often to be random."""
    return len(set(pairwise(key))) < min(_LEAST, len(key) * 5 // 8)
