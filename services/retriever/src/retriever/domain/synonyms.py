"""Synonyms of a catalog as the record has them, and the words of a query with their synonyms."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice

from retriever.domain.errors import SynonymsInvalid
from servicekit.errors import FieldViolation
from sightline_rules.lexicon import Lexicon, Stem
from sightline_rules.stems import stemmer_of
from sightline_rules.synonyms import (
    NO_SYNONYMS,
    Name,
    SynonymRule,
    Synonyms,
    SynonymUse,
    check_rules,
    read_rules,
)
from sightline_rules.words import MOST_ASKED, typed_words

MOST_FORMS = 16
"""Forms of a word of a query that are searched too."""
MOST_REPORTED = 50
"""Problems of rules that an error names."""

Others = Mapping[str, Sequence[tuple[str, ...]]]
"""By word of a query the terms that it also means; a product has to have all words of a term."""


@dataclass(frozen=True, slots=True)
class StoredSynonyms:
    """The rules of a catalog in the record."""

    rules: tuple[SynonymRule, ...] = ()
    update_micros: int = 0
    """Microseconds since 1970 (UTC); 0: never set."""

    @property
    def etag(self) -> str:
        """Version of the rules: equal rules have the same."""
        return hashlib.sha256(dumped(self.rules).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class AskedWords:
    """Words of a query."""

    words: tuple[str, ...] = ()
    """Folded, without duplicates."""
    others: Others = field(default_factory=dict)
    uses: tuple[tuple[str, SynonymUse], ...] = ()
    """Each part of the query that a rule has, folded, with a term that it also means."""

    @classmethod
    def of(
        cls, text: str, synonyms: Synonyms = NO_SYNONYMS, language_code: str = ""
    ) -> "AskedWords":
        """Read a query. Its words are compared with rules by their stems in a language."""
        typed = typed_words(text)
        words = tuple(dict.fromkeys(typed))[:MOST_ASKED]
        others, uses = dict[str, list[tuple[str, ...]]](), []
        for use in synonyms.uses(typed[:MOST_ASKED], stemmer_of(language_code)):
            part = typed[use.start : use.end]
            uses.append((" ".join(part), use))
            for word in part:
                others.setdefault(word, []).append(use.term)
        return cls(words, others, tuple(uses))

    def with_forms(self, vocabulary: Lexicon, stem: Stem | None) -> "AskedWords":
        """Add to each word the other words of the vocabulary that have its stem, as terms that it
        also means; at most MOST_FORMS a word."""
        others = {word: [*terms] for word, terms in self.others.items()}
        for word in self.words:
            places = chain.from_iterable(range(*each) for each in vocabulary.alike(word, stem))
            forms = (vocabulary.words[place] for place in places)
            found = [(form,) for form in islice(forms, MOST_FORMS) if form != word]
            if found:
                others.setdefault(word, []).extend(found)
        return replace(self, others=others)

    def used(self, held: frozenset[str]) -> tuple[str, str] | None:
        """Return the first part of the query that a product lacks, and the term that it has
        instead, as its rule has it. `held`: the product's words."""
        for typed, use in self.uses:
            if not held.issuperset(typed.split(" ")) and held.issuperset(use.term):
                return typed, use.written
        return None


def checked(rules: Sequence[SynonymRule]) -> tuple[SynonymRule, ...]:
    """Return the rules, without spaces around terms. Raises SynonymsInvalid."""
    _check(rules, "rules[{}]".format)
    return tuple(
        SynonymRule(tuple(map(str.strip, each.terms)), tuple(map(str.strip, each.replacements)))
        for each in rules
    )


def check_text(text: str) -> None:
    """Raise SynonymsInvalid, which names lines, unless a text has valid rules."""
    found = read_rules(text)
    _check([rule for _, rule in found], lambda at: f"line {found[at][0]}", within="toml.")


def rules_of(text: str) -> tuple[SynonymRule, ...]:
    """Return the rules of a text."""
    return tuple(rule for _, rule in read_rules(text))


def _check(rules: Sequence[SynonymRule], name: Name, within: str = "") -> None:
    wrong = list[FieldViolation]()

    def report(place: str, description: str) -> None:
        if len(wrong) < MOST_REPORTED:
            wrong.append(FieldViolation(within + place, description))

    check_rules(rules, report, name)
    if wrong:
        raise SynonymsInvalid(*wrong)


def dumped(rules: Sequence[SynonymRule]) -> str:
    """Return rules as JSON."""
    return json.dumps([[each.terms, each.replacements] for each in rules], ensure_ascii=False)


def loaded(text: str) -> tuple[SynonymRule, ...]:
    """Return the rules of JSON. Raises ValueError, TypeError."""
    rules = [SynonymRule(tuple(terms), tuple(others)) for terms, others in json.loads(text)]
    if not all(
        isinstance(each, str) for rule in rules for each in (*rule.terms, *rule.replacements)
    ):
        raise TypeError("a term is not a text")
    return tuple(rules)
