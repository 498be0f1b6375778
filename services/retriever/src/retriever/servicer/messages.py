"""Protos to values and back. Decides nothing but what can't be said in our values at all."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import Enum
from typing import Any as Anything
from typing import TypeVar

from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, status_pb2
from google.type import money_pb2

from retriever.catalog.updates import UpdateDraft
from retriever.domain.model import (
    EXACT,
    Amount,
    Collapse,
    Doubt,
    FilterInvalid,
    Freshness,
    Generation,
    GenerationState,
    GenerationStatus,
    GivenVector,
    Image,
    ImageDraft,
    ImportMode,
    ImportProgress,
    IndexKind,
    IndexParameters,
    IndexParametersInvalid,
    Metric,
    OfferDraft,
    Order,
    Product,
    ProductDraft,
    Stored,
    Verification,
)
from retriever.indexing.generations import (
    DEFAULT_K,
    DEFAULT_RECALL,
    DEFAULT_SAMPLE,
    Demand,
)
from retriever.indexing.generations import Order as GenerationOrder
from retriever.search.recall.watchdog import Verdict
from retriever.search.search import BlendPart
from retriever.servicer.column_messages import attribute
from servicekit.errors import FieldViolation, ServiceError
from servicekit.job_service import job_message
from servicekit.jobs import Job
from servicekit.requests import RequestInvalid
from servicekit.status import to_status
from servicekit.telemetry import Stage
from sightline.common.v1 import (
    answer_pb2,
    filter_pb2,
    import_pb2,
    job_pb2,
    photo_pb2,
    product_pb2,
    vector_pb2,
)
from sightline.retriever.v1 import index_service_pb2, product_service_pb2, vector_service_pb2
from sightline_rules import filters
from sightline_rules.filters import (
    All,
    Any,
    Availability,
    Comparison,
    Existence,
    Filter,
    FilterInvalidError,
    Membership,
    Money,
    Not,
    Operator,
    Time,
    Value,
)
from sightline_rules.rejections import Rejection

E = TypeVar("E", bound=Enum)


def _numbers(
    of: EnumDescriptor, values: Iterable[E], unspecified: E | None = None
) -> Mapping[int, E]:
    """Our values by a proto's numbers: both have the same names. `unspecified`: what 0 means."""
    prefix = of.values[0].name.removesuffix("UNSPECIFIED")
    found = {of.values_by_name[f"{prefix}{value.name}"].number: value for value in values}
    return found if unspecified is None else {0: unspecified, **found}


def _inverse(values: Mapping[int, E]) -> dict[E, Anything]:
    return {value: number for number, value in values.items() if number}


_AVAILABILITY = _numbers(product_pb2.Availability.DESCRIPTOR, Availability)
_AVAILABILITY_NUMBER = _inverse(_AVAILABILITY)
_OPERATOR = _numbers(filter_pb2.Comparison.Operator.DESCRIPTOR, Operator)
_ORDER = _numbers(
    product_service_pb2.ListProductsRequest.Order.DESCRIPTOR,
    Order,
    Order.PRODUCT_ID,
)
_IMPORT_MODE = _numbers(import_pb2.ImportMode.DESCRIPTOR, ImportMode, ImportMode.INCREMENTAL)
_IMPORT_MODE_NUMBER = _inverse(_IMPORT_MODE)
_METRIC = _numbers(index_service_pb2.Metric.DESCRIPTOR, Metric, Metric.COSINE)
_METRIC_NUMBER = _inverse(_METRIC)
_INDEX_KIND = _numbers(index_service_pb2.IndexParameters.Kind.DESCRIPTOR, IndexKind, IndexKind.FLAT)
_INDEX_KIND_NUMBER = _inverse(_INDEX_KIND)
_GENERATION_STATE = _inverse(
    _numbers(index_service_pb2.Generation.State.DESCRIPTOR, GenerationState)
)
_COLLAPSE = _numbers(vector_service_pb2.Collapse.DESCRIPTOR, Collapse, Collapse.DROP)
_VIEWS = frozenset(product_service_pb2.ProductView.values())
_MICROS = 1_000_000
JOB_OWNER = "retriever/"
"""What stands in front of the ids of the retriever's jobs."""


