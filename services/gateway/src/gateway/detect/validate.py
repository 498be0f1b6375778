"""Validation of requests to find products, before any call."""

from collections.abc import Collection, Iterator

from gateway.model.detections import (
    MOST_DETECTIONS,
    MOST_HEAT_MAPS,
    DetectionQuery,
    HeatMapChoice,
)
from gateway.recommend.validate import MOST_PRIORITY, check_photo, photo_violations
from servicekit.errors import FieldViolation
from servicekit.rpc.requests import RequestInvalid, catalog
from sightline_rules.ids import IdInvalidError, check_id


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
    if query.heat_maps is not None:
        violations += _heat_map_violations(query.heat_maps)
    if violations:
        raise RequestInvalid(*violations)
    check_photo(query.photo)


def _heat_map_violations(asked: HeatMapChoice) -> Iterator[FieldViolation]:
    if not 0 <= asked.max_heat_maps <= MOST_HEAT_MAPS:
        path = "heat_maps.max_heat_maps"
        yield FieldViolation(path, f"must be 1 to {MOST_HEAT_MAPS}, or 0")
    if len(asked.product_ids) > MOST_HEAT_MAPS:
        path = "heat_maps.product_ids"
        yield FieldViolation(path, f"must have at most {MOST_HEAT_MAPS} entries")
        return
    for place, product_id in enumerate(asked.product_ids):
        try:
            check_id(product_id)
        except IdInvalidError as error:
            yield FieldViolation(f"heat_maps.product_ids[{place}]", str(error))
