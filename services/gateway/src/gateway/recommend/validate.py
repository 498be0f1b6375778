"""Validation of requests against their documented ranges, before any call."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence

from gateway.model import controls
from gateway.model.errors import ImageRefused
from gateway.model.plan import MOST_RANKED
from gateway.model.quality import Quality
from gateway.model.query import (
    MOST_ANCHORS,
    Question,
    RequestQuery,
    Signal,
    SignalKind,
    ValueGrouping,
    photo_path,
)
from gateway.ranking.field_values import grouped_field
from gateway.ranking.sorting import LIST_SORTS, RELEVANCE, SORTS
from servicekit.errors import FieldViolation
from servicekit.rpc.requests import RequestInvalid, catalog, page_size
from sightline_core.opaque_messages import Box
from sightline_rules import categories
from sightline_rules.ids import IdInvalidError, check_id
from sightline_rules.kinds import CategoryKind, FieldKind

DEFAULT_RESULTS = 20
MOST_RESULTS = 200
MOST_GUESSES = 20
MOST_WEIGHT = 100.0
MOST_IMAGE_BYTES = 10 * 2**20
MOST_TEXT = 4_096
MOST_PREFIX = 256
MOST_SUGGESTIONS = 20
MOST_URI = 2_048
MOST_NAME = 64
MOST_REQUEST_ID = 128
MOST_SESSION_BYTES = 128
MOST_TOKEN = 4_096
MOST_PRIORITY = 2
MOST_FOLLOWED = 1_000
MOST_VALUE = 512
MOST_GROUPS, MOST_GROUPED = 50, 10
"""Values of an answer, and products of each."""
MOST_SHELVES = 10
_BEST = max(Quality)


def check(
    query: RequestQuery, declared: Collection[str], *, signals_required: bool = False
) -> None:
    """Raise RequestInvalid with all invalid fields of a Recommend or Search request.

    Only the size of photos is checked here; the embedder decodes them.
    """
    catalog(query.catalog_id, declared)
    page_size(query.page_size, DEFAULT_RESULTS, MOST_RESULTS)
    if violations := list(_violations(query, signals_required)):
        raise RequestInvalid(*violations)
    for signal in query.signals:
        check_photo(signal)


def check_product(query: RequestQuery, product_id: str) -> None:
    """Raise RequestInvalid for an invalid request to explain a product."""
    violations = list(_id_violations(product_id, "product_id"))
    if query.page_token:
        violations.append(
            FieldViolation("page_token", "must be empty: explanations cover the whole answer")
        )
    if violations:
        raise RequestInvalid(*violations)


def check_grouping(query: RequestQuery, grouping: ValueGrouping) -> None:
    """Raise RequestInvalid with all invalid fields that say how an answer is grouped."""
    violations = list(_grouping_violations(grouping))
    if query.page_size > MOST_GROUPS:
        violations.append(FieldViolation("page_size", f"must be 1 to {MOST_GROUPS}, or 0"))
    if query.page_token:
        problem = "must be empty: ask for more values with page_size"
        violations.append(FieldViolation("page_token", problem))
    if violations:
        raise RequestInvalid(*violations)


def _grouping_violations(grouping: ValueGrouping) -> Iterator[FieldViolation]:
    try:
        kind: FieldKind | None = grouped_field(grouping.field).kind
    except ValueError as error:
        yield FieldViolation("field", str(error))
        kind = None
    if grouping.below and kind is not None and not isinstance(kind, CategoryKind):
        yield FieldViolation("category_path", "applies to category only")
    try:
        categories.check_path(grouping.below)
    except categories.CategoryInvalidError as error:
        yield FieldViolation("category_path", str(error))
    if not 0 <= grouping.products <= MOST_GROUPED:
        yield FieldViolation("products_per_value", f"must be 1 to {MOST_GROUPED}, or 0")


def check_shelves(shelf_ids: Sequence[str]) -> None:
    """Raise RequestInvalid unless there are as many shelves as a request may have, each with an id
    of its own."""
    if not 1 <= len(shelf_ids) <= MOST_SHELVES:
        raise RequestInvalid.at("shelves", f"must have 1 to {MOST_SHELVES} entries")
    violations = [
        FieldViolation(f"shelves[{place}].shelf_id", f"must have 1 to {MOST_NAME} characters")
        for place, shelf_id in enumerate(shelf_ids)
        if not 1 <= len(shelf_id) <= MOST_NAME
    ]
    violations += _twice("shelves", shelf_ids, ".shelf_id")
    if violations:
        raise RequestInvalid(*violations)


def check_question(question: Question, declared: Collection[str]) -> None:
    """Raise RequestInvalid with all invalid fields of a Classify request."""
    catalog(question.catalog_id, declared)
    violations = list(_long_texts((("request_id", question.request_id, MOST_REQUEST_ID),)))
    if not 0 <= question.top_k <= MOST_GUESSES:
        violations.append(FieldViolation("top_k", f"must be 1 to {MOST_GUESSES}, or 0"))
    violations += photo_violations(question.photo)
    if violations:
        raise RequestInvalid(*violations)
    check_photo(question.photo)


def check_suggestion(
    catalog_id: str, prefix: str, page_size: int, declared: Collection[str]
) -> None:
    """Raise RequestInvalid with all invalid fields of a Suggest request."""
    catalog(catalog_id, declared)
    violations = list(_long_texts((("prefix", prefix, MOST_PREFIX),)))
    if not 1 <= page_size <= MOST_SUGGESTIONS:
        violations.append(FieldViolation("page_size", f"must be 1 to {MOST_SUGGESTIONS}, or 0"))
    if violations:
        raise RequestInvalid(*violations)


def check_heat_map(
    catalog_id: str, photo: Signal, product_id: str, declared: Collection[str]
) -> None:
    """Raise RequestInvalid with all invalid fields of a request for a heat map."""
    catalog(catalog_id, declared)
    violations = list(photo_violations(photo))
    violations += _id_violations(product_id, "product_id")
    if violations:
        raise RequestInvalid(*violations)
    check_photo(photo)


def photo_violations(photo: Signal) -> Iterator[FieldViolation]:
    """Yield violations of a photo that is the whole request."""
    if photo.kind is SignalKind.NOTHING:
        yield FieldViolation("photo", "an image or an image_uri is required")
    else:
        yield from _content_violations(photo)
        yield from _part_violations(photo)


def check_photo(signal: Signal) -> None:
    """Raise ImageRefused if a photo has no bytes, or too many."""
    if signal.kind is not SignalKind.IMAGE:
        return
    if not signal.image:
        raise ImageRefused(signal.index, signal.kind, "IMAGE_UNDECODABLE", "the photo has no bytes")
    if len(signal.image) > MOST_IMAGE_BYTES:
        description = f"the photo has {len(signal.image)} bytes; at most {MOST_IMAGE_BYTES}"
        raise ImageRefused(signal.index, signal.kind, "IMAGE_TOO_LARGE", description)


def _violations(query: RequestQuery, signals_required: bool) -> Iterator[FieldViolation]:
    yield from _signals_violations(query, signals_required)
    if query.shopper is not None:
        yield from _id_violations(query.shopper.id, f"shopper.{query.shopper.kind}_id")
    for index, product_id in enumerate(query.exclude_product_ids):
        yield from _id_violations(product_id, f"exclude_product_ids[{index}]")
    if query.anchors:
        yield from _anchor_violations(query.anchors)
    if query.followed:
        yield from _followed_violations(query.followed)
    if query.audiences:
        yield from _audience_violations(query.audiences)
    if query.candidates:
        yield from _candidate_violations(query)
    yield from _range_violations(query)
    if (
        query.session_id
        and len(query.session_id.encode("utf-8", "surrogatepass")) > MOST_SESSION_BYTES
    ):
        yield FieldViolation("session_id", f"is longer than {MOST_SESSION_BYTES} bytes")
    yield from _long_texts(_texts(query))
    if query.controls:
        for path, problem in controls.problems(query.controls):
            yield FieldViolation(f"controls{path}", problem)


def _signals_violations(query: RequestQuery, required: bool) -> Iterator[FieldViolation]:
    if required and not query.signals:
        yield FieldViolation("signals", "at least one is required")
        return
    for signal in query.signals:
        yield from _signal_violations(signal)
    if query.names_nothing_wanted:
        yield FieldViolation("signals", "are all negative: at least one must be positive")


def _range_violations(query: RequestQuery) -> Iterator[FieldViolation]:
    if not 0 <= query.min_quality <= 1:
        yield FieldViolation("min_quality", "must be 0 to 1")
    if not 0 <= query.min_answer_quality <= _BEST:
        yield FieldViolation("min_answer_quality", "is not a known quality")
    if not 0 <= query.priority <= MOST_PRIORITY:
        yield FieldViolation("priority", "is not a known priority")
    if query.sort not in (LIST_SORTS if query.listed else SORTS):
        yield FieldViolation("sort", "is not a known order")
    if query.sort == RELEVANCE and query.listed and not query.text:
        yield FieldViolation("sort", "is the match of the words of a text, and text is empty")


def _anchor_violations(anchors: Sequence[str]) -> Iterator[FieldViolation]:
    if len(anchors) > MOST_ANCHORS:
        yield FieldViolation("anchor_product_ids", f"has more than {MOST_ANCHORS} entries")
    for index, product_id in enumerate(anchors[:MOST_ANCHORS]):
        yield from _id_violations(product_id, f"anchor_product_ids[{index}]")
    yield from _twice("anchor_product_ids", anchors)


def _followed_violations(followed: Sequence[str]) -> Iterator[FieldViolation]:
    if len(followed) > MOST_FOLLOWED:
        yield FieldViolation("followed", f"has more than {MOST_FOLLOWED:,} entries")
    for index, value in enumerate(followed[:MOST_FOLLOWED]):
        if not 1 <= len(value) <= MOST_VALUE:
            description = f"must have 1 to {MOST_VALUE} characters"
            yield FieldViolation(f"followed[{index}]", description)
    yield from _twice("followed", followed)


def _audience_violations(audiences: Sequence[str]) -> Iterator[FieldViolation]:
    if len(audiences) > controls.MOST_AUDIENCES:
        yield FieldViolation("audiences", f"has more than {controls.MOST_AUDIENCES} entries")
    for index, name in enumerate(audiences[: controls.MOST_AUDIENCES]):
        if not controls.AUDIENCE.fullmatch(name):
            yield FieldViolation(f"audiences[{index}]", controls.AUDIENCE_WANTED)


def _candidate_violations(query: RequestQuery) -> Iterator[FieldViolation]:
    candidates = query.candidates
    if len(candidates) > MOST_RANKED:
        yield FieldViolation("candidates", f"has more than {MOST_RANKED:,} entries")
        return
    if query.signals or query.anchors or query.followed:
        yield FieldViolation(
            "candidates",
            "can't be combined with signals, anchor_product_ids or followed, which select products:"
            " omit these, or omit candidates",
        )
    for index, each in enumerate(candidates):
        yield from _id_violations(each.product_id, f"candidates[{index}].product_id")
        if each.score is not None and not math.isfinite(each.score):
            yield FieldViolation(f"candidates[{index}].score", "must be a finite number")
    yield from _twice("candidates", [each.product_id for each in candidates], ".product_id")


def _twice(name: str, values: Sequence[str], part: str = "") -> Iterator[FieldViolation]:
    """Yield the violation of the first duplicate; `part`: path of the value within its entry."""
    if len(set(values)) < len(values):
        firsts: dict[str, int] = {}
        index = next(at for at, value in enumerate(values) if firsts.setdefault(value, at) != at)
        yield FieldViolation(f"{name}[{index}]{part}", "is a duplicate")


def _texts(query: RequestQuery) -> tuple[tuple[str, str, int], ...]:
    return (
        ("request_id", query.request_id, MOST_REQUEST_ID),
        ("language_code", query.language_code, MOST_NAME),
        ("scene", query.scene, MOST_NAME),
        ("page_token", query.page_token, MOST_TOKEN),
        ("min_index_token", query.min_index_token, MOST_TOKEN),
        ("text", query.text, MOST_TEXT),
        ("if_none_match", query.if_none_match, MOST_NAME * 2),
    )


def _long_texts(texts: Iterable[tuple[str, str, int]]) -> Iterator[FieldViolation]:
    """Yield violations of texts that are too long, given as field, text and maximum length."""
    for name, value, most in texts:
        if value and len(value) > most:
            yield FieldViolation(name, f"is longer than {most} characters")


def _signal_violations(signal: Signal) -> Iterator[FieldViolation]:
    if not (math.isfinite(signal.weight) and 0 <= signal.weight <= MOST_WEIGHT):
        path = photo_path(signal.index, "weight")
        yield FieldViolation(path, f"must be more than 0 and at most {MOST_WEIGHT:g}")
    yield from _content_violations(signal)
    yield from _part_violations(signal)


def _content_violations(signal: Signal) -> Iterator[FieldViolation]:
    path = photo_path(signal.index, signal.kind)
    match signal.kind:
        case SignalKind.NOTHING:
            yield FieldViolation(
                f"signals[{signal.index}]",
                "an image, an image_uri, a text or a product_id is required",
            )
        case SignalKind.TEXT if not 1 <= len(signal.text) <= MOST_TEXT:
            yield FieldViolation(path, f"must have 1 to {MOST_TEXT} characters")
        case SignalKind.IMAGE_URI if not _is_web_address(signal.image_uri):
            description = f"must be an http or https address of at most {MOST_URI:,} characters"
            yield FieldViolation(path, description)
        case SignalKind.PRODUCT:
            yield from _id_violations(signal.product_id, path)


def _part_violations(signal: Signal) -> Iterator[FieldViolation]:
    """Yield violations of the box."""
    if signal.box is None:
        return
    path = photo_path(signal.index, "box")
    if not signal.is_photo:
        yield FieldViolation(path, "is valid for photos only")
    else:
        yield from _box_violations(signal.box, path)


def _box_violations(box: Box, path: str) -> Iterator[FieldViolation]:
    """Yield the violation of an invalid box. NaN fails every comparison, hence is invalid."""
    if not (0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1):
        yield FieldViolation(
            path,
            "must be fractions of width and height: 0 ≤ left < right ≤ 1, 0 ≤ top < bottom ≤ 1",
        )


def _is_web_address(uri: str) -> bool:
    """Return whether an address is well-formed; the embedder decides what may be fetched."""
    return len(uri) <= MOST_URI and uri.lower().startswith(("http://", "https://"))


def _id_violations(value: str, path: str) -> Iterator[FieldViolation]:
    try:
        check_id(value)
    except IdInvalidError as error:
        yield FieldViolation(path, str(error))