def _known(values: Mapping[int, E], number: int, field: str) -> E:
    """Our value of a proto's number. Raises RequestInvalid."""
    if number not in values:
        raise RequestInvalid(FieldViolation(field, "is not one of the known values"))
    return values[number]


def _alike(message: Descriptor, value: object) -> dict[str, Anything]:
    """The fields of a message that a value has too, under the same names."""
    names = [field.name for field in message.fields]
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


# Products in


def draft(product: product_pb2.Product) -> ProductDraft:
    """A product as it came."""
    unspecified = product.availability == product_pb2.AVAILABILITY_UNSPECIFIED
    return ProductDraft(
        product_id=product.product_id,
        parent_id=product.parent_id,
        title=product.title,
        description=product.description,
        category_path=tuple(product.category_path),
        brand=product.brand,
        price=_amount(product.price) if product.HasField("price") else None,
        availability=Availability.IN_STOCK
        if unspecified
        else _AVAILABILITY.get(product.availability),
        tags=tuple(product.tags),
        attributes=tuple((item.key, _attribute(item)) for item in product.attributes),
        images=tuple(
            ImageDraft(image.content, image.image_id, image.uri) for image in product.images
        ),
        language_code=product.language_code,
        uri=product.uri,
        etag=product.etag,
    )


def update(message: product_service_pb2.ProductUpdate) -> UpdateDraft:
    """A change as it came."""
    return UpdateDraft(
        product=draft(message.product),
        mask=tuple(message.update_mask.paths),
        given=tuple(field.name for field, _ in message.product.ListFields()),
    )


def offer(message: product_service_pb2.Offer) -> OfferDraft:
    """An offer as it came."""
    stays = message.availability == product_pb2.AVAILABILITY_UNSPECIFIED
    availability = _AVAILABILITY.get(message.availability)
    return OfferDraft(
        product_id=message.product_id,
        price=_amount(message.price) if message.HasField("price") else None,
        availability=availability,
        availability_known=stays or availability is not None,
    )


def import_mode(number: int) -> ImportMode:
    """What an import does with products that it does not hold. Raises RequestInvalid."""
    return _known(_IMPORT_MODE, number, "mode")


def _amount(money: money_pb2.Money) -> Amount:
    return Amount(money.currency_code, money.units, money.nanos)


def _attribute(item: product_pb2.Attribute) -> str | float | bool | None:
    match item.WhichOneof("value"):
        case "text":
            return item.text
        case "number":
            return item.number
        case "flag":
            return item.flag
        case _:
            return None


# Products out


def row(product: Product, doubt: Doubt | None = None) -> product_pb2.Product:
    """A product whole, as the public API has it. `doubt`: the photo that contradicts its category;
    None = none does."""
    content = product.content
    message = product_pb2.Product(
        product_id=content.product_id,
        parent_id=content.parent_id,
        title=content.title,
        description=content.description,
        category_path=content.category_path,
        brand=content.brand,
        availability=_AVAILABILITY_NUMBER[content.availability],
        tags=content.tags,
        attributes=[attribute(item.key, item.value) for item in content.attributes],
        images=[image_message(image) for image in product.images],
        language_code=content.language_code,
        uri=content.uri,
        create_time=_timestamp(product.create_time),
        update_time=_timestamp(product.update_time),
        etag=product.etag,
    )
    if content.price is not None:
        units, micros = divmod(content.price.micros, _MICROS)
        message.price.currency_code = content.price.currency
        message.price.units, message.price.nanos = units, micros * 1_000
    if doubt is not None:
        message.category_doubt.CopyFrom(_doubt(doubt))
    return message


def _doubt(value: Doubt) -> product_pb2.CategoryDoubt:
    guess = value.instead
    return product_pb2.CategoryDoubt(
        image_id=value.image_id,
        probability=value.probability,
        instead=None
        if guess is None
        else photo_pb2.CategoryGuess(category_path=guess.path, probability=guess.probability),
        space_version=value.space_version,
    )


