"""Synonyms of a catalog, as plain values and as text: a rule a line.

``sneaker, trainer, running shoe`` mean the same; ``vino, vin => wine`` find wine too, but not the
other way round. Empty lines, and what follows a #, are skipped.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SynonymRule:
    """Terms that mean the same, or what they also mean."""

    terms: tuple[str, ...]
    replacements: tuple[str, ...] = ()
    """Empty: the terms mean the same."""

    def __str__(self) -> str:
        """Return the rule as a line of text."""
        terms = ", ".join(self.terms)
        return f"{terms} => {', '.join(self.replacements)}" if self.replacements else terms


@dataclass(frozen=True, slots=True)
class Synonyms:
    """The rules of a catalog."""

    rules: tuple[SynonymRule, ...]
    etag: str
    update_time: datetime | None
    """None: they were never set."""


def synonym_rules(lines: Iterable[str]) -> list[tuple[int, SynonymRule]]:
    """Return the rules of a text's lines, each with the number of its line, from 1."""
    found = []
    for number, line in enumerate(lines, 1):
        terms, arrow, others = line.partition("#")[0].partition("=>")
        if terms.strip() or arrow:
            replacements = _terms(others) if arrow else ()
            found.append((number, SynonymRule(_terms(terms), replacements)))
    return found


def _terms(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(","))
