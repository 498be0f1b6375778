"""Validation of requests to find products, before any call."""

from collections.abc import Collection

from gateway.model.detections import MOST_DETECTIONS, DetectionQuery
from gateway.recommend.validate import MOST_PRIORITY, check_photo, photo_violations
from servicekit.errors import FieldViolation
from servicekit.requests import RequestInvalid, catalog


def check(query: DetectionQuery, declared: Collection[str]) -> None:
    """Raise RequestInvalid with all invalid fields of a DetectProducts request."""
    catalog(query.catalog_id, declared)
    violations = list(photo_violations(query.photo))
    if not 0 <= query.min_probability <= 1:  # NaN fails every comparison
        violations.append(FieldViolation("min_probability", "must be 0 to 1"))
    if not 0 <= query.max_detections <= MOST_DETECTIONS:
        violations.append(FieldViolation("max_detections", f"must be 1 to {MOST_DETECTIONS}, or 0"))
    if not 0 <= query.priority <= MOST_PRIORITY:
        violations.append(FieldViolation("priority", "must be a known value"))
    if violations:
        raise RequestInvalid(*violations)
    check_photo(query.photo)
