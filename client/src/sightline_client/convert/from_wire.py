"""Convert the contract's messages to plain values. A value that this client is too old to know
becomes UNKNOWN or UNSPECIFIED, never an error.

Made from the contract by client/generator: change that or its tables, and run ``make proto``.
"""

from google.type import money_pb2 as google_money_pb2

from sightline.common.v1 import answer_pb2 as common_answer_pb2
from sightline.common.v1 import audit_service_pb2 as common_audit_service_pb2
from sightline.common.v1 import detection_pb2 as common_detection_pb2
from sightline.common.v1 import facet_pb2 as common_facet_pb2
from sightline.common.v1 import import_pb2 as common_import_pb2
from sightline.common.v1 import job_pb2 as common_job_pb2
from sightline.common.v1 import photo_pb2 as common_photo_pb2
from sightline.common.v1 import product_pb2 as common_product_pb2
from sightline.embedder.v1 import embedding_service_pb2 as embedder_embedding_service_pb2
from sightline.embedder.v1 import space_pb2 as embedder_space_pb2
from sightline.gateway.v1 import admin_service_pb2 as gateway_admin_service_pb2
from sightline.gateway.v1 import catalog_service_pb2 as gateway_catalog_service_pb2
from sightline.gateway.v1 import control_pb2 as gateway_control_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as gateway_recommendation_service_pb2
from sightline.gateway.v1 import user_event_service_pb2 as gateway_user_event_service_pb2
from sightline.ranker.v1 import evaluation_pb2 as ranker_evaluation_pb2
from sightline.ranker.v1 import experiment_service_pb2 as ranker_experiment_service_pb2
from sightline.ranker.v1 import exposure_report_pb2 as ranker_exposure_report_pb2
from sightline.ranker.v1 import model_service_pb2 as ranker_model_service_pb2
from sightline.ranker.v1 import online_report_pb2 as ranker_online_report_pb2
from sightline.ranker.v1 import privacy_service_pb2 as ranker_privacy_service_pb2
from sightline.ranker.v1 import profile_service_pb2 as ranker_profile_service_pb2
from sightline.ranker.v1 import recipe_pb2 as ranker_recipe_pb2
from sightline.retriever.v1 import backup_service_pb2 as retriever_backup_service_pb2
from sightline.retriever.v1 import (
    catalog_registry_service_pb2 as retriever_catalog_registry_service_pb2,
)
from sightline.retriever.v1 import index_service_pb2 as retriever_index_service_pb2
from sightline.retriever.v1 import photo_service_pb2 as retriever_photo_service_pb2
from sightline.retriever.v1 import synonym_service_pb2 as retriever_synonym_service_pb2
from sightline.vision.v1 import detection_service_pb2 as vision_detection_service_pb2
from sightline.vision.v1 import inspection_service_pb2 as vision_inspection_service_pb2
from sightline.vision.v1 import shelf_pb2 as vision_shelf_pb2
from sightline.vision.v1 import watch_pb2 as vision_watch_pb2
from sightline.vision.v1 import watch_service_pb2 as vision_watch_service_pb2
from sightline.vision.v1 import webhook_service_pb2 as vision_webhook_service_pb2
from sightline_client.convert import special
from sightline_client.convert.reading import reader
from sightline_client.values.answers import (
    CorrectedQuery,
    Degradation,
    EmptyReason,
    FoundProduct,
    Freshness,
    Listing,
    Match,
    Move,
    Reason,
    Recommendations,
    RecommendedProduct,
    RecommendedValue,
    RecommendedValues,
    ScoreFeature,
    ScoreNote,
    ScorePart,
    SearchResults,
    ShelfAnswer,
    Shelves,
    SpaceVersion,
    StageTiming,
    Versions,
)
from sightline_client.values.catalog import (
    Attribute,
    CategoryDoubt,
    CategoryGuess,
    Deletion,
    DistinctPair,
    ImportState,
    MarketValues,
    PhotoMisfit,
    Product,
    ProductImage,
    UpsertOutcome,
)
from sightline_client.values.catalogs import Catalog, CatalogAlias
from sightline_client.values.controls import ControlOutcome
from sightline_client.values.detections import Detections, ProductCount
from sightline_client.values.evaluation import (
    BrandExposure,
    EvaluatedSystem,
    Evaluation,
    EvaluationComparison,
    EvaluationFigure,
    EvaluationSlice,
    EvaluationTrial,
)
from sightline_client.values.events import Visitor
from sightline_client.values.experiments import (
    ArmReport,
    EffectInterval,
    Experiment,
    ExperimentArm,
    ExperimentList,
    ExperimentReport,
    ExperimentUnit,
    Guardrail,
    MetricReport,
)
from sightline_client.values.explanations import (
    BranchVerdict,
    ExplainedScore,
    Explanation,
    FilterRejection,
    HeatMap,
    PlaceLimit,
    ProductControl,
)
from sightline_client.values.facets import Facet, FacetValue
from sightline_client.values.fairness import ExposureGroup, ExposureReport, ShopperOpportunity
from sightline_client.values.inspection import (
    AnomalousPart,
    InspectedPiece,
    InspectionReference,
    ReferenceEvaluation,
    ReferenceFigures,
)
from sightline_client.values.money import Money
from sightline_client.values.online import (
    AttributionCounts,
    DegradedAnswers,
    DriftItem,
    Estimate,
    FeedbackHealth,
    OnlineDay,
    OnlineGroup,
    OnlineReport,
    OnlineRevenue,
    PolicyEstimate,
    Rate,
)
from sightline_client.values.operations import (
    AuditDrop,
    AuditEntry,
    AuditPage,
    AuditSeal,
    Backup,
    CallerQuota,
    ComponentStatus,
    EmbedderSpace,
    EventPurge,
    Generation,
    ImportClose,
    IndexParameters,
    Job,
    Metric,
    Model,
    ProductPurge,
    RecallEstimate,
    RejectedRow,
    Status,
    Takedown,
    Verification,
)
from sightline_client.values.privacy import (
    ConsentDecision,
    Consents,
    ConsentState,
    ErasedStore,
    Erasure,
    PrivacyBudget,
    PrivacySpending,
)
from sightline_client.values.profiles import (
    Activity,
    Affinity,
    ProductProfile,
    Segment,
    Segments,
    ShopperProfile,
)
from sightline_client.values.scenes import (
    ChangedAnswer,
    EstimatedValue,
    ExpectedFigure,
    ExposureChange,
    ExposureFigure,
    SceneCheck,
    SceneDiff,
    SceneDocument,
    SceneDocuments,
    SceneEntryChange,
    SceneFile,
    SceneList,
    SceneProblem,
    SceneText,
)
from sightline_client.values.shelf_plans import (
    PlanComparison,
    PlanCount,
    PlanFinding,
    StockSuggestion,
)
from sightline_client.values.signals import (
    AlternativeProduct,
    Box,
    DetectionHeatMap,
    LabelLine,
    PhotoPoint,
    ProductDetection,
)
from sightline_client.values.spaces import Space, SpaceEvaluation, SpaceFigure
from sightline_client.values.suggestions import Suggestion, Suggestions, TopSearch, TopSearches
from sightline_client.values.synonyms import SynonymRule, Synonyms
from sightline_client.values.trainings import PartAddition, TrainingRecipe
from sightline_client.values.watches import (
    Alert,
    CountCondition,
    DetectedCondition,
    FaultCondition,
    FollowedAlert,
    FrameResult,
    FramesAnswer,
    PresenceCondition,
    RuleReading,
    SnapshotStatus,
    UnusualCondition,
    Watch,
    WatchCounts,
    WatchRegion,
    WatchRule,
    WatchTarget,
)
from sightline_client.values.webhooks import DeadLetter, Webhook, WebhookTest, WebhookWithSecret

