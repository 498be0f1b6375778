"""Shoppers as callers name them."""

from dataclasses import field
from enum import StrEnum

from sightline_rules.fast_dataclass import fast_dataclass


class Identity(StrEnum):
    """Kind of a shopper's id."""

    USER = "user"
    VISITOR = "visitor"


@fast_dataclass(frozen=True, slots=True)
class Shopper:
    """The shopper, by the caller's own id. Never logged."""

    kind: Identity
    id: str = field(repr=False)
