"""Turns comments of the protos into docstrings of the client."""

import re
import textwrap
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

import grpc

from gateway.http.comments import comments
from sightline_client.errors import BY_CODE

_NAME = re.compile(r"`([^`]+)`")
_QUALIFIED = re.compile(r"\bsightline\.\w+\.v1\.(?=[A-Z])")
_CONSTANT = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
_METHOD = re.compile(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b")
_REQUIRED = re.compile(r" ?\bRequired\.")
_UNSET = re.compile(r"\bUnset\b")
_VERB = re.compile(r"^[A-Z][a-z]+s\b|(?<=\. )Returns\b")
_VERBS = {"Replaces": "Replace", "Classifies": "Classify", "Does": "Do"}
_REASONS = re.compile(r"(?:^|(?<=[.] ))(?=[A-Z]+_[A-Z_]+\b)")
_LIMIT = 100


class Sentences:
    """Sentences about the contract, with names as Python has them."""

    def __init__(self, members: Mapping[str, str], calls: Mapping[str, str]) -> None:
        """``members``: members of enums by the names of their values in the contract. ``calls``:
        functions of the client by the names of methods."""
        self._members = members
        self._calls = calls

    def of(self, name: str, names: Mapping[str, str] | None = None) -> str:
        """Return the comment of an element by its full name, "" without one. ``names``: names of
        fields in Python by those in the contract, where these differ."""
        renamed = names or {}
        text = _NAME.sub(
            lambda found: f"``{renamed.get(found[1], found[1])}``", comments().get(name, "")
        )
        text = _CONSTANT.sub(lambda found: self._members.get(found[0], found[0]), text)
        text = _METHOD.sub(lambda found: self._call(found[0]), text)
        return " ".join(_QUALIFIED.sub("", text).split())

    def _call(self, name: str) -> str:
        return f"``{self._calls[name]}``" if name in self._calls else name

    def field(self, name: str, names: Mapping[str, str], *, optional: bool) -> str:
        """Return the text about a field. ``optional``: it is None where the contract's is unset."""
        text = _REQUIRED.sub("", self.of(name, names)).strip()
        return _UNSET.sub("None", text) if optional else text

    def method(self, names: list[str], renamed: Mapping[str, str]) -> str:
        """Return the text about a call in the imperative: the longest of the methods' comments."""
        text = max((self.of(name, renamed) for name in names), key=len)
        return _REASONS.sub("Fails with ", _VERB.sub(_imperative, text))


def _imperative(found: re.Match[str]) -> str:
    return _VERBS.get(found[0]) or re.sub(r"(?<=sh|ch|ss|ds)es$|s$", "", found[0])


def raises(text: str) -> Mapping[str, str]:
    """Return the errors of the client for the reasons that a text names, by their classes."""
    found: dict[str, dict[str, None]] = {}
    for reason in _CONSTANT.findall(text):
        if kind := _kinds().get(reason):
            found.setdefault(kind, {})[reason] = None
    return {kind: ", ".join(reasons) for kind, reasons in found.items()}


@cache
def _kinds() -> Mapping[str, str]:
    """Return the class of the error with each reason."""
    table = tomllib.loads(resources.files("gateway.http").joinpath("errors.toml").read_text())
    rows = [row for section in table["sections"] for row in section["errors"]]
    return {
        reason: BY_CODE[grpc.StatusCode[codes.split(", ")[0]]].__name__
        for reasons, codes, _ in rows
        for reason in reasons.split(", ")
        if codes
    }


def says_more(text: str, name: str) -> bool:
    """Return whether a text says more than the name of what it describes."""
    words = set(re.findall(r"[a-z0-9]+", text.lower()))
    return bool(words - set(name.lower().split("_")) - {"the", "a", "an", "of", "its"})


def docstring(text: str, indent: int) -> str:
    """Return the lines of a docstring of one paragraph."""
    width = _LIMIT - indent
    lines = _wrap(f'"""{text}', width)
    if len(lines) == 1 and len(lines[0]) + 3 > width:
        lines = _wrap(f'"""{text}', width - 3)
    if len(lines[-1]) + 3 > width or lines[-1].endswith('"'):
        lines.append("")
    return textwrap.indent("\n".join(lines) + '"""', " " * indent).replace("\\", "\\\\")


def entry(name: str, text: str, indent: int) -> str:
    """Return the lines of a parameter in a docstring's list."""
    first, *others = _wrap(f"{name}: {text}", _LIMIT - 4 - indent)
    return textwrap.indent("\n    ".join([first, *others]), " " * indent)


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
