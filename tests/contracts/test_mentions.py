"""Paths and modules that pages name exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    path.name: path
    for folder in (
        *("services/*/src/*", "client/src/*", "agents/src/*", "console/src/*"),
        *("kit/src/*", "rules/src/*", "core/src/*"),
    )
    for path in ROOT.glob(folder)
    if (path / "__init__.py").exists()
}
PAGES = sorted(
    path
    for pattern in (
        *("*.md", "docs/**/*.md", "lab/research/*.md"),
        *("*/README.md", "services/*/README.md", "deploy/**/*.md"),
    )
    for path in ROOT.glob(pattern)
    if not path.name.startswith("CHANGELOG")
    and not any(part.startswith(".") for part in path.parts)
)
BUILT = {"dist", "lab/.venv"}
"""Folders that commands make and a clone lacks."""
TOPS = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - BUILT
NAMES = {
    path.name.removesuffix(".py") for package in PACKAGES.values() for path in package.iterdir()
}
TOKEN = re.compile(r"`([^`\s]+)`")
MODULE_IN_PARENTHESES = re.compile(r"\(`([a-z_]+)`(?:, `([a-z_]+)`)?\)")


def exists(path: str, page: Path) -> bool:
    """Return whether the path is a file, folder or module below the page, the root or a package."""
    bare = path.rstrip("/")
    roots = [ROOT, page.parent, *PACKAGES.values()]
    return any(any(root.glob(name)) for root in roots for name in (bare, f"{bare}.py"))


def is_path(token: str) -> bool:
    first, slash, _ = token.partition("/")
    plain = re.fullmatch(r"[\w.*-]+(/[\w.*-]+)*/?", token)
    return bool(plain and slash and first in TOPS | NAMES)


def missing(page: Path, text: str) -> Iterator[str]:
    for token in TOKEN.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        first, *rest = token.split(".")
        if rest == ["key"]:  # a file of keys, such as embedder.key
            continue
        if first in PACKAGES and rest and re.fullmatch(r"[\w.]+", token):
            if not module_exists(PACKAGES[first], rest):
                yield token
        elif token not in BUILT and is_path(token) and not exists(token, page):
            yield token


def module_exists(package: Path, names: list[str]) -> bool:
    """Return whether the names are a module, or an attribute of one."""
    for at, name in enumerate(names):
        if (package / name).is_dir():
            package /= name
            continue
        module = package / f"{name}.py"
        rest = names[at + 1 :] if module.exists() else names[at:]
        source = (module if module.exists() else package / "__init__.py").read_text()
        return not rest or re.search(rf"\b{rest[0]}\b", source) is not None
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_paths_and_modules_that_exist(page: Path) -> None:
    assert not list(missing(page, page.read_text()))


def test_the_readme_names_modules_of_the_services() -> None:
    named = MODULE_IN_PARENTHESES.findall((ROOT / "README.md").read_text())
    modules = {path.stem for package in PACKAGES.values() for path in package.rglob("*")}
    assert not {name for pair in named for name in pair if name} - modules


def test_a_module_that_is_called_otherwise_now_is_found() -> None:
    text = "`services/ranker/nominate`, `gateway.recommend.nominate.x`, `services/gateway`"
    found = list(missing(ROOT / "README.md", text))
    assert found == ["services/ranker/nominate", "gateway.recommend.nominate.x"]


def test_tests_name_files_of_tests_that_exist() -> None:
    """Some say where else a command is typed or a promise is kept."""
    named = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        if path != Path(__file__).with_name("test_tiers.py")  # of made-up checkouts
        for name in re.findall(r"(?<![\w/.-])tests/[\w/]+\.py\b", path.read_text("utf-8"))
    }
    assert not {name for name in named if not (ROOT / name).exists()}
