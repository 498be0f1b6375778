"""Messages of peers that the gateway carries or looks into, as they came.

Nothing else in the domain knows the wire.
"""

from sightline.common.v1 import (
    answer_pb2,
    facet_pb2,
    filter_pb2,
    photo_pb2,
    product_pb2,
    vector_pb2,
)
from sightline.embedder.v1 import embedding_service_pb2
from sightline.gateway.v1 import admin_service_pb2, control_pb2, recommendation_service_pb2
from sightline.ranker.v1 import answer_service_pb2, experiment_service_pb2
from sightline.retriever.v1 import product_service_pb2, vector_service_pb2

Box = photo_pb2.Box

Filter = filter_pb2.Filter

Subject = photo_pb2.Subject

Classification = photo_pb2.Classification

CategoryGuess = photo_pb2.CategoryGuess

Vector = vector_pb2.Vector

Reason = answer_pb2.Reason

ProductRow = product_pb2.Product

SpaceVersion = answer_pb2.SpaceVersion

AnswerQuality = answer_pb2.AnswerQuality

Freshness = answer_pb2.IndexFreshness

Versions = answer_pb2.Versions

Timing = answer_pb2.StageTiming

Degradation = answer_pb2.Degradation

Space = embedding_service_pb2.Space
"""A version of a space as the embedder has it."""

Facet = facet_pb2.Facet
"""How many products have each value of a field."""
FacetRequest = facet_pb2.FacetRequest

Rejection = product_service_pb2.Rejection
"""Why a product does not pass a filter. Its path is within the caller's filter; empty = it is not
the caller's."""

IndexState = vector_service_pb2.CountResponse
"""What record and index hold of a space."""

Move = answer_pb2.Move
"""Why a product is not where its raw score would put it."""

SuiteStatus = admin_service_pb2.GetStatusResponse
ComponentStatus = admin_service_pb2.ComponentStatus
EmbedderSpace = admin_service_pb2.EmbedderSpace
"""A version of a space that the embedder serves, as callers see it."""

ControlOutcome = control_pb2.ControlOutcome
"""What became of a control, or of a product that it pins."""

SignalSubject = recommendation_service_pb2.SignalSubject
"""Where the subject of a signal's photo is."""
SortNumbers = recommendation_service_pb2
"""Where the numbers of orders are."""
Match = recommendation_service_pb2.Match
"""How near the nearest product is to what is wanted."""
Findings = recommendation_service_pb2.SearchResponse
"""What Search answers."""
FoundProduct = recommendation_service_pb2.FoundProduct
"""A product that Search found."""
BranchVerdict = recommendation_service_pb2.BranchVerdict
"""Where one list of a branch has the product."""

Experiment = experiment_service_pb2.Experiment
ExperimentArm = experiment_service_pb2.ExperimentArm
AnsweredProduct = answer_service_pb2.AnsweredProduct
"""A product of a recorded answer."""
Replay = answer_service_pb2.ReplayAnswerResponse
"""An answer as it was, and as the ranker computes it now."""
ReplayDifference = answer_service_pb2.ReplayDifference
"""Something that is not as it was when an answer was given."""
Replayed = recommendation_service_pb2.ReplayRecommendationResponse
ReplayedPlace = recommendation_service_pb2.ReplayedPlace
"""The same as callers see it."""

SceneDiff = admin_service_pb2.DiffSceneResponse
SceneEntryChange = admin_service_pb2.SceneEntryChange
ExposureChange = admin_service_pb2.ExposureChange
ExposureFigure = admin_service_pb2.ExposureFigure
ChangedAnswer = admin_service_pb2.ChangedAnswer
"""What a changed scene would have answered."""
