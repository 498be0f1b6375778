"""Advice about each reason of an error, from the tables of the two pages on errors.

The HTTP process sends these texts with its problems and serves them at /errors.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

PAGES = ("integrate/errors.md", "operate/errors.md")
_ROW = re.compile(r"^\| ([A-Z][A-Z_, ]+) \| [A-Z][A-Z_, ]+ \| (.+) \|$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def fixes() -> dict[str, str]:
    """Return the text of each reason, without links. Where both pages have one, callers' counts."""
    found: dict[str, str] = {}
    for page in PAGES:
        text = (Path(__file__).parent / page).read_text(encoding="utf-8")
        for reasons, fix in _ROW.findall(text):
            for reason in reasons.split(", "):
                found.setdefault(reason, _LINK.sub(r"\1", fix))
    return found


def file() -> str:
    """Return the file of the HTTP process."""
    return json.dumps(fixes(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
