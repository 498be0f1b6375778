"""Keep the Chinese catalog of the texts of command and console in step with the English texts.

    .venv/bin/python client/translate.py

Adds texts that are new to sightline.po, without a translation, removes those that are gone, and
compiles sightline.mo. Lists what is left to translate in sightline.po; then run it again.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import typer
import typer.rich_utils
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_file
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

from sightline_client.cli import app, failures, language
from sightline_client.cli.show import (
    evaluation_tables,
    evaluation_words,
    experiments,
    explained,
    listings,
    scenes,
    space_tables,
    tables,
    trained,
    value_tables,
)

CODE = Path(language.__file__).parent
CONSOLE = Path(__file__).parents[1] / "console/src/sightline_console"
HERE = language.LOCALE / language.CHINESE / "LC_MESSAGES"
PO, MO = HERE / "sightline.po", HERE / "sightline.mo"
KEYWORDS: Mapping[str, Any] = {
    "_": None,
    "later": None,
    "filled": None,
    "phrase": None,
    "tell": None,
    "pgettext": ((1, "c"), 2),
}
"""Functions that take a text, and the places of its context and of the text."""
COUNTED = {"counted": (2, 3)}
"""The one that takes a singular and a plural; its context is "number"."""
TABLES: tuple[Mapping[object, str], ...] = (
    failures.FIXES,
    failures.FIXES_BY_CODE,
    tables.PARTS,
    tables.CAUSES,
    tables.SCORE_NOTES,
    tables.QUALITIES,
    explained.CAUSES,
    evaluation_tables.COLUMNS,
    evaluation_words.FIGURES,
    evaluation_words.SLICES,
    evaluation_words.VERDICTS,
    experiments.MEANINGS,
    scenes.FIGURES,
    space_tables.MEANINGS,
    trained.WORDS,
)
"""Tables whose texts are translated where they are shown."""
KEPT = {
    "placeholders": re.compile(r"\{[^{}]*\}"),
    "options": re.compile(r"--[a-z][\w-]*"),
    "commands": re.compile(r"`[^`]+`"),
    "numbers": re.compile(r"\d+(?:[.,]\d+)*"),
    "names": re.compile(r"\b[A-Z]+_[A-Z_]+\b"),
    "markup": re.compile(r"\[/?bold\]"),
}
"""Parts of a text that its translation has too."""


@dataclass(frozen=True)
class EnglishText:
    """A text, or its singular and plural."""

    text: str | tuple[str, str]
    context: str | None = None

    @property
    def id(self) -> str:
        """Return what the catalog finds it by."""
        return self.text if isinstance(self.text, str) else self.text[0]


class _Chinese(Catalog):
    """A catalog to be written, whose header does not change with time and tool."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        return [
            ("Language", language.CHINESE),
            ("Plural-Forms", "nplurals=1; plural=0;"),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
        ]


def texts() -> Mapping[EnglishText, str]:
    """Return each English text with the first command or file that holds it."""
    found: dict[EnglishText, str] = {}
    for text, place in [*_help(), *_marked(), *_tabled(), *_of_typer()]:
        found.setdefault(text, place)
    return found


def _help() -> Iterator[tuple[EnglishText, str]]:
    yield from _described(typer.main.get_command(app), "sightline")


def _described(command: Any, name: str) -> Iterator[tuple[EnglishText, str]]:
    for part in (command, *command.get_params(typer.Context(command))):
        for kind in ("help", "rich_help_panel"):
            for text in language.messages(getattr(part, kind, None) or ""):
                yield EnglishText(text), name
    for below, each in getattr(command, "commands", {}).items():
        yield from _described(each, f"{name} {below}")


def _marked() -> Iterator[tuple[EnglishText, str]]:
    for folder in (CODE, CONSOLE):
        for method, pattern in (("python", "*.py"), ("jinja2", "*.j2")):
            for path in sorted(folder.rglob(pattern)):
                if path.name != "language.py":
                    yield from _read(path, method, str(path.relative_to(folder)))


