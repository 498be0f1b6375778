"""Fields of values that do not follow from one field of the message. Each is read by the function
of its name, or of its class and name, from the whole message; ``client/generator`` looks here.

The return type is the field's, and the docstring its description where the message has no such
field.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Protocol, TypeAlias

from google.type.money_pb2 import Money as MoneyMessage

from sightline.common.v1 import answer_pb2, facet_pb2, import_pb2, job_pb2, product_pb2
from sightline.embedder.v1 import embedding_service_pb2
from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline.ranker.v1 import model_service_pb2, profile_service_pb2
from sightline.retriever.v1 import catalog_registry_service_pb2
from sightline_client.convert.filter_text import parse_filter
from sightline_client.convert.reading import read
from sightline_client.values.answers import Listing, Recommendations, SearchResults
from sightline_client.values.catalog import ImportMode, Money
from sightline_client.values.filters import Filter
from sightline_client.values.signals import LabelLine

_Labelled: TypeAlias = (
    rec.RecommendResponse | rec.SearchResponse | rec.ExplainRecommendationResponse
)


class _Named(Protocol):
    """A parameter, a label, or a job's result."""

    name: str
    value: str


def _by_name(messages: Iterable[_Named]) -> Mapping[str, str]:
    return MappingProxyType({item.name: item.value for item in messages})


def money_amount(message: MoneyMessage) -> Decimal:
    """Return the exact amount: units and nanos are integers."""
    return Decimal(message.units) + Decimal(message.nanos).scaleb(-9)


def attribute_value(message: product_pb2.Attribute) -> str | float | bool:
    """Return the text, number or flag."""
    found: str | float | bool = getattr(message, message.WhichOneof("value") or "text")
    return found


def import_state_mode(message: import_pb2.ImportState) -> ImportMode:
    """Return what happens to products that the import does not contain."""
    full = message.mode == import_pb2.IMPORT_MODE_FULL
    return ImportMode.FULL if full else ImportMode.INCREMENTAL


def job_results(message: job_pb2.Job) -> Mapping[str, str]:
    """Return the results, e.g. {"model_version": "…"}; empty until it has succeeded."""
    return _by_name(message.results)


def reason_parameters(message: answer_pb2.Reason) -> Mapping[str, str]:
    """Return what the code refers to, e.g. {"product_id": "wine-7"}."""
    return _by_name(message.parameters)


def catalog_labels(message: catalog_registry_service_pb2.Catalog) -> Mapping[str, str]:
    """Return up to 32 labels by name, for tools of the operator."""
    return dict(_by_name(message.labels))


def model_promoted(message: model_service_pb2.Model) -> bool:
    """Return True if it serves."""
    return message.state == model_service_pb2.Model.STATE_PROMOTED


def model_pruned(message: model_service_pb2.Model) -> bool:
    """Return True if its files were deleted: it can't be promoted."""
    return message.state == model_service_pb2.Model.STATE_PRUNED


def model_blend(message: model_service_pb2.Model) -> Mapping[str, float]:
    """Return the weights of the parts of the raw score, to which those of a request are applied."""
    return {one.part: one.weight for one in message.blend}


def space_fitted(message: embedding_service_pb2.Space) -> bool:
    """Return True if it was fitted on the photos of a catalog."""
    return bool(message.catalog_id)


def status_scene_problems(message: admin.GetStatusResponse) -> tuple[str, ...]:
    """Return invalid scene files, each with its problem: their former content stays in use."""
    return tuple(f"{each.path}: {each.text}" for each in message.scene_problems)


def freshness_time(message: answer_pb2.IndexFreshness) -> datetime | None:
    """Return when the newest completely indexed product was written (UTC); None if none is
    indexed yet."""
    try:
        time = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=message.index_time_micros)
    except OverflowError:
        return None
    return time if message.index_time_micros else None


def filter_(message: facet_pb2.FacetValue | rec.RecommendedValue) -> Filter:
    """Return the filter that products with the value pass: join it to another with ``&``."""
    return parse_filter(message.filter_text)


def suggestion_filter(message: rec.Suggestion) -> Filter | None:
    """Return the filter that the products pass; None for a suggestion without one."""
    return parse_filter(message.filter_text) if message.filter_text else None


def suggestion_highlights(value: rec.Suggestion) -> tuple[slice, ...]:
    """Return the parts of ``text`` that were typed, as slices of it."""
    # The contract counts code units of UTF-16, Python code points.
    units = value.text.encode("utf-16-le")

    def place(unit: int) -> int:
        return len(units[: 2 * unit].decode("utf-16-le", "ignore"))

    return tuple(slice(place(each.start), place(each.end)) for each in value.highlights)


def labels(message: _Labelled) -> Mapping[int, tuple[LabelLine, ...]]:
    """Return texts read in photos, by index of the signal, if they were asked for or the scene has
    the branch ``labels``. Without lines: the photo was read and has no text."""
    return {
        item.signal: tuple(read(LabelLine, line) for line in item.lines)
        for item in message.labels
        if not item.left_out
    }


def unread_labels(message: _Labelled) -> tuple[int, ...]:
    """Return the signals whose labels were left out: too costly, too late or not readable now."""
    return tuple(item.signal for item in message.labels if item.left_out)


def unsure_label_lines(message: _Labelled) -> Mapping[int, int]:
    """Return the numbers of lines that were found in photos and not read with confidence, by index
    of the signal: 1 to 64."""
    return {
        item.signal: item.unsure_line_count for item in message.labels if item.unsure_line_count
    }


def shelf_answer_answer(
    message: rec.ShelfAnswer,
) -> Recommendations | SearchResults | Listing | None:
    """Return the answer to the shelf's query; None if it failed."""
    match message.WhichOneof("answer"):
        case "recommend":
            return read(Recommendations, message.recommend)
        case "search":
            return read(SearchResults, message.search)
        case "list":
            return read(Listing, message.list)
        case _:
            return None


def shopper_profile_attributes(message: profile_service_pb2.ShopperProfile) -> Mapping[str, str]:
    """Return the attributes that the shopper gave with consent."""
    return {one.key: one.text for one in message.attributes}


def product_profile_attributes(
    message: profile_service_pb2.ProductProfile,
) -> tuple[tuple[str, str], ...]:
    """Return attributes from which models learn, as (key, value); a key may repeat."""
    return tuple((one.key, one.text) for one in message.attributes)


def product_profile_price_band(
    message: profile_service_pb2.ProductProfile,
) -> tuple[Money, Money] | None:
    """Return lower (inclusive) and upper (exclusive) end; None without a price."""
    band = message.price_band
    if not message.HasField("price_band"):
        return None
    return read(Money, band.least), read(Money, band.below)
