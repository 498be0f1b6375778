"""Validation by the published schemas of UCP."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

FOLDER = Path(__file__).parent / "schemas"
SITE = "https://ucp.dev/schemas"
RELEASED = "https://ucp.dev/2026-04-08/schemas"
"""Addresses of schemas in profiles; their own ids have no version."""

PROFILE = f"{SITE}/ucp.json#/$defs/business_schema"
SEARCH_REQUEST = f"{SITE}/shopping/catalog_search.json#/$defs/search_request"
SEARCH = f"{SITE}/shopping/catalog_search.json#/$defs/search_response"
LOOKUP = f"{SITE}/shopping/catalog_lookup.json#/$defs/lookup_response"
PRODUCT = f"{SITE}/shopping/catalog_lookup.json#/$defs/get_product_response"
ERROR = f"{SITE}/shopping/types/error_response.json"


def _resources() -> Registry[Any]:
    """Return the schemas by their ids, and by the addresses of their release."""
    registry: Registry[Any] = Registry()
    for path in FOLDER.rglob("*.json"):
        resource = Resource.from_contents(json.loads(path.read_text("utf-8")))
        name = path.relative_to(FOLDER).as_posix()
        registry = registry.with_resources(
            [(f"{SITE}/{name}", resource), (f"{RELEASED}/{name}", resource)]
        )
    return registry


RESOURCES = _resources()


def violations(value: object, schema: str, further: Mapping[str, Any] | None = None) -> list[str]:
    """Return what a schema forbids. `further`: a schema that is not among the published ones."""
    registry = RESOURCES
    if further is not None:
        registry = registry.with_resource(further["$id"], Resource.from_contents(further))
    validator = Draft202012Validator(
        {"$ref": schema},
        registry=registry,
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
