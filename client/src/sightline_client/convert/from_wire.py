"""Convert the contract's messages to plain values. A value that this client is too old to know
becomes UNKNOWN or UNSPECIFIED, never an error."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from google.protobuf.message import Message
from google.type.money_pb2 import Money as MoneyMessage

from sightline.common.v1 import (
    answer_pb2,
    audit_service_pb2,
    facet_pb2,
    import_pb2,
    job_pb2,
    photo_pb2,
    product_pb2,
)
from sightline.embedder.v1 import embedding_service_pb2, inspection_service_pb2
from sightline.gateway.v1 import admin_service_pb2 as admin
from sightline.gateway.v1 import catalog_service_pb2 as catalog_pb2
from sightline.gateway.v1 import detection_service_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline.gateway.v1 import user_event_service_pb2 as user_event
from sightline.ranker.v1 import (
    evaluation_pb2,
    experiment_service_pb2,
    exposure_report_pb2,
    model_service_pb2,
    online_report_pb2,
)
from sightline.ranker.v1 import privacy_service_pb2 as privacy_pb2
from sightline.ranker.v1 import profile_service_pb2 as profile_pb2
from sightline.retriever.v1 import (
    backup_service_pb2,
    catalog_registry_service_pb2,
    index_service_pb2,
    photo_service_pb2,
    synonym_service_pb2,
    watch_pb2,
    watch_service_pb2,
    webhook_service_pb2,
)
from sightline_client.convert.filter_text import parse_filter
from sightline_client.convert.reading import reader
from sightline_client.values import (
    answers,
    catalog,
    classifications,
    events,
    facets,
    fairness,
    operations,
    privacy,
    profiles,
    signals,
    suggestions,
)
from sightline_client.values.catalogs import Catalog, CatalogAlias
from sightline_client.values.detections import Detections
from sightline_client.values.evaluation import Evaluation
from sightline_client.values.experiments import ExperimentList, ExperimentReport, ExperimentUnit
from sightline_client.values.explanations import Explanation, HeatMap
from sightline_client.values.inspection import InspectedPiece, InspectionReference
from sightline_client.values.online import OnlineReport
from sightline_client.values.products import FIELDS, Product
from sightline_client.values.spaces import Space
from sightline_client.values.synonyms import SynonymRule, Synonyms
from sightline_client.values.watches import Alert, FramesAnswer, Watch
from sightline_client.values.webhooks import DeadLetter, Webhook, WebhookTest


class _Named(Protocol):
    """A parameter, or a job's result."""

    name: str
    value: str


def _by_name(messages: Iterable[_Named]) -> Mapping[str, str]:
    return MappingProxyType({item.name: item.value for item in messages})


# Products and events


def _amount(message: MoneyMessage) -> Decimal:
    """Return the exact amount: units and nanos are integers."""
    return Decimal(message.units) + Decimal(message.nanos).scaleb(-9)


def _attribute_value(message: product_pb2.Attribute) -> object:
    return getattr(message, message.WhichOneof("value") or "text")


money = reader(catalog.Money, MoneyMessage, amount=_amount, currency="currency_code")
_attribute = reader(catalog.Attribute, product_pb2.Attribute, value=_attribute_value)
image = reader(catalog.ProductImage, product_pb2.ProductImage)
reader(catalog.MarketValues, product_pb2.MarketValues, language="language_code")
product = reader(
    Product,
    product_pb2.Product,
    **{field.attribute: field.wire for field in FIELDS},
)
category_guess = reader(catalog.CategoryGuess, photo_pb2.CategoryGuess)
photo_misfit = reader(catalog.PhotoMisfit, product_pb2.PhotoMisfit)
deletion = reader(catalog.Deletion, catalog_pb2.DeleteProductsResponse)
upsert_outcome = reader(catalog.UpsertOutcome, catalog_pb2.UpsertResult, error="status")


# Long work: jobs, imports, backups

