"""Category paths: from the root down, written with " > " between their levels."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

SEPARATOR = " > "
MAX_LEVELS = 8
MAX_LEVEL_CHARACTERS = 128


class CategoryInvalidError(ValueError):
    """A category path that breaks the rules; the message says which one."""


def check_path(levels: Sequence[str]) -> tuple[str, ...]:
    """Return the levels if they are a path: at most 8, each 1 to 128 characters, without '>'.

    Raises CategoryInvalidError.
    """
    if len(levels) > MAX_LEVELS:
        raise CategoryInvalidError(f"has {len(levels)} levels; at most {MAX_LEVELS} are allowed")
    for level in levels:
        if not level.strip() or len(level) > MAX_LEVEL_CHARACTERS:
            raise CategoryInvalidError(f"each level has 1 to {MAX_LEVEL_CHARACTERS} characters")
        if ">" in level:
            raise CategoryInvalidError("a level must not contain '>', which separates levels")
        if level != level.strip() or (
            not level.isprintable() and any(unicodedata.category(char) == "Cc" for char in level)
        ):
            raise CategoryInvalidError(
                "a level must not begin or end with a space or contain control characters"
            )
    return tuple(levels)


def join(levels: Sequence[str]) -> str:
    """Join levels to a path: ("Wine", "Red") → "Wine > Red"; no levels → ""."""
    return SEPARATOR.join(levels)


def split(path: str) -> tuple[str, ...]:
    """Split a path into its levels; the inverse of join."""
    return tuple(path.split(SEPARATOR)) if path else ()


def ancestors(path: str) -> tuple[str, ...]:
    """Return a path and its ancestors, root first: "Wine > Red" → ("Wine", "Wine > Red"); "" →
    ()."""
    levels = split(path)
    return tuple(join(levels[: depth + 1]) for depth in range(len(levels)))


def child(path: str, category: str) -> str:
    """Return the category directly below `category` on a path, the topmost one below ""; "" if the
    path is not below it: ("Wine > Red > Merlot", "Wine") → "Wine > Red"."""
    if category and not is_within(path, category):
        return ""
    levels, depth = split(path), len(split(category)) + 1
    return join(levels[:depth]) if len(levels) >= depth else ""


def is_within(path: str, category: str) -> bool:
    """Return whether `path` is `category` or below it."""
    return path == category or path.startswith(category + SEPARATOR)
