"""Validation of requests to find products, before any call."""

from collections.abc import Iterator
from typing import Final

from servicekit.errors import FieldViolation
from servicekit.rpc.requests import RequestInvalid
from sightline_rules.ids import IdInvalidError, check_id
from sightline_rules.photo_products import MOST_DETECTIONS, MOST_HEAT_MAPS
from vision.domain.detections import DetectionQuery, HeatMapChoice, SentPhoto
from vision.domain.watches import MOST_URI

MOST_PRIORITY: Final = 2


def check(query: DetectionQuery) -> None:
    """Raise RequestInvalid with all invalid fields of a DetectProducts request. The embedder checks
    the photo."""
    violations = list(_photo_violations(query.photo))
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


def _photo_violations(photo: SentPhoto) -> Iterator[FieldViolation]:
    if photo.name == "photo":
        yield FieldViolation("photo", "an image or an image_uri is required")
    elif photo.name == "image_uri" and not (
        len(photo.uri) <= MOST_URI and photo.uri.lower().startswith(("http://", "https://"))
    ):
        problem = f"must be an http or https address of at most {MOST_URI:,} characters"
        yield FieldViolation("image_uri", problem)


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
