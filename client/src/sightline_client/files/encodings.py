"""The encoding of a text file, found by its bytes: UTF-8, UTF-16, cp1252, GB18030 or Shift-JIS.

A file that is not UTF-8 is decoded in each of the others, and one is believed if its text has the
letters of its languages as people write them and no other one has. The time is linear in the size
of the file, and the memory is bounded, also for a file without line ends.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from sightline_client.files.model import FileRefused

UTF_8 = "utf-8-sig"
ESCAPE = "sightline-escape"
"""Handler of bytes that are not of the encoding: each becomes half a surrogate."""
HINT = "cp1252 is usual in Europe, gb18030 in China, cp932 in Japan"
_CHUNK = 256 * 1024
_MOST = 100_000
"""Most characters that are judged."""
_SURE = 0.9
"""Share of usual characters in the right encoding."""
_MARKS = (
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_RUN = re.compile(r"(?<![^\x00-\x7f])([A-Za-z]?)([^\x00-\x7f]+)([A-Za-z]?)")
_WESTERN = frozenset("äöüÄÖÜßéèêëàâçùûôîïœæáíóúñìòåøãõÉÈÊËÀÂÇÙÛÔÎÏŒÆÁÍÓÚÑÌÒÅØÃÕ")
_CYRILLIC = re.compile("[А-ЯЁ]{3,}|[А-ЯЁ]?[а-яё]{2,}")
_HUNGARIAN, _FRENCH = re.compile("[űŰ]|[őŐ](?!e)"), re.compile("[čČęĘŕŔçÇâÂîÎôÔăĂśůď]")
"""Letters of cp1250 for the bytes of û and õ, and for those of French and Portuguese: è ê à ã œ."""
_ROMANIAN, _PORTUGUESE = re.compile("[ăĂ](?![oeOE])"), re.compile("[őŐçÇ]|[ăĂ][oeOE]")
_SLAVIC = re.compile(r"\b[čČ](?=[aeiou])|(?<=[ae])č")
"""Letters of cp1250 for the bytes of è, where no Western language has one."""
_DOS = frozenset("äöüéèêëàâåçïîìæôòûùáíóúñß")
_SIGNS = frozenset("€£¥§°²³½¼¾«»¿¡®©™–—‘“”„…·•×µªº\u00a0\u00ad")
"""Characters of Western texts that do not stand between two letters."""


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Return bytes as `surrogateescape` does, which fails for those below 0x80: UTF-16 that is cut
    or damaged has such ones."""
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - the file is only read
    wrong = error.object[error.start : error.end]
    return "".join(chr(0xDC80 | each) for each in wrong), error.end


codecs.register_error(ESCAPE, _escaped)


@dataclass(frozen=True, slots=True)
class TextEncoding:
    """An encoding that a file's bytes show."""

    name: str
    decided: bool = True
    """False if the bytes are not UTF-8 and do not show what else they are."""
    damaged: bool = field(default=False, compare=False)
    """It is read as UTF-8, and has bytes that are not."""


def known(name: str) -> str:
    """Return Python's name of an encoding; that of UTF-8 takes a byte order mark. FileRefused for
    an unknown one."""
    try:
        "".encode(name)  # fails for what is no encoding of text, such as zip
        b"id".decode(name, ESCAPE)
        return UTF_8 if codecs.lookup(name).name == "utf-8" else codecs.lookup(name).name
    except (LookupError, UnicodeError, ValueError):
        raise FileRefused(
            f"{name!r} is not a known encoding",
            "name one such as utf-8, cp1252, gb18030 or shift_jis",
        ) from None


def found(path: Path) -> TextEncoding:
    """Return the encoding of a file; UTF-8 if the bytes decide nothing."""
    facts = path.stat()
    return _found(path, facts.st_size, facts.st_mtime_ns, facts.st_ino)


@lru_cache(16)
def _found(path: Path, *_: int) -> TextEncoding:
    head = next(_chunks(path), b"")
    for mark, name in _MARKS:
        if head.startswith(mark):
            return TextEncoding(name)
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) * 8 > len(head) and not min(even, odd):
        return TextEncoding("utf-16-le" if odd else "utf-16-be")
    if _is_utf_8(path):
        return TextEncoding(UTF_8)
    return _of_a_country(path)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _is_utf_8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in _chunks(path):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


@dataclass(slots=True)
class _Candidate:
    """Text of a file in one encoding, as far as it was read."""

    decoder: codecs.IncrementalDecoder
    judge: Callable[[str], tuple[int, int]]
    """Counts the usual characters and the others of a text."""
    least: int = 1
    """Characters without which it is not believed."""
    alive: bool = True
    usual: int = 0
    others: int = 0

    def read(self, chunk: bytes, *, final: bool = False) -> None:
        if not self.alive:
            return
        try:
            text = self.decoder.decode(chunk, final)
        except UnicodeDecodeError:
            self.alive = False
            return
        if not text.isascii() and self.usual + self.others < _MOST:
            usual, others = self.judge(text)
            self.usual += usual
            self.others += others

    @property
    def share(self) -> float:
        """Share of usual characters, 0 to 1."""
        enough = self.alive and self.usual >= self.least
        return self.usual / (self.usual + self.others) if enough else 0.0


