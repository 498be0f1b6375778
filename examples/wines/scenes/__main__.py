"""Fills a suite with the wines, requests every built-in scene, and writes one page."""

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from examples.wines import loading
from examples.wines.demo import console as out
from examples.wines.demo import page
from examples.wines.demo.model import Answer, DemoFailed, Scene, Story, require
from examples.wines.demo.scenes import whole
from examples.wines.loading import LoadingFailed, Wine, load_ratings, load_wines
from examples.wines.local import own_suite, terminable
from examples.wines.scenes import shopping
from examples.wines.scenes.questions import TOP, Question, controlled, questions
from local_suite.model import SuiteError
from sightline.gateway.v1 import admin_service_pb2 as pb
from sightline_client import (
    ControlResult,
    Recommendations,
    RecommendOptions,
    SightlineClient,
    SightlineError,
)

PAGE = Path(".data/demo/scenes.html")
TITLE = "Every scene, on real wines"
_COUNTED_SECONDS = 60.0


def main(arguments: Sequence[str]) -> int:
    """Run the demo. Return 0 if every scene answered by its own parts, 1 if not, 130 if
    interrupted.
    """
    parser = argparse.ArgumentParser(prog="python -m examples.wines.scenes", description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE, help="file of the page")
    parser.add_argument(
        "--target",
        default="",
        metavar="HOST:PORT",
        help="a running gateway whose catalog gets the data; default: a separate suite",
    )
    options = parser.parse_args(arguments)
    console = out.make_console()
    since = time.monotonic()
    try:
        with terminable(), _gateway(console, options.target) as target:
            story = asyncio.run(play(console, target))
    except KeyboardInterrupt:
        out.say(console, "Interrupted; everything that was started is stopped.", "yellow")
        return 130
    except (DemoFailed, LoadingFailed, SightlineError, SuiteError, OSError) as error:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        out.say(console, f"The demo failed: {error}{notes}", "bold red")
        return 1
    page.write(options.page, title=TITLE, lead=story.lead, scenes=story.scenes, photos=story.photos)
    out.say(console, f"All of it as a page, with the photos: {options.page.resolve()}", "bold")
    out.say(console, f"Done in {time.monotonic() - since:.0f} s.")
    return 0


@contextlib.contextmanager
def _gateway(console: Console, target: str) -> Iterator[str]:
    if target:
        yield target
        return
    with own_suite(lambda line: out.say(console, line, "dim")) as suite:
        yield suite.addresses()["gateway"]


async def play(console: Console, target: str) -> Story:
    """Fill a catalog, request every scene, and return the results."""
    wines = load_wines()
    async with SightlineClient(target, timeout=30) as client:
        await fill(console, client, wines)
        posts = shopping.posts(wines)
        await client.upsert_products(posts)
        try:
            scenes = [scene async for scene in _scenes(console, client, wines)]
            photos = await page.photos(client, scenes)
        finally:
            await client.delete_products([post.product_id for post in posts])
    lead = (
        f"The {len(scenes) - 1} built-in scenes, each requested once, and one of them with "
        "controls.",
        shopping.HONESTY,
        "So few people cannot show the quality of recommendations.",
    )
    return Story(lead, tuple(scenes), photos)


async def fill(console: Console, client: SightlineClient, wines: Sequence[Wine]) -> None:
    """Load wines, ratings, visits and orders."""
    ratings = load_ratings()
    happened = list(shopping.events(wines, ratings, datetime.now(UTC)))
    with out.progress(console, "importing wines and photos", len(wines)) as move:
        await loading.import_wines(client, wines, move)
    with out.progress(console, "waiting for the index", len(wines)) as move:
        await loading.wait_indexed(client, len(wines), move)
    with out.progress(console, "importing ratings as events", len(ratings)) as move:
        await loading.import_ratings(client, ratings, move)
    with out.progress(console, "importing visits and orders", len(happened)) as move:
        async for batch in client.write_events(happened, batch_size=200):
            for failure in batch.failures:
                raise LoadingFailed(f"event {failure.event_id} was refused: {failure.error}")
            move(batch.done, len(happened))
    out.say(console, shopping.HONESTY)


async def _scenes(
    console: Console, client: SightlineClient, wines: Sequence[Wine]
) -> AsyncIterator[Scene]:
    """Yield every scene of the gateway with its answer, then one with controls."""
    asked = {question.scene: question for question in questions(wines)}
    listing = pb.ListScenesRequest(catalog_id=client.catalog)
    listed = await client.calls(client.calls.admin.ListScenes, listing, client.timeout)
    unasked = {each.scene for each in listed.scenes} - set(asked)
    require(not unasked, f"no request exists for {', '.join(sorted(unasked))}")
    until = time.monotonic() + _COUNTED_SECONDS  # counts lag by a second at most
    for place, question in enumerate(asked.values(), 1):
        answer = await _answer(client, question, until)
        scene = Scene(
            title=f"{place}. {question.scene}",
            intro=f"{await _purpose(client, question.scene)} {question.asked}",
            queries=question.queries,
            answers=(Answer("The answer", answer),),
            findings=(_quality(answer),),
        )
        out.scene(console, scene)
        yield scene
    scene = await _controlled(client, wines, len(asked) + 1)
    out.scene(console, scene)
    yield scene


async def _answer(client: SightlineClient, question: Question, until: float) -> Recommendations:
    """Return the first answer in which the scene's own parts count. DemoFailed when there is
    none."""
    while True:
        answer = await _ask(client, question)
        found = {part.name for each in answer.results for part in each.parts if part.value > 0}
        if set(question.parts) <= found:
            whole(answer)
            return answer
        missing = ", ".join(sorted(set(question.parts) - found))
        require(time.monotonic() < until, f"{question.scene} does not use {missing}")
        await asyncio.sleep(0.2)


async def _ask(client: SightlineClient, question: Question) -> Recommendations:
    request: RecommendOptions = {
        **question.request,
        "scene": question.scene,
        "page_size": TOP,
    }
    return await client.recommend(**request)


async def _purpose(client: SightlineClient, scene: str) -> str:
    """Return the scene's purpose, from the first line of its file."""
    request = pb.GetSceneRequest(catalog_id=client.catalog, scene=scene)
    found = await client.calls(client.calls.admin.GetScene, request, client.timeout)
    return found.toml.partition("\n")[0].lstrip("# ")


async def _controlled(client: SightlineClient, wines: Sequence[Wine], place: int) -> Scene:
    question, controls = controlled(wines)
    answer = await _ask(client, question)
    whole(answer)
    hero, gone, _ = controls
    require(answer.results[0].product.product_id == hero.products[0], "the pin is not at its place")
    shown = {each.product.product_id for each in answer.results}
    require(not shown & {*gone.products}, "a pinned wine that is sold out is shown")
    became = {each.control: each.outcome for each in answer.control_outcomes}
    require(became.get(gone.name) is ControlResult.OUT_OF_STOCK, f"it says {became} of controls")
    outcomes = "; ".join(f"{name}: {outcome}" for name, outcome in became.items())
    return Scene(
        title=f"{place}. {question.scene}, with controls",
        intro=question.asked,
        queries=question.queries,
        answers=(Answer("The answer", answer),),
        findings=(f"Outcomes of the controls: {outcomes}.", _quality(answer)),
    )


def _quality(answer: Recommendations) -> str:
    return f"Quality: {answer.quality}; nothing is degraded."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
