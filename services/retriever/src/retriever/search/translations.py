"""English words of the catalog that mean the same as a query in another language.

Only words that dictionaries translate into words of products change a query: each part of it that
does becomes one word, the longest part first, which also means these terms. So a query in the
language of the titles stays as it is.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, product

from retriever.domain.dictionaries import (
    LONGEST_PHRASE,
    LONGEST_RUN,
    Dictionaries,
    english_forms,
    keys_of,
    language_of_run,
)
from retriever.domain.synonyms import AskedWords
from sightline_rules.words import MOST_ASKED, asked_words, is_unspaced, runs_of

MOST_TRANSLATED = 128
"""Characters of a text that is translated: in the longest 10 headwords are tried for each."""
MOST_TERMS = 16
"""Terms that a part of a query means."""
MOST_MEANT = 96
"""Words of the terms that a query means, shared out among its parts: a term of 3 for each of
MOST_ASKED. Each costs as much as a word of the query."""
Term = tuple[str, ...]


async def translated(
    asked: AskedWords,
    text: str,
    has: Callable[[str], bool],
    dictionaries: Dictionaries,
    language_code: str,
    *,
    guess: bool = False,
) -> AskedWords:
    """Return the words of a text with the terms that they mean in the catalog; those of a long
    text as they are. In a thread: up to 1,280 headwords are looked up.

    `has`: whether a product has a word. `guess`: whether the code isn't the request's: the language
    is guessed, as without a code.
    """
    if not dictionaries.by_language or len(text) > MOST_TRANSLATED:
        return asked
    meaning = _Meaning(dictionaries, has, guess or not language_code)
    return await asyncio.to_thread(_translated, asked, text, meaning, language_code)


def _translated(
    asked: AskedWords, text: str, meaning: "_Meaning", language_code: str
) -> AskedWords:
    parts = dict[str, list[Term]]()
    for name, terms in (
        part for each in _stretches(text) for part in meaning.parts(each, language_code)
    ):
        parts[name] = parts.get(name) or terms
    names = tuple(parts)[:MOST_ASKED]
    found = {name: parts[name] for name in names if parts[name]}
    if not found:
        return asked
    others = {word: [*asked.others[word]] for word in names if word in asked.others}
    for name, terms in _shared_out(found):
        others.setdefault(name, []).extend(terms)
    return replace(asked, words=names, others=others)


def _shared_out(found: Mapping[str, Sequence[Term]]) -> Iterator[tuple[str, list[Term]]]:
    """Yield the first terms of each part, of as many words as each may have."""
    most = MOST_MEANT // len(found)
    for name, terms in found.items():
        words = list(accumulate(map(len, terms)))
        yield name, [term for term, count in zip(terms, words, strict=True) if count <= most]


def _stretches(text: str) -> Iterator[list[str]]:
    """Yield the words of a text in their order: each run of a script without spaces by itself, and
    those between together."""
    spaced = list[str]()
    for run in runs_of(text):
        if is_unspaced(run):
            if spaced:
                yield spaced
            yield [run]
            spaced = []
        else:
            spaced.append(run)
    if spaced:
        yield spaced


@dataclass(frozen=True, slots=True)
class _Meaning:
    """Looks words up in dictionaries, for terms that products of a catalog have."""

    dictionaries: Dictionaries
    has: Callable[[str], bool]
    guess: bool

    def parts(self, words: Sequence[str], language_code: str) -> Iterator[tuple[str, list[Term]]]:
        """Yield the parts of a stretch, and the terms that each means; none for a part that is
        searched as it is."""
        if is_unspaced(words[0]):
            return self._of_run(words[0], language_code)
        if not self.guess:
            languages = self.dictionaries.said(language_code)
        else:
            languages = () if all(map(self.has, words)) else self.dictionaries.guessed(words)
        return self._of_words(words, languages)

    def _of_words(
        self, words: Sequence[str], languages: Sequence[str]
    ) -> Iterator[tuple[str, list[Term]]]:
        keys = [(language, keys_of(words, language)) for language in languages]
        start = 0
        while start < len(words):
            for end in range(min(start + LONGEST_PHRASE, len(words)), start, -1):
                terms = self._terms((name, " ".join(each[start:end])) for name, each in keys)
                if terms or end == start + 1:
                    break
            part = words[start:end]
            if len(part) > 1 and all(map(self.has, part)):
                terms = [tuple(part), *terms]
            yield " ".join(part), terms
            start = end

    def _of_run(self, run: str, language_code: str) -> Iterator[tuple[str, list[Term]]]:
        """Yield the parts of a run, and its words that products have. A single character counts
        only where it is no part of a longer headword: 手 of 手表 is not a hand."""
        pieces = asked_words(run)
        language = language_of_run(run)
        if language == "zh" and language_code.startswith("ja"):
            language = "ja"
        dictionary = self.dictionaries.by_language.get(language)
        held = [*filter(self.has, pieces)]
        if dictionary is None or len(held) == len(pieces):
            yield from ((piece, []) for piece in pieces)
            return
        yield from ((piece, []) for piece in held)
        start = known = 0
        while start < len(run):
            terms = list[Term]()
            for end in range(min(start + LONGEST_RUN, len(run)), start, -1):
                part = run[start:end]
                if len(part) == 1 and len(run) > 1 and (start < known or not _is_han(part)):
                    break
                terms = self._terms([(language, part)])
                if terms:
                    break
                if len(part) > 1 and part in dictionary:
                    known = max(known, end)
            end = end if terms else start + 1
            yield run[start:end], terms
            start = end

    def _terms(self, headwords: Iterable[tuple[str, str]]) -> list[Term]:
        """Return the terms of headwords that products have, at most MOST_TERMS."""
        found = (
            there
            for language, headword in headwords
            for term in self.dictionaries.by_language[language].terms(headword)
            for there in self._there(term)
        )
        terms = dict[Term, None]()
        for term in found:
            terms[term] = None
            if len(terms) == MOST_TERMS:
                break
        return [*terms]

    def _there(self, term: Term) -> Iterator[Term]:
        """Yield the forms of a term of which products have all words."""
        forms = [[form for form in english_forms(word) if self.has(form)] for word in term]
        yield from product(*forms)
        if len(term) > 1:
            yield from ((form,) for form in english_forms("".join(term)) if self.has(form))


def _is_han(letter: str) -> bool:
    return language_of_run(letter) == "zh"
