"""Synonyms of a catalog: words and phrases that mean the same to its shoppers.

A rule without replacements makes its terms equal: each finds what the others find. With
replacements it holds one way: its terms also find what the replacements find. Rules are not
chained: a text is replaced once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from sightline_rules.lexicon import STEMMED, Stem
from sightline_rules.words import typed_words

MOST_RULES: Final = 2_000
MOST_TERMS: Final = 10
"""Terms and replacements of a rule."""
LONGEST_TERM: Final = 64
"""Characters."""
MOST_WORDS: Final = 4
"""Words of a term; scripts without spaces: pairs of characters."""
MOST_USED: Final = 32
"""Terms that are used for a text: the first ones by place in it, then by rule."""
_RESERVED = frozenset(",=>#")
"""Characters that separate terms in files of rules."""

_LOOP = (
    "closes a loop of one-way rules: give terms that mean the same in one rule without replacements"
)

Term = tuple[str, ...]
"""The folded words of a term."""
Report = Callable[[str, str], None]
"""Takes the place of a problem, such as rules[3].terms[0], and its description."""


@dataclass(frozen=True, slots=True)
class SynonymRule:
    """Terms that mean the same, or what they also mean."""

    terms: tuple[str, ...]
    replacements: tuple[str, ...] = ()
    """Empty: the terms mean the same."""

    @property
    def pairs(self) -> Iterator[tuple[str, str]]:
        """Each term with each one that it also means."""
        for place, term in enumerate(self.terms):
            for other in self.replacements or (*self.terms[:place], *self.terms[place + 1 :]):
                yield term, other


@dataclass(frozen=True, slots=True)
class SynonymUse:
    """Words of a text, and a term that they also mean."""

    start: int
    end: int
    """Places of the words, from and before."""
    term: Term
    written: str
    """The term as its rule has it."""


@dataclass(frozen=True, slots=True)
class Synonyms:
    """The rules of a catalog. They are expected to be without problems."""

    rules: tuple[SynonymRule, ...] = ()
    _by_stem: dict[Stem | None, Mapping[Term, Mapping[Term, str]]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def __bool__(self) -> bool:
        """Return whether there are any rules."""
        return bool(self.rules)

    def uses(self, words: Sequence[str], stem: Stem | None = None) -> list[SynonymUse]:
        """Return the terms that parts of a text also mean. `words`: its folded words in order.

        Words are compared by their stems, so that a text may also mean the rule's own form of it.
        """
        if not self.rules:
            return []
        known, found = self._known(stem), list[SynonymUse]()
        stems = [_stemmed(word, stem) for word in words]
        for start in range(len(words)):
            for end in range(start + 1, min(start + MOST_WORDS, len(words)) + 1):
                asked = tuple(words[start:end])
                for term, written in known.get(tuple(stems[start:end]), {}).items():
                    if term != asked:
                        found.append(SynonymUse(start, end, term, written))
        return found[:MOST_USED]

    def _known(self, stem: Stem | None) -> Mapping[Term, Mapping[Term, str]]:
        """Return by stems of a term the terms that it may mean, and its own form."""
        if stem not in self._by_stem:
            found = dict[Term, dict[Term, str]]()
            for term, other in chain.from_iterable(rule.pairs for rule in self.rules):
                words = tuple(typed_words(term))
                means = found.setdefault(tuple(_stemmed(word, stem) for word in words), {})
                means.setdefault(tuple(typed_words(other)), other)
                means.setdefault(words, term)
            self._by_stem[stem] = found
        return self._by_stem[stem]


NO_SYNONYMS: Final = Synonyms()


def check_rules(rules: Sequence[SynonymRule], report: Report) -> None:
    """Report what is wrong with rules."""
    if len(rules) > MOST_RULES:
        report("rules", f"has {len(rules)} entries; at most {MOST_RULES} are allowed")
        return
    valid = True
    known = dict[tuple[frozenset[Term], frozenset[Term]], int]()
    for number, rule in enumerate(rules):
        place, sound = f"rules[{number}]", True
        for where, description in _problems(rule):
            sound = False
            report(f"{place}{where}", description)
        if not sound:
            valid = False
            continue
        same = frozenset(map(_term, rule.terms)), frozenset(map(_term, rule.replacements))
        first = known.setdefault(same, number)
        if first != number:
            report(place, f"says the same as rules[{first}]")
    if valid:
        _report_loops(rules, report)


def _problems(rule: SynonymRule) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a rule alone, by its parts."""
    count = len(rule.terms) + len(rule.replacements)
    if count > MOST_TERMS:
        yield "", f"has {count} terms; at most {MOST_TERMS} are allowed"
        return
    if not rule.terms:
        yield ".terms", "is empty"
    elif count == 1:
        yield ".terms", "has one entry; give at least two, or replacements"
    named = [(f".terms[{at}]", each) for at, each in enumerate(rule.terms)]
    named += [(f".replacements[{at}]", each) for at, each in enumerate(rule.replacements)]
    known = dict[Term, str]()
    for where, text in named:
        if wrong := _wrong(text):
            yield where, wrong
        elif (first := known.setdefault(_term(text), where)) != where:
            yield where, f"has the words of {first[1:]}"


def _wrong(text: str) -> str:
    """Return what is wrong with a term; empty: nothing."""
    if not text.strip():
        return "is empty"
    if len(text) > LONGEST_TERM:
        return f"has {len(text)} characters; at most {LONGEST_TERM} are allowed"
    if not _RESERVED.isdisjoint(text) or not text.isprintable():
        return "must not contain , = > # or control characters"
    count = len(_term(text))
    if not count:
        return "has no letter or digit"
    return f"has {count} words; at most {MOST_WORDS} are allowed" if count > MOST_WORDS else ""


def _report_loops(rules: Sequence[SynonymRule], report: Report) -> None:
    """Report one-way rules that lead from a term back to itself, one of each loop."""
    means = dict[Term, dict[Term, int]]()
    for number, rule in enumerate(rules):
        for text, other in rule.pairs if rule.replacements else ():
            means.setdefault(_term(text), {}).setdefault(_term(other), number)
    open_, done = set[Term](), set[Term]()
    for start in means:
        path = [] if start in done else [(start, iter(means[start].items()))]
        open_.update(term for term, _ in path)
        while path:
            term, left = path[-1]
            step = next(left, None)
            if step is None:
                path.pop()
                open_.discard(term)
                done.add(term)
            elif step[0] in open_:
                report(f"rules[{step[1]}]", _LOOP)
            elif step[0] not in done:
                open_.add(step[0])
                path.append((step[0], iter(means.get(step[0], {}).items())))


def _term(text: str) -> Term:
    return tuple(typed_words(text))


def _stemmed(word: str, stem: Stem | None) -> str:
    return word if stem is None or len(word) < STEMMED else stem(word)
