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
from sightline_client.values.answers import AnswerQuality as AnswerQuality
from sightline_client.values.answers import Cause as Cause
from sightline_client.values.answers import CorrectedQuery as CorrectedQuery
from sightline_client.values.answers import Degradation as Degradation
from sightline_client.values.answers import FoundProduct as FoundProduct
from sightline_client.values.answers import Freshness as Freshness
from sightline_client.values.answers import Listing as Listing
from sightline_client.values.answers import Match as Match
from sightline_client.values.answers import MatchBasis as MatchBasis
from sightline_client.values.answers import MatchOutcome as MatchOutcome
from sightline_client.values.answers import Move as Move
from sightline_client.values.answers import MoveCause as MoveCause
from sightline_client.values.answers import Reason as Reason
from sightline_client.values.answers import Recommendations as Recommendations
from sightline_client.values.answers import RecommendedProduct as RecommendedProduct
from sightline_client.values.answers import RecommendedValue as RecommendedValue
from sightline_client.values.answers import RecommendedValues as RecommendedValues
from sightline_client.values.answers import ScoreFeature as ScoreFeature
from sightline_client.values.answers import ScoreNote as ScoreNote
from sightline_client.values.answers import ScoreNoteCause as ScoreNoteCause
from sightline_client.values.answers import ScorePart as ScorePart
from sightline_client.values.answers import SearchResults as SearchResults
from sightline_client.values.answers import ShelfAnswer as ShelfAnswer
from sightline_client.values.answers import Shelves as Shelves
from sightline_client.values.answers import SpaceVersion as SpaceVersion
from sightline_client.values.answers import StageTiming as StageTiming
from sightline_client.values.answers import Versions as Versions
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
from sightline_client.values.catalog import ProductImage as ProductImage
from sightline_client.values.catalog import ProductOrder as ProductOrder
from sightline_client.values.catalog import RowFailure as RowFailure
from sightline_client.values.catalog import UpsertBatch as UpsertBatch
from sightline_client.values.catalog import UpsertOutcome as UpsertOutcome
from sightline_client.values.catalog import UpsertReport as UpsertReport
from sightline_client.values.catalog import money as money
from sightline_client.values.catalogs import Catalog as Catalog
from sightline_client.values.catalogs import CatalogAlias as CatalogAlias
from sightline_client.values.catalogs import CatalogState as CatalogState
from sightline_client.values.classifications import Classification as Classification
from sightline_client.values.classifications import FilterProposal as FilterProposal
from sightline_client.values.controls import Control as Control
from sightline_client.values.controls import ControlKind as ControlKind
from sightline_client.values.controls import ControlOutcome as ControlOutcome
from sightline_client.values.controls import ControlResult as ControlResult
from sightline_client.values.detections import AlternativeProduct as AlternativeProduct
from sightline_client.values.detections import Detections as Detections
from sightline_client.values.detections import ProductCount as ProductCount
from sightline_client.values.detections import ProductDetection as ProductDetection
from sightline_client.values.evaluation import BrandExposure as BrandExposure
from sightline_client.values.evaluation import EvaluatedSystem as EvaluatedSystem
from sightline_client.values.evaluation import Evaluation as Evaluation
from sightline_client.values.evaluation import EvaluationComparison as EvaluationComparison
from sightline_client.values.evaluation import EvaluationFigure as EvaluationFigure
from sightline_client.values.evaluation import EvaluationSlice as EvaluationSlice
from sightline_client.values.evaluation import EvaluationTrial as EvaluationTrial
from sightline_client.values.evaluation import EvaluationVerdict as EvaluationVerdict
from sightline_client.values.evaluation import ProductionForm as ProductionForm
from sightline_client.values.evaluation import SplitProtocol as SplitProtocol
from sightline_client.values.evaluation import SystemKind as SystemKind
from sightline_client.values.events import Event as Event
from sightline_client.values.events import EventBatch as EventBatch
from sightline_client.values.events import EventFailure as EventFailure
from sightline_client.values.events import EventReport as EventReport
from sightline_client.values.events import EventType as EventType
from sightline_client.values.events import Visitor as Visitor
from sightline_client.values.experiments import ArmReport as ArmReport
from sightline_client.values.experiments import ArmVerdict as ArmVerdict
from sightline_client.values.experiments import EffectInterval as EffectInterval
from sightline_client.values.experiments import Experiment as Experiment
from sightline_client.values.experiments import ExperimentArm as ExperimentArm
from sightline_client.values.experiments import ExperimentList as ExperimentList
from sightline_client.values.experiments import ExperimentReport as ExperimentReport
from sightline_client.values.experiments import ExperimentUnit as ExperimentUnit
from sightline_client.values.experiments import Guardrail as Guardrail
from sightline_client.values.experiments import MetricReport as MetricReport
from sightline_client.values.explanations import BranchVerdict as BranchVerdict
from sightline_client.values.explanations import ExplainedScore as ExplainedScore
from sightline_client.values.explanations import Explanation as Explanation
from sightline_client.values.explanations import FilterRejection as FilterRejection
from sightline_client.values.explanations import HeatMap as HeatMap
from sightline_client.values.explanations import ProductOutcome as ProductOutcome
from sightline_client.values.facets import Facet as Facet
from sightline_client.values.facets import FacetQuery as FacetQuery
from sightline_client.values.facets import FacetValue as FacetValue
from sightline_client.values.fairness import ExposureGroup as ExposureGroup
from sightline_client.values.fairness import ExposureReport as ExposureReport
from sightline_client.values.fairness import ShopperOpportunity as ShopperOpportunity
from sightline_client.values.filters import Filter as Filter
from sightline_client.values.filters import all_of as all_of
from sightline_client.values.filters import any_of as any_of
from sightline_client.values.online import AttributionCounts as AttributionCounts
from sightline_client.values.online import DriftItem as DriftItem
from sightline_client.values.online import Estimate as Estimate
from sightline_client.values.online import FeedbackHealth as FeedbackHealth
from sightline_client.values.online import OnlineGroup as OnlineGroup
from sightline_client.values.online import OnlineReport as OnlineReport
from sightline_client.values.online import PolicyEstimate as PolicyEstimate
from sightline_client.values.online import Rate as Rate
from sightline_client.values.operations import AuditDrop as AuditDrop
from sightline_client.values.operations import AuditEntry as AuditEntry
from sightline_client.values.operations import AuditPage as AuditPage
from sightline_client.values.operations import AuditSeal as AuditSeal
from sightline_client.values.operations import Backup as Backup
from sightline_client.values.operations import ComponentStatus as ComponentStatus
from sightline_client.values.operations import EmbedderSpace as EmbedderSpace
from sightline_client.values.operations import EventPurge as EventPurge
from sightline_client.values.operations import Generation as Generation
from sightline_client.values.operations import GenerationState as GenerationState
from sightline_client.values.operations import ImportClose as ImportClose
from sightline_client.values.operations import IndexKind as IndexKind
from sightline_client.values.operations import IndexMetric as IndexMetric
from sightline_client.values.operations import IndexParameters as IndexParameters
from sightline_client.values.operations import Job as Job
from sightline_client.values.operations import JobState as JobState
from sightline_client.values.operations import Metric as Metric
from sightline_client.values.operations import Model as Model
from sightline_client.values.operations import ProductPurge as ProductPurge
from sightline_client.values.operations import RecallEstimate as RecallEstimate
from sightline_client.values.operations import Status as Status
from sightline_client.values.operations import Takedown as Takedown
from sightline_client.values.operations import Verification as Verification
from sightline_client.values.photos import Photo as Photo
from sightline_client.values.photos import Uri as Uri
from sightline_client.values.photos import product_image as product_image
from sightline_client.values.privacy import ConsentDecision as ConsentDecision
from sightline_client.values.privacy import Consents as Consents
from sightline_client.values.privacy import ConsentState as ConsentState
from sightline_client.values.privacy import ErasedStore as ErasedStore
from sightline_client.values.privacy import Erasure as Erasure
from sightline_client.values.privacy import PrivacyBudget as PrivacyBudget
from sightline_client.values.privacy import PrivacySpending as PrivacySpending
from sightline_client.values.privacy import Purpose as Purpose
from sightline_client.values.products import F as F
from sightline_client.values.products import Product as Product
from sightline_client.values.products import Sort as Sort
from sightline_client.values.profiles import Activity as Activity
from sightline_client.values.profiles import Affinity as Affinity
from sightline_client.values.profiles import AffinityKind as AffinityKind
from sightline_client.values.profiles import ProductProfile as ProductProfile
from sightline_client.values.profiles import Segment as Segment
from sightline_client.values.profiles import Segments as Segments
from sightline_client.values.profiles import ShopperProfile as ShopperProfile
from sightline_client.values.requests import ListOptions as ListOptions
from sightline_client.values.requests import QueryOptions as QueryOptions
from sightline_client.values.requests import RecommendOptions as RecommendOptions
from sightline_client.values.requests import SearchOptions as SearchOptions
from sightline_client.values.requests import Shelf as Shelf
from sightline_client.values.requests import ShelvesOptions as ShelvesOptions
from sightline_client.values.shelf_plans import PlanComparison as PlanComparison
from sightline_client.values.shelf_plans import PlanCount as PlanCount
from sightline_client.values.shelf_plans import PlanFinding as PlanFinding
from sightline_client.values.shelf_plans import PlanFindingKind as PlanFindingKind
from sightline_client.values.shelf_plans import PlannedProduct as PlannedProduct
from sightline_client.values.shelf_plans import StockLack as StockLack
from sightline_client.values.shelf_plans import StockOptions as StockOptions
from sightline_client.values.shelf_plans import StockSuggestion as StockSuggestion
from sightline_client.values.signals import Box as Box
from sightline_client.values.signals import LabelLine as LabelLine
from sightline_client.values.signals import PhotoPoint as PhotoPoint
from sightline_client.values.signals import Subject as Subject
from sightline_client.values.signals import Unlike as Unlike
from sightline_client.values.spaces import Space as Space
from sightline_client.values.spaces import SpaceEvaluation as SpaceEvaluation
from sightline_client.values.spaces import SpaceFigure as SpaceFigure
from sightline_client.values.spaces import SpaceState as SpaceState
from sightline_client.values.spaces import SpaceVerdict as SpaceVerdict
from sightline_client.values.suggestions import Suggestion as Suggestion
from sightline_client.values.suggestions import SuggestionKind as SuggestionKind
from sightline_client.values.suggestions import Suggestions as Suggestions
from sightline_client.values.suggestions import TopSearch as TopSearch
from sightline_client.values.suggestions import TopSearches as TopSearches
from sightline_client.values.synonyms import SynonymRule as SynonymRule
from sightline_client.values.synonyms import Synonyms as Synonyms
from sightline_client.values.trainings import ItemItem as ItemItem
from sightline_client.values.trainings import PartAddition as PartAddition
from sightline_client.values.trainings import PartVerdict as PartVerdict
from sightline_client.values.trainings import TrainingLoss as TrainingLoss
from sightline_client.values.trainings import TrainingRecipe as TrainingRecipe
from sightline_client.values.updates import ProductUpdate as ProductUpdate

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
