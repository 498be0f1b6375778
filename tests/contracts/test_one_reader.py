"""Each kind of value is read by one function, in every file and at every door.

A number, an amount, a time, the name of an attribute, the addresses of photos, HTML in a text, the
form of a text and the orientation of a photo: a second reader of one of them would sooner or later
read the same value differently.
"""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import code

ROOT = Path(__file__).parents[2]
FILES = "client/src/sightline_client/files/"
SOURCES = sorted(
    each
    for folder in (
        *("rules/src", "core/src", "kit/src", "client/src", "agents/src", "console/src"),
        *(f"services/{name}/src" for name in ("gateway", "embedder", "retriever", "ranker")),
    )
    for each in (ROOT / folder).rglob("*.py")
)


@dataclass(frozen=True)
class Kind:
    """A kind of value."""

    name: str
    reads: Callable[[ast.AST], bool]
    """Whether a piece of code reads such a value."""
    within: str
    """Folder where only the readers may."""
    readers: frozenset[str]
    example: str
    """Code that reads such a value."""


def calls(*names: str) -> Callable[[ast.AST], bool]:
    """Find uses of a function or a method by name, and imports of it."""

    def found(node: ast.AST) -> bool:
        if isinstance(node, ast.ImportFrom):
            return any(each.name in names for each in node.names)
        return (isinstance(node, ast.Attribute) and node.attr in names) or (
            isinstance(node, ast.Name) and node.id in names
        )

    return found


def converts(node: ast.AST) -> bool:
    """Find calls of `float` and `Decimal` with something that the code does not spell out."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("float", "Decimal")
        and not all(isinstance(each, ast.Constant | ast.BinOp) for each in node.args)
    )


def spells(*parts: object) -> Callable[[ast.AST], bool]:
    """Find constants: a number, or a text with such a part."""
    return lambda node: (
        isinstance(node, ast.Constant)
        and any(
            each == node.value and type(each) is type(node.value)
            if not isinstance(each, str)
            else isinstance(node.value, str) and each in node.value
            for each in parts
        )
    )


def splits(node: ast.AST) -> bool:
    """Find texts that are split at commas."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "split"
        and any(isinstance(each, ast.Constant) and each.value == "," for each in node.args)
    )


def either(*tests: Callable[[ast.AST], bool]) -> Callable[[ast.AST], bool]:
    """Find what any of the tests finds."""
    return lambda node: any(test(node) for test in tests)


KINDS = (
    Kind(
        "number",
        converts,
        FILES,
        frozenset(
            {
                "numerals.py",
                "instants.py",
                "cells.py",  # of typed values
                "forms.py",  # of columns
                *("events.py", "products.py", "shelf_plans.py"),  # of read numbers
            }
        ),
        "float(cell.replace(',', '.'))",
    ),
    Kind(
        "currency",
        spells("€", "£", "¥"),
        FILES,
        frozenset({"currencies.py", "numerals.py", "encodings.py"}),  # letters of languages
        "cell.strip('€')",
    ),
    Kind(
        "time",
        calls("fromisoformat", "parsedate_to_datetime", "strptime", "fromtimestamp"),
        FILES,
        frozenset({"instants.py", "audit.py"}),  # the audit reads what the suite wrote
        "datetime.fromisoformat(cell)",
    ),
    Kind(
        "word of a choice",
        spells("auf lager", "ausverkauft"),
        FILES,
        frozenset({"choices.py", "column_words.py", "export_headers.py"}),  # the latter: of headers
        'cell.lower() == "auf lager"',
    ),
    Kind(
        "attribute key",
        spells("[^a-z0-9"),
        FILES,
        frozenset({"attribute_keys.py", "proposing.py"}),  # a guess compares names
        're.sub("[^a-z0-9]+", "_", name)',
    ),
    Kind(
        "list at commas",
        splits,
        FILES,
        frozenset(
            {
                *("texts.py", "attribute_keys.py"),
                *("magento.py", "merchant_feed.py", "schema_org.py", "shapes.py"),  # their formats
                "column_words.py",  # its own table
            }
        ),
        "cell.split(',')",
    ),
    Kind(
        "HTML",
        calls("HTMLParser", "unescape"),
        FILES,
        frozenset({"texts.py", "formulas.py", "delimited.py", "markup.py"}),  # of cells, of pages
        "html.unescape(cell)",
    ),
    Kind(
        "form of a text",
        calls("normalize"),
        "",
        frozenset(
            {
                "rules/src/sightline_rules/texts.py",
                f"{FILES}texts.py",
                f"{FILES}attribute_keys.py",  # letters without their marks
                *(f"{FILES}column_words.py", f"{FILES}export_headers.py"),  # headers, as compared
                *(f"{FILES}photos.py", f"{FILES}folder.py"),  # names of files, as Macs write them
                "rules/src/sightline_rules/words.py",  # words that are searched
                "services/ranker/src/ranker/domain/searches.py",  # searches that are counted
                "agents/src/sightline_agents/mcp/convert.py",  # of decimals
            }
        ),
        'unicodedata.normalize("NFC", text)',
    ),
    Kind(
        "orientation of a photo",
        either(calls("getexif", "exif_transpose"), spells(0x0112)),
        "",
        frozenset(
            {
                "rules/src/sightline_rules/photo_parts.py",
                "client/src/sightline_client/cli/show/page.py",  # a small picture for people
            }
        ),
        "image.getexif().get(0x0112)",
    ),
)


def readers(kind: Kind, sources: Mapping[str, Iterable[ast.AST]]) -> Iterator[str]:
    """Yield the files that read a value of a kind."""
    for name, nodes in sources.items():
        if name.startswith(kind.within) and any(map(kind.reads, nodes)):
            yield name


@pytest.fixture(scope="module")
def sources() -> dict[str, Iterable[ast.AST]]:
    found = {each.relative_to(ROOT).as_posix(): code.nodes(each) for each in SOURCES}
    assert len(found) > 500
    return found


@pytest.mark.when(
    "agents", "client", "console", "core", "kit", "rules", "services", "tests/contracts"
)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_of_value_has_one_reader(
    kind: Kind, sources: Mapping[str, Iterable[ast.AST]]
) -> None:
    allowed = {f"{kind.within}{name}" for name in kind.readers}
    found = set(readers(kind, sources))
    assert found - allowed == set(), f"use the reader of {kind.name} instead"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_another_reader_is_found(kind: Kind) -> None:
    new = f"{kind.within or 'rules/src/'}another.py"
    nodes = [*ast.walk(ast.parse(f"found = {kind.example}\n"))]
    assert list(readers(kind, {new: nodes})) == [new]