job = reader(
    operations.Job,
    job_pb2.Job,
    catalog="catalog_id",
    results=lambda message: _by_name(message.results),
)
_FULL = import_pb2.IMPORT_MODE_FULL
import_state = reader(
    catalog.ImportState,
    import_pb2.ImportState,
    mode=lambda message: (
        catalog.ImportMode.FULL if message.mode == _FULL else catalog.ImportMode.INCREMENTAL
    ),
)
import_close = reader(operations.ImportClose, catalog_pb2.CloseImportResponse)
product_purge = reader(operations.ProductPurge, catalog_pb2.PurgeProductsResponse)
visitor = reader(events.Visitor, user_event.CreateVisitorResponse, proof="visitor_proof")
event_purge = reader(operations.EventPurge, user_event.PurgeEventsResponse)
registered_catalog = reader(
    Catalog,
    catalog_registry_service_pb2.Catalog,
    labels=lambda message: {each.name: each.value for each in message.labels},
)
catalog_alias = reader(CatalogAlias, catalog_registry_service_pb2.CatalogAlias)
synonym_rule = reader(SynonymRule, synonym_service_pb2.SynonymRule)
synonyms = reader(Synonyms, synonym_service_pb2.Synonyms)
watch = reader(Watch, watch_pb2.Watch)
alert = reader(Alert, watch_pb2.Alert)
frames_answer = reader(FramesAnswer, watch_service_pb2.SendFramesResponse)
webhook = reader(Webhook, webhook_service_pb2.Webhook)
webhook_test = reader(WebhookTest, webhook_service_pb2.SendTestDeliveryResponse)
dead_letter = reader(DeadLetter, webhook_service_pb2.DeadLetter)
takedown = reader(operations.Takedown, photo_service_pb2.Takedown)
audit_entry = reader(operations.AuditEntry, audit_service_pb2.AuditEntry, catalog="catalog_id")
audit_seal = reader(operations.AuditSeal, audit_service_pb2.AuditSeal)
audit_page = reader(operations.AuditPage, audit_service_pb2.ReadAuditChainResponse)
audit_drop = reader(operations.AuditDrop, audit_service_pb2.DropAuditEntriesResponse)
backup = reader(operations.Backup, backup_service_pb2.Backup, catalog="catalog_id", error="status")

# Models


_State = model_service_pb2.Model.State
model = reader(
    operations.Model,
    model_service_pb2.Model,
    promoted=lambda message: message.state == _State.STATE_PROMOTED,
    pruned=lambda message: message.state == _State.STATE_PRUNED,
    blend=lambda message: {one.part: one.weight for one in message.blend},
)
evaluation = reader(Evaluation, evaluation_pb2.Evaluation)
online_report = reader(OnlineReport, online_report_pb2.OnlineReport)
experiments = reader(ExperimentList, experiment_service_pb2.ListExperimentsResponse)
experiment_report = reader(ExperimentReport, experiment_service_pb2.ExperimentReport)
experiment_unit = reader(ExperimentUnit, experiment_service_pb2.ExperimentUnit)


# Spaces, the index and the suite


def _count(name: str) -> Callable[[Message], int | None]:
    """Return a reader of a count, which is negative when it is not known."""

    def read(message: Message) -> int | None:
        value: int = getattr(message, name)
        return None if value < 0 else value

    return read


def _indexed_until(message: answer_pb2.IndexFreshness) -> datetime | None:
    """Convert microseconds since 1970 to a time; None for 0 and for what no datetime can hold."""
    try:
        time = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=message.index_time_micros)
    except OverflowError:
        return None
    return time if message.index_time_micros else None


space = reader(
    Space,
    embedding_service_pb2.Space,
    default="default_version",
    fitted=lambda message: bool(message.catalog_id),
    categories="category_count",
)
generation = reader(
    operations.Generation,
    index_service_pb2.Generation,
    **{name: _count(name) for name in ("indexed_count", "pending_count", "failed_count")},
)
freshness = reader(
    answers.Freshness, answer_pb2.IndexFreshness, lag="index_lag", time=_indexed_until
)
_component = reader(operations.ComponentStatus, admin.ComponentStatus, error="status")
_embedder_space = reader(operations.EmbedderSpace, admin.EmbedderSpace, default="default_version")
_COUNTS = (
    *("products", "indexed_images", "pending_images", "failed_images"),
    *("indexed_texts", "pending_texts", "failed_texts"),
)
status = reader(
    operations.Status,
    admin.GetStatusResponse,
    scene_problems=lambda message: tuple(
        f"{each.path}: {each.text}" for each in message.scene_problems
    ),
    **{name: _count(name) for name in _COUNTS},
)

# Answers


_reason = reader(
    answers.Reason,
    answer_pb2.Reason,
    parameters=lambda message: _by_name(message.parameters),
)
_facet_value = reader(
    facets.FacetValue,
    facet_pb2.FacetValue,
    filter=lambda message: parse_filter(message.filter_text),
)
corrected_query = reader(answers.CorrectedQuery, rec.CorrectedQuery)
reader(signals.PhotoPoint, photo_pb2.PhotoPoint)
reader(answers.EmptyReason, rec.EmptyReason)
label_line = reader(signals.LabelLine, photo_pb2.LabelLine)
_Labelled: TypeAlias = (
    rec.RecommendResponse | rec.SearchResponse | rec.ExplainRecommendationResponse
)


def _labels(message: _Labelled) -> Mapping[int, tuple[signals.LabelLine, ...]]:
    return {
        item.signal: tuple(map(label_line, item.lines))
        for item in message.labels
        if not item.left_out
    }


