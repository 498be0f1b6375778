"""What every request has: a catalog, an id, pages; and how all services refuse it."""

from collections.abc import Collection

from servicekit import telemetry
from servicekit.config import DEFAULT_CATALOG
from servicekit.errors import FieldViolation, InvalidArgument, NotFound


class RequestInvalid(InvalidArgument):
    """Fields of a request are out of their documented range."""

    def __init__(self, *violations: FieldViolation) -> None:
        super().__init__(describe(violations), reason="REQUEST_INVALID", violations=violations)


class PageSizeInvalid(InvalidArgument):
    """The page size is out of its range."""

    def __init__(self, most: int) -> None:
        violation = FieldViolation("page_size", f"must be 1 to {most}, or 0 for the default")
        super().__init__(describe([violation]), reason="PAGE_SIZE_INVALID", violations=(violation,))


class PageTokenInvalid(InvalidArgument):
    """The page token is not ours, or belongs to another request."""

    def __init__(self, description: str = "is not one of this list") -> None:
        violation = FieldViolation("page_token", description)
        super().__init__(
            describe([violation]), reason="PAGE_TOKEN_INVALID", violations=(violation,)
        )


class CatalogNotFound(NotFound):
    """The catalog is not declared in the settings."""

    def __init__(self) -> None:
        violation = FieldViolation("catalog_id", "is not declared in the settings")
        super().__init__(describe([violation]), reason="CATALOG_NOT_FOUND", violations=(violation,))


def describe(violations: Collection[FieldViolation]) -> str:
    """The first few violations as one line for people."""
    told = "; ".join(f"{each.field}: {each.description}" for each in list(violations)[:3])
    return f"{told}; and {len(violations) - 3} more" if len(violations) > 3 else told


def enter(catalog_id: str, request_id: str, declared: Collection[str]) -> str:
    """The catalog that a request means. Its own id, if it gives one, goes into every log line.

    Raises CatalogNotFound.
    """
    take_request_id(request_id)
    return catalog(catalog_id, declared)


def take_request_id(given: str) -> str:
    """The id of this call: the message's own where it can be used, else what the transport says.

    From here on it goes into every log line and on to every peer.
    """
    if given and telemetry.accept_request_id(given) == given:
        telemetry.request_id.set(given)
    return telemetry.request_id.get()


def catalog(catalog_id: str, declared: Collection[str]) -> str:
    """The catalog that is meant; raises CatalogNotFound unless it is declared."""
    name = catalog_id or DEFAULT_CATALOG
    if name not in declared:
        raise CatalogNotFound
    return name


def page_size(given: int, default: int, most: int) -> int:
    """How many entries a page has; raises PageSizeInvalid unless `given` is 0 to `most`."""
    if not 0 <= given <= most:
        raise PageSizeInvalid(most)
    return given or default