def image_message(image: Image, content: bytes = b"") -> product_pb2.ProductImage:
    """A photo, with or without its bytes."""
    fields = _alike(product_pb2.ProductImage.DESCRIPTOR, image)
    return product_pb2.ProductImage(**fields, content=content)


def outcome(given_id: str, result: Stored | ServiceError) -> product_service_pb2.UpsertResult:
    """What became of one product."""
    if isinstance(result, ServiceError):
        return product_service_pb2.UpsertResult(status=to_status(result), product_id=given_id)
    return product_service_pb2.UpsertResult(
        status=status_pb2.Status(code=code_pb2.OK),
        product_id=given_id,
        etag=result.etag,
        image_ids=result.image_ids,
    )


def status(error: ServiceError | None) -> status_pb2.Status:
    """An item's status; None = it went well."""
    return status_pb2.Status(code=code_pb2.OK) if error is None else to_status(error)


def offer_status(outcome: Stored | ServiceError) -> status_pb2.Status:
    """What became of one offer."""
    return status(outcome if isinstance(outcome, ServiceError) else None)


def import_state(progress: ImportProgress) -> import_pb2.ImportState:
    """How far an import is."""
    fields = _alike(import_pb2.ImportState.DESCRIPTOR, progress)
    return import_pb2.ImportState(**fields | {"mode": _IMPORT_MODE_NUMBER[progress.mode]})


def job(found: Job) -> job_pb2.Job:
    """A job."""
    return job_message(found, JOB_OWNER)


def order(number: int) -> Order:
    """A list's order. Raises RequestInvalid."""
    return _known(_ORDER, number, "order")


def collapse(number: int) -> Collapse:
    """What becomes of near-duplicates. Raises RequestInvalid."""
    return _known(_COLLAPSE, number, "collapse")


def as_columns(view: int) -> bool:
    """Whether columns are asked for. Raises RequestInvalid."""
    if view not in _VIEWS:
        raise RequestInvalid(FieldViolation("view", "is not one of the known values"))
    return view == product_service_pb2.PRODUCT_VIEW_COLUMNS


# Filters


def condition(message: filter_pb2.Filter) -> Filter:
    """A filter, checked. Raises FilterInvalid."""
    try:
        return filters.check(_filter(message, "filter"))
    except FilterInvalidError as error:
        raise FilterInvalid(error.path, error.description) from error


def required_condition(message: filter_pb2.Filter) -> Filter:
    """A filter that says something, checked. Raises RequestInvalid, FilterInvalid."""
    if message.WhichOneof("expression") is None:
        raise RequestInvalid(
            FieldViolation("filter", "is required; {all: {}} passes every product")
        )
    return condition(message)


def rejection(product_id: str, found: Rejection) -> product_service_pb2.Rejection:
    """Why a product does not pass a filter."""
    fields = _alike(product_service_pb2.Rejection.DESCRIPTOR, found)
    return product_service_pb2.Rejection(**fields, product_id=product_id)


def packed(message: filter_pb2.Filter) -> str:
    """A filter as text, for a job's parameters."""
    return base64.b64encode(message.SerializeToString(deterministic=True)).decode()


def unpacked(text: str) -> Filter:
    """What `packed` made of a filter that says something."""
    data = base64.b64decode(text, validate=True)
    return required_condition(filter_pb2.Filter.FromString(data))


def _filter(message: filter_pb2.Filter, path: str) -> Filter:
    match message.WhichOneof("expression"):
        case "all":
            return All(_filters(message.all, f"{path}.all"))
        case "any":
            return Any(_filters(message.any, f"{path}.any"))
        case "not":
            return Not(_filter(getattr(message, "not"), f"{path}.not"))
        case "comparison":
            return _comparison(message.comparison, f"{path}.comparison")
        case "membership":
            return _membership(message.membership, f"{path}.membership")
        case "existence":
            return Existence(message.existence.field)
        case _:
            return All()


