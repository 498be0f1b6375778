"""A typed client of Sightline: recommendations by visual similarity and behaviour."""

import warnings
from typing import TYPE_CHECKING

from sightline.filter_text import FilterSyntaxError as FilterSyntaxError
from sightline_client._generated.sync_client import SyncSightlineClient as SyncSightlineClient
from sightline_client.client import SightlineClient as SightlineClient
from sightline_client.convert.filter_text import parse_filter as parse_filter
from sightline_client.errors import AlreadyExists as AlreadyExists
from sightline_client.errors import Cancelled as Cancelled
from sightline_client.errors import Conflict as Conflict
from sightline_client.errors import DeadlineExceeded as DeadlineExceeded
from sightline_client.errors import FailedPrecondition as FailedPrecondition
from sightline_client.errors import Failure as Failure
from sightline_client.errors import FieldViolation as FieldViolation
from sightline_client.errors import InvalidRequest as InvalidRequest
from sightline_client.errors import ItemsRejected as ItemsRejected
from sightline_client.errors import NotFound as NotFound
from sightline_client.errors import PermissionDenied as PermissionDenied
from sightline_client.errors import ResourceExhausted as ResourceExhausted
from sightline_client.errors import ServerFault as ServerFault
from sightline_client.errors import SightlineError as SightlineError
from sightline_client.errors import Unauthenticated as Unauthenticated
from sightline_client.errors import Unavailable as Unavailable
from sightline_client.errors import Unimplemented as Unimplemented
from sightline_client.transport.looping import SyncBatches as SyncBatches
from sightline_client.transport.tls import tls_credentials as tls_credentials
from sightline_client.transport.write_batches import Batches as Batches
from sightline_client.values.catalog import Attribute as Attribute
from sightline_client.values.catalog import Availability as Availability
from sightline_client.values.catalog import CategoryDoubt as CategoryDoubt
from sightline_client.values.catalog import CategoryGuess as CategoryGuess
from sightline_client.values.catalog import Deletion as Deletion
from sightline_client.values.catalog import ImportBatch as ImportBatch
from sightline_client.values.catalog import ImportMode as ImportMode
from sightline_client.values.catalog import ImportReport as ImportReport
from sightline_client.values.catalog import ImportState as ImportState
from sightline_client.values.catalog import MarketValues as MarketValues
from sightline_client.values.catalog import Money as Money
from sightline_client.values.catalog import Offer as Offer
from sightline_client.values.catalog import OfferBatch as OfferBatch
from sightline_client.values.catalog import OfferFailure as OfferFailure
from sightline_client.values.catalog import OfferReport as OfferReport
from sightline_client.values.catalog import PhotoMisfit as PhotoMisfit
from sightline_client.values.catalog import ProductImage as ProductImage
from sightline_client.values.catalog import ProductOrder as ProductOrder
from sightline_client.values.catalog import RowFailure as RowFailure
from sightline_client.values.catalog import UpsertBatch as UpsertBatch
from sightline_client.values.catalog import UpsertOutcome as UpsertOutcome
from sightline_client.values.catalog import UpsertReport as UpsertReport
from sightline_client.values.catalog import money as money
from sightline_client.values.classifications import Classification as Classification
from sightline_client.values.classifications import FilterProposal as FilterProposal
from sightline_client.values.events import Event as Event
from sightline_client.values.events import EventBatch as EventBatch
from sightline_client.values.events import EventFailure as EventFailure
from sightline_client.values.events import EventReport as EventReport
from sightline_client.values.events import EventType as EventType
from sightline_client.values.events import Visitor as Visitor
from sightline_client.values.exports import *  # noqa: F403 - each is exported
from sightline_client.values.filters import Filter as Filter
from sightline_client.values.filters import all_of as all_of
from sightline_client.values.filters import any_of as any_of
from sightline_client.values.parts import FacetQuery as FacetQuery
from sightline_client.values.parts import HeatMapOptions as HeatMapOptions
from sightline_client.values.parts import PlannedProduct as PlannedProduct
from sightline_client.values.parts import Unlike as Unlike
from sightline_client.values.photos import Photo as Photo
from sightline_client.values.photos import Uri as Uri
from sightline_client.values.photos import product_image as product_image
from sightline_client.values.products import F as F
from sightline_client.values.products import Product as Product
from sightline_client.values.products import Sort as Sort
from sightline_client.values.reports import AddedPhotos as AddedPhotos
from sightline_client.values.requests import ListOptions as ListOptions
from sightline_client.values.requests import QueryOptions as QueryOptions
from sightline_client.values.requests import RecommendOptions as RecommendOptions
from sightline_client.values.requests import SearchOptions as SearchOptions
from sightline_client.values.requests import Shelf as Shelf
from sightline_client.values.requests import ShelvesOptions as ShelvesOptions
from sightline_client.values.updates import ProductUpdate as ProductUpdate
from sightline_client.values.webhook_messages import WebhookMessage as WebhookMessage
from sightline_client.values.webhook_messages import WebhookRejected as WebhookRejected
from sightline_client.values.webhook_messages import verify_webhook as verify_webhook

if not TYPE_CHECKING:  # type checkers know the new names alone
    _RENAMED = {
        "Found": "SearchResults",
        "Order": "ProductOrder",
        "Outcome": "ProductOutcome",
        "Verdict": "EvaluationVerdict",
    }
    """Classes that were renamed in 0.16, by their old names."""

    def __getattr__(name):
        """Return a renamed class, with a DeprecationWarning."""
        if name not in _RENAMED:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        warnings.warn(
            f"sightline_client.{name} is deprecated: use {_RENAMED[name]}",
            DeprecationWarning,
            stacklevel=2,
        )
        return globals()[_RENAMED[name]]
