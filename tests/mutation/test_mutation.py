"""What mutants are made of."""

import ast
import textwrap

import pytest

from tests.mutation.operators import Replace, flat, sites_of, source_of


def mutants(code: str) -> list[str]:
    """Every mutant of some lines, in one line each."""
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
        ("x = a + 1 if not b else -c", set()),
        ("X = max(a, b) and c", {"X = max(a, b) or c", "X = min(a, b) and c"}),
        (
            "def f() -> 'a | b': return -a",
            {f"def f() -> 'a | b': return {it}" for it in ("None", "a")},
        ),
        ("X = [a for a in b if a]", {"X = [a for a in b if True]"}),
        ("@once(1)\nclass A:\n    a: int | None = 2", {"@once(1) class A: a: int | None = 3"}),
        (
            "if a == 1: raise ValueError(2)",
            {f"if {it}: raise ValueError(2)" for it in ("a != 1", "a == 2", "True", "False")},
        ),
    ],
)
def test_what_is_changed(code: str, expected: set[str]) -> None:
    assert set(mutants(code)) == expected


def test_every_change_of_a_module_compiles() -> None:
    count = len(source_of("gateway.recommend.plan").sites)
    assert count > 20
    for number in range(count):
        source = source_of("gateway.recommend.plan")
        compile(source.changed(number), str(source.file), "exec")