def _filters(message: filter_pb2.FilterList, path: str) -> tuple[Filter, ...]:
    return tuple(
        _filter(part, f"{path}.filters[{index}]") for index, part in enumerate(message.filters)
    )


def _comparison(given: filter_pb2.Comparison, path: str) -> Comparison:
    operator = _OPERATOR.get(given.operator)
    # Told first: what an unknown field is compared with does not matter.
    filters.rule_of(given.field, f"{path}.field")
    if operator is None:
        raise FilterInvalidError(f"{path}.operator", "is required")
    return Comparison(given.field, operator, _filter_value(given.value, f"{path}.value"))


def _membership(given: filter_pb2.Membership, path: str) -> Membership:
    return Membership(
        given.field,
        tuple(
            _filter_value(value, f"{path}.values[{index}]")
            for index, value in enumerate(given.values)
        ),
    )


def _filter_value(value: filter_pb2.FilterValue, path: str) -> Value:
    match value.WhichOneof("kind"):
        case "text":
            return value.text
        case "money":
            return _filter_money(value.money, path)
        case "availability":
            found = _AVAILABILITY.get(value.availability)
            if found is None:
                raise FilterInvalidError(f"{path}.availability", "is not one of the known values")
            return found
        case "time":
            return _filter_time(value.time, path)
        case "number":
            return value.number
        case "flag":
            return value.flag
        case _:
            raise FilterInvalidError(path, "is required")


