"""Advice to an agent about a failed call, by reason and by gRPC code."""

import re
from collections.abc import Mapping
from types import MappingProxyType

import grpc

from sightline_client import FilterSyntaxError
from sightline_client.errors import SightlineError

BY_REASON: Mapping[str, str] = MappingProxyType(
    {
        "GATEWAY_UNREACHABLE": "tell the user that the catalog can't be reached now",
        "TOKEN_MISSING": "ask the user for access: the request needs `Authorization: Bearer TOKEN`",
        "TOKEN_INVALID": "ask the user for a token that has not expired",
        "ROLE_MISSING": "the user's token does not allow this; do not repeat the call",
        "CATALOG_FORBIDDEN": "the user's token does not allow this catalog; do not repeat the call",
        "PRODUCT_NOT_FOUND": "use the product_id of a search or listing",
        "IMAGE_NOT_FOUND": "use a photo of get_product",
        "IMAGE_UNDECODABLE": "send a complete JPEG, PNG, WebP, GIF, AVIF, HEIC, TIFF or BMP file",
        "IMAGE_TOO_LARGE": "shrink the photo: 448 pixels on the short side are plenty",
        "IMAGES_TOO_LARGE": "shrink the photo: 448 pixels on the short side are plenty",
        "FILTER_INVALID": "correct the condition; list_fields shows fields and syntax",
        "FACET_INVALID": "name fields that list_fields shows as faceted",
        "SPACE_UNAVAILABLE": "search by a photo instead of a text, or by a text instead of a photo",
        "PAGE_TOKEN_INVALID": "repeat the arguments of the first page, or begin again without "
        "page_token",
        "ANSWER_RECORD_MISSING": "the pages of this answer have expired: begin again without "
        "page_token",
        "QUOTA_EXHAUSTED": "make fewer calls, and wait before the next one",
        "REQUEST_TOO_EXPENSIVE": "ask for fewer products, or with a smaller photo",
        "ETAG_MISMATCH": "read the product again, and write with its new etag",
    }
)
BY_CODE: Mapping[grpc.StatusCode, str] = MappingProxyType(
    {
        grpc.StatusCode.INVALID_ARGUMENT: "correct the named argument",
        grpc.StatusCode.OUT_OF_RANGE: "correct the named argument",
        grpc.StatusCode.RESOURCE_EXHAUSTED: "wait, then try once more with a smaller request",
        grpc.StatusCode.UNAVAILABLE: "try once more in a moment",
        grpc.StatusCode.DEADLINE_EXCEEDED: "try once more in a moment",
    }
)
_SIGNAL = re.compile(r"^(request\.)?signals\[\d+\]\.")
"""Where the contract has a photo, a text or a product, which are arguments of their own here."""
OTHERWISE = "do not repeat the call; tell the user that it failed"


def of_error(error: SightlineError) -> str:
    """Return the error in one text: its reason, invalid fields, and what to do."""
    fix = BY_REASON.get(error.reason) or BY_CODE.get(error.code, OTHERWISE)
    wait = ""
    if error.retry_after is not None:
        wait = f" Wait {error.retry_after.total_seconds():g} s before the next try."
    return f"{reason_of(error)}: {message_of(error)}. What to do: {fix}.{wait}"


def reason_of(error: SightlineError) -> str:
    """Return the reason of an error, else the name of its code."""
    return error.reason or error.code.name


def message_of(error: SightlineError) -> str:
    """Return what is wrong, with the invalid fields; without the gateway's address."""
    if error.reason == "GATEWAY_UNREACHABLE":
        return "the catalog does not answer"
    fields = [f"{_SIGNAL.sub('', each.field)}: {each.description}" for each in error.violations]
    return "; ".join(fields) or error.message.rstrip(".")


def of_filter(error: FilterSyntaxError) -> str:
    """Return an error of a filter's syntax, with its place, and what to do."""
    return f"FILTER_INVALID: filter: {error}\nWhat to do: {BY_REASON['FILTER_INVALID']}."
