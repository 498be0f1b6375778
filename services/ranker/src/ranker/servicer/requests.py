"""Reading and validation of request fields that several services share."""

import re
from collections.abc import Iterable
from functools import partial

from ranker.domain.events import Identity, Shopper
from ranker.domain.pseudonyms import Pseudonyms
from servicekit.errors import FieldViolation
from servicekit.rpc import job_service
from servicekit.rpc.requests import RequestInvalid
from sightline.common.v1 import event_pb2
from sightline_rules.ids import IdInvalidError, check_id

OWNER = "ranker/"
"""Prefix of job ids on the wire."""
job_message = partial(job_service.job_message, owner=OWNER)
"""Conversion of a job to its message."""
DEFAULT_PAGE = 50
LARGEST_PAGE = 1000
MOST_ID_BYTES = 128
MOST_REQUEST_ID = 128
VERSION = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def shopper(message: event_pb2.Shopper) -> Shopper | None:
    """Return the shopper that the message names, None without one. The shopper is not validated."""
    named = message.WhichOneof("identity")
    if named == "user_id":
        return Shopper(Identity.USER, message.user_id)
    if named == "visitor_id":
        return Shopper(Identity.VISITOR, message.visitor_id)
    return None


def actor(
    message: event_pb2.Shopper, catalog_id: str, pseudonyms: Pseudonyms, *, required: bool = False
) -> str | None:
    """Return the shopper's pseudonym, None if no shopper is named. Raise RequestInvalid."""
    who = shopper(message)
    if who is None:
        if required:
            raise RequestInvalid.at("shopper", "is required")
        return None
    check_shopper("shopper", who)
    return pseudonyms.of(catalog_id, who)


def check_shopper(path: str, who: Shopper) -> None:
    """Raise RequestInvalid unless the id has 1 to MOST_ID_BYTES bytes."""
    if not 0 < len(who.id.encode()) <= MOST_ID_BYTES:
        raise RequestInvalid.at(f"{path}.{who.kind}_id", f"is not 1 to {MOST_ID_BYTES} bytes long")


def refuse(problems: Iterable[tuple[str, str]], path: str = "") -> None:
    """Raise RequestInvalid if any (field, problem) is given. `path`: prefix of the fields."""
    found = [FieldViolation(path + field, problem) for field, problem in problems]
    if found:
        raise RequestInvalid(*found)


def check_product_id(product_id: str) -> None:
    """Raise RequestInvalid unless it is a valid product id."""
    try:
        check_id(product_id)
    except IdInvalidError as error:
        raise RequestInvalid.at("product_id", str(error)) from error


def check_version(version: str) -> None:
    """Raise RequestInvalid unless `version` is empty or a possible version of a model."""
    if version and not VERSION.fullmatch(version):
        raise RequestInvalid.at("model_version", "is not 1 to 64 characters of [A-Za-z0-9_.-]")


def check_range(path: str, given: int, least: int, most: int) -> None:
    """Raise RequestInvalid unless `given` is within both bounds, inclusive."""
    if not least <= given <= most:
        raise RequestInvalid.at(path, f"is not within {least} and {most}")


def check_request_id(request_id: str) -> None:
    """Raise RequestInvalid if it is longer than MOST_REQUEST_ID characters."""
    if len(request_id) > MOST_REQUEST_ID:
        raise RequestInvalid.at("request_id", f"is longer than {MOST_REQUEST_ID} characters")
