"""What every request on the wire has: a context, a catalog, a request id."""

from collections.abc import Collection
from typing import Any

from gateway import validate
from servicekit import telemetry
from servicekit.errors import FieldViolation
from servicekit.requests import RequestInvalid, catalog

Context = Any
"""grpc.aio.ServicerContext; the generated code wants a type that exists only in its stubs."""


def take_request_id(given: str) -> str:
    """The id of this call: the message's own where it can be used, else what the transport says.

    From here on it goes into every log line and on to every peer.
    """
    if given and telemetry.accept_request_id(given) == given:
        telemetry.request_id.set(given)
    return telemetry.request_id.get()


def admit(request: Any, catalogs: Collection[str]) -> str:
    """The request's catalog; raises CatalogNotFound or RequestInvalid. Takes the request id."""
    if len(request.request_id) > validate.MOST_REQUEST_ID:
        raise RequestInvalid(
            FieldViolation("request_id", f"is longer than {validate.MOST_REQUEST_ID} characters")
        )
    take_request_id(request.request_id)
    return catalog(request.catalog_id, catalogs)


def check_count(name: str, count: int, most: int) -> None:
    """Raises RequestInvalid unless a repeated field has 1 to `most` entries."""
    if not 1 <= count <= most:
        raise RequestInvalid(FieldViolation(name, f"has {count} entries; 1 to {most} are taken"))
