"""Advice about each reason of an error: in problems, and on a page of its own.

`fixes.json` and `codes.json` are made from the tables of docs/integrate/errors.md and
docs/operate/errors.md by `make reference`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

import orjson

from gateway.http.exchange import HttpAnswer, HttpRequest, compressed

PATH: Final = "/errors"
"""Address of the page; its anchors are the reasons."""
_STYLE = (
    "body{font:16px/1.5 system-ui;max-width:60em;margin:2em auto;padding:0 1em}td{padding:.3em}"
)


@cache
def fixes() -> Mapping[str, str]:
    """Return the text of each reason."""
    found: Mapping[str, str] = _table("fixes.json")
    return found


@cache
def codes() -> Mapping[str, Sequence[str]]:
    """Return the gRPC codes of each reason."""
    found: Mapping[str, Sequence[str]] = _table("codes.json")
    return found


def _table(name: str) -> Any:
    return orjson.loads(files(__package__).joinpath(name).read_bytes())


def type_of(reason: str) -> str:
    """Return the type of a problem: a reference to the reason's row of the page."""
    return f"{PATH}#{reason}"


async def page(_: HttpRequest) -> HttpAnswer:
    """Answer with all reasons and what to do."""
    headers = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
    return HttpAnswer(200, _html(), "text/html; charset=utf-8", headers, packed=_packed())


@cache
def _packed() -> bytes:
    return compressed(_html())


@cache
def _html() -> bytes:
    rows = "\n".join(
        f'<tr id="{reason}"><td><code>{reason}</code></td><td>{escape(text)}</td></tr>'
        for reason, text in fixes().items()
    )
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><style>{_STYLE}</style>'
    title = "<title>Errors of Sightline</title><h1>What an error means and what to do</h1>"
    return f"{head}{title}<table>{rows}</table></html>".encode()
