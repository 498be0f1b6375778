"""Writes _generated from api and client.py: the same calls and docstrings, without await.

    .venv/bin/python client/generate_sync.py

A test compares the generated files with their sources.
"""

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PACKAGE = Path(__file__).parent / "src/sightline_client"
TARGET = PACKAGE / "_generated"
SOURCES = {
    path.stem: path for path in sorted((PACKAGE / "api").rglob("[a-z]*.py")) if path.stem != "base"
}

BASE = '''"""Base of the synchronous client's calls.

Made from api by generate_sync.py: change that and run it.
"""

from sightline_client.client import SightlineClient
from sightline_client.transport.looping import Loop


class SyncConnected:
    """Calls that block until they are answered."""

    _loop: Loop
    _client: SightlineClient
'''

SUBJECT = '''"""{doc}

Made by generate_sync.py from
{source}: change that one and run it.
"""

{imports}
from sightline_client._generated.base import SyncConnected
from sightline_client.transport.looping import SyncBatches


class {name}(SyncConnected):
    """{doc}"""
'''

RAISES = frozenset({"write_events"})
"""Calls whose collections raise ItemsRejected: programs that send events seldom read a report."""

CLIENT = '''"""The client of Sightline's public API for programs without asyncio.

Made from client.py by generate_sync.py: change that one and run it.
"""

{imports}
{subjects}
from sightline_client.client import SightlineClient
from sightline_client.transport.looping import Loop


class SyncSightlineClient({bases}):
    """``SightlineClient`` for programs without asyncio: the same calls, which block.
    May be used from several threads. Use it as a context manager::

        with SyncSightlineClient("127.0.0.1:8600") as client:
            answer = client.recommend(image=Path("shelf.jpg"), page_size=5)

    It runs the asynchronous client in a thread of its own.
    """
'''

FIXED = '''
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and cancel calls in flight."""
        self._loop.close(self._client.close)
'''


def generate() -> Mapping[str, str]:
    """Return the text of each file of _generated, by its name."""
    files = {subject: _subject(path) for subject, path in SOURCES.items()}
    files |= {"base": BASE, "sync_client": _client()}
    return {f"{name}.py": _formatted(text) for name, text in files.items()}


def _subject(path: Path) -> str:
    tree, made = _read(path)
    source = path.relative_to(PACKAGE)
    module = ".".join(("sightline_client", *source.with_suffix("").parts))
    body = "\n".join(
        _method(node)
        for node in made.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    head = SUBJECT.format(
        doc=(ast.get_docstring(tree) or "").partition("\n")[0],
        source=source,
        name=f"Sync{made.name}",
        imports=_imports(tree, body, module),
    )
    return head + body


def _client() -> str:
    tree, made = _read(PACKAGE / "client.py")
    bases = [ast.unparse(base) for base in made.bases]
    constructor = next(node for node in made.body if isinstance(node, ast.FunctionDef))
    body = _constructor(constructor) + FIXED
    subjects = [
        f"from sightline_client._generated.{node.module.rpartition('.')[2]} import Sync{name.name}"
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for name in node.names
        if name.name in bases
    ]
    head = CLIENT.format(
        imports=_imports(tree, body, "sightline_client.client"),
        subjects="\n".join(subjects),
        bases=", ".join(f"Sync{base}" for base in bases),
    )
    return head + body


def _read(path: Path) -> tuple[ast.Module, ast.ClassDef]:
    """Parse a module. Return it and its last class, which is the one to be made synchronous."""
    tree = ast.parse(path.read_text())
    return tree, [node for node in tree.body if isinstance(node, ast.ClassDef)][-1]


def _imports(tree: ast.Module, body: str, module: str) -> str:
    """Return the source's imports, and imports of its own classes, that the signatures need."""
    lines = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom | ast.Import):
            kept = [name for name in node.names if _used(name.asname or name.name, body)]
            if kept:
                node.names = kept
                lines.append(ast.unparse(node))
        elif isinstance(node, ast.ClassDef) and _used(node.name, body):
            lines.append(f"from {module} import {node.name}")
    lines.append("from collections.abc import Iterator, AsyncIterable, Iterable")
    return "\n".join(dict.fromkeys(lines))


def _used(name: str, body: str) -> bool:
    names = {
        node.id for node in ast.walk(ast.parse(f"class C:\n{body}")) if isinstance(node, ast.Name)
    }
    return name in names and name not in {"Iterable", "AsyncIterable", "AsyncIterator", "Batches"}


def _constructor(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    call = ", ".join(_passed(node.args, given={"target"}))
    return _shell(node) + (
        f"\n        self._loop = Loop()"
        f"\n        self._client = self._loop.make(lambda: SightlineClient({call}))\n"
    )


def _method(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    call = f"self._client.{node.name}({', '.join(_passed(node.args))})"
    returns = ast.unparse(node.returns) if node.returns else ""
    if returns.startswith("Batches["):
        (items,) = (
            each.arg
            for each in node.args.args
            if each.annotation is not None and "Iterable" in ast.unparse(each.annotation)
        )
        raises = ", raises=True" if node.name in RAISES else ""
        body = f"return SyncBatches(self._loop, lambda: {call}, {items}{raises})"
    elif returns.startswith("AsyncIterator["):
        body = f"return self._loop.iterate({call})"
    else:
        body = f"return self._loop.run({call})"
    return f"{_shell(node)}\n        {body}\n"


def _shell(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return a function's signature and docstring."""
    returns = ast.unparse(node.returns) if node.returns else "None"
    returns = returns.replace("AsyncIterator[", "Iterator[").replace("Batches[", "SyncBatches[")
    arguments = ast.unparse(node.args)
    doc = ast.get_docstring(node, clean=False) or ""
    # Describe blocking calls: report() instead of await, for instead of async for.
    rejected = "; ItemsRejected when some of it was rejected" if node.name in RAISES else ""
    doc = doc.replace(
        "``await`` it for a report, or ``async for`` it",
        f"A collection is sent when this is called{rejected}.\n\n        ``report()`` gives a"
        " report; ``for`` gives",
    )
    doc = doc.replace("gives for each batch", "gives each batch")
    return f'    def {node.name}({arguments}) -> {returns}:\n        """{doc}"""'


def _passed(arguments: ast.arguments, given: set[str] | None = None) -> list[str]:
    given = given or set()
    positional = [name.arg for name in arguments.args if name.arg != "self"]
    keyword = [f"{name.arg}={name.arg}" for name in arguments.kwonlyargs]
    rest = [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    return positional + keyword + rest


def _formatted(text: str) -> str:
    for command in (["check", "--fix", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
        text = subprocess.run(
            [
                str(Path(sys.executable).with_name("ruff")),
                *command,
                "--stdin-filename",
                str(TARGET / "sync_client.py"),
                "-",
            ],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return text


if __name__ == "__main__":
    for name, text in generate().items():
        (TARGET / name).write_text(text)
