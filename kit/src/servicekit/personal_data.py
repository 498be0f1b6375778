"""The entries of a registry of personal data (GDPR, article 30)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Basis(StrEnum):
    """Lawful reason for a processing (GDPR, article 6). The shop confirms or changes it."""

    CONSENT = "consent"
    INTEREST = "legitimate interest"
    LEGAL = "legal obligation"


@dataclass(frozen=True, slots=True)
class PersonalStore:
    """A place where data on persons is stored."""

    name: str
    place: str
    purpose: str
    basis: Basis
    term: str
    """Settings that bound how long it is stored, or the bound in words."""
    readers: str
    """Services and people that read it."""
    erasure: str
    """What an erasure does."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Each stored field with its meaning; of a table, all columns."""
    owners: tuple[str, ...] = ()
    """Columns that hold the pseudonym of the person whose row it is."""
    inside: str = ""
    """Column with text in which pseudonyms occur."""


STAFF: Mapping[str, str] = {
    "id": "id",
    "time": "time",
    "caller": "name of the calling key, or the watch of an alert",
    "method": "call, or the rule of an alert",
    "catalog_id": "catalog",
    "code": "outcome",
    "reason": "reason of a refusal",
    "request_id": "id of the request by the caller, or of the alert",
    "left_out": "number of refusals that were not stored singly",
    "number": "place in the chain",
    "hash": "hash of the chain",
}
"""Fields of an entry of the audit log."""
