"""Functions of the gateway take what they need of a request, and few of them the whole of it."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests import code

GATEWAY = Path(__file__).parents[2] / "services/gateway/src/gateway"
WHOLE = "RequestContext"
HOLDERS = {WHOLE, "FoundCandidates"}
"""The state of a request that runs, and the classes with a field of it."""
MOST = 60
"""Functions with a parameter of these: a limit that is only lowered."""


def named(annotation: ast.AST) -> Iterator[str]:
    """Yield the types that an annotation names; those of a callable's own parameters are left
    out."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Callable":
        return
    if isinstance(annotation, ast.Name):
        yield annotation.id
    if isinstance(annotation, ast.Constant):
        yield str(annotation.value)
    for part in ast.iter_child_nodes(annotation):
        yield from named(part)


def takers(node: ast.AST) -> Iterator[str]:
    """Yield the name of a node that is a function with a parameter of a holder."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        given = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        types = [each.annotation for each in given if each.annotation is not None]
        if HOLDERS.intersection(name for each in types for name in named(each)):
            yield node.name


def nodes() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(GATEWAY.rglob("*.py")):
        for node in code.nodes(path):
            yield str(path.relative_to(GATEWAY)), node


def test_few_functions_take_the_whole_request() -> None:
    found = [f"{path}: {name}" for path, node in nodes() for name in takers(node)]
    assert "retrieval/branches.py: find" in found
    assert len(found) <= MOST, "\n".join(found)


def test_all_holders_of_a_request_are_counted() -> None:
    fields = [
        (node.name, field.annotation)
        for _, node in nodes()
        if isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, ast.AnnAssign)
    ]
    assert {name for name, kind in fields if WHOLE in named(kind)} == HOLDERS - {WHOLE}


def test_a_function_is_counted_by_its_parameters() -> None:
    def count(text: str) -> int:
        return sum(1 for node in ast.walk(ast.parse(text)) for _ in takers(node))

    assert count("def a(run: RequestContext, other: RequestContext): ...") == 1
    assert count("async def a(*, runs: Sequence[RequestContext] | None = None): ...") == 1
    assert count("def a(run: 'RequestContext'): ...") == 1
    assert count("def a(form: Callable[[RequestContext], int]) -> RequestContext: ...") == 0
    assert count("class A:\n    def a(self, found: FoundCandidates): ...") == 1
