"""The last scene: the ranker's process is killed and restarted."""

import asyncio
import time
from collections.abc import Sequence

from examples.wines.catalogue import Wine
from examples.wines.demo.model import Answer, Scene, Shown, require
from examples.wines.demo.scenes import TOP, by_id, changed_photo, whole
from local_suite.suite import Suite
from sightline_client import Cause, Recommendations, SightlineClient

QUERY_WINE = "100191"
VISITOR = "outage-visitor"
_BACK_SECONDS = 60.0


async def outage(client: SightlineClient, suite: Suite, wines: Sequence[Wine]) -> Scene:
    """Show scene 7: a request right after the ranker was killed, and after its restart."""
    wine = by_id(wines)[QUERY_WINE]
    photo = changed_photo(wine)
    await asyncio.to_thread(suite.stop, "ranker", kill=True)
    try:
        without = await client.recommend(image=photo, visitor=VISITOR, page_size=TOP)
        flagged = {loss.cause for loss in without.degradations}
        require(bool(without.results), "nothing was answered without the ranker")
        require(Cause.RANKER_UNAVAILABLE in flagged, "the missing ranker is not flagged")
        await _in_order_of_similarity(client, photo, without)
    finally:
        await asyncio.to_thread(suite.start, "ranker")
    again, seconds = await _answer_with_ranker(client, photo)
    return Scene(
        title="7. The ranker fails and restarts",
        intro=(
            "The ranker's process was killed with SIGKILL and not restarted at first. The "
            "next request has a photo and a visitor; it is repeated after the restart."
        ),
        queries=(Shown(photo, "the photo that was sent"),),
        answers=(
            Answer("The first request without the ranker", without),
            Answer("The same request after its restart", again),
        ),
        findings=(
            "Answered without the ranker, and flagged: "
            + ", ".join(sorted(cause.value for cause in flagged))
            + ".",
            "Its order equals that of Search (fused similarity) product by product.",
            f"The first whole answer came {seconds:.1f} s after the ranker was healthy again.",
        ),
    )


async def _in_order_of_similarity(
    client: SightlineClient, photo: bytes, answer: Recommendations
) -> None:
    found = await client.search(image=photo, page_size=TOP)
    expected = [item.product.product_id for item in found.results]
    got = [item.product.product_id for item in answer.results]
    require(got == expected, f"the order is {got}, but similarity says {expected}")
    similarities = [item.similarity for item in found.results]
    require(similarities == sorted(similarities, reverse=True), "Search is out of order")


async def _answer_with_ranker(
    client: SightlineClient, photo: bytes
) -> tuple[Recommendations, float]:
    """Return the first complete answer, and the seconds until it came."""
    since = time.monotonic()
    while True:
        answer = await client.recommend(image=photo, visitor=VISITOR, page_size=TOP)
        seconds = time.monotonic() - since
        if not answer.degradations or seconds > _BACK_SECONDS:
            whole(answer)
            return answer, seconds
        await asyncio.sleep(0.1)