score_feature = reader(ScoreFeature, common_answer_pb2.ScoreFeature)
score_note = reader(ScoreNote, common_answer_pb2.ScoreNote)
move = reader(Move, common_answer_pb2.Move)
degradation = reader(Degradation, common_answer_pb2.Degradation)
stage_timing = reader(StageTiming, common_answer_pb2.StageTiming)
space_version = reader(SpaceVersion, common_answer_pb2.SpaceVersion)
corrected_query = reader(CorrectedQuery, gateway_recommendation_service_pb2.CorrectedQuery)
empty_reason = reader(EmptyReason, gateway_recommendation_service_pb2.EmptyReason)
reason = reader(Reason, common_answer_pb2.Reason)
freshness = reader(
    Freshness, common_answer_pb2.IndexFreshness, lag="index_lag", time=special.freshness_time
)
catalog_alias = reader(CatalogAlias, retriever_catalog_registry_service_pb2.CatalogAlias)
registered_catalog = reader(Catalog, retriever_catalog_registry_service_pb2.Catalog)
control_outcome = reader(ControlOutcome, gateway_control_pb2.ControlOutcome)
product_count = reader(ProductCount, vision_detection_service_pb2.ProductCount)
evaluation_figure = reader(EvaluationFigure, ranker_evaluation_pb2.EvaluationFigure)
brand_exposure = reader(BrandExposure, ranker_evaluation_pb2.BrandExposure)
evaluation_comparison = reader(EvaluationComparison, ranker_evaluation_pb2.EvaluationComparison)
experiment_arm = reader(ExperimentArm, ranker_experiment_service_pb2.ExperimentArm)
guardrail = reader(Guardrail, ranker_experiment_service_pb2.Guardrail)
effect_interval = reader(EffectInterval, ranker_experiment_service_pb2.EffectInterval)
experiment_unit = reader(ExperimentUnit, ranker_experiment_service_pb2.ExperimentUnit)
filter_rejection = reader(FilterRejection, gateway_recommendation_service_pb2.FilterRejection)
heat_map = reader(HeatMap, gateway_recommendation_service_pb2.DrawHeatMapResponse)
product_control = reader(ProductControl, gateway_recommendation_service_pb2.ProductControl)
place_limit = reader(PlaceLimit, gateway_recommendation_service_pb2.PlaceLimit)
branch_verdict = reader(BranchVerdict, gateway_recommendation_service_pb2.BranchVerdict)
facet_value = reader(FacetValue, common_facet_pb2.FacetValue, filter=special.filter_)
exposure_group = reader(ExposureGroup, ranker_exposure_report_pb2.ExposureGroup)
shopper_opportunity = reader(ShopperOpportunity, ranker_exposure_report_pb2.ShopperOpportunity)
reference_figures = reader(ReferenceFigures, vision_inspection_service_pb2.ReferenceFigures)
rate = reader(Rate, ranker_online_report_pb2.Rate)
attribution_counts = reader(AttributionCounts, ranker_online_report_pb2.AttributionCounts)
estimate = reader(Estimate, ranker_online_report_pb2.Estimate)
drift_item = reader(DriftItem, ranker_online_report_pb2.DriftItem)
degraded_answers = reader(DegradedAnswers, ranker_online_report_pb2.DegradedAnswers)
online_revenue = reader(OnlineRevenue, ranker_online_report_pb2.OnlineRevenue)
metric = reader(Metric, ranker_model_service_pb2.ModelMetric)
index_parameters = reader(IndexParameters, retriever_index_service_pb2.IndexParameters)
audit_entry = reader(AuditEntry, common_audit_service_pb2.AuditEntry, catalog="catalog_id")
audit_seal = reader(AuditSeal, common_audit_service_pb2.AuditSeal)
embedder_space = reader(
    EmbedderSpace, gateway_admin_service_pb2.EmbedderSpace, default="default_version"
)
recall_estimate = reader(RecallEstimate, common_answer_pb2.RecallEstimate)
rejected_row = reader(RejectedRow, gateway_catalog_service_pb2.RejectedRow, error="status")
job = reader(Job, common_job_pb2.Job, catalog="catalog_id")
verification = reader(Verification, retriever_index_service_pb2.Verification)
caller_quota = reader(CallerQuota, gateway_admin_service_pb2.CallerQuota)
component_status = reader(
    ComponentStatus, gateway_admin_service_pb2.ComponentStatus, error="status"
)
erased_store = reader(ErasedStore, ranker_privacy_service_pb2.ErasedStore)
consent_state = reader(ConsentState, ranker_privacy_service_pb2.ConsentState)
consent_decision = reader(ConsentDecision, ranker_privacy_service_pb2.ConsentDecision)
privacy_spending = reader(PrivacySpending, ranker_privacy_service_pb2.PrivacySpending)
affinity = reader(Affinity, ranker_profile_service_pb2.Affinity)
activity = reader(Activity, ranker_profile_service_pb2.Activity)
product_profile = reader(
    ProductProfile,
    ranker_profile_service_pb2.ProductProfile,
    category="category_path",
    price_band=special.product_profile_price_band,
    attributes=special.product_profile_attributes,
)
plan_count = reader(PlanCount, vision_shelf_pb2.PlanCount)
stock_suggestion = reader(StockSuggestion, vision_shelf_pb2.StockSuggestion)
box = reader(Box, common_photo_pb2.Box)
photo_point = reader(PhotoPoint, common_photo_pb2.PhotoPoint)
alternative_product = reader(AlternativeProduct, common_detection_pb2.AlternativeProduct)
detection_heat_map = reader(DetectionHeatMap, common_detection_pb2.DetectionHeatMap)
space_figure = reader(SpaceFigure, embedder_space_pb2.Figure)
top_search = reader(TopSearch, gateway_admin_service_pb2.TopSearch)
suggestion = reader(
    Suggestion,
    gateway_recommendation_service_pb2.Suggestion,
    highlights=special.suggestion_highlights,
    filter=special.suggestion_filter,
)
scene_problem = reader(SceneProblem, gateway_admin_service_pb2.SceneProblem)
scene_text = reader(SceneText, gateway_admin_service_pb2.SceneText)
scene_entry_change = reader(SceneEntryChange, gateway_admin_service_pb2.SceneEntryChange)
exposure_change = reader(ExposureChange, gateway_admin_service_pb2.ExposureChange)
exposure_figure = reader(ExposureFigure, gateway_admin_service_pb2.ExposureFigure)
changed_answer = reader(ChangedAnswer, gateway_admin_service_pb2.ChangedAnswer)
estimated_value = reader(EstimatedValue, gateway_admin_service_pb2.EstimatedValue)
synonym_rule = reader(SynonymRule, retriever_synonym_service_pb2.SynonymRule)
part_addition = reader(PartAddition, ranker_recipe_pb2.PartAddition)
training_recipe = reader(TrainingRecipe, ranker_recipe_pb2.Recipe)
watch_target = reader(WatchTarget, vision_watch_pb2.WatchTarget)
unusual_condition = reader(UnusualCondition, vision_watch_pb2.UnusualCondition)
fault_condition = reader(FaultCondition, vision_watch_pb2.FaultCondition)
watch_counts = reader(WatchCounts, vision_watch_pb2.WatchCounts)
snapshot_status = reader(SnapshotStatus, vision_watch_pb2.SnapshotStatus)
rule_reading = reader(RuleReading, vision_watch_pb2.RuleReading)
webhook_test = reader(WebhookTest, vision_webhook_service_pb2.SendTestDeliveryResponse)
category_guess = reader(CategoryGuess, common_photo_pb2.CategoryGuess)
deletion = reader(Deletion, gateway_catalog_service_pb2.DeleteProductsResponse)
import_state = reader(ImportState, common_import_pb2.ImportState, mode=special.import_state_mode)
photo_misfit = reader(PhotoMisfit, common_product_pb2.PhotoMisfit)
attribute = reader(Attribute, common_product_pb2.Attribute, value=special.attribute_value)
image = reader(ProductImage, common_product_pb2.ProductImage)
upsert_outcome = reader(UpsertOutcome, gateway_catalog_service_pb2.UpsertResult, error="status")
visitor = reader(
    Visitor, gateway_user_event_service_pb2.CreateVisitorResponse, proof="visitor_proof"
)
money = reader(Money, google_money_pb2.Money, currency="currency_code", amount=special.money_amount)
takedown = reader(Takedown, retriever_photo_service_pb2.Takedown)
distinct_pair = reader(DistinctPair, gateway_catalog_service_pb2.DistinctPair)
webhook = reader(Webhook, vision_webhook_service_pb2.Webhook)
dead_letter = reader(DeadLetter, vision_webhook_service_pb2.DeadLetter)
score_part = reader(ScorePart, common_answer_pb2.ScorePart)
versions = reader(Versions, common_answer_pb2.Versions)
match = reader(Match, gateway_recommendation_service_pb2.Match)
evaluation_slice = reader(EvaluationSlice, ranker_evaluation_pb2.EvaluationSlice)
experiment = reader(Experiment, ranker_experiment_service_pb2.Experiment)
metric_report = reader(MetricReport, ranker_experiment_service_pb2.MetricReport)
facet = reader(Facet, common_facet_pb2.Facet)
exposure_report = reader(ExposureReport, ranker_exposure_report_pb2.ExposureReport)
reference_evaluation = reader(
    ReferenceEvaluation, vision_inspection_service_pb2.ReferenceEvaluation
)
anomalous_part = reader(AnomalousPart, vision_inspection_service_pb2.AnomalousPart)
online_group = reader(OnlineGroup, ranker_online_report_pb2.OnlineGroup)
policy_estimate = reader(PolicyEstimate, ranker_online_report_pb2.PolicyEstimate)
online_day = reader(OnlineDay, ranker_online_report_pb2.OnlineDay)
audit_page = reader(AuditPage, common_audit_service_pb2.ReadAuditChainResponse)
audit_drop = reader(AuditDrop, common_audit_service_pb2.DropAuditEntriesResponse)
backup = reader(Backup, retriever_backup_service_pb2.Backup, catalog="catalog_id", error="status")
product_purge = reader(ProductPurge, gateway_catalog_service_pb2.PurgeProductsResponse)
event_purge = reader(EventPurge, gateway_user_event_service_pb2.PurgeEventsResponse)
import_close = reader(ImportClose, gateway_catalog_service_pb2.CloseImportResponse)
model = reader(
    Model,
    ranker_model_service_pb2.Model,
    promoted=special.model_promoted,
    pruned=special.model_pruned,
)
generation = reader(Generation, retriever_index_service_pb2.Generation)
status = reader(
    Status,
    gateway_admin_service_pb2.GetStatusResponse,
    scene_problems=special.status_scene_problems,
)
erasure = reader(Erasure, ranker_privacy_service_pb2.Erasure)
consents = reader(Consents, ranker_privacy_service_pb2.Consents)
privacy_budget = reader(PrivacyBudget, ranker_privacy_service_pb2.PrivacyBudget)
segment = reader(Segment, ranker_profile_service_pb2.Segment)
plan_finding = reader(PlanFinding, vision_shelf_pb2.PlanFinding)
label_line = reader(LabelLine, common_photo_pb2.LabelLine)
product_detection = reader(ProductDetection, common_detection_pb2.ProductDetection)
space_evaluation = reader(SpaceEvaluation, embedder_space_pb2.SpaceEvaluation)
suggested = reader(Suggestions, gateway_recommendation_service_pb2.SuggestResponse)
top_searches = reader(TopSearches, gateway_admin_service_pb2.ListTopSearchesResponse)
scene_file = reader(SceneFile, gateway_admin_service_pb2.SceneFile)
scene_document = reader(SceneDocument, gateway_admin_service_pb2.SceneDocument)
scene_check = reader(SceneCheck, gateway_admin_service_pb2.CheckSceneResponse)
expected_figure = reader(
    ExpectedFigure, gateway_admin_service_pb2.ExpectedFigure, currency="currency_code"
)
synonyms = reader(Synonyms, retriever_synonym_service_pb2.Synonyms)
watch_region = reader(WatchRegion, vision_watch_pb2.WatchRegion)
presence_condition = reader(PresenceCondition, vision_watch_pb2.PresenceCondition)
count_condition = reader(CountCondition, vision_watch_pb2.CountCondition)
detected_condition = reader(DetectedCondition, vision_watch_pb2.DetectedCondition)
frame_result = reader(FrameResult, vision_watch_pb2.FrameResult)
alert = reader(Alert, vision_watch_pb2.Alert)
webhook_with_secret = reader(WebhookWithSecret, vision_webhook_service_pb2.CreateWebhookResponse)
category_doubt = reader(CategoryDoubt, common_product_pb2.CategoryDoubt)
market_values = reader(MarketValues, common_product_pb2.MarketValues, language="language_code")
evaluated_system = reader(EvaluatedSystem, ranker_evaluation_pb2.EvaluatedSystem)
experiments = reader(ExperimentList, ranker_experiment_service_pb2.ListExperimentsResponse)
arm_report = reader(ArmReport, ranker_experiment_service_pb2.ArmReport)
explained_score = reader(ExplainedScore, gateway_recommendation_service_pb2.ExplainedScore)
inspected_piece = reader(InspectedPiece, vision_inspection_service_pb2.InspectResponse)
inspection_reference = reader(
    InspectionReference, vision_inspection_service_pb2.InspectionReference
)
feedback_health = reader(FeedbackHealth, ranker_online_report_pb2.FeedbackHealth)
segments = reader(Segments, ranker_profile_service_pb2.ListSegmentsResponse)
shopper_profile = reader(ShopperProfile, ranker_profile_service_pb2.ShopperProfile)
plan_comparison = reader(PlanComparison, vision_shelf_pb2.PlanComparison)
space = reader(
    Space,
    embedder_embedding_service_pb2.Space,
    default="default_version",
    categories="category_count",
    fitted=special.space_fitted,
)
scene_list = reader(SceneList, gateway_admin_service_pb2.ListScenesResponse)
scene_documents = reader(SceneDocuments, gateway_admin_service_pb2.ListSceneDocumentsResponse)
scene_diff = reader(SceneDiff, gateway_admin_service_pb2.DiffSceneResponse)
watch_rule = reader(WatchRule, vision_watch_pb2.WatchRule)
frames_answer = reader(FramesAnswer, vision_watch_service_pb2.SendFramesResponse)
followed_alert = reader(FollowedAlert, vision_watch_service_pb2.WatchAlertsResponse)
product = reader(Product, common_product_pb2.Product, language="language_code")
recommended_product = reader(
    RecommendedProduct, gateway_recommendation_service_pb2.RecommendedProduct
)
found_product = reader(FoundProduct, gateway_recommendation_service_pb2.FoundProduct)
detections = reader(Detections, vision_detection_service_pb2.DetectProductsResponse)
evaluation_trial = reader(EvaluationTrial, ranker_evaluation_pb2.EvaluationTrial)
experiment_report = reader(ExperimentReport, ranker_experiment_service_pb2.ExperimentReport)
explanation = reader(
    Explanation,
    gateway_recommendation_service_pb2.ExplainRecommendationResponse,
    labels=special.labels,
    unread_labels=special.unread_labels,
    unsure_label_lines=special.unsure_label_lines,
)
online_report = reader(OnlineReport, ranker_online_report_pb2.OnlineReport)
watch = reader(Watch, vision_watch_pb2.Watch)
recommended_value = reader(
    RecommendedValue, gateway_recommendation_service_pb2.RecommendedValue, filter=special.filter_
)
recommendations = reader(
    Recommendations,
    gateway_recommendation_service_pb2.RecommendResponse,
    labels=special.labels,
    unread_labels=special.unread_labels,
    unsure_label_lines=special.unsure_label_lines,
)
listing = reader(Listing, gateway_recommendation_service_pb2.ListResponse)
found = reader(
    SearchResults,
    gateway_recommendation_service_pb2.SearchResponse,
    labels=special.labels,
    unread_labels=special.unread_labels,
    unsure_label_lines=special.unsure_label_lines,
)
evaluation = reader(Evaluation, ranker_evaluation_pb2.Evaluation)
recommended_values = reader(
    RecommendedValues, gateway_recommendation_service_pb2.RecommendValuesResponse
)
shelf_answer = reader(
    ShelfAnswer, gateway_recommendation_service_pb2.ShelfAnswer, answer=special.shelf_answer_answer
)
shelves = reader(Shelves, gateway_recommendation_service_pb2.RecommendShelvesResponse)
rotate_webhook_secret_response = reader(
    WebhookWithSecret, vision_webhook_service_pb2.RotateWebhookSecretResponse
)
