"""``sightline recommend --batch``: concurrent requests, answers in the order of the file."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sightline.gateway.v1 import recommendation_service_pb2 as rec
from sightline_client.cli.base import progress, running
from sightline_client.cli.language import _
from sightline_client.cli.show import tables
from sightline_client.cli.work import asking
from sightline_client.cli.work.patience import UNREACHABLE, Patience, reach
from sightline_client.client import SightlineClient
from sightline_client.errors import SightlineError
from sightline_client.files.accounts import accounted
from sightline_client.files.lines import JsonLines
from sightline_client.files.model import Row
from sightline_client.transport.pipeline import in_flight
from sightline_client.transport.row_import import read_ahead

_SECONDS = 30.0
"""Seconds for which a request is retried while the suite is unavailable or busy."""


@dataclass(frozen=True, slots=True)
class _Question:
    """One line of the file."""

    row: Row
    request: rec.RecommendRequest | SightlineError
    """The request, or the error of an invalid line."""


@dataclass(slots=True)
class BatchOutcome:
    """Counts of a batch's lines."""

    answered: int = 0
    failed: int = 0


async def answer(
    client: SightlineClient,
    source: Path,
    out: Path,
    *,
    top: int,
    currency: str,
    side_by_side: int,
) -> BatchOutcome:
    """Write a line for each line of ``source``: {"line", "id", "response"} or {"line", "id",
    "error"}. A failed line never fails the rest; if the suite stays unavailable, the file keeps the
    lines so far."""
    await reach(client)
    outcome, table, patience = BatchOutcome(), JsonLines(source), Patience(_SECONDS)
    method = client.calls.recommendation.Recommend

    async def ask(question: _Question) -> rec.RecommendResponse | SightlineError:
        request = question.request
        if isinstance(request, SightlineError):
            return request
        try:
            return await patience.wait(partial(client.calls, method, request, client.timeout))
        except SightlineError as error:
            if error.reason == UNREACHABLE:
                raise  # every later line would fail, too
            return error

    def questions() -> Iterator[_Question]:
        for row in accounted(table):
            yield _question(row, source.parent, client.catalog, top, currency)

    try:
        with (
            out.open("w", encoding="utf-8") as file,
            progress.meter(_("asking"), table.total) as bar,
        ):
            ahead = read_ahead(questions(), _weight)
            async for question, result in in_flight(ahead, ask, side_by_side):
                line = _line(question.row, result)
                file.write(running.as_json(line) + "\n")
                outcome.answered += "response" in line
                outcome.failed += "error" in line
                bar.at(table.done, rows=outcome.answered + outcome.failed, refused=outcome.failed)
    except SightlineError:
        done = tables.counted(outcome.answered + outcome.failed, "line is", "lines are")
        running.tell("{done} done and kept in {out}.", done=done, out=out)
        raise
    finally:
        table.close()
    return outcome


def _question(row: Row, folder: Path, catalog: str, top: int, currency: str) -> _Question:
    if row.error is not None:
        return _Question(row, row.error)
    try:
        made = asking.request(row.cells, folder, catalog=catalog, top=top, currency=currency)
    except SightlineError as error:
        return _Question(row, error)
    return _Question(row, made)


def _weight(question: _Question) -> int:
    request = question.request
    return 0 if isinstance(request, SightlineError) else request.ByteSize()


def _line(row: Row, result: rec.RecommendResponse | SightlineError) -> dict[str, Any]:
    head: dict[str, Any] = {"line": row.number}
    if isinstance(row.cells.get("id"), str | int):
        head["id"] = row.cells["id"]
    if isinstance(result, SightlineError):
        return head | {"error": _error(result)}
    try:
        return head | {"response": running.json_of(result)}
    except SightlineError as error:
        return head | {"error": _error(error)}


def _error(error: SightlineError) -> dict[str, Any]:
    facts = {"code": error.code.name, "reason": error.reason, "message": error.message}
    return facts | {"violations": [asdict(item) for item in error.violations]}
