"""Docstrings of the client's calls name each optional parameter, and none twice."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CALLS = sorted((ROOT / "client/src/sightline_client/api").rglob("[a-z]*.py"))
SHARED = {"timeout"}
"""Parameters of every call, which SightlineClient describes."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def faults(function: Function) -> Iterator[str]:
    text = ast.get_docstring(function) or ""
    arguments = function.args
    optional = [name.arg for name in arguments.kwonlyargs]
    optional += [
        name.arg for name in arguments.args[len(arguments.args) - len(arguments.defaults) :]
    ]
    known = {*optional, *(name.arg for name in arguments.args)}
    if arguments.kwarg is not None:
        optional.append(arguments.kwarg.arg)
        known.add(arguments.kwarg.arg)
    entries = re.findall(
        r"^ {4}\**(\w+): ", text.partition("Args:")[2].partition("Raises:")[0], re.M
    )
    described = Counter([*entries, *re.findall(r'``(\w+)``(?=:| "" =| None =| \d+ =)', text)])
    named = {*described, *re.findall(r"``(\w+)``", text)}
    for name in optional:
        if name not in named | SHARED:
            yield f"{name} is not named"
    for name, count in described.items():
        if count > 1:
            yield f"{name} is described {count} times"
    for name in entries:
        if name not in known:
            yield f"{name} is no parameter"


def functions(source: str) -> Iterator[Function]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node


@pytest.mark.parametrize("path", CALLS, ids=lambda path: path.stem)
def test_a_call_describes_its_optional_parameters_once(path: Path) -> None:
    found = {each.name: list(faults(each)) for each in functions(path.read_text())}
    assert not {name: wrong for name, wrong in found.items() if wrong}


def test_a_leftover_line_and_a_parameter_left_out_are_found() -> None:
    (function,) = functions(
        '''
async def recommend(self, *, text=None, box=None, find_subject=False, timeout=None):
    """Ranked products.

    ``box``: the part of the photos that is meant, None = all of
    them; ``find_subject``: look for it, and say where it is in ``subjects``. ``followed``: whom
    the shopper follows.
    them; ``find_subject``: look for it, and say where it is in ``subjects``.
    """
'''
    )
    assert list(faults(function)) == ["text is not named", "find_subject is described 2 times"]
