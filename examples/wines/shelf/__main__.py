"""Counts the wines on a made shelf, compares it with a plan, finds the wrong bottle, watches one
being taken, and says how much to reorder. Prints each output, and writes one page.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from rich.console import Console

from examples.wines import transcript
from examples.wines.demo import console as out
from examples.wines.shelf import files, page
from examples.wines.shelf.page import ShelfPhoto
from examples.wines.shell import Shell, TranscriptFailed
from sightline.vision.v1.detection_service_pb2 import DetectProductsResponse
from sightline.vision.v1.watch_service_pb2 import ListAlertsResponse
from sightline_client.convert import from_wire
from sightline_client.values.watches import Alert

PAGE = Path(".data/demo/shelf.html")
COUNT_SECONDS = 60.0
"""Seconds after which sales that are not counted are a failure."""


def play(console: Console, shell: Shell) -> None:
    """Print the transcript. Raise TranscriptFailed if a command does not behave as expected."""
    with tempfile.TemporaryDirectory() as folder:
        _play(console, shell, Path(folder))


def _play(console: Console, shell: Shell, folder: Path) -> None:
    def note(text: str) -> None:
        console.print()
        out.say(console, text, "cyan")

    files.write(folder)
    right, wrong, plan = (
        str(folder / name) for name in ("as-planned.jpg", "wrong.jpg", "plan.csv")
    )
    note("What stands on the shelf:")
    shell("detect", right)
    counted = shell.facts("detect", right)
    found = {one["productId"]: one["count"] for one in counted["counts"]}
    _require(found == planned(), f"the counts differ from the made shelf: {found}")

    note("The same compared with its plan:")
    shell("detect", right, "--plan", plan)
    _require(_outcomes(shell, right, plan) == {"KIND_PRESENT": 18}, "it differs from its plan")

    note("A bottle is taken, one is replaced, two products have changed places:")
    shell("detect", wrong, "--plan", plan)
    outcomes = _outcomes(shell, wrong, plan)
    _require(
        outcomes
        == {"KIND_PRESENT": 14, "KIND_SURPLUS": 1, "KIND_OUT_OF_ORDER": 2, "KIND_MISSING": 2},
        f"the differences are not those that were made: {outcomes}",
    )

    note("A camera watches the place of one bottle, which is taken:")
    alerts = _watched(shell, folder)

    note("From the purchases of eight weeks, how much to reorder:")
    shell("events", "import", str(folder / "sales.csv"))
    asked = ("detect", wrong, "--plan", plan, "--reorder")
    _wait(lambda: _quantities(shell.facts(*asked)) >= len(planned()) - 1)
    shell(*asked)
    reordered = _shown(wrong, shell.facts(*asked))
    gone = (folder / "frames" / f"{files.BEFORE:02}.jpg").read_bytes()
    page.write(PAGE, _shown(right, counted), reordered, gone, alerts)
    out.say(console, f"The page: {PAGE.resolve()}", "bold")


def _shown(photo: str, facts: Any) -> ShelfPhoto:
    """Return a photo with what the JSON of `detect` says of it."""
    message = json_format.ParseDict(facts, DetectProductsResponse())
    return ShelfPhoto(Path(photo).read_bytes(), from_wire.detections(message))


def _watched(shell: Shell, folder: Path) -> list[Alert]:
    """Send the frames to a watch. Return its alerts."""
    shell("watch", "create", str(folder / "watch.json"))
    shell("watch", "send", "shelf", str(folder / "frames"))
    shell("watch", "alerts", "--watch", "shelf")
    listed = shell.facts("watch", "alerts", "--watch", "shelf")
    kinds = [one["kind"] for one in listed["alerts"]]
    _require(kinds == ["KIND_STARTED"], f"not one alert: {kinds}")
    message = json_format.ParseDict(listed, ListAlertsResponse())
    return [from_wire.alert(each) for each in message.alerts]


def planned() -> dict[str, int]:
    """Return the planned facings of each wine."""
    return dict(Counter(wine for row in files.PLANNED for wine in row))


def _outcomes(shell: Shell, photo: str, plan: str) -> dict[str, int]:
    answer = shell.facts("detect", photo, "--plan", plan)
    return dict(Counter(one["kind"] for one in answer["planComparison"]["findings"]))


def _quantities(answer: Any) -> int:
    """Return for how many products there is a quantity."""
    return sum("quantity" in one for one in answer["stockSuggestions"])


def _wait(done: Callable[[], bool]) -> None:
    until = time.monotonic() + COUNT_SECONDS
    while not done():
        _require(time.monotonic() < until, "the sales are not counted")
        time.sleep(1)


def _require(holds: bool, failure: str) -> None:
    if not holds:
        raise TranscriptFailed(failure)


if __name__ == "__main__":
    asked = ("examples.wines.shelf", __doc__, sys.argv[1:], play)
    sys.exit(transcript.run(*asked, rated=False, vision=True))
