"""Advice about each reason of an error: in problems, and on a page of its own.

`errors.toml` has them; docs/integrate/errors.md is made from it too, by `make reference`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Final

from gateway.http.contract import public_methods
from gateway.http.exchange import HttpAnswer, HttpRequest, compressed

PATH: Final = "/errors"
"""Address of the page; its anchors are the reasons."""
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_AS_CODE = r"<code>\1</code>"
_SNAKE = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)+")
_CODE = re.compile(r"`([^`]+)`")
_STYLE = (
    "body{font:16px/1.5 system-ui;max-width:60em;margin:2em auto;padding:0 1em}td{padding:.3em}"
)


@cache
def fixes() -> Mapping[str, str]:
    """Return the text of each reason, with the names of fields as in JSON."""
    return {reason: _CODE.sub(_in_json, _LINK.sub(r"\1", fix)) for reason, _, fix in _rows()}


def _in_json(code: re.Match[str]) -> str:
    return f"`{_json_names().get(code[1], code[1])}`"


def json_path(path: str) -> str:
    """Return the path of a field with its names in JSON; that of a scene's entry as it is."""
    if path.startswith("toml"):
        return path
    return _SNAKE.sub(lambda name: _json_names().get(name[0], name[0]), path)


@cache
def _json_names() -> Mapping[str, str]:
    """Return the names of all fields of requests and answers in JSON, by those in the protos."""
    found: dict[str, str] = {}
    methods = public_methods()
    todo = [each.descriptor.input_type for each in methods]
    todo += [each.descriptor.output_type for each in methods]
    seen = {each.full_name for each in todo}
    while todo:
        for field in todo.pop().fields:
            found[field.name] = field.json_name
            kind = field.message_type
            if kind is not None and kind.full_name not in seen:
                seen.add(kind.full_name)
                todo.append(kind)
    return found


@cache
def codes() -> Mapping[str, Sequence[str]]:
    """Return the gRPC codes of each reason."""
    return {reason: sorted(names.split(", ")) for reason, names, _ in _rows()}


@cache
def _rows() -> Sequence[tuple[str, str, str]]:
    """Return each reason, in the order of the alphabet, with its codes and the advice."""
    text = files(__package__).joinpath("errors.toml").read_text("utf-8")
    return sorted(
        (reason, names, fix)
        for section in tomllib.loads(text)["sections"]
        for reasons, names, fix in section["errors"]
        for reason in reasons.split(", ")
    )


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
        f'<tr id="{reason}"><td><code>{reason}</code></td>'
        f"<td>{_CODE.sub(_AS_CODE, escape(text))}</td></tr>"
        for reason, text in fixes().items()
    )
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><style>{_STYLE}</style>'
    title = "<title>Errors of Sightline</title><h1>What an error means and what to do</h1>"
    return f"{head}{title}<table>{rows}</table></html>".encode()