def _unread(message: _Labelled) -> tuple[int, ...]:
    return tuple(item.signal for item in message.labels if item.left_out)


def _unsure(message: _Labelled) -> Mapping[int, int]:
    return {
        item.signal: item.unsure_line_count for item in message.labels if item.unsure_line_count
    }


_OF_LABELS: Final = {
    "labels": _labels,
    "unread_labels": _unread,
    "unsure_label_lines": _unsure,
}
recommendations = reader(answers.Recommendations, rec.RecommendResponse, **_OF_LABELS)


def _highlights(value: rec.Suggestion) -> tuple[slice, ...]:
    """Convert parts in UTF-16 code units to parts in code points."""
    units = value.text.encode("utf-16-le")

    def place(unit: int) -> int:
        return len(units[: 2 * unit].decode("utf-16-le", "ignore"))

    return tuple(slice(place(each.start), place(each.end)) for each in value.highlights)


_suggestion = reader(
    suggestions.Suggestion,
    rec.Suggestion,
    highlights=_highlights,
    filter=lambda message: parse_filter(message.filter_text) if message.filter_text else None,
)
top_searches = reader(suggestions.TopSearches, admin.ListTopSearchesResponse)
suggested = reader(suggestions.Suggestions, rec.SuggestResponse)
listing = reader(answers.Listing, rec.ListResponse)
found = reader(answers.SearchResults, rec.SearchResponse, **_OF_LABELS)
reader(
    answers.RecommendedValue,
    rec.RecommendedValue,
    filter=lambda message: parse_filter(message.filter_text),
)
recommended_values = reader(answers.RecommendedValues, rec.RecommendValuesResponse)


def _shelf_answer(
    message: rec.ShelfAnswer,
) -> answers.Recommendations | answers.SearchResults | answers.Listing | None:
    match message.WhichOneof("answer"):
        case "recommend":
            return recommendations(message.recommend)
        case "search":
            return found(message.search)
        case "list":
            return listing(message.list)
        case _:
            return None


reader(answers.ShelfAnswer, rec.ShelfAnswer, answer=_shelf_answer)
shelves = reader(answers.Shelves, rec.RecommendShelvesResponse)
explanation = reader(Explanation, rec.ExplainRecommendationResponse, **_OF_LABELS)
heat_map = reader(HeatMap, rec.DrawHeatMapResponse)
inspected_piece = reader(InspectedPiece, inspection_service_pb2.InspectResponse)
inspection_reference = reader(InspectionReference, inspection_service_pb2.InspectionReference)


def classification(message: rec.ClassifyResponse) -> classifications.Classification:
    """Convert an answer of Classify."""
    inner = message.classification
    return classifications.Classification(
        guesses=tuple(map(category_guess, inner.guesses)),
        unknown_probability=inner.unknown_probability,
        unknown=inner.unknown,
        sure=category_guess(inner.sure) if inner.HasField("sure") else None,
        proposals=tuple(
            classifications.FilterProposal(parse_filter(item.text), item.text, item.probability)
            for item in message.proposals
        ),
        space_version=inner.space_version,
        request_id=message.request_id,
    )


detections = reader(Detections, detection_service_pb2.DetectProductsResponse)

# Profiles


def _price_band(message: profile_pb2.ProductProfile) -> tuple[catalog.Money, catalog.Money] | None:
    band = message.price_band
    return (money(band.least), money(band.below)) if message.HasField("price_band") else None


shopper_profile = reader(
    profiles.ShopperProfile,
    profile_pb2.ShopperProfile,
    attributes=lambda message: {one.key: one.text for one in message.attributes},
)
product_profile = reader(
    profiles.ProductProfile,
    profile_pb2.ProductProfile,
    category="category_path",
    price_band=_price_band,
    attributes=lambda message: tuple((one.key, one.text) for one in message.attributes),
)
segments = reader(profiles.Segments, profile_pb2.ListSegmentsResponse)

# Privacy

reader(privacy.ErasedStore, privacy_pb2.ErasedStore)
reader(fairness.ExposureGroup, exposure_report_pb2.ExposureGroup)
reader(fairness.ShopperOpportunity, exposure_report_pb2.ShopperOpportunity)
exposure_report = reader(fairness.ExposureReport, exposure_report_pb2.ExposureReport)
erasure = reader(privacy.Erasure, privacy_pb2.Erasure)
reader(privacy.ConsentState, privacy_pb2.ConsentState)
reader(privacy.ConsentDecision, privacy_pb2.ConsentDecision)
consents = reader(privacy.Consents, privacy_pb2.Consents)
reader(privacy.PrivacySpending, privacy_pb2.PrivacySpending)
privacy_budget = reader(privacy.PrivacyBudget, privacy_pb2.PrivacyBudget)
