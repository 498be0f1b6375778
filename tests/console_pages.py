"""Screens of the console, of which tables of its tests have a row each, and forms of its pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

from sightline_console.screens.application import SCREENS as ROUTES

SCREENS: Mapping[str, Sequence[str]] = {
    "Try it": ("/",),
    "Why": ("/why",),
    "Shelf": ("/shelf", "/shelf/compare"),
    "Synonyms": ("/synonyms",),
    "Import": ("/import", "/import/undecided", "/import/{task_id}", "/import/{task_id}/rejected"),
    "Results": ("/results",),
    "Shopper": ("/shopper",),
    "Models": ("/models", "/models/compare", "/models/change"),
    "Health": ("/health",),
    "Catalogs": ("/catalogs",),
}
"""Screen → its paths."""
AROUND = (
    *("/sign-in", "/sign-in/provider", "/sign-in/callback", "/sign-in/finish"),
    *("/sign-out", "/language", "/photos/{image_id}", "/kept/{kind}/{file_id}"),
)
"""Paths that belong to no screen."""
_ADDRESSES = ("href", "src", "action", "formaction", "hx-get", "hx-post")
_SCHEME = re.compile(r"\s*[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_TYPED = ("text", "", "password", "number", "datetime-local")
"""Types of fields that a user fills in with the keyboard."""
_EMPTY = ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source")
"""Elements without an end."""
_APART = ("bdi", "option", "pre", "textarea", "title")
"""Elements whose text is written in its own direction, or that have no other text beside it."""


def unknown_paths() -> set[str]:
    """Return paths of the console that no screen has, and paths of screens that it lacks."""
    mine = {path for paths in SCREENS.values() for path in paths}
    return {path for _method, path, _screen in ROUTES} ^ {*mine, *AROUND}


@dataclass
class PageForm:
    """A form of a page."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    """Fields with what they hold: of radio buttons the checked one, of menus the chosen one."""
    typed: list[str] = field(default_factory=list)
    """Names of the fields that users type in."""
    file: str = ""
    """Name of its field for a file; empty: it has none."""
    buttons: list[tuple[str, str]] = field(default_factory=list)
    """Names and values; ("", "") of a button without."""

    @property
    def act(self) -> str:
        """Name in tables: the path and what is to be done there."""
        held = {**self.fields, **dict(self.buttons[:1])}
        done = self.fields.get("act") or held.get("do", "")
        return f"{urlsplit(self.action).path} {done}".strip()


class _Reader(HTMLParser):
    """Collects a page's forms, texts, and what no text of a catalog may become."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[PageForm] = []
        self.texts: list[str] = []
        """Texts and values of attributes, as a browser reads them."""
        self.faults: list[str] = []
        self.directed: list[tuple[str, bool]] = []
        """Texts and values of fields, each with whether it is written in its own direction."""
        self._inside: list[tuple[str, bool]] = []
        """Elements that have begun, each with whether its text is."""
        self._form: PageForm | None = None
        self._area = self._menu = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.texts += given.values()
        self.faults += _faults(tag, given)
        apart = tag in _APART or given.get("dir") == "auto"
        if tag not in _EMPTY:
            self._inside.append((tag, apart))
        if tag == "input" and given.get("type", "") in _TYPED:
            self.directed.append((given.get("value", ""), apart))
        if tag == "form":
            method = given.get("method", "get")
            self._form = PageForm(given.get("action", ""), method)
            self.forms.append(self._form)
        if self._form is not None:
            self._field(self._form, tag, given)

    def _field(self, form: PageForm, tag: str, given: Mapping[str, str]) -> None:
        name, value, kind = (given.get(each, "") for each in ("name", "value", "type"))
        match tag:
            case "button" if kind != "button":
                form.buttons.append((name, value))
            case "textarea":
                form.typed.append(name)
                form.fields[name] = ""
                self._area = name
            case "select":
                self._menu = name
            case "option" if "selected" in given or self._menu not in form.fields:
                form.fields[self._menu] = value
            case "input" if kind == "file":
                form.file = form.file or name
            case "input" if name and (kind not in ("radio", "checkbox") or "checked" in given):
                form.fields[name] = value
                if kind in _TYPED:
                    form.typed.append(name)

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop()[0] != tag:
            pass
        if tag == "form":
            self._form = None
        if tag == "textarea":
            self._area = ""

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        self.directed.append((data.strip(), any(apart for _tag, apart in self._inside)))
        if self._area and self._form is not None:
            self._form.fields[self._area] += data


def _faults(tag: str, given: Mapping[str, str]) -> Iterator[str]:
    """Yield what a browser would run or open, other than the console's own files and pages."""
    if tag in ("style", "base", "object", "embed", "iframe", "pwned"):
        yield f"<{tag}>"
    if tag == "script" and not given.get("src", "").startswith("/static/"):
        yield "a script in the page"
    for name, value in given.items():
        if name.startswith("on") or name in ("style", "srcdoc", "pwned"):
            yield f"{tag} {name}={value}"
        if name in _ADDRESSES and _leads_away(tag, value):
            yield f"{tag} {name}={value}"
    if tag == "meta" and "http-equiv" in given:
        yield f"meta {given}"


def _leads_away(tag: str, address: str) -> bool:
    """Return whether an address is of another site, or no address of a page. Links of products
    lead to the shop."""
    if _SCHEME.match(address):
        return tag != "a" or not address.startswith(("http://", "https://"))
    return address.startswith(("//", "/\\"))


def forms(page: str) -> list[PageForm]:
    """Return the forms of a page."""
    return _read(page).forms


def texts(page: str) -> list[str]:
    """Return the texts of a page and of its attributes, as a browser reads them."""
    return _read(page).texts


def faults(page: str) -> list[str]:
    """Return the elements and attributes of a page that could run a script, or that lead to
    another site."""
    return _read(page).faults


def directed(page: str) -> list[tuple[str, bool]]:
    """Return the texts of a page and the values of its fields, each with whether it is written in
    its own direction, whatever that of the words around it is."""
    return _read(page).directed


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader
