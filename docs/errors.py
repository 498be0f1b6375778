"""Advice about each reason of an error, and its codes, from the tables of the two pages on errors.

The HTTP process sends these texts with its problems and serves them at /errors; its description
names the reasons of each status.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

PAGES = ("integrate/errors.md", "operate/errors.md")
_ROW = re.compile(r"^\| ([A-Z][A-Z_, ]+) \| ([A-Z][A-Z_, ]+) \| (.+) \|$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def fixes() -> dict[str, str]:
    """Return the text of each reason, without links. Where both pages have one, callers' counts."""
    found: dict[str, str] = {}
    for reason, _, fix in _rows():
        found.setdefault(reason, _LINK.sub(r"\1", fix))
    return found


def codes() -> dict[str, list[str]]:
    """Return the gRPC codes of each reason."""
    found: dict[str, list[str]] = {}
    for reason, names, _ in _rows():
        found[reason] = sorted({*found.get(reason, ()), *names.split(", ")})
    return found


def _rows() -> Iterator[tuple[str, str, str]]:
    """Yield the reason, the codes and the advice of each row."""
    for page in PAGES:
        text = (Path(__file__).parent / page).read_text(encoding="utf-8")
        for reasons, names, fix in _ROW.findall(text):
            for reason in reasons.split(", "):
                yield reason, names, fix


def file(values: Mapping[str, object]) -> str:
    """Return a file of the HTTP process."""
    return json.dumps(values, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
