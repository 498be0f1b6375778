"""A caller's filter is evaluated by sightline_rules.evaluation alone.

It works on arrays and in steps, so that a filter stops at the deadline and never holds the
interpreter for long. `facts.passes` says what filters mean, one product at a time: for tests.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules/src/sightline_rules"
MEANING = {RULES / "kinds.py", RULES / "facts.py"}
"""Meaning of conditions, which the evaluator and the tests use."""
EVALUATOR = {*RULES.glob("evaluation/*.py")}
OWNERS = ("kind", "facts")
"""Ends of the names of what evaluates conditions."""
SOURCES = sorted(
    each
    for folder in (
        "rules/src",
        "kit/src",
        "client/src",
        "agents/src",
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


@pytest.mark.parametrize(
    "source",
    [each for each in SOURCES if each not in MEANING | EVALUATOR],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_nothing_but_the_evaluator_evaluates_a_filter(source: Path) -> None:
    assert [*evaluations(ast.parse(source.read_text()))] == []


def test_the_ways_around_the_evaluator_are_seen() -> None:
    for text in (
        "from sightline_rules.facts import Facts, passes",
        "kind.passes(fact, leaf)",
        "field.kind.judge([leaf])(fact)",
        "facts.passes(condition, each)",
    ):
        assert [*evaluations(ast.parse(text))], text
