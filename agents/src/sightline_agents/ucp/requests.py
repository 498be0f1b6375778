"""Requests of the catalog capabilities. Members that are not known are ignored, as UCP asks."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from sightline_agents.catalog.photos import MAX_ENCODED

MAX_IDS = 20
"""Maximum number of identifiers of a lookup."""
MAX_LIMIT = 50
"""Maximum number of products on a page; larger requests get this number."""

Id = Annotated[str, Field(min_length=1, max_length=1_024)]
Amount = Annotated[int, Field(ge=0, le=10**15)]


class Request(BaseModel):
    """A part of a request."""

    model_config = ConfigDict(strict=True)


class Context(Request):
    """The market."""

    currency: Annotated[str, Field(max_length=16)] = ""
    """ISO 4217 code, which also is that of price filters."""


class PriceFilter(Request):
    """A range of prices, in minor units of the context's currency."""

    min: Amount | None = None
    max: Amount | None = None


class Filters(Request):
    """Conditions of which each holds."""

    model_config = ConfigDict(strict=True, extra="allow")

    categories: Annotated[list[Annotated[str, Field(max_length=2_000)]], Field(max_length=50)] = []
    price: PriceFilter = PriceFilter()

    @property
    def known(self) -> bool:
        """Return whether there is a condition that this server knows."""
        return bool(self.categories or self.price.model_fields_set)

    @property
    def unknown(self) -> list[str]:
        """The names of conditions that this server does not know."""
        extra: dict[str, Any] = self.model_extra or {}
        return sorted(extra)[:20]


class Pagination(Request):
    """A page of an answer."""

    cursor: Annotated[str, Field(max_length=8_192)] = ""
    limit: Annotated[int, Field(ge=1)] = 10


class Photo(Request):
    """A photo of what is wanted: our extension."""

    content: Annotated[str, Field(min_length=1, max_length=MAX_ENCODED)]


class SearchRequest(Request):
    """A search of the catalog."""

    query: Annotated[str, Field(max_length=4_096)] = ""
    context: Context = Context()
    filters: Filters | None = None
    pagination: Pagination = Pagination()
    photo: Photo | None = None


class LookupRequest(Request):
    """A batch of identifiers."""

    ids: Annotated[list[Id], Field(min_length=1)]
    context: Context = Context()
    filters: Filters | None = None


class ProductRequest(Request):
    """One identifier. Products have no options, so that selections change nothing."""

    id: Id
    context: Context = Context()
    filters: Filters | None = None
