"""Arguments of the tools, each described once."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from sightline_agents.catalog.photos import MAX_ENCODED
from sightline_client.values.catalog import Availability
from sightline_client.values.events import EventType
from sightline_client.values.products import Sort

MAX_SIGNALS = 8
"""Signals of a request, as the contract limits them."""

Id: TypeAlias = Annotated[str, Field(min_length=1, max_length=128)]
ProductId: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=128, description="product_id of a product.")
]
SimilarTo: TypeAlias = Annotated[
    Sequence[Id],
    Field(max_length=MAX_SIGNALS - 2, description="product_ids of products to be similar to."),
]
Text: TypeAlias = Annotated[
    str, Field(max_length=4_096, description="What is wanted, in words of any language.")
]
Words: TypeAlias = Annotated[
    str, Field(max_length=256, description="Only products that have these words. Empty: all.")
]
Unlike: TypeAlias = Annotated[
    str, Field(max_length=1_000, description="What results are to be unlike, such as `leather`.")
]
Photo: TypeAlias = Annotated[
    str,
    Field(
        max_length=MAX_ENCODED,
        description="A photo of what is wanted: a JPEG, PNG, WebP, GIF, AVIF, HEIC, TIFF or BMP"
        " file in base64, at most 10 MiB. 448 pixels on the short side are plenty. Addresses are"
        " not fetched.",
    ),
]
PhotoPath: TypeAlias = Annotated[
    str,
    Field(
        max_length=1_024,
        description="A photo as a file of the server's folder of photos, relative to it. Only if"
        " the server was started with such a folder; not together with `photo`.",
    ),
]
IncludePhoto: TypeAlias = Annotated[
    bool, Field(description="Return the first photo too, unless it is larger than 1 MiB.")
]
Filter: TypeAlias = Annotated[
    str,
    Field(
        max_length=4_096,
        description='Only products that pass, such as `category = "Wine > Red" AND price < 30'
        " EUR`. list_fields has the fields and the syntax, list_values the values of a field.",
    ),
]
User: TypeAlias = Annotated[
    str,
    Field(
        max_length=128,
        description="The shop's id of the customer, for an answer from this customer's behaviour."
        " Empty: not personal.",
    ),
]
Count: TypeAlias = Annotated[int, Field(ge=1, le=50, description="Number of products on a page.")]
PageToken: TypeAlias = Annotated[
    str,
    Field(
        max_length=8_192,
        description="next_page_token of the page before, with the same other arguments.",
    ),
]
Order: TypeAlias = Annotated[
    Sort,
    Field(
        description="Order of all products that pass. NEAREST: by the match of the words, without"
        " words as POPULARITY. RELEVANCE needs words."
    ),
]
FieldName: TypeAlias = Annotated[
    str,
    Field(
        min_length=1,
        max_length=80,
        description="A field that list_fields shows as faceted, or attributes.KEY.",
    ),
]
Facets: TypeAlias = Annotated[
    Sequence[FieldName],
    Field(max_length=5, description="Fields whose values are counted, on the first page."),
]
Below: TypeAlias = Annotated[
    Sequence[Annotated[str, Field(min_length=1, max_length=300)]],
    Field(
        max_length=20,
        description="For `category`: the path whose direct subcategories are counted, such as"
        ' ["Wine"]. Empty: the topmost categories.',
    ),
]
ValueCount: TypeAlias = Annotated[int, Field(ge=1, le=50, description="Maximum number of values.")]


class Input(BaseModel):
    """An object of a write. Unknown members are rejected."""

    model_config = ConfigDict(extra="forbid")


class EventInput(Input):
    """An action of a shopper. Set `user` or `visitor`."""

    event_id: Id = Field(description="Your id of the event: the same id counts once.")
    type: EventType
    product_id: str = Field("", max_length=128)
    user: str = Field("", max_length=128, description="The shop's id of a customer.")
    visitor: str = Field("", max_length=128, description="The id of a visitor without an account.")
    time: datetime | None = Field(None, description="When, with a time zone. Default: now.")
    value: float | None = Field(None, ge=0, le=5, description="For RATING: 0 to 5.")
    quantity: int = Field(0, ge=0, le=1_000_000, description="For PURCHASE and ADD_TO_CART.")
    position: int = Field(0, ge=0, le=10_000, description="For IMPRESSION and CLICK: rank, from 1.")
    query: str = Field("", max_length=1_000, description="For SEARCH: the words typed.")
    attribution_token: str = Field(
        "", max_length=8_192, description="That of the answer which led to the event."
    )


class PriceInput(Input):
    """An amount of money."""

    amount: Decimal = Field(ge=0, max_digits=18, decimal_places=6)
    currency: str = Field(pattern="^[A-Z]{3}$", description="ISO 4217 code.")


class ProductInput(Input):
    """A whole product: what is left out is empty afterwards."""

    product_id: Id
    title: str = Field(min_length=1, max_length=1_000)
    description: str = Field("", max_length=20_000)
    category_path: list[Annotated[str, Field(max_length=300)]] = Field([], max_length=20)
    brand: str = Field("", max_length=300)
    price: PriceInput | None = None
    availability: Availability = Availability.UNSPECIFIED
    tags: list[Annotated[str, Field(max_length=300)]] = Field([], max_length=100)
    attributes: dict[str, str | float | bool | list[str]] = Field({}, max_length=100)
    uri: str = Field("", max_length=2_048, description="The shop's page of the product.")
    photos: list[Annotated[str, Field(max_length=MAX_ENCODED)]] = Field(
        [], max_length=4, description="New photos, in base64, before those of `photo_ids`."
    )
    photo_ids: list[Annotated[str, Field(max_length=64)]] = Field(
        [], max_length=20, description="image_ids of stored photos to keep, as get_product shows."
    )
    etag: str = Field(
        "", max_length=256, description="Write only if this is still the etag of the product."
    )


Events: TypeAlias = Annotated[list[EventInput], Field(min_length=1, max_length=100)]
Products: TypeAlias = Annotated[list[ProductInput], Field(min_length=1, max_length=20)]
