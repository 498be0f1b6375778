"""Synonyms of a catalog: words and phrases that mean the same to its shoppers.

A rule without replacements makes its terms equal: each finds what the others find. With
replacements it holds one way: its terms also find what the replacements find. Rules are not
chained: a text is replaced once.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
_RULES_READ, _TERMS_READ = 10 * MOST_RULES, 100 * MOST_TERMS
"""Rules of a text, and terms on one side of a line, that are read at most."""
_RESERVED = frozenset(",=>#")
"""Characters that separate terms in files of rules."""

_LOOP = (
    "closes a loop of one-way rules: give terms that mean the same in one rule without replacements"
)

Term = tuple[str, ...]
"""The folded words of a term."""
Report = Callable[[str, str], None]
"""Takes the place of a problem, such as rules[3].terms[0], and its description."""
Name = Callable[[int], str]
"""Returns the name of the rule of an index."""


@dataclass(frozen=True, slots=True)
class SynonymRule:
    """Terms that mean the same, or what they also mean."""

    terms: tuple[str, ...]
    replacements: tuple[str, ...] = ()
    """Empty: the terms mean the same."""


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
    digest: str = field(init=False, compare=False, repr=False)
    """Equal for equal rules, in all processes. Empty: no rules."""
    _words: Mapping[str, Term] = field(init=False, compare=False, repr=False)
    """The words of each term."""
    _by_stem: dict[Stem | None, Mapping[Term, Sequence[tuple[int, str]]]] = field(
        init=False, compare=False, repr=False
    )
    """By language, the rules that have a term, by the stems of its words, and the term."""

    def __post_init__(self) -> None:
        """Read the words of the terms: 20,000 in a tenth of a second."""
        digest = hashlib.sha256(repr(self.rules).encode()).hexdigest()[:16] if self.rules else ""
        object.__setattr__(self, "digest", digest)
        texts = chain.from_iterable((*rule.terms, *rule.replacements) for rule in self.rules)
        object.__setattr__(self, "_words", {text: _term(text) for text in texts})
        object.__setattr__(self, "_by_stem", {})

    def __bool__(self) -> bool:
        """Return whether there are any rules."""
        return bool(self.rules)

    def uses(self, words: Sequence[str], stem: Stem | None = None) -> list[SynonymUse]:
        """Return the terms that parts of a text also mean. `words`: its folded words in order.

        Words are compared by their stems, so that a text may also mean the rule's own form of it.
        """
        if not self.rules:
            return []
        known, found = self._known(stem), dict[tuple[int, int, Term], SynonymUse]()
        stems = [_stemmed(word, stem) for word in words]
        for start in range(len(words)):
            for end in range(start + 1, min(start + MOST_WORDS, len(words)) + 1):
                asked = tuple(words[start:end])
                for number, own in known.get(tuple(stems[start:end]), ()):
                    rule = self.rules[number]
                    for text in (own, *(rule.replacements or rule.terms)):
                        term = self._words[text]
                        if term != asked:
                            use = SynonymUse(start, end, term, text)
                            found.setdefault((start, end, term), use)
                if len(found) >= MOST_USED:
                    return list(found.values())[:MOST_USED]
        return list(found.values())

    def _known(self, stem: Stem | None) -> Mapping[Term, Sequence[tuple[int, str]]]:
        if stem not in self._by_stem:
            found = dict[Term, list[tuple[int, str]]]()
            for number, rule in enumerate(self.rules):
                for text in rule.terms:
                    key = tuple(_stemmed(word, stem) for word in self._words[text])
                    found.setdefault(key, []).append((number, text))
            self._by_stem[stem] = found
        return self._by_stem[stem]


NO_SYNONYMS: Final = Synonyms()


def read_rules(text: str) -> list[tuple[int, SynonymRule]]:
    """Return the rules of a text, each with the number of its line, from 1: `sneaker, trainer` mean
    the same; `vino => wine` is one way. Empty lines, and what follows a #, are skipped. A text with
    far too many rules or terms is not read to its end."""
    found = list[tuple[int, SynonymRule]]()
    for number, line in enumerate(_lines(text), 1):
        if len(found) == _RULES_READ:
            break
        terms, arrow, others = line.partition("#")[0].partition("=>")
        if terms.strip() or arrow:
            found.append((number, SynonymRule(_listed(terms), _listed(others) if arrow else ())))
    return found


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a text. Together, millions of short ones are a hundred times as large."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",", _TERMS_READ))


def rules_text(rules: Iterable[SynonymRule]) -> str:
    """Return the text of valid rules."""
    parts = (filter(None, (each.terms, each.replacements)) for each in rules)
    return "".join(" => ".join(map(", ".join, each)) + "\n" for each in parts)


def check_rules(
    rules: Sequence[SynonymRule], report: Report, name: Name = "rules[{}]".format
) -> None:
    """Report what is wrong with rules."""
    if len(rules) > MOST_RULES:
        report("rules", f"has {len(rules)} entries; at most {MOST_RULES} are allowed")
        return
    valid = True
    known = dict[tuple[frozenset[Term], frozenset[Term]], int]()
    for number, rule in enumerate(rules):
        place, sound = name(number), True
        for where, description in _problems(rule):
            sound = False
            report(f"{place}{where}", description)
        if not sound:
            valid = False
            continue
        same = frozenset(map(_term, rule.terms)), frozenset(map(_term, rule.replacements))
        first = known.setdefault(same, number)
        if first != number:
            report(place, f"says the same as {name(first)}")
    if valid:
        _report_loops(rules, report, name)


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


def _report_loops(rules: Sequence[SynonymRule], report: Report, name: Name) -> None:
    """Report one-way rules that lead from a term back to itself, one of each loop."""
    means = dict[Term, dict[Term, int]]()
    for number, rule in enumerate(rules):
        others = tuple(map(_term, rule.replacements))
        for term in map(_term, rule.terms) if others else ():
            for other in others:
                means.setdefault(term, {}).setdefault(other, number)
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
                report(name(step[1]), _LOOP)
            elif step[0] not in done:
                open_.add(step[0])
                path.append((step[0], iter(means.get(step[0], {}).items())))


def _term(text: str) -> Term:
    return tuple(typed_words(text))


def _stemmed(word: str, stem: Stem | None) -> str:
    return word if stem is None or len(word) < STEMMED else stem(word)
