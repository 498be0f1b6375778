"""Mutants of small pieces of code."""

import ast
import textwrap

import pytest

from tests.mutation.operators import Replace, flat, sites_of, source_of


def mutants(code: str) -> list[str]:
    """Return every mutant of some lines, one line each."""
    count = len(sites_of(ast.parse(textwrap.dedent(code))))
    made = []
    for number in range(count):
        tree = ast.parse(textwrap.dedent(code))
        made.append(flat(Replace(*sites_of(tree)[number]).visit(tree)))
    return made


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("f(a < b)", {"pass", "f(a <= b)", "f(a >= b)"}),
        ("zip(a, b, strict=True)", {"pass"}),
        ("x: int | None = 2", {"x: int | None = 3"}),
        ("x = max(a, b) and c", {"x = max(a, b) or c", "x = min(a, b) and c"}),
        ("return -a", {"return None", "return a"}),
        ("x = [a for a in b if a]", {"x = [a for a in b if True]"}),
        (
            "if a == 1: raise ValueError(2)",
            {f"if {it}: raise ValueError(2)" for it in ("a != 1", "a == 2", "True", "False")},
        ),
    ],
)
def test_what_is_changed(code: str, expected: set[str]) -> None:
    around = "@cached(1) def f(a: int=2) -> 'a | b': "
    assert set(mutants(f"X = 1 + 1\n@cached(1)\ndef f(a: int = 2) -> 'a | b':\n    {code}")) == {
        f"X = 1 + 1 {around}{each}" for each in expected
    }


def test_every_change_of_a_module_compiles() -> None:
    count = len(source_of("gateway.recommend.plan_request").sites)
    assert count > 20
    for number in range(count):
        source = source_of("gateway.recommend.plan_request")
        compile(source.changed(number), str(source.file), "exec")
