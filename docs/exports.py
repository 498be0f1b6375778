"""The reference page of the exports that imports read, from the tables of their columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sightline_client.files.conversion import Shape
from sightline_client.files.export_headers import LANGUAGES
from sightline_client.files.shapes import EVENTS, PRODUCTS

INTRODUCTION = """\
`sightline products import` and `sightline events import` recognize these exports by their columns.
Each documented column is read, or ignored for a reason; an import names columns that are in
neither table. `{n}` stands for a number, `{…}` for any text. `--shape none` with `--map` reads a
file otherwise."""


def page() -> str:
    """Return the page."""
    parts = [INTRODUCTION, *_shapes("Products", PRODUCTS), *_shapes("Events", EVENTS)]
    return "\n\n".join(parts)


def _shapes(title: str, shapes: Mapping[str, Shape]) -> Iterator[str]:
    yield f"## {title}"
    for shape in shapes.values():
        yield f"### {shape.of}"
        yield f"`--shape {shape.name}`. Recognized by {_names(sorted(shape.marks))}."
        if shape.name in LANGUAGES:
            yield f"Headers in {LANGUAGES[shape.name]} are read like English ones."
        rows = [("Column", "Becomes"), ("---", "---")]
        rows += [(f"`{name}`", ours) for name, ours in shape.columns.read.items()]
        yield "\n".join(f"| {name} | {ours} |" for name, ours in rows)
        reasons: dict[str, list[str]] = {}
        for name, why in shape.columns.ignored.items():
            reasons.setdefault(why, []).append(name)
        rows = [("Not read", "Because"), ("---", "---")]
        rows += [(_names(names), why) for why, names in reasons.items()]
        yield "\n".join(f"| {names} | {why} |" for names, why in rows)


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
