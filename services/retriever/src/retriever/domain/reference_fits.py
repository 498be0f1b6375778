"""Fits of references of good pieces."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReferencePlan:
    """Parameters of fitting a reference; see StartReferenceFitRequest in fit_service.proto."""

    reference_id: str
    product_id: str
    """Product that the pieces are; empty: none."""


@dataclass(frozen=True, slots=True)
class ReferenceProgress:
    """Progress of the embedder in fitting a reference."""

    done: int
    """Photos, those with a drawn defect included."""
    total: int
    version: str = ""
    """The fitted version. Empty until it is fitted."""
    verdict: str = ""
    """Verdict of its comparison with the version that served; empty: not compared."""
