"""``sightline replay``"""

from typing import Annotated

from sightline.gateway.v1 import recommendation_service_pb2 as pb
from sightline_client.cli.base import options
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.show import replayed


def replay(
    *,
    answer: Annotated[
        str,
        options.argument(
            "TOKEN", "The answer's attribution token, as printed by `recommend --json`."
        ),
    ],
    top: Annotated[int, options.number("N", "Number of positions to show.", 1, 200)] = 20,
    suite: Suite,
) -> None:
    """Compute an answer again from its record, and compare the two bit for bit.

    Lists what differs, and what is missing or has changed since. Searches are not repeated:
    photos are not stored.

      sightline replay "$(sightline recommend --user ann --json | jq -r .attributionToken)"

      sightline replay TOKEN --json | jq .differences
    """
    request = pb.ReplayRecommendationRequest(
        catalog_id=suite.catalog, attribution_token=answer, top_k=top
    )
    suite.call(lambda calls: calls.recommendation.ReplayRecommendation, request, replayed.replay)
