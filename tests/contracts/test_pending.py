"""What a write wants stays pending, whatever becomes of a backfill that waits for it too."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.code import nodes

FOLDER = Path(__file__).parents[2] / "services/retriever/src/retriever/record"
_PUTS = re.compile(r"\b(?:put|insert|inserting)\([^()]*\bpending\b")

MAKERS = {
    "statements.want": "of a write, which takes over what a backfill waits for",
    "product_batch.save": "newly sent photos begin anew: the rows are replaced",
    "generations.want": "of a backfill, or of a new generation, which has none",
}
"""Functions of the record that make photos and texts pending, and for whom."""


def test_writes_make_photos_pending_by_one_function() -> None:
    found = {
        f"{path.stem}.{node.name}"
        for path in FOLDER.glob("*.py")
        if "pending" in path.read_text()
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef) and _PUTS.search(ast.unparse(node))
    }
    assert found == MAKERS.keys()
