"""Links from page to page lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for place in (
        "*.md",
        "docs/*.md",
        "docs/integrate/clients/*.md",
        "docs/integrate/clients/*/*.md",
        "client/*.md",
        "bench/*.md",
        "services/*/*.md",
        "deploy/*/*.md",
    )
    for page in ROOT.glob(place)
)


def heads(page: Path) -> set[str]:
    """What a page's headings are linked by."""
    found = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).strip().replace(" ", "-") for head in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    for name, head in re.findall(r"\]\(([^)#\s:]*)(?:#([^)]+))?\)", page.read_text("utf-8")):
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), name
        assert not head or there.suffix != ".md" or head in heads(there), f"{name}#{head}"
