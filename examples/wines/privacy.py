"""Lets a shopper shop, ask for a copy of their data and be erased, and then searches all files of
the suite for them.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from examples.wines import transcript
from examples.wines.catalogue import load_wines
from examples.wines.demo import console as out
from examples.wines.shell import Shell, TranscriptFailed

SHOPPER, VISITOR = "shopper-4711", "cookie-of-4711"
QUERY, ORDER = "teal corduroy dungarees", "order-4711-775"
HEADER = "event_id,type,product_id,user_id,visitor_id,query,order_id"


def play(console: Console, shell: Shell) -> None:
    """Print the transcript. Raise TranscriptFailed if a command does not behave as expected."""

    def note(text: str) -> None:
        console.print()
        out.say(console, text, "cyan")

    note("A visitor looks around, logs in, searches, buys, and says what size they wear:")
    _shop(shell)
    shell("profiles", "set", SHOPPER, "size=M", "--consent")
    shell("models", "train", "--seed", "1", "--promote", "--force")
    shell("recommend", "--user", SHOPPER, "--top", "3")
    shell("profiles", "show", SHOPPER)

    note("They ask what is stored on them:")
    copy = shell("privacy", "export", SHOPPER)
    for text in (QUERY, ORDER):
        _require(text in copy, f"the copy lacks {text}")
    actor = shell.facts("privacy", "export", SHOPPER)["events"][0]["actor"]
    traces = [text.encode() for text in (QUERY, ORDER, actor)]
    _require(bool(set(_files_with(shell.data, traces))), "the search finds no trace of them")

    note("They ask to be forgotten:")
    shell("privacy", "erase", SHOPPER)

    note("Nothing is found any more, by the suite or in any of its files:")
    shell("privacy", "export", SHOPPER, code=1)
    shell("profiles", "show", SHOPPER)
    left = sorted(set(_files_with(shell.data, [*traces, SHOPPER.encode(), VISITOR.encode()])))
    _require(not left, f"traces are left in {', '.join(left)}")
    count = sum(1 for each in shell.data.rglob("*") if each.is_file())
    out.say(
        console, f"\n{count} files were searched for the ids, the search and the order.", "bold"
    )


def _shop(shell: Shell) -> None:
    """Send the shopper's events, first as a visitor."""
    wines = [wine.id for wine in load_wines()][:4]
    rows = [f"p-view-{wine},VIEW,{wine},,{VISITOR},," for wine in wines[:2]]
    rows += [f"p-search,SEARCH,,{SHOPPER},,{QUERY},"]
    rows += [f"p-buy-{wine},PURCHASE,{wine},{SHOPPER},,,{ORDER}" for wine in wines[2:]]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events.csv"
        file.write_text("\n".join([HEADER, *rows]) + "\n")
        shell("events", "import", str(file))
    shell("events", "merge", VISITOR, SHOPPER)


def _files_with(folder: Path, traces: list[bytes]) -> Iterator[str]:
    """Yield the names of the files that hold any of these bytes."""
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        content = path.read_bytes()
        if any(trace in content for trace in traces):
            yield path.name


def _require(holds: bool, failure: str) -> None:
    if not holds:
        raise TranscriptFailed(failure)


if __name__ == "__main__":
    sys.exit(transcript.run("examples.wines.privacy", __doc__, sys.argv[1:], play, rated=True))
