"""No other service knows the optional one of cameras, but the gateway, which forwards its calls."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORWARDING = {
    "admin/status.py": "its state, among those of the other parts",
    "servicer/admin.py": "the call by which its state is asked for",
    "model/causes.py": "its name among the services that the gateway calls",
    "model/errors.py": "how it is started, for callers where it is absent",
    "servicer/passthrough.py": "that it is optional",
    "settings.py": "its address",
}
"""Modules of the gateway that name it, with what for."""
NAMED = re.compile(r"(?i)(^|[^a-z])vision([^a-z]|$)")


def named(path: Path) -> Iterator[str]:
    """Yield what names the service in the code of a module: not in its comments and docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    spoken = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(name)) | ast.Import(names=[ast.alias(name=name)]):
                words = [name]
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                words = [name]
            case ast.Constant(value=str(text)) if id(node) not in spoken:
                words = [text]
            case _:
                continue
        yield from (word for word in words if NAMED.search(word.replace("_", " ")))


def modules(service: str) -> list[Path]:
    found = sorted((ROOT / "services" / service / "src").rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("service", ["embedder", "retriever", "ranker", "all"])
def test_no_other_service_names_it(service: str) -> None:
    assert {path.name: [*named(path)] for path in modules(service) if [*named(path)]} == {}


def test_the_gateway_names_it_where_it_forwards_and_nowhere_else() -> None:
    root = ROOT / "services/gateway/src/gateway"
    found = {str(path.relative_to(root)) for path in modules("gateway") if [*named(path)]}
    assert found == FORWARDING.keys()


def test_it_is_declared_by_no_other_service() -> None:
    for path in sorted(ROOT.glob("services/*/pyproject.toml")):
        if path.parent.name != "vision":
            assert "sightline-vision" not in path.read_text("utf-8"), path
