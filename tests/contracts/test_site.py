"""The site of docs/ builds without a warning, loads nothing from elsewhere, and has short pages."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MOST_WORDS = 1_500
WITHOUT_LIMIT = {"research", "reference"}
"""Measurements, and what is generated from the code."""

READ = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if not {"node_modules", *WITHOUT_LIMIT} & set(page.relative_to(DOCS).parts)
]
"""What users read."""
ELSEWHERE = {
    "README.md": MOST_WORDS,
    "CONTRIBUTING.md": MOST_WORDS,
    "client/README.md": 1_869,
    "deploy/k8s/README.md": MOST_WORDS,
    "deploy/milvus-cluster/README.md": MOST_WORDS,
    "deploy/triton/README.md": MOST_WORDS,
}
"""The same outside docs/, with their most words: one is longer, and may only become shorter."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. A broken link or anchor, or a page outside the navigation, ends the build."""
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


def test_every_page_is_built(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        if "node_modules" not in page.parts:
            name = page.relative_to(DOCS).with_suffix(".html")
            there = name.with_name("index.html") if name.stem == "README" else name
            assert (site / there).exists(), page


def loaded(page: Path) -> Iterator[str]:
    """The addresses that a browser fetches by itself when it shows a page."""
    text = page.read_text(encoding="utf-8")
    for tag in re.findall(r"<(?:script|img|iframe|link)\b[^>]*>", text):
        if 'rel="canonical"' not in tag:
            yield from re.findall(r"\b(?:src|href)=\"?([^\">\s]+)", tag)


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    addresses = {address for page in site.rglob("*.html") for address in loaded(page)}
    assert any(address.endswith(".css") for address in addresses)
    assert {each for each in addresses if re.match(r"(https?:)?//", each)} == set()


def words(page: Path) -> int:
    """Words of a page: signs alone, such as those that draw tables, are none."""
    return sum(any(map(str.isalnum, each)) for each in page.read_text("utf-8").split())


@pytest.mark.parametrize("page", READ, ids=lambda page: str(page.relative_to(DOCS)))
def test_no_page_for_users_is_long(page: Path) -> None:
    assert words(page) <= MOST_WORDS


@pytest.mark.parametrize("name", ELSEWHERE)
def test_pages_elsewhere_do_not_grow(name: str) -> None:
    assert words(ROOT / name) <= ELSEWHERE[name]


def test_there_are_pages_for_every_purpose() -> None:
    purposes = {page.relative_to(DOCS).parts[0] for page in READ if page.parent != DOCS}
    assert purposes == {"start", "tutorials", "integrate", "merchandise", "operate", "compare"}
