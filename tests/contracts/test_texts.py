"""The texts of the command line are there in Chinese, complete and up to date."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.catalog import Message

ROOT = Path(__file__).parents[2]
CODE = ROOT / "client/src/sightline_client/cli"
HOW = """
These texts and sightline.po differ. To mend that:
1. .venv/bin/python client/translate.py
   adds new English texts to sightline.po, without a translation, and removes those that are gone;
2. write the missing translations into client/src/sightline_client/cli/locale/zh/LC_MESSAGES/sightline.po;
3. .venv/bin/python client/translate.py
   compiles sightline.mo. Commit both files.
"""  # noqa: E501
SHOWN = {
    "BadParameter": 1,
    "FileRefused": 2,
    "Finding": 2,
    "Text": 1,
    "add_column": 1,
    "grid": 1,
    "meter": 1,
}
"""Calls that show texts, and how many of their arguments are texts."""


@pytest.fixture(scope="module")
def translate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("translate", ROOT / "client/translate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def unmarked(code: str) -> Iterator[str]:
    """Yield texts that a module shows without marking them for translation."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        for each in node.args[: SHOWN.get(name, 0)]:
            for part in each.elts if isinstance(each, ast.Tuple) else [each]:
                if re.search("[a-z]{2}", re.sub(r"--[a-z-]+", "", literal(part))):
                    yield ast.unparse(part)


def marked(code: str) -> Iterator[str]:
    """Yield texts that a module marks for translation by `_`, `later`, `phrase` or `tell`."""
    for node in ast.walk(ast.parse(code)):
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).rpartition(".")[2] in ("_", "later", "phrase", "tell")
            and node.args
        ):
            text = node.args[0]
            if isinstance(text, ast.Constant) and text.value:
                yield text.value


def literal(node: ast.AST) -> str:
    """Return the fixed part of a text."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    texts = [part.value for part in parts if isinstance(part, ast.Constant)]
    return "".join(text for text in texts if isinstance(text, str))


def test_every_text_has_a_translation_and_every_translation_a_text(translate: ModuleType) -> None:
    found = list(translate.problems())
    assert not found, "\n".join(["", *found, HOW])


def test_every_marked_text_is_collected(translate: ModuleType) -> None:
    """None is where the collector does not look, such as within an f-string."""
    known = {text.id for text in translate.texts()}
    for path in sorted(CODE.rglob("*.py")):
        assert not {*marked(path.read_text(encoding="utf-8"))} - known, path


def test_every_text_that_is_shown_is_marked() -> None:
    found = [
        f"{path.relative_to(CODE)}: {text}: write _({text})"
        for path in sorted(CODE.rglob("*.py"))
        for text in unmarked(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('Text("no model")', ["'no model'"]),
        ('Text(f"no model {name}")', ["f'no model {name}'"]),
        ('grid(("model", _("state")))', ["'model'"]),
        ('Text(_("no model"), "dim")', []),
        ('Text(f"{name}: {text}")', []),
        ('Text("FILE_REFUSED")', []),
    ],
)
def test_an_unmarked_text_is_found(code: str, found: list[str]) -> None:
    assert list(unmarked(code)) == found


@pytest.mark.parametrize(
    ("english", "chinese", "kind"),
    [
        ("{count:,} rows", "{count} 行", "placeholders"),
        ("{count:,} rows", "行", "placeholders"),
        ("raise --timeout", "增大", "options"),
        ("see `sightline status`", "见 `sightline stats`", "commands"),
        ("at most 10 MiB", "最多 MiB", "numbers"),
        ("in GATEWAY_KEYS_FILE", "在文件中", "names"),
        ("[bold]Example[/bold]", "示例", "markup"),
    ],
)
def test_a_translation_that_lost_a_part_is_found(
    translate: ModuleType, english: str, chinese: str, kind: str
) -> None:
    assert [each for each, _ in translate.lost(Message(english, chinese))] == [kind]
    assert list(translate.lost(Message(english, english))) == []
