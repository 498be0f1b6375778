"""Which impressions are kept where a shop sends more of them than it wants to store.

Whole answers are kept or left, by a hash of what names the answer: so a kept answer has all of its
impressions, the choice is the same in every replica and at every retry, and what a larger share
keeps holds what a smaller one does. An estimate weighs each kept impression by 1 / share (Horvitz
and Thompson 1952, "A generalization of sampling without replacement from a finite universe").
"""

import hashlib
from dataclasses import replace

from ranker.domain.events import EventType, StoredEvent


def sampled(stored: StoredEvent, share: float) -> StoredEvent | None:
    """The event with the share that it stands for; None = it is left out. `share`: above 0, at
    most 1. Only impressions are ever left out."""
    if stored.event.type is not EventType.IMPRESSION or share >= 1:
        return stored
    return replace(stored, sample_share=share) if _draw(stored) < share else None


def _draw(stored: StoredEvent) -> float:
    """Between 0 and 1, the same for all impressions of an answer; where none is named, for all of
    a shopper's visit."""
    event = stored.event
    answer = event.answer_id or event.attribution_token or f"{stored.actor} {stored.session}"
    digest = hashlib.sha256(f"{stored.catalog_id} {answer}".encode()).digest()
    return float(int.from_bytes(digest[:8]) / 2**64)