def _filter_money(money: money_pb2.Money, path: str) -> Money:
    if not 0 <= money.nanos < 1_000_000_000 or money.nanos % 1_000:
        raise FilterInvalidError(
            f"{path}.money.nanos", "must be from 0 to 999,999,999 with at most six decimals"
        )
    return Money(money.currency_code, money.units * _MICROS + money.nanos // 1_000)


def _filter_time(time: Timestamp, path: str) -> Time:
    # https://protobuf.dev/reference/protobuf/google.protobuf/#timestamp: years 1 to 9999
    if not -62_135_596_800 <= time.seconds <= 253_402_300_799 or not 0 <= time.nanos < 10**9:
        raise FilterInvalidError(f"{path}.time", "must be a time of the years 1 to 9999")
    return Time(time.seconds * _MICROS + time.nanos // 1_000)


# Vectors


def vector(message: vector_pb2.Vector) -> GivenVector:
    """A vector as it came."""
    return GivenVector(message.space, message.space_version, message.dimension, message.data)


def blend(message: vector_service_pb2.Blend) -> tuple[BlendPart, ...]:
    """The parts of a blend as they came."""
    return tuple(
        BlendPart(
            weight=part.weight,
            vector=vector(part.vector) if part.HasField("vector") else None,
            product_id=part.product_id,
        )
        for part in message.parts
    )


def space_version(generation: Generation) -> answer_pb2.SpaceVersion:
    """Which generation was searched."""
    return answer_pb2.SpaceVersion(
        space=generation.space, version=generation.space_version, generation=generation.name
    )


def freshness(found: Freshness, token: str, now: int) -> answer_pb2.IndexFreshness:
    """How fresh an index is at `now`, in microseconds since 1970."""
    message = answer_pb2.IndexFreshness(
        index_token=token, index_time_micros=found.time, pending=found.pending
    )
    lag = max(0, now - found.oldest_open) if found.oldest_open else 0
    message.index_lag.FromMicroseconds(lag)
    return message


def index_lost(substitute: str) -> list[answer_pb2.Degradation]:
    """What an answer says that does not rest on the index; empty = it does."""
    if not substitute:
        return []
    cause = answer_pb2.Degradation.CAUSE_INDEX_UNAVAILABLE
    return [answer_pb2.Degradation(stage="index", cause=cause, substitute=substitute)]


# Generations


def recalls(
    verdicts: Iterable[Verdict], generation: Generation | None
) -> list[answer_pb2.RecallEstimate]:
    """What the watchdog knows of a generation."""
    name = generation.collection if generation is not None else ""
    found = [each for each in verdicts if each.kind.collection == name]
    return [
        answer_pb2.RecallEstimate(
            plan=each.kind.route.value,
            filter_class=each.kind.filters.value,
            k=each.recall.k,
            recall=each.recall.value,
            lower=each.recall.lower,
            upper=each.recall.upper,
            search_count=each.recall.looks,
            row_count=each.recall.rows,
            below_floor=each.below_floor,
            ef_factor=1.0,
        )
        for each in sorted(found, key=lambda each: (each.kind.route, each.kind.filters))
    ]


def generation_order(
    message: index_service_pb2.CreateGenerationRequest, space: str
) -> GenerationOrder:
    """A generation as it is wanted; `space` where none is named. Raises IndexParametersInvalid."""
    metric = _METRIC.get(message.metric)
    kind = _INDEX_KIND.get(message.parameters.kind)
    if metric is None:
        raise IndexParametersInvalid(FieldViolation("metric", "is not one of the known values"))
    if kind is None:
        raise IndexParametersInvalid(
            FieldViolation("parameters.kind", "is not one of the known values")
        )
    given = message.parameters
    return GenerationOrder(
        space=message.space or space,
        name=message.name,
        space_version=message.space_version,
        dimension=message.dimension,
        parameters=IndexParameters(
            metric,
            kind,
            m=given.m or EXACT.m,
            ef_construction=given.ef_construction or EXACT.ef_construction,
            ef=given.ef or EXACT.ef,
            partitions=given.partitions,
        ),
    )


def demand(message: index_service_pb2.VerifyGenerationRequest) -> Demand:
    """How a generation is to be verified."""
    return Demand(
        sample_size=message.sample_size or DEFAULT_SAMPLE,
        k=message.k or DEFAULT_K,
        min_recall=message.min_recall or DEFAULT_RECALL,
    )


def generation(status: GenerationStatus) -> index_service_pb2.Generation:
    """A generation."""
    found = status.generation
    kept = None if found.verification is None else _verification(found.verification)
    fields = _alike(index_service_pb2.Generation.DESCRIPTOR, found) | {
        "metric": _METRIC_NUMBER[found.parameters.metric],
        "parameters": _parameters(found.parameters),
        "state": _GENERATION_STATE[found.state],
        "verification": kept,
    }
    return index_service_pb2.Generation(
        **fields,
        previous=status.previous,
        indexed_count=status.indexed,
        pending_count=status.pending,
        failed_count=status.failed,
        create_time=_timestamp(found.created),
        activate_time=_timestamp(found.activated) if found.activated else None,
    )


def _parameters(found: IndexParameters) -> index_service_pb2.IndexParameters:
    message = index_service_pb2.IndexParameters(
        kind=_INDEX_KIND_NUMBER[found.kind], partitions=found.partitions
    )
    if found.kind is IndexKind.HNSW:
        message.m, message.ef_construction = found.m, found.ef_construction
        message.ef = found.ef
    return message


def _verification(found: Verification) -> index_service_pb2.Verification:
    fields = _alike(index_service_pb2.Verification.DESCRIPTOR, found)
    return index_service_pb2.Verification(**fields | {"end_time": _timestamp(found.end_time)})


def timings(stages: Iterable[Stage]) -> list[answer_pb2.StageTiming]:
    """How long each stage took; stages of one name are added up."""
    sums: dict[str, tuple[float, float]] = {}
    for stage in stages:
        start, total = sums.get(stage.name, (stage.start, 0.0))
        sums[stage.name] = (start, total + stage.duration)
    found = []
    for name, (start, total) in sums.items():
        message = answer_pb2.StageTiming(stage=name)
        message.start.FromTimedelta(timedelta(seconds=start))
        message.total.FromTimedelta(timedelta(seconds=total))
        found.append(message)
    return found


def given_vectors(
    vectors: Iterable[vector_service_pb2.ImageVector],
) -> list[tuple[str, str, GivenVector]]:
    """Product id, image id and vector of each."""
    return [(item.product_id, item.image_id, vector(item.vector)) for item in vectors]


def _timestamp(micros: int) -> Timestamp:
    message = Timestamp()
    message.FromMicroseconds(micros)
    return message
