"""Builds bilingual dictionaries for keyword search: `python -m dictionary_build SOURCES OUT`.

SOURCES is what fetch.sh unpacked. OUT gets a file for each language, as RETRIEVER_DICTIONARIES
reads them (retriever.domain.dictionaries), `en.tsv` with the English words, and LICENCES.md. The
files are derived from their sources and under their licenses, not under ours.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dictionary_build.sources import (
    Pairs,
    apertium,
    cedict,
    emojis,
    freedict,
    gcompris,
    read_as_korean,
    reverse,
)
from retriever.domain.dictionaries import LONGEST_PHRASE, LONGEST_RUN, headword_of
from sightline_rules.words import is_unspaced, words_of

MOST_TERMS = 8
"""Terms of a headword."""
LONGEST_TERM = 3
"""Words of a term."""
SKIPPED = re.compile(r"\s*((to|be|see) |CL:|(old |archaic )?variant|surname|abbr)")
"""Verbs, and notes of CC-CEDICT."""
MARKS = re.compile(r"\([^)]*\)|\[[^]]*\]|\{[^}]*\}|<[^>]*>")
SILENT = frozenset(("a", "an", "and", "as", "at", "by", "for", "from", "in", "of", "on", "one"))
SILENT |= {"or", "s", "sb", "sth", "the", "to", "used", "with"}

FREEDICT = "FreeDict (https://freedict.org, GPL-2.0-or-later)"
APERTIUM = "Apertium (https://www.apertium.org, GPL-2.0)"
GCOMPRIS = "GCompris (https://gcompris.net, GPL-3.0-or-later)"
DING = "Ding by Frank Richter (https://www-user.tu-chemnitz.de/~fri/ding/, GPL-3.0-or-later)"
BY_SA = "https://creativecommons.org/licenses/by-sa"
CEDICT = f"CC-CEDICT by MDBG (https://cc-cedict.org, CC BY-SA 4.0: {BY_SA}/4.0/)"
JMDICT = (
    "JMdict, property of the Electronic Dictionary Research and Development Group"
    f" (https://www.edrdg.org/edrdg/licence.html, CC BY-SA 3.0: {BY_SA}/3.0/), by FreeDict"
)
EMOJIS = (
    "names of emojis (https://cldr.unicode.org, Unicode-3.0: https://www.unicode.org/license.txt,"
    " Copyright 1991 and later, Unicode, Inc.)"
)
HANJA = "readings of hanja by Sumin Byeon (https://github.com/suminb/hanja, MIT)"
LICENCES = {
    "de": ("GPL-3.0-or-later", (f"{DING}, by FreeDict", GCOMPRIS, EMOJIS)),
    "es": ("GPL-2.0-only", (FREEDICT, APERTIUM, EMOJIS)),
    "fr": ("GPL-2.0-only", (FREEDICT, APERTIUM, EMOJIS)),
    "it": ("GPL-2.0-only", (FREEDICT, APERTIUM, EMOJIS)),
    "ja": ("CC-BY-SA-4.0", (JMDICT, EMOJIS)),
    "ko": ("CC-BY-SA-4.0", (CEDICT, JMDICT, HANJA, EMOJIS)),
    "zh": ("CC-BY-SA-4.0", (CEDICT, EMOJIS)),
    "en": ("GPL-3.0-only", ("the terms of de.tsv, ja.tsv, ko.tsv and zh.tsv",)),
}
"""By file its licence, which those of all of its sources allow, and these."""
ENGLISH_OF = ("de", "ja", "ko", "zh")
"""Languages whose terms give the English words: CC BY-SA may become GPL-3.0, GPL-2.0 may not."""
CHANGES = (
    "Changes to all sources: headwords are folded and stemmed, terms are cut to three English words"
    " without marks and notes, and entries without such terms are left out."
)
Terms = Mapping[str, Sequence[str]]


def term_of(gloss: str) -> str:
    """Return a gloss as a term; empty if it is not one."""
    if SKIPPED.match(gloss):
        return ""
    words = [word for word in words_of(MARKS.sub(" ", gloss)) if word not in SILENT]
    short = len(words) <= LONGEST_TERM and all(map(str.isascii, words))
    return " ".join(words) if short else ""


def gathered(language: str, *sources: Pairs) -> dict[str, list[str]]:
    """Return the terms of each headword, those of the first source first."""
    found: dict[str, list[str]] = {}
    for word, glosses in (pair for source in sources for pair in source):
        headword = headword_of(MARKS.sub(" ", word), language)
        longest = len(headword) <= LONGEST_RUN or not is_unspaced(headword)
        if not headword or not longest or headword.count(" ") >= LONGEST_PHRASE:
            continue
        terms = found.setdefault(headword, [])
        for term in map(term_of, glosses):
            if term and term not in terms and len(terms) < MOST_TERMS:
                terms.append(term)
    return {headword: terms for headword, terms in found.items() if terms}


def through(pairs: Pairs, language: str, terms: Terms) -> Pairs:
    """Return a dictionary to another language as one to English, by that one's dictionary."""
    for word, others in pairs:
        yield word, [term for it in others for term in terms.get(headword_of(it, language), ())]


def built(pypi: Path, debian: Path) -> Iterator[tuple[str, Terms]]:
    """Yield the terms of each language."""

    def of_both(code: str) -> tuple[Pairs, Pairs]:
        there, back = freedict(debian, f"{code}-eng"), freedict(debian, f"eng-{code}")
        return there, reverse(back)

    def own(language: str, *sources: Pairs) -> dict[str, list[str]]:
        return gathered(language, *sources, emojis(pypi, language))

    japanese = [*freedict(debian, "jpn-eng")]
    there, back = of_both("spa")
    spanish = own("es", there, apertium(debian, "apertium-eng-spa", "spa-eng"), back)
    yield "es", spanish
    french = apertium(debian, "apertium-fr-es", "fr-es")
    yield "fr", own("fr", *of_both("fra"), through(french, "es", spanish))
    italian = apertium(debian, "apertium-spa-ita", "ita-spa")
    yield "it", own("it", *of_both("ita"), through(italian, "es", spanish))
    yield "de", own("de", freedict(debian, "deu-eng"), gcompris(debian, "de"))
    yield "ja", own("ja", japanese)
    yield "zh", own("zh", cedict(pypi))
    read = (read_as_korean(pypi, each) for each in (cedict(pypi), japanese))
    yield "ko", gathered("ko", emojis(pypi, "ko"), *read)


def main(sources: Path, out: Path) -> None:
    """Write the files."""
    out.mkdir(parents=True, exist_ok=True)
    english: dict[str, Sequence[str]] = dict.fromkeys(SILENT, ())
    for language, terms in built(sources / "pypi", sources / "debian"):
        if language in ENGLISH_OF:
            words = (word for some in terms.values() for term in some for word in term.split())
            english |= dict.fromkeys(words, ())
        _write(out, language, terms)
    _write(out, "en", english)
    (out / "LICENCES.md").write_text(licences(), "utf-8")


def licences() -> str:
    """Return what LICENCES.md says: of each file the licence and the sources, and how they were
    changed."""
    files = (
        f"- {name}.tsv: {licence}, from {'; '.join(sources)}\n"
        for name, (licence, sources) in LICENCES.items()
    )
    return f"{CHANGES}\n\n{''.join(files)}"


def _write(out: Path, language: str, terms: Terms) -> None:
    lines = sorted(f"{word}\t{'|'.join(each)}\n".encode() for word, each in terms.items())
    (out / f"{language}.tsv").write_bytes(b"".join(lines))
    print(f"{language}: {len(lines)} headwords")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
