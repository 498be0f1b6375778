"""Expressions of the engine: comparisons of integer columns, joined by and, or."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from sightline_rules.filters import Operator

NONE = 0
"""Number of a text column without a value."""
EVERYTHING = ""
NOTHING = "seq < 0"
SYMBOL: Mapping[Operator, str] = {
    Operator.EQUAL: "==",
    Operator.NOT_EQUAL: "!=",
    Operator.LESS: "<",
    Operator.LESS_OR_EQUAL: "<=",
    Operator.GREATER: ">",
    Operator.GREATER_OR_EQUAL: ">=",
}
OPPOSITE: Mapping[Operator, Operator] = {
    Operator.EQUAL: Operator.NOT_EQUAL,
    Operator.NOT_EQUAL: Operator.EQUAL,
    Operator.LESS: Operator.GREATER_OR_EQUAL,
    Operator.LESS_OR_EQUAL: Operator.GREATER,
    Operator.GREATER: Operator.LESS_OR_EQUAL,
    Operator.GREATER_OR_EQUAL: Operator.LESS,
}


def code(text: str) -> int:
    """Return a text as a number from 2 to 2^63 − 1, or NONE for "". Two texts share one number with
    a chance of 1 in 2^63."""
    if not text:
        return NONE
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return max(int.from_bytes(digest, "big") >> 1, 2)


def both(parts: Iterable[str]) -> str:
    """Return the conjunction of expressions."""
    kept = [part for part in parts if part != EVERYTHING]
    return NOTHING if NOTHING in kept else _joined(kept, "and") or EVERYTHING


def either(parts: Iterable[str]) -> str:
    """Return the disjunction of expressions."""
    given = list(parts)
    if EVERYTHING in given:
        return EVERYTHING
    return _joined([part for part in given if part != NOTHING], "or") or NOTHING


def _joined(parts: Sequence[str], word: str) -> str:
    """Join expressions as a balanced tree. Return "" if there are no expressions.

    A chain would nest as deep as it is long, and a server takes about fifty levels (Milvus 2.3.5:
    protobuf reads a hundred, two for each).
    """
    if len(parts) < 2:
        return "".join(parts)
    middle = (len(parts) + 1) // 2
    return f"({_joined(parts[:middle], word)}) {word} ({_joined(parts[middle:], word)})"


def among(column: str, numbers: Iterable[int], *, negated: bool = False) -> str:
    """Return the membership of a column in some numbers, at least one."""
    known = sorted(set(numbers))
    if len(known) == 1:
        return f"{column} {'!=' if negated else '=='} {known[0]}"
    return f"{column} {'not in' if negated else 'in'} [{', '.join(map(str, known))}]"
