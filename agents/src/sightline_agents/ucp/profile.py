"""Declarations of a shop: its profile at /.well-known/ucp, and the extension for photos."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sightline_agents.catalog.photos import MAX_ENCODED

VERSION = "2026-04-08"
"""Version of the protocol and of its capabilities."""
SEARCH = "dev.ucp.shopping.catalog.search"
LOOKUP = "dev.ucp.shopping.catalog.lookup"
_SITE = f"https://ucp.dev/{VERSION}"
SEARCH_SCHEMA = f"{_SITE}/schemas/shopping/catalog_search.json"
_PATH = "/ucp"
SCHEMA = f"{_PATH}/schemas/photo_search.json"
"""Path of the extension's schema."""
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?")
_NAME = re.compile(r"[a-z][a-z0-9]*(\.[a-z][a-z0-9_]*)+")
"""Names of capabilities, as the protocol writes them."""


class AddressInvalid(ValueError):
    """The shop's address can't be that of a profile."""


@dataclass(frozen=True, slots=True)
class Shop:
    """The public address of the server, whose domain names the extension."""

    address: str
    """Scheme and host, such as `https://shop.example`, without a slash at the end."""
    extension: str | None
    """Name of the extension, such as `example.shop.shopping.photo_search`: the protocol binds a
    name to the domain that serves its schema. None: the domain has a part that no name may have,
    such as one with a hyphen."""

    @classmethod
    def at(cls, address: str) -> "Shop":
        """Return the shop of an address. Raises AddressInvalid."""
        try:
            parts = urlsplit(address)
        except ValueError as error:
            raise AddressInvalid(f"{address} is no address: {error}") from None
        host = (parts.hostname or "").rstrip(".")
        plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
        if parts.scheme != "https" or not _DOMAIN.fullmatch(host) or not plain:
            raise AddressInvalid(f"{address} must be https:// and a domain, without a path")
        extension = f"{'.'.join(reversed(host.split('.')))}.shopping.photo_search"
        return cls(f"https://{parts.netloc}", extension if _NAME.fullmatch(extension) else None)

    def profile(self) -> dict[str, Any]:
        """Return the profile."""
        extended = {} if self.extension is None else {self.extension: [self._extension()]}
        return {
            "ucp": {
                "version": VERSION,
                "services": {
                    "dev.ucp.shopping": [
                        {
                            "version": VERSION,
                            "spec": f"{_SITE}/specification/overview",
                            "transport": "rest",
                            "schema": f"{_SITE}/services/shopping/rest.openapi.json",
                            "endpoint": self.address + _PATH,
                        }
                    ]
                },
                "capabilities": {
                    SEARCH: [_capability("search")],
                    LOOKUP: [_capability("lookup")],
                    **extended,
                },
                "payment_handlers": {},
            }
        }

    def _extension(self) -> dict[str, str]:
        schema = self.address + SCHEMA
        return {"version": VERSION, "spec": schema, "schema": schema, "extends": SEARCH}

    def schema(self) -> dict[str, Any]:
        """Return the schema of the extension: a search request may have a photo."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": self.address + SCHEMA,
            "name": self.extension,
            "title": "Search by Photo",
            "description": "A photo of what is wanted, as an input of the catalog search.",
            "requires": {
                "protocol": {"min": VERSION},
                "capabilities": {SEARCH: {"min": VERSION}},
            },
            "$defs": {
                "photo": {
                    "type": "object",
                    "required": ["content"],
                    "properties": {
                        "content": {
                            "type": "string",
                            "contentEncoding": "base64",
                            "minLength": 1,
                            "maxLength": MAX_ENCODED,
                            "description": "A JPEG, PNG, WebP, GIF, AVIF, HEIC, TIFF or BMP file,"
                            " at most 10 MiB and 25 megapixels. Not stored.",
                        },
                    },
                },
                SEARCH: {
                    "title": "Catalog Search with Photo",
                    "allOf": [
                        {"$ref": f"{SEARCH_SCHEMA}#/$defs/search_request"},
                        {"type": "object", "properties": {"photo": {"$ref": "#/$defs/photo"}}},
                    ],
                },
            },
        }

    def photo(self, image_id: str) -> str:
        """Return the address of a photo."""
        return f"{self.address}{_PATH}/photos/{image_id}"

    def header(self, root: str, *, extended: bool = False) -> dict[str, Any]:
        """Return the member `ucp` of an answer: its version and active capabilities."""
        names = [root, self.extension] if extended and self.extension else [root]
        return {
            "version": VERSION,
            "capabilities": {name: [{"version": VERSION}] for name in names},
        }


def _capability(name: str) -> dict[str, str]:
    return {
        "version": VERSION,
        "spec": f"{_SITE}/specification/catalog/{name}",
        "schema": f"{_SITE}/schemas/shopping/catalog_{name}.json",
    }
