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

from ranker.servicer.lent import Lent
from ranker.servicer.ranking import RankingServicer
from servicekit.processes import respawn
from servicekit.rpc.server import Context
from sightline.ranker.v1 import ranking_service_pb2 as pb
from sightline_core.ranking import Ranked, RankRequest

PERSONAL = "customer 4711"
BLOCKED = "blocked"
_rank, _lent = RankingServicer.Rank, Lent.rank


def misbehave(user: str) -> None:
    blocked = Path(os.environ["FAULTS"]) / BLOCKED
    if user == "raises":
        raise ValueError(PERSONAL)
    if user == "blocks" and not blocked.exists():
        blocked.touch()
        time.sleep(600)


async def called(
    self: RankingServicer, request: pb.RankRequest, context: Context
) -> pb.RankResponse:
    misbehave(request.shopper.user_id)
    return await _rank(self, request, context)


async def lent(self: Lent, order: RankRequest) -> Ranked:
    misbehave("" if order.shopper is None else order.shopper.id)
    return await _lent(self, order)


if __name__ == "__main__":
    RankingServicer.Rank = called  # type: ignore[method-assign]
    Lent.rank = lent  # type: ignore[method-assign]
    if "FORKS_AT_ONCE" in os.environ:
        respawn.SOON = 0.0  # type: ignore[attr-defined]
    main(sys.argv[1:])
