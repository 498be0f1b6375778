"""All services in one process, with a ranker that misbehaves for some users.

    FAULTS=FOLDER python -m tests.fakes.faulty_all

For the user `raises` ranking raises; for `blocks` it blocks the event loop, but only once: a file
in FOLDER shows that it did. With FORKS_AT_ONCE a process that dies soon after its start is forked
again too.
"""

import os
import sys
import time
from pathlib import Path

from sightline_all.services import main

from ranker.servicer.ranking import RankingServicer
from servicekit.processes import respawn
from servicekit.rpc.server import Context
from sightline.ranker.v1 import ranking_service_pb2 as pb

PERSONAL = "customer 4711"
BLOCKED = "blocked"
_rank = RankingServicer.Rank


async def faulty(
    self: RankingServicer, request: pb.RankRequest, context: Context
) -> pb.RankResponse:
    blocked = Path(os.environ["FAULTS"]) / BLOCKED
    if request.shopper.user_id == "raises":
        raise ValueError(PERSONAL)
    if request.shopper.user_id == "blocks" and not blocked.exists():
        blocked.touch()
        time.sleep(600)  # noqa: ASYNC251 - as the fault does
    return await _rank(self, request, context)


if __name__ == "__main__":
    RankingServicer.Rank = faulty  # type: ignore[method-assign]
    if "FORKS_AT_ONCE" in os.environ:
        respawn.SOON = 0.0  # type: ignore[attr-defined]
    main(sys.argv[1:])
