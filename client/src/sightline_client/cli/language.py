"""The language of the texts of the command and of the console: English or Chinese.

The environment chooses that of the command, and ``speaking`` that of a page. The English texts
stand in the code, and are the ids of the catalog in ``locale``, which ``client/translate.py`` keeps
in step. Without a Chinese locale no catalog is read.
"""

import gettext
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

DOMAIN = "sightline"
LOCALE = Path(__file__).parent / "locale"
CHINESE = "zh"
_SIMPLIFIED = re.compile(r"zh([-_](cn|sg|hans([-_]\w+)?))?([.@].*)?", re.IGNORECASE)
_ENGLISH = re.compile(r"(en|c|posix)([-_.@].*)?", re.IGNORECASE)
_WEIGHT = re.compile(r"q=([01](?:\.\d{0,3})?)")
_MOST_ACCEPTED = 20
"""Languages of a header that are read."""
_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE")
_for_programs = ContextVar("for_programs", default=False)
_spoken: ContextVar[str | None] = ContextVar("spoken", default=None)
_filled: dict[str, tuple[str, dict[str, object]]] = {}
"""Texts with their values → the texts without, and the values."""


def _(message: str, of: object = None, /, **values: object) -> str:
    """Translate a text, and replace its placeholders (those of ``str.format``) by values, and those
    without one by the fields of their names of ``of``."""
    catalog = _catalog() if message else None
    text = message if catalog is None else catalog.gettext(message)
    if of is not None:
        return text.format_map(_OrFields(values, of))
    return text.format(**values) if values else text


class _OrFields(dict[str, object]):
    """Values by name; other names are fields of an object."""

    def __init__(self, values: Mapping[str, object], of: object) -> None:
        super().__init__(values)
        self._of = of

    def __missing__(self, name: str) -> object:
        return getattr(self._of, name)


def npgettext(context: str, one: str, many: str, number: int) -> str:
    """Translate a text that depends on a number."""
    catalog = _catalog()
    if catalog is None:
        return one if number == 1 else many
    return catalog.npgettext(context, one, many, number)


def pgettext(context: str, message: str) -> str:
    """Translate a text that has another translation elsewhere."""
    catalog = _catalog()
    return message if catalog is None else catalog.pgettext(context, message)


def later(message: str) -> str:
    """Mark a text for translation where it is shown. Return it unchanged."""
    return message


def filled(message: str, **values: object) -> str:
    """Return a help text with values, which ``described`` translates without them."""
    text = message.format(**values)
    _filled[text] = message, values
    return text


def messages(text: str) -> list[str]:
    """Return the parts of a help text that are translated: a text with placeholders, or each
    paragraph. Indented paragraphs are commands and stay."""
    if text in _filled:
        return [_filled[text][0]]
    return [each for each in text.split("\n\n") if _is_prose(each)]


def described(text: str) -> str:
    """Translate a help text."""
    if text in _filled:
        message, values = _filled[text]
        return _(message, **values)
    return "\n\n".join(_(each) if _is_prose(each) else each for each in text.split("\n\n"))


def _is_prose(paragraph: str) -> bool:
    return bool(paragraph.strip()) and not paragraph.startswith(" ")


def translated() -> bool:
    """Return whether texts are shown in another language than English."""
    return _catalog() is not None


@contextmanager
def english(*, wanted: bool = True) -> Iterator[None]:
    """Leave texts in English within the block, if ``wanted``: in output that programs read."""
    token = _for_programs.set(wanted or _for_programs.get())
    try:
        yield
    finally:
        _for_programs.reset(token)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Show texts in this language within the block: "zh" or "en"."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def preferred(accepted: str) -> str:
    """Return the language for a header Accept-Language: "zh" or "en"."""
    weighed: list[tuple[float, int, str]] = []
    for place, item in enumerate(accepted.split(",")[:_MOST_ACCEPTED]):
        name, _semicolon, weight = item.partition(";")
        found = _WEIGHT.fullmatch(weight.strip())
        weighed.append((-float(found[1]) if found else -1.0, place, name.strip()))
    for _weight, _place, name in sorted(weighed):
        if _SIMPLIFIED.fullmatch(name):
            return CHINESE
        if _ENGLISH.fullmatch(name):
            return "en"
    return "en"


def for_programs() -> bool:
    """Return whether a program reads the output, as with --json."""
    return _for_programs.get()


def install() -> None:
    """Translate the texts of Typer too, which asks gettext for the program's domain."""
    if translated():
        gettext.bindtextdomain(DOMAIN, LOCALE)
        gettext.textdomain(DOMAIN)


def chosen(all_: str, messages: str, lang: str, languages: str) -> str:
    """Return the language for the values of LC_ALL, LC_MESSAGES, LANG and LANGUAGE: "zh" or "en".

    As in gettext, the first three name the locale, and the languages of LANGUAGE, separated by
    colons, precede it unless it is C.
    """
    locale = all_ or messages or lang or "C"
    if re.fullmatch(r"(C|POSIX)([.@].*)?", locale):
        return "en"
    for name in (languages or locale).split(":"):
        if _SIMPLIFIED.fullmatch(name):
            return CHINESE
        if _ENGLISH.fullmatch(name):
            return "en"
    return "en"


def _catalog() -> gettext.NullTranslations | None:
    if _for_programs.get():
        return None
    if (spoken := _spoken.get()) is not None:
        return _read(spoken, "", "", "")
    return _read(*(os.environ.get(name, "") for name in _VARIABLES))


@cache
def _read(all_: str, messages: str, lang: str, languages: str) -> gettext.NullTranslations | None:
    """Return the catalog for an environment; None = English."""
    if chosen(all_, messages, lang, languages) != CHINESE:
        return None
    return gettext.translation(DOMAIN, LOCALE, [CHINESE])
