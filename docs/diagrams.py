"""Mermaid diagrams of the pages, and their pictures for the site.

GitHub draws a fence `mermaid` by itself. The site loads no script, so it shows a picture that
`make pictures` made of the same text: the picture's name is the text's hash.
"""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
FOLDER = ROOT / "docs" / "pictures" / "diagrams"
FENCE = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r"^\s*accTitle: (.+)$", re.MULTILINE)


def fences(markdown: str) -> list[str]:
    """Return the text of each diagram of a page."""
    return FENCE.findall(markdown)


def title(diagram: str) -> str:
    """Return the diagram's `accTitle`, which is its alternative text. KeyError without one."""
    found = TITLE.search(diagram)
    if found is None:
        raise KeyError(f"a diagram has no accTitle: {diagram[:60]}")
    return found[1]


def picture(diagram: str) -> Path:
    """Return where the diagram's picture is."""
    return FOLDER / f"{sha256(diagram.encode()).hexdigest()[:12]}.svg"