def _of_a_country(path: Path) -> TextEncoding:
    """Return the encoding of a file that is not UTF-8 as a whole."""
    damaged = _Candidate(codecs.getincrementaldecoder("utf-8")(ESCAPE), _whole_and_broken)
    others = {
        name: _Candidate(codecs.getincrementaldecoder(name)(), judge, 1 + (judge is not _western))
        for name, judge in _JUDGES.items()
    }
    for chunk in _chunks(path):
        if damaged.usual + damaged.others < _MOST:  # it can't fail, and each wrong byte costs
            damaged.read(chunk)
        for candidate in others.values():
            candidate.read(chunk)
    for candidate in others.values():
        candidate.read(b"", final=True)
    if damaged.usual > damaged.others:
        return TextEncoding(UTF_8, damaged=True)
    sure = [name for name, candidate in others.items() if candidate.share >= _SURE]
    if len(sure) == 1 and sure[0] not in _RIVALS:
        return TextEncoding(sure[0])
    return TextEncoding(UTF_8, decided=False, damaged=True)


def _whole_and_broken(text: str) -> tuple[int, int]:
    """Count the characters of UTF-8 and the bytes that are none."""
    broken = sum("\udc80" <= each <= "\udcff" for each in text)
    return sum(each > "\x7f" for each in text) - broken, broken


def _western(text: str) -> tuple[int, int]:
    usual = others = 0
    for before, run, after in _RUN.findall(text):
        inside = bool(before and after)
        well = len(run) <= 2 and all(
            each in _WESTERN or each == "’" or (not inside and each in _SIGNS) for each in run
        )
        usual, others = usual + well * len(run), others + (not well) * len(run)
    return usual, others


def _cyrillic(text: str) -> tuple[int, int]:
    words = [run for _, run, _ in _RUN.findall(text)]
    usual = sum(len(run) for run in words if len(run) > 2 and _CYRILLIC.fullmatch(run))
    return usual, sum(map(len, words)) - usual


def _central(text: str) -> tuple[int, int]:
    """Judge a text of cp1250 as a whole: whether it has letters of Central Europe where those that
    cp1252 has for their bytes do not stand."""
    runs = [len(run) for _, run, _ in _RUN.findall(text)]
    count = max(2, len(runs))
    if sum(length > 2 for length in runs) * 10 > len(runs):  # of another script
        return 0, count
    hungarian = _HUNGARIAN.search(text) and not _FRENCH.search(text)
    romanian = _ROMANIAN.search(text) and not _PORTUGUESE.search(text)
    return (count, 0) if hungarian or romanian or _SLAVIC.search(text) else (0, count)


def _dos(text: str) -> tuple[int, int]:
    """Count letters of cp850 within words, where cp1252 has signs for their bytes, and others. The
    byte of ß, which is á in cp1252, stands behind a vowel, also at the end of a word."""
    usual = others = 0
    for before, run, after in _RUN.findall(text):
        if before and (after or run.endswith("ß")) and len(run) <= 2:
            at_vowels = f"{before}{run}".lower()
            sharp = run.find("ß")
            well = {*run} <= _DOS and (sharp < 0 or at_vowels[sharp] in "aeiouyäöü")
            usual, others = usual + well * len(run), others + (not well) * len(run)
        elif len(run) > 2:
            others += len(run)
    return usual, others


def _by_lead(
    encoding: str, usual: Callable[[int], bool], rare: Callable[[int], bool]
) -> Callable[[str], tuple[int, int]]:
    """Judge characters by the first byte of each in an encoding; rare ones count as nothing."""

    @lru_cache(30_000)
    def kind(letter: str) -> int:
        try:
            code = letter.encode(encoding)
        except UnicodeEncodeError:
            return 2
        return 2 if len(code) != 2 else 0 if usual(code[0]) else 1 if rare(code[0]) else 2

    @lru_cache(30_000)
    def swallows(letter: str) -> bool:
        """Return whether the second byte is an ASCII letter, as that of a word of another
        encoding."""
        return letter.encode(encoding, "replace")[1:].isalpha()

    def judge(text: str) -> tuple[int, int]:
        counts = [0, 0, 0]
        for before, run, after in _RUN.findall(text):
            alone = len(run) == 1 and bool(before or after) and swallows(run)
            for letter in run:
                counts[2 if alone else kind(letter)] += 1
        return counts[0], counts[2]

    return judge


_JUDGES: Mapping[str, Callable[[str], tuple[int, int]]] = {
    "cp1252": _western,
    "gb18030": _by_lead(
        "gb2312",
        lambda lead: lead in (0xA1, 0xA3) or 0xB0 <= lead <= 0xD7,
        lambda lead: lead > 0xD7,
    ),
    "cp932": _by_lead(
        "cp932", lambda lead: 0x81 <= lead <= 0x83 or 0x88 <= lead <= 0x97, lambda lead: lead > 0x97
    ),
    "cp949": _by_lead("euc_kr", lambda lead: 0xB0 <= lead <= 0xC8, lambda lead: lead < 0xB0),
    "cp1251": _cyrillic,
    "cp1250": _central,
    "cp850": _dos,
}
_RIVALS = frozenset({"cp949", "cp1251", "cp1250", "cp850"})
"""Encodings that are known only to doubt others: Korean and Russian have bytes of Chinese,
Hungarian and files of DOS have bytes of Western letters."""
