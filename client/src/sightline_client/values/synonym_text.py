"""Synonyms as text: a rule a line.

``sneaker, trainer, running shoe`` mean the same; ``vino, vin => wine`` find wine too, but not the
other way round. Empty lines, and what follows a #, are skipped.
"""

from collections.abc import Iterable

from sightline_client.values.synonyms import SynonymRule


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
