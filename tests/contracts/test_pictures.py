"""Pictures of README and docs exist, are small, are shown, and come from `make pictures`."""

import re
import subprocess
from pathlib import Path

import pytest

from docs import diagrams

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "pictures"
PICTURES = sorted(FOLDER.rglob("*.webp"))
MOST_BYTES, MOST_BYTES_TOGETHER = 300_000, 3_000_000
SHOWN = re.compile(r"!\[[^\]]{20,}\]\(([^)\s]+)\)")
"""A picture with an alternative text that says something."""
SHOW_WHAT_THEY_SPEAK_OF = (
    "README.md",
    "docs/README.md",
    "docs/merchandise/scenes.md",
    "docs/merchandise/console.md",
    "docs/merchandise/controls.md",
    "docs/merchandise/experiments.md",
    "docs/integrate/explaining.md",
    "docs/operate/dashboards-and-slos.md",
    *(str(page.relative_to(ROOT)) for page in (ROOT / "docs/merchandise/scenes").glob("*.md")),
)


def shown(page: Path) -> set[Path]:
    """Return the pictures of a page."""
    return {(page.parent / name).resolve() for name in SHOWN.findall(page.read_text("utf-8"))}


def test_every_picture_is_small() -> None:
    sizes = {path: path.stat().st_size for path in FOLDER.rglob("*.*")}
    assert {path: size for path, size in sizes.items() if size > MOST_BYTES} == {}
    assert sum(sizes.values()) <= MOST_BYTES_TOGETHER


def test_every_picture_is_shown_by_a_page() -> None:
    assert len(PICTURES) > 15
    everywhere = set[Path]().union(*map(shown, diagrams.PAGES))
    assert [path for path in PICTURES if path not in everywhere] == []


@pytest.mark.parametrize("name", SHOW_WHAT_THEY_SPEAK_OF)
def test_a_page_shows_what_it_speaks_of(name: str) -> None:
    found = shown(ROOT / name)
    assert [path for path in found if path.is_relative_to(FOLDER)]
    assert [path for path in found if not path.exists()] == []


@pytest.mark.parametrize("name", ["README.md", "docs/README.md"])
def test_the_first_page_begins_with_a_picture_and_a_diagram(name: str) -> None:
    beginning = (ROOT / name).read_text("utf-8")[:2500]
    assert "pictures/demo.webp" in beginning
    assert len(diagrams.fences(beginning)) == 1


def test_the_site_has_a_picture_of_every_diagram_and_of_no_other() -> None:
    texts = [text for page in diagrams.PAGES for text in diagrams.fences(page.read_text("utf-8"))]
    assert all(map(diagrams.title, texts))
    assert {*diagrams.FOLDER.glob("*.svg")} == set(map(diagrams.picture, texts)), (
        "make pictures ONLY=diagrams"
    )


def test_a_target_takes_them() -> None:
    typed = subprocess.run(
        ["make", "--dry-run", "--always-make", "pictures"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "python -m examples.wines.pictures" in typed.stdout
