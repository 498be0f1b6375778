"""The page of all calls: Swagger UI on /openapi.json, with nothing from other hosts.

Swagger UI is that of mkdocs-swagger-ui-tag, with which the site of the documentation shows the
calls too. The page works behind a path of a proxy, as its addresses are relative.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from gateway.http.exchange import HttpAnswer, HttpRequest, compressed

PATH: Final = "/docs"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Calls of Sightline</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="calls"><noscript>This page needs JavaScript; openapi.json has the same.</noscript></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
_START: Final = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#calls",
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: -1,
  validatorUrl: null,
});
"""
_FILES: Final = {
    f"{PATH}/swagger-ui.css": ("stylesheets/swagger-ui.css", "text/css"),
    f"{PATH}/swagger-ui-bundle.js": ("javascripts/swagger-ui-bundle.js", "text/javascript"),
}
"""Files of Swagger UI and their types, by address."""

Page = Callable[[HttpRequest], Awaitable[HttpAnswer]]


def pages() -> Mapping[str, Page]:
    """Return the page and what it loads, by path; the root leads to it."""
    return {
        "/": _moved,
        PATH: _page(_PAGE.encode, "text/html"),
        f"{PATH}/start.js": _page(_START.encode, "text/javascript"),
        **{path: _page(_reader(name), kind) for path, (name, kind) in _FILES.items()},
    }


async def _moved(_: HttpRequest) -> HttpAnswer:
    return HttpAnswer(307, b"", "text/plain", {"location": PATH.removeprefix("/")})


def _reader(name: str) -> Callable[[], bytes]:
    return lambda: files("mkdocs_swagger_ui_tag").joinpath("swagger-ui", name).read_bytes()


def _page(read: Callable[[], bytes], kind: str) -> Page:
    """Return what answers with a file, which is read and compressed at its first request."""

    @cache
    def made() -> tuple[bytes, bytes]:
        body = read()
        return body, compressed(body)

    async def page(_: HttpRequest) -> HttpAnswer:
        body, packed = await asyncio.to_thread(made)
        headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
        return HttpAnswer(200, body, f"{kind}; charset=utf-8", headers, packed=packed)

    return page
