"""OpenAPI 3.1 of the HTTP face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.http.contract import PublicMethod


def describe(methods: Sequence[PublicMethod]) -> dict[str, Any]:
    """Return the description."""
    return {"openapi": "3.1.0", "paths": {}, "count": len(methods)}
