"""Requests that the pages show as curl commands: examples in the OpenAPI description.

tests/live types each of these commands at a whole suite.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from gateway.http.contract import PublicMethod, public_methods
from gateway.http.mapping import decode, encode
from gateway.http.mapping.queries import fill_from_path, fill_from_query
from gateway.http.routes import Router
from servicekit.rpc.requests import RequestInvalid

ROOT = Path(__file__).parents[1]
ADDRESS = "http://127.0.0.1:8680"
FIRST = "integrate/http.md"
_BLOCK = re.compile(r"^```(?:sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PLACEHOLDER = re.compile(r"\$|\b[A-Z]+_ID\b")


def requests() -> dict[str, Any]:
    """Return the first request of each call that the pages show in JSON or as an address."""
    router, found = Router(public_methods()), dict[str, Any]()
    for page in _pages():
        for words in _commands(page.read_text("utf-8")):
            with suppress(RequestInvalid):  # a page shows an error
                if (asked := _request(words, router)) is not None:
                    method, message = asked
                    found.setdefault(method.name, orjson.loads(encode.to_bytes(message)))
    return found


def file() -> str:
    """Return the requests as a file of the HTTP process."""
    return json.dumps(requests(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _pages() -> list[Path]:
    docs = ROOT / "docs"
    rest = [
        page for name in ("integrate", "tutorials") for page in sorted((docs / name).glob("*.md"))
    ]
    return sorted(rest, key=lambda page: page != docs / FIRST)


def _commands(page: str) -> Iterator[list[str]]:
    """Yield the words of each curl command, whose body may have several lines."""
    for block in _BLOCK.findall(page):
        lines = iter(block.replace("\\\n", " ").splitlines())
        for line in lines:
            text = line.removeprefix("$ ")
            while text.startswith("curl "):
                with suppress(ValueError):  # an open quotation
                    yield shlex.split(text)
                    break
                text += "\n" + next(lines)


def _request(words: Sequence[str], router: Router) -> tuple[PublicMethod, Any] | None:
    """Return the call and the message of a command; None if it sends a photo, or names what only
    its reader knows."""
    url = next((word for word in words if word.startswith(f"{ADDRESS}/v1")), "")
    if not url or _PLACEHOLDER.search(url) or {"-F", "--data-binary"} & set(words):
        return None
    body = words[words.index("-d") + 1] if "-d" in words else ""
    address, _, query = url.removeprefix(ADDRESS).partition("?")
    route, values = router.find("POST" if body else "GET", address)
    message = route.method.request()
    data = (ROOT / body[1:]).read_bytes() if body.startswith("@") else body.encode()
    if data:
        decode.fill(message, data)
    fill_from_query(message, query)
    fill_from_path(message, values)
    return route.method, message
