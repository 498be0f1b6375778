"""Stems of words by language: "wines" and "wine" have one. By Snowball (PyStemmer)."""

from collections.abc import Callable
from functools import cache
from threading import local
from types import MappingProxyType
from typing import Any

import Stemmer

ALGORITHMS = MappingProxyType(
    {
        "ar": "arabic",
        "ca": "catalan",
        "cs": "czech",
        "da": "danish",
        "de": "german",
        "el": "greek",
        "en": "english",
        "eo": "esperanto",
        "es": "spanish",
        "et": "estonian",
        "eu": "basque",
        "fa": "persian",
        "fi": "finnish",
        "fr": "french",
        "ga": "irish",
        "hi": "hindi",
        "hu": "hungarian",
        "hy": "armenian",
        "id": "indonesian",
        "it": "italian",
        "lt": "lithuanian",
        "nb": "norwegian",
        "ne": "nepali",
        "nl": "dutch",
        "nn": "norwegian",
        "no": "norwegian",
        "pl": "polish",
        "pt": "portuguese",
        "ro": "romanian",
        "ru": "russian",
        "sr": "serbian",
        "st": "sesotho",
        "sv": "swedish",
        "ta": "tamil",
        "tr": "turkish",
        "yi": "yiddish",
    }
)
"""Snowball's algorithms by language."""
_made = local()  # a stemmer is not for several threads


def stemmer_of(language_code: str) -> Callable[[str], str] | None:
    """Return the function that stems folded words of a BCP 47 language, always the same one; None
    for a language without an algorithm."""
    name = ALGORITHMS.get(language_code.partition("-")[0].casefold())
    return None if name is None else _stemmer(name)


@cache
def _stemmer(name: str) -> Callable[[str], str]:
    def stem(word: str) -> str:
        made: dict[str, Any] = vars(_made).setdefault("stemmers", {})
        if name not in made:
            made[name] = Stemmer.Stemmer(name)
        found: str = made[name].stemWord(word)
        return found

    return stem
