"""Generations become messages and back."""

import pytest

from retriever.domain.errors import IndexParametersInvalid
from retriever.domain.generation import (
    EXACT,
    Generation,
    GenerationState,
    GenerationStatus,
    IndexKind,
    IndexParameters,
    VectorMetric,
)
from retriever.servicer.generation_messages import generation, generation_order
from sightline.retriever.v1 import index_service_pb2 as pb

GRAPH = IndexParameters(VectorMetric.L2, IndexKind.HNSW, m=8, ef=64)


def test_what_a_request_leaves_out_has_its_default() -> None:
    asked = generation_order(pb.CreateGenerationRequest(), "visual")
    assert (asked.space, asked.name, asked.parameters) == ("visual", "", EXACT)
    given = pb.IndexParameters(kind=pb.IndexParameters.KIND_HNSW, m=8, ef=64)
    request = pb.CreateGenerationRequest(
        space="text", metric=pb.METRIC_L2, parameters=given, dimension=7
    )
    asked = generation_order(request, "visual")
    assert (asked.space, asked.dimension, asked.parameters) == ("text", 7, GRAPH)


@pytest.mark.parametrize("field", ["metric", "parameters.kind"])
def test_an_unknown_value_is_refused_by_its_field(field: str) -> None:
    request = pb.CreateGenerationRequest()
    if field == "metric":
        request.metric = 77  # type: ignore[assignment]
    else:
        request.parameters.kind = 77  # type: ignore[assignment]
    with pytest.raises(IndexParametersInvalid) as caught:
        generation_order(request, "visual")
    assert [each.field for each in caught.value.violations] == [field]


@pytest.mark.parametrize("kind", IndexKind)
def test_a_generation_says_its_parameters(kind: IndexKind) -> None:
    parameters = IndexParameters(VectorMetric.IP, kind, m=8, partitions=3)
    found = Generation(
        *("shop", "g1", "visual", "v1", 4, "collection", GenerationState.READY),
        active=True,
        created=5,
        parameters=parameters,
    )
    status = GenerationStatus(found, previous=False, indexed=7, pending=1, failed=2)
    message = generation(status)
    assert (message.name, message.state, message.active) == ("g1", pb.Generation.STATE_READY, True)
    assert (message.indexed_count, message.pending_count, message.failed_count) == (7, 1, 2)
    assert message.metric == pb.METRIC_IP
    assert message.parameters.partitions == 3
    assert message.parameters.m == (8 if kind is IndexKind.HNSW else 0)
    assert message.create_time.ToMicroseconds() == 5
    assert not message.HasField("activate_time")
    assert not message.HasField("verification")
