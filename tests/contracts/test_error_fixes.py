"""The advice about errors names calls, fields, settings, commands and addresses that exist."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from docs.errors import fixes
from gateway.http import reference
from gateway.http.contract import public_methods
from gateway.http.fixes import PATH
from gateway.http.fixes import fixes as http_fixes
from sightline.protos import OURS
from tests.contracts.test_guides import typed

ROOT = Path(__file__).parents[2]
NAMES = re.compile(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b")
"""Names of calls and messages."""
FIELDS = re.compile(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b")
"""Names of fields, and keys of metadata."""
SETTINGS = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b")
COMMANDS = re.compile(r"`(sightline [^`]+)`")
OPTIONS = re.compile(r"(?<![\w-])(--[a-z-]+)")
ADDRESSES = re.compile(r"`(/[a-z.]+)`")
OTHERS = {"RetryInfo"}
"""Messages of google.rpc."""


@cache
def words_of(*patterns: str) -> frozenset[str]:
    """Return the words of some files."""
    files = (path for pattern in patterns for path in ROOT.glob(pattern))
    return frozenset(re.findall(r"\w+", " ".join(path.read_text("utf-8") for path in files)))


@cache
def names_of_protos() -> frozenset[str]:
    texts = (path.read_text("utf-8") for path in OURS.rglob("*.proto"))
    return frozenset(re.findall(r"\b(?:rpc|message|enum|service) (\w+)", " ".join(texts)))


@cache
def fields_of_protos() -> frozenset[str]:
    texts = (path.read_text("utf-8") for path in OURS.rglob("*.proto"))
    text = " ".join(texts)
    kinds = re.findall(r'"(\w+)"', text)  # of jobs, in comments
    return frozenset([*re.findall(r"\b(\w+) = \d+[;\s]", text), *kinds])


@cache
def metadata() -> frozenset[str]:
    """Return the keys of metadata of errors."""
    found = set[str]()
    for path in [*ROOT.glob("services/*/src/**/*.py"), *ROOT.glob("kit/src/**/*.py")]:
        text = path.read_text("utf-8")
        for given in re.findall(r"metadata=\{\s*(.*)", text):
            found |= {*re.findall(r'"(\w+)":', given)}
    return frozenset(found)


def wrong(text: str) -> Iterator[str]:
    """Yield what a text names and nothing is called."""
    text = text.replace("EMBEDDER_ANSWER_INVALID", "")
    yield from sorted({*NAMES.findall(text)} - names_of_protos() - OTHERS)
    yield from sorted({*FIELDS.findall(text)} - fields_of_protos() - metadata())
    known = words_of("docs/reference/settings.md") | set(fixes())
    yield from sorted({*SETTINGS.findall(text)} - known)
    yield from sorted({*ADDRESSES.findall(text)} - {PATH, *reference.pages(), "/openapi.json"})
    for line in COMMANDS.findall(text):
        try:
            typed(line)
        except Exception as error:  # of any kind of a fault of the line
            yield f"{line}: {error}"
    options = {*OPTIONS.findall(COMMANDS.sub("", text))}
    cli = (ROOT / "docs/reference/cli.md").read_text("utf-8")
    yield from sorted(each for each in options if f"`{each}" not in cli and each not in cli)


@pytest.mark.parametrize("reason", sorted(fixes()))
def test_a_fix_names_what_exists(
    reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(wrong(fixes()[reason])) == []


@pytest.mark.parametrize(
    "text",
    [
        "GetStatuses lists the scenes",
        "set `page_length`",
        "set RETRIEVER_NOTHING_MUCH",
        "see `/all`",
        "`sightline scenes lists` shows them",
        "`sightline scenes list --unheard` shows them",
        "check it with `--unheard-of`",
    ],
)
def test_a_fix_that_names_something_else_is_found(text: str) -> None:
    assert list(wrong(text))


def test_over_http_fields_are_named_as_in_json() -> None:
    assert "`minIndexToken`" in http_fixes()["STAGE_DEADLINE"]
    assert "`price_seconds`" in http_fixes()["REQUEST_TOO_EXPENSIVE"], "a key of metadata"
    names = {field.name for each in public_methods() for field in each.descriptor.input_type.fields}
    snake = {name for name in names if "_" in name}
    shown = {code for text in http_fixes().values() for code in re.findall(r"`(\w+)`", text)}
    assert not shown & snake
