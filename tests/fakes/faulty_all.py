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
from servicekit.processes import respawn
from sightline_core.ranking import Ranked, RankRequest

PERSONAL = "customer 4711"
BLOCKED = "blocked"
_rank = Lent.rank


async def faulty(self: Lent, order: RankRequest) -> Ranked:
    blocked = Path(os.environ["FAULTS"]) / BLOCKED
    user = "" if order.shopper is None else order.shopper.id
    if user == "raises":
        raise ValueError(PERSONAL)
    if user == "blocks" and not blocked.exists():
        blocked.touch()
        time.sleep(600)  # noqa: ASYNC251 - as the fault does
    return await _rank(self, order)


if __name__ == "__main__":
    Lent.rank = faulty  # type: ignore[method-assign]
    if "FORKS_AT_ONCE" in os.environ:
        respawn.SOON = 0.0  # type: ignore[attr-defined]
    main(sys.argv[1:])
