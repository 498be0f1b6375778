"""The guides show existing commands, valid filters, and the words of plans."""

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from typer.core import TyperGroup

from retriever.domain.filter_parts import MatchingRows
from retriever.domain.generation import Freshness
from retriever.search.fallback.from_record import RecordCopy
from retriever.search.planning import Plan, Route
from sightline_client.cli import app, failures
from sightline_client.convert import filter_text

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TYPED: Any = typer.main.get_command(app)
"""Group of all commands."""
GUIDES = sorted(
    page
    for page in [*DOCS.rglob("*.md"), *ROOT.glob("lab/research/*.md")]
    if not {"reference", "node_modules"} & set(page.relative_to(ROOT).parts)
)
FILTERS = (DOCS / "integrate" / "filters.md").read_text(encoding="utf-8")


def commands(text: str) -> list[str]:
    """Return the lines of code blocks, and code within the text."""
    lines = re.findall(r"^(?:\$ )?(sightline .+)$", text, re.MULTILINE)
    return [*lines, *re.findall(r"`(sightline [^`]+)`", text)]


WRONG = "sightline products list --filter 'price < 30'"
"""Shown with what it is answered."""
SHOWN = sorted({line for page in GUIDES for line in commands(page.read_text("utf-8"))} - {WRONG})


@pytest.mark.parametrize("line", SHOWN)
def test_every_command_is_one_with_its_options(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shelf.jpg").write_bytes(b"jpeg")
    typed(line)


PLACEHOLDER = re.compile(r"does not exist\.$|'TIME' is not a time|requires an argument\.$")
"""Errors of lines with a file that is not there, or a word for a value, or that name an option."""


def typed(line: str) -> None:
    """Read a line as the command line reads it, up to a pipe, and do nothing."""
    command, context = TYPED, None
    words = shlex.split(line.replace("$(", " "), comments=True)[1:]
    ends = [at for at, word in enumerate(words) if word in ("|", ">", "…", "||")]
    rest = words[: min(ends, default=len(words))]
    while rest and isinstance(command, TyperGroup) and not rest[0].startswith("-"):
        context = command.context_class(command, parent=context)  # of typer's own copy of click
        _, command, rest = command.resolve_command(context, rest)
        assert command is not None
    if not rest:  # a command that is only named lacks nothing
        return
    try:
        command.make_context("sightline", rest, parent=context)
    except typer.Exit:  # --help
        pass
    except Exception as error:
        if not PLACEHOLDER.search(str(error)):
            raise


@pytest.mark.parametrize(
    "line",
    ["sightline scenes lists", "sightline scenes list --unheard", "sightline search --topp 3"],
)
def test_a_command_that_is_none_is_found(line: str) -> None:
    with pytest.raises(Exception, match="No such"):
        typed(line)


def test_pip_is_asked_for_what_a_release_publishes_alone() -> None:
    built = re.findall(r"^for name in (.+); do", (ROOT / "deploy/wheels.sh").read_text(), re.M)
    asked = [
        name
        for page in [*GUIDES, *ROOT.glob("*.md"), *ROOT.glob("*/README.md")]
        for line in re.findall(r"pip install (.+)", page.read_text("utf-8"))
        for name in re.findall(r"sightline-(\w+)", line)
    ]
    assert asked
    assert set(asked) <= set(built[0].split())


def test_there_are_commands_to_look_at() -> None:
    assert len(SHOWN) >= 20


def test_every_filter_of_the_table_is_one() -> None:
    table = FILTERS.partition("| to select | write |")[2].partition("\n\n")[0]
    shown = re.findall(r"`([^`]+)`", table)
    assert len(shown) >= 12
    for text in shown:
        filter_text.parse_filter(text)


def test_every_word_of_a_plan_is_explained() -> None:
    graph = Plan(Route.GRAPH, 100, 8000, reason="about 5% pass")
    plans = [
        Plan(Route.FLAT, 100).words(1, 200),
        graph.words(1, 200),
        graph.words(1, 200, matches=42),
        replace(graph, route=Route.SLICES, slices=4).words(1, 200),
        Plan(Route.EXACT, 100, reason="by price").words(1, 200, matches=42),
        Plan(Route.EXACT, 100, reason="by the engine's ids").words(1, 200, matches=42),
    ]
    rows = MatchingRows([("row", "product", "photo")] * 100, np.zeros((100, 1), np.float32))
    plans += [RecordCopy(rows, Freshness(0, 0, 0, 0, 0)).words, "in memory, 3068 rows compared"]
    explained = FILTERS.partition("| word | means |")[2]
    for word in {part for words in plans for part in words.split(", ")}:
        assert f"`{word}`" in explained, word


FIXES = sorted(
    {
        command
        for text in [*failures.FIXES.values(), *failures.FIXES_BY_CODE.values()]
        for command in re.findall(r"`(sightline [^`]+)`", text)
    }
)


@pytest.mark.parametrize("line", FIXES)
def test_every_command_that_a_fix_names_is_one(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("event_id,type\n")
    typed(line)


def test_fixes_name_commands() -> None:
    assert len(FIXES) >= 8
