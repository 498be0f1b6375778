"""Fields common to all requests: catalog and request id."""

from collections.abc import Collection
from typing import Any

from gateway.recommend import validate
from servicekit.admission import access
from servicekit.rpc.requests import RequestInvalid, enter, take_request_id


def admit(request: Any, catalogs: Collection[str]) -> str:
    """Return the request's catalog and accept its request id.

    Raises CatalogNotFound, RequestInvalid.
    """
    check_request_id(request)
    return enter(request.catalog_id, request.request_id, catalogs)


def admit_any(request: Any) -> str:
    """Return the request's catalog as it was given, which may not exist, and accept its request
    id. Raises RequestInvalid."""
    check_request_id(request)
    take_request_id(request.request_id)
    return str(request.catalog_id)


def reads_costs() -> bool:
    """Return whether the current caller may read costs: it has the operator's role."""
    return access.Role.OPERATE in access.caller.get().roles


def names_every_shopper() -> bool:
    """Return whether the current caller's requests may name any shopper."""
    return access.caller.get().shopper is None


def check_request_id(request: Any) -> None:
    """Raise RequestInvalid if the request's id is too long."""
    if len(request.request_id) > validate.MOST_REQUEST_ID:
        raise RequestInvalid.at(
            "request_id", f"is longer than {validate.MOST_REQUEST_ID} characters"
        )
