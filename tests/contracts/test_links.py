"""Links between pages resolve, and so do the pages that code and settings name."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for place in (
        "*.md",
        "docs/**/*.md",
        "lab/research/*.md",
        "client/*.md",
        "bench/*.md",
        "lab/*.md",
        "services/*/*.md",
        "deploy/*/*.md",
    )
    for page in ROOT.glob(place)
    if "node_modules" not in page.parts
)


def heads(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    found = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).strip().replace(" ", "-") for head in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    for name, head in re.findall(r"\]\(([^)#\s:]*)(?:#([^)]+))?\)", page.read_text("utf-8")):
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), name
        assert not head or there.suffix != ".md" or head in heads(there), f"{name}#{head}"


def named() -> set[tuple[str, str, str]]:
    """Return every page of docs/ and lab/ that a file names: the file, the page, the heading."""
    found = subprocess.run(
        ["git", "grep", "-IonE", r"(^|[^/a-z])(docs|lab)/[a-zA-Z0-9/-]+\.md(#[a-z0-9-]+)?"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split(":", 2) for line in found.stdout.splitlines()]
    paths = [(file, re.sub(r"^[^a-z]*", "", path).partition("#")) for file, _, path in lines]
    # Old entries of the changelog name pages as they were.
    return {
        (file, page, head) for file, (page, _, head) in paths if not file.startswith("CHANGELOG")
    }


def test_every_page_that_a_file_names_by_its_path_is_there() -> None:
    names = named()
    assert len(names) > 30
    for file, page, head in names:
        assert (ROOT / page).exists(), f"{file}: {page}"
        assert not head or head in heads(ROOT / page), f"{file}: {page}#{head}"
