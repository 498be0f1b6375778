"""Fits of spaces: photos, settings and progress."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Label:
    """A product's photo, with what it shows."""

    image_id: str
    product_id: str
    parent_id: str
    title: str
    category_path: tuple[str, ...]
    tags: frozenset[str]
    perceptual_hash: int
    """See sightline_rules.duplicates; NO_HASH = not hashed yet."""
    stored: int
    """Time at which the photo was stored, in microseconds: equal for photos of one write."""

    @property
    def family(self) -> str:
        """What all variants of a parent and the parent itself share."""
        return self.parent_id or self.product_id


@dataclass(frozen=True, slots=True)
class FitPlan:
    """Parameters of fitting a space; see FitSpaceRequest in fit_service.proto."""

    backbone: str
    max_dimension: int
    seed: int
    max_photos: int
    shopper_photo_tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FitPhoto:
    """A photo to fit a space on."""

    data: bytes
    label: Label
    group: str
    """Photos of one group are the same picture, or were uploaded together."""
    shopper: bool
    """Whether a shopper took it."""


@dataclass(frozen=True, slots=True)
class FitProgress:
    """Progress of the embedder in a fit."""

    done: int
    skipped: int = 0
    version: str = ""
    """The fitted version. Empty until it is fitted."""
    model: str = ""
    verdict: str = ""