def _read(path: Path, method: str, place: str) -> Iterator[tuple[EnglishText, str]]:
    for _, text, _, context in extract_from_file(method, path, keywords=KEYWORDS):
        yield EnglishText(text, context), place
    for _, forms, _, _ in extract_from_file(method, path, keywords=COUNTED):
        yield EnglishText(forms, "number"), place


def _tabled() -> Iterator[tuple[EnglishText, str]]:
    for table in TABLES:
        for text in table.values():
            if re.search("[a-z]{2}", text):
                yield EnglishText(text), "tables"
    for made in value_tables.MADE:
        for text in made.texts():
            if re.search("[a-z]{2}", text):
                yield EnglishText(text), "tables"
    for text in listings.labels():
        yield EnglishText(text), "show/listings.py"


def _of_typer() -> Iterator[tuple[EnglishText, str]]:
    for module in (typer.core, typer.rich_utils):
        yield from _read(Path(module.__file__ or ""), "python", "typer")


def catalog() -> Catalog:
    """Read the translations."""
    if not PO.exists():
        return Catalog(language.CHINESE, language.DOMAIN)
    with PO.open("rb") as file:
        return read_po(file, language.CHINESE, language.DOMAIN)


def updated() -> Catalog:
    """Return a catalog of the English texts with their translations."""
    former, made = catalog(), _Chinese(language.CHINESE, language.DOMAIN, fuzzy=False)
    made.header_comment = (
        "# The texts of the command line and the console in Simplified Chinese: see translate.py."
    )
    for text, place in texts().items():
        message = former.get(text.id, text.context)
        translation = message.string if message else None
        made.add(text.text, translation, [(place, 0)], context=text.context)
    return made


def problems() -> Iterator[str]:
    """Yield what is wrong with the translations."""
    known, kept = texts(), catalog()
    for text in known:
        message = kept.get(text.id, text.context)
        if message is None or not _translation(message):
            yield f"no translation: {text.text!r}"
        elif _text(message) != text:
            yield f"other forms: {text.text!r}"
        else:
            for kind, parts in lost(message):
                yield f"other {kind} in the translation of {text.text!r}: {parts}"
    for message in kept:
        if message.id and _text(message) not in known:
            yield f"no English text: {message.id!r}"
    if not MO.exists() or _pairs(_compiled(MO.read_bytes())) != _pairs(kept):
        yield f"{MO.name} is not compiled from {PO.name}"


def _text(message: Message) -> EnglishText:
    text, context = message.id, message.context
    context = context.decode() if isinstance(context, bytes) else context
    return EnglishText(text if isinstance(text, str) else (text[0], text[1]), context)


def _translation(message: Message) -> str:
    return message.string if isinstance(message.string, str) else "".join(message.string)


def lost(message: Message) -> Iterator[tuple[str, str]]:
    """Yield the parts that a text and its translation do not share."""
    english = message.id if isinstance(message.id, str) else message.id[1]
    for kind, pattern in KEPT.items():
        ours, theirs = (set(pattern.findall(each)) for each in (english, _translation(message)))
        if ours != theirs:
            yield kind, ", ".join(sorted(ours ^ theirs))


def _compiled(content: bytes) -> Catalog:
    return read_mo(BytesIO(content))


def _pairs(value: Catalog) -> dict[EnglishText, str]:
    return {
        _text(message): _translation(message)
        for message in value
        if message.id and _translation(message)
    }


def write(made: Catalog) -> None:
    """Write a catalog, as text and compiled."""
    PO.parent.mkdir(parents=True, exist_ok=True)
    with PO.open("wb") as file:
        write_po(file, made, width=100, include_lineno=False)
    with MO.open("wb") as file:
        write_mo(file, made)


if __name__ == "__main__":
    write(updated())
    left = list(problems())
    sys.exit("\n".join([*left, f"{len(left)} to mend in {PO}"]) if left else 0)
