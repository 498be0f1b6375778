"""Comments of the protos, which descriptors lack, from the .proto files of the package.

The files are formatted and completely commented, as `buf lint` requires, so lines suffice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from sightline.protos import OURS

_COMMENT = re.compile(r"\s*// ?(.*)")
_BLOCK = re.compile(r"\s*(message|enum|service|oneof) (\w+) \{")
_FIELD = re.compile(r"\s*(?:repeated |optional )?[\w.]+(?:<[^>]+>)? (\w+) = \d+")
_VALUE = re.compile(r"\s*([A-Z][A-Z0-9_]*) = \d+;")
_RPC = re.compile(r"\s*rpc (\w+)\(")
_PACKAGE = re.compile(r"^package ([\w.]+);", re.MULTILINE)


@cache
def comments() -> Mapping[str, str]:
    """Return the comment of each message, field, enum, value, service and method by full name."""
    found: dict[str, str] = {}
    for path in sorted(OURS.rglob("*.proto")):
        found.update(_of_file(path.read_text("utf-8")))
    return found


def _of_file(text: str) -> Iterator[tuple[str, str]]:
    package = _PACKAGE.search(text)
    scope: list[str] = [package[1]] if package else []
    opened: list[bool] = []
    """For each open brace, true if names inside it belong to it, as in a message."""
    lines: list[str] = []
    for line in text.splitlines():
        if comment := _COMMENT.match(line):
            lines.append(comment[1])
            continue
        if name := _named(line):
            yield ".".join([*scope, name]), " ".join(lines)
        block = _BLOCK.match(line)
        for brace in re.sub(r'"[^"]*"', "", line):
            if brace == "{":
                named = block is not None and block[1] != "oneof"
                opened.append(named)
                if block is not None and named:
                    scope.append(block[2])
                block = None
            elif brace == "}" and opened.pop():
                scope.pop()
        lines = []


def _named(line: str) -> str | None:
    for pattern in (_BLOCK, _RPC, _VALUE, _FIELD):
        if found := pattern.match(line):
            return found[2] if pattern is _BLOCK else found[1]
    return None
