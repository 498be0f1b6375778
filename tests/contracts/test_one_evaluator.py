"""A caller's filter is evaluated by sightline_rules.evaluation alone.

It works on arrays and in steps, so that a filter stops at the deadline and never holds the
interpreter for long. `facts.passes` says what filters mean, one product at a time: for tests.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.code import tree

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules/src/sightline_rules"
MEANING = {RULES / "kinds.py", RULES / "facts.py"}
"""Meaning of conditions, which the evaluator and the tests use."""
EVALUATOR = {*RULES.glob("evaluation/*.py")}
OWNERS = ("kind", "facts")
"""Ends of the names of what evaluates conditions."""
WORDS = re.compile(r"\b(passes|judge|compares)\b")
"""Names of the functions, one of which is in each use."""
SOURCES = sorted(
    each
    for folder in (
        "rules/src",
        "core/src",
        "kit/src",
        "client/src",
        "agents/src",
        "console/src",
        *(f"services/{name}/src" for name in ("gateway", "embedder", "retriever", "ranker")),
    )
    for each in (ROOT / folder).rglob("*.py")
)


def evaluations(tree: ast.AST) -> Iterator[str]:
    """Yield the parts of a module that evaluate a filter without the evaluator."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(
            "sightline_rules.facts"
        ):
            yield from (f"imports {each.name}" for each in node.names if each.name == "passes")
        if isinstance(node, ast.Attribute) and node.attr in ("passes", "judge", "compares"):
            owner = ast.unparse(node.value)
            yield from (f"uses {owner}.{node.attr}" for end in OWNERS if owner.endswith(end))


def test_nothing_but_the_evaluator_evaluates_a_filter() -> None:
    others = {each: each.read_text() for each in SOURCES if each not in MEANING | EVALUATOR}
    assert len(others) > 1_000
    found = {
        str(source.relative_to(ROOT)): [*evaluations(tree(source))]
        for source, text in others.items()
        if WORDS.search(text)  # to parse all of them takes ten times as long
    }
    assert {source: uses for source, uses in found.items() if uses} == {}


def test_the_ways_around_the_evaluator_are_seen() -> None:
    for text in (
        "from sightline_rules.facts import Facts, passes",
        "kind.passes(fact, leaf)",
        "field.kind.judge([leaf])(fact)",
        "facts.passes(condition, each)",
    ):
        assert WORDS.search(text)
        assert [*evaluations(ast.parse(text))], text
