"""The erasure of a shopper: its receipt, and the hash under which it is stored.

The hash of a pseudonym is all that remains of the shopper. Data that arrives late, or returns by
the restore of a backup, is compared with it.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

ERASE = "erase_user"
"""Kind of the job."""


def person_hash(actor: str) -> str:
    """Return the hash of a pseudonym: SHA-256, 64 hexadecimal digits. It can't be reversed, because
    pseudonyms are 256 bits that only the key yields."""
    return hashlib.sha256(b"erased\0" + actor.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ErasedStore:
    """What was erased in a store."""

    store: str
    erased_count: int = 0
    due_micros: int | None = None
    """When the last trace is gone by itself, microseconds since 1970 (UTC); `None`: unknown, or
    nothing is left."""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Erasure:
    """A requested erasure."""

    catalog_id: str
    person: str
    """Hash of the pseudonym."""
    requested_micros: int
    """Data received until then is erased, microseconds since 1970 (UTC)."""
    completed_micros: int
    """0 while it is under way."""
    job_id: str
    stores: tuple[ErasedStore, ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """A shopper to erase."""

    catalog_id: str
    actors: tuple[str, ...]
    """Pseudonyms: the shopper's own first, then those of merged visitors, sorted."""
    requested_micros: int


def params(person: Person) -> dict[str, Any]:
    """Return the job's parameters as JSON values."""
    return {"actors": list(person.actors), "requested_micros": person.requested_micros}


def person_of(catalog_id: str, given: Mapping[str, Any]) -> Person:
    """Build the person from the result of `params`."""
    return Person(catalog_id, tuple(given["actors"]), int(given["requested_micros"]))


def is_erased(actor: str, time_micros: int, erased: Mapping[str, int]) -> bool:
    """Return whether data of that time is part of an erasure. `erased`: request times by hash."""
    return bool(erased) and time_micros <= erased.get(person_hash(actor), -1)


def without(text: str, actors: Collection[str]) -> str:
    """Return a text with hashes in place of these pseudonyms."""
    for actor in actors:
        text = text.replace(actor, person_hash(actor))
    return text
