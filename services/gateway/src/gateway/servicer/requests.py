"""Fields common to all requests: catalog and request id."""

from collections.abc import Collection
from typing import Any

from gateway.recommend import validate
from servicekit.requests import RequestInvalid, enter


def admit(request: Any, catalogs: Collection[str]) -> str:
    """Return the request's catalog and accept its request id.

    Raises CatalogNotFound, RequestInvalid.
    """
    if len(request.request_id) > validate.MOST_REQUEST_ID:
        raise RequestInvalid.at(
            "request_id", f"is longer than {validate.MOST_REQUEST_ID} characters"
        )
    return enter(request.catalog_id, request.request_id, catalogs)
