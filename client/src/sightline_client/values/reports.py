"""Outcomes of calls that send several requests, as plain values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AddedPhotos:
    """Outcome of adding photos to a draft."""

    photo_count: int
    """Photos of the draft."""
    failures: tuple[tuple[int, str], ...]
    """Photos that were not added: index, from 0, and why."""
