"""The site of docs/ builds without a warning and loads nothing from elsewhere."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built site. A broken link or anchor, or a page outside the navigation, fails the
    build."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_every_page_is_built(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        if "node_modules" not in page.parts:
            name = page.relative_to(DOCS).with_suffix(".html")
            there = name.with_name("index.html") if name.stem == "README" else name
            assert (site / there).exists(), page


def loaded(page: Path) -> Iterator[str]:
    """Yield the addresses that a browser fetches by itself for a page."""
    text = page.read_text(encoding="utf-8")
    for tag in re.findall(r"<(?:script|img|iframe|link)\b[^>]*>", text):
        if 'rel="canonical"' not in tag:
            yield from re.findall(r"\b(?:src|href)=\"?([^\">\s]+)", tag)


@pytest.mark.slow
def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    addresses = {address for page in site.rglob("*.html") for address in loaded(page)}
    assert any(address.endswith(".css") for address in addresses)
    assert {each for each in addresses if re.match(r"(https?:)?//", each)} == set()


def test_there_are_pages_for_every_purpose() -> None:
    purposes = {"start", "tutorials", "integrate", "merchandise", "operate", "compare"}
    assert all((DOCS / purpose / "README.md").exists() for purpose in purposes)
