"""Synonyms of a catalog, as plain values and as text: a rule a line.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from dataclasses import dataclass
from datetime import datetime

from sightline_client.values.methods import SynonymRuleMethods


@dataclass(frozen=True, slots=True)
class SynonymRule(SynonymRuleMethods):
    """A rule: terms that mean the same, or what terms also mean. A term has 1 to 64 characters and
    1 to 4 words, and contains no comma, =, > or #. Letters are compared without case and accents.
    """

    terms: tuple[str, ...]
    """Without replacements: 2 to 10 terms that mean the same. With replacements: at least one term
    that also means them."""
    replacements: tuple[str, ...] = ()
    """Terms that ``terms`` also mean, but not the other way round. Terms and replacements are at
    most 10 together. Rules with replacements must not lead from a term back to itself."""


@dataclass(frozen=True, slots=True)
class Synonyms:
    """The synonyms of a catalog."""

    rules: tuple[SynonymRule, ...]
    """0 to 2,000 rules. A rule says something that no other rule says."""
    etag: str
    """Version of the rules."""
    update_time: datetime | None
    """When they were set (UTC). None if they never were."""
