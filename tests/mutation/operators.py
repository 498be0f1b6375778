"""The changes that make mutants: one small fault each, in the tree of a module."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

SWAPPED: Mapping[type[ast.AST], Sequence[type[ast.AST]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitXor: (ast.BitOr,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
}
SHOWN = 120
"""Characters of a change that are shown."""
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


def without_effect(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node that are not mutated: types, decorators, texts, raised errors, and
    `strict`, which only checks that lengths agree."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield from node.decorator_list
            if returns := getattr(node, "returns", None):
                yield returns
        case ast.arg(annotation=ast.expr() as kind) | ast.AnnAssign(annotation=kind):
            yield kind
        case ast.keyword(arg="strict") | ast.Raise() | ast.JoinedStr():
            yield node
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, kind]):
            yield kind


def changes(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:  # noqa: C901 - one case a node
    """Yield nodes with their replacements."""
    match node:
        case ast.Compare(ops=ops):
            for place, op in enumerate(ops):
                for other in SWAPPED[type(op)]:
                    yield node, but(node, ops=[*ops[:place], other(), *ops[place + 1 :]])
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op):
            for other in SWAPPED.get(type(op), ()):
                yield node, but(node, op=other())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield node, operand
        case ast.Constant(value=bool() as flag):
            yield node, ast.Constant(not flag)
        case ast.Constant(value=int() | float() as number):
            yield node, ast.Constant(number + 1)
        case ast.Call(func=ast.Name(id=name)) if name in CALLS:
            yield node, but(node, func=ast.Name(CALLS[name], ast.Load()))
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield value, ast.Constant(None)
        case ast.Expr(value=ast.Call()) | ast.Assign(targets=[ast.Subscript()]):
            yield node, ast.Pass()
        case ast.If(test=test) | ast.IfExp(test=test) | ast.match_case(guard=ast.expr() as test):
            yield from ((test, ast.Constant(value)) for value in (True, False))
        case ast.comprehension(ifs=tests):
            yield from ((test, ast.Constant(True)) for test in tests)


def but(node: Any, **fields: object) -> ast.AST:
    """Return the node with other fields."""
    made: ast.AST = type(node)(**{**dict(ast.iter_fields(node)), **fields})
    return made


@dataclass(frozen=True)
class Mutant:
    """One change to a module."""

    module: str
    file: str
    line: int
    was: str
    now: str


@dataclass(frozen=True)
class Source:
    """A module, and all changes that can be made to it."""

    module: str
    file: Path
    tree: ast.Module
    sites: Sequence[tuple[ast.AST, ast.AST]]

    def mutant(self, number: int) -> Mutant:
        """Return a mutant; a name or number is shown with its context."""
        at, new = self.sites[number]
        was, now = flat(at), flat(new)
        if isinstance(at, ast.Name | ast.Constant):
            around = next(it for it in ast.walk(self.tree) if at in ast.iter_child_nodes(it))
            was, now = flat(around), flat(Replace(at, new).visit(around))
            Replace(new, at).visit(around)
        name = str(self.file.relative_to(ROOT))
        return Mutant(self.module, name, getattr(at, "lineno", 0), was, now)

    def changed(self, number: int) -> ast.Module:
        """Return the tree with one change; it changes the tree itself, so call it in a separate
        process."""
        at, new = self.sites[number]
        ast.copy_location(new, at)
        made: ast.Module = Replace(at, new).visit(self.tree)
        return ast.fix_missing_locations(made)


class Replace(ast.NodeTransformer):
    """Transformer that replaces one node by another."""

    def __init__(self, at: ast.AST, new: ast.AST) -> None:
        self._at, self._new = at, new

    def visit(self, node: ast.AST) -> Any:
        return self._new if node is self._at else self.generic_visit(node)


def flat(node: ast.AST) -> str:
    """Return a node's code in one line, shortened if it is long."""
    text = re.sub(r"\s+", " ", ast.unparse(node)).strip()
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def source_of(module: str) -> Source:
    path = f"src/{module.replace('.', '/')}.py"
    (file,) = [*ROOT.glob(f"services/*/{path}"), *ROOT.glob(f"rules/{path}")]
    tree = ast.parse(file.read_text("utf-8"))
    return Source(module, file, tree, sites_of(tree))


def sites_of(tree: ast.Module) -> Sequence[tuple[ast.AST, ast.AST]]:
    """Return all possible changes in functions."""
    left = {
        id(inner)
        for node in ast.walk(tree)
        for part in without_effect(node)
        for inner in ast.walk(part)
    }
    inside = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for part in node.body
        for inner in ast.walk(part)
    }
    found = [change for node in ast.walk(tree) for change in changes(node)]
    return [(at, new) for at, new in found if id(at) in inside - left]
