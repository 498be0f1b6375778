"""Classifications, and the filters that they propose, as messages."""

from gateway.model.answer import Classified, Proposal
from sightline.common.v1 import filter_pb2
from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline_rules import categories


def response(value: Classified, request_id: str) -> pb.ClassifyResponse:
    """The answer to Classify."""
    return pb.ClassifyResponse(
        classification=value.classification,
        proposals=[proposal_message(item) for item in value.proposals],
        subject=value.subject,
        request_id=request_id,
    )


def proposal_message(value: Proposal) -> pb.FilterProposal:
    """A filter that passes what is in one of the categories."""
    paths = [categories.join(path) for path in value.paths]
    return pb.FilterProposal(
        filter=_filter(paths), text=_text(paths), probability=value.probability
    )


def _filter(paths: list[str]) -> filter_pb2.Filter:
    values = [filter_pb2.FilterValue(text=path) for path in paths]
    if len(values) > 1:
        return filter_pb2.Filter(membership=filter_pb2.Membership(field="category", values=values))
    equal = filter_pb2.Comparison.OPERATOR_EQUAL
    return filter_pb2.Filter(
        comparison=filter_pb2.Comparison(field="category", operator=equal, value=values[0])
    )


def _text(paths: list[str]) -> str:
    """The same as the command line writes filters."""
    quoted = (path.replace("\\", "\\\\").replace('"', '\\"') for path in paths)
    return " OR ".join(f'category = "{path}"' for path in quoted)
