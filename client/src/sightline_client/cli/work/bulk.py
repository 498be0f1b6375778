"""Send a file's rows in batches: events, offers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from google.protobuf.message import Message
from google.rpc import status_pb2

from sightline_client import errors
from sightline_client.cli.base import progress
from sightline_client.cli.work import columns, remembered
from sightline_client.cli.work.patience import Patience, reach
from sightline_client.cli.work.refusals import Refusals
from sightline_client.client import SightlineClient
from sightline_client.errors import SightlineError
from sightline_client.files.accounts import accounted
from sightline_client.files.model import Row, RowTable
from sightline_client.files.rejected import Rejected
from sightline_client.transport.pipeline import in_flight
from sightline_client.transport.threads import in_thread


class _Answer(Protocol):
    """Answer of a call with a batch."""

    @property
    def statuses(self) -> Sequence[status_pb2.Status]:
        """One for each message, in order."""


M = TypeVar("M", bound=Message)
R = TypeVar("R", bound=_Answer)

_ROWS = 1000
_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Lot(Generic[M]):
    """A batch of rows and their messages."""

    rows: Sequence[Row]
    """The rows of `messages`, in the same order."""
    messages: Sequence[M]
    bad: Sequence[tuple[Row, SightlineError]]
    done: int
    """Position in the file after the batch, in the unit of `RowTable.total`."""


@dataclass(slots=True)
class SendOutcome:
    """Counts of a file's rows."""

    rows: int = 0
    refused: int = 0
    rejected: Path | None = None
    reading: Sequence[str] = ()
    """Options that read the file of rejected rows."""


async def send_file(
    client: SightlineClient,
    path: Path,
    table: RowTable,
    make: Callable[[Row], M],
    send: Callable[[Sequence[M]], Awaitable[R]],
    *,
    side_by_side: int,
    words: str,
    id_column: str,
    scope: str,
    dry_run: bool = False,
) -> SendOutcome:
    """Send every row, or keep it in the file of rejected rows. `dry_run`: check the rows, and send
    none.

    SightlineError when the suite stays unavailable.

    Args:
        make: Converts a row to a message, or raises SightlineError.
        send: Sends a batch in one call, which is retried while the suite is unavailable.
        scope: Suite and catalog, for which the columns are remembered if a row was stored.
    """
    if not dry_run:
        await reach(client)
    outcome, rejected, patience = SendOutcome(), Rejected(path, table), Patience()
    refusals = Refusals()

    def refuse(row: Row, error: SightlineError) -> None:
        outcome.refused += 1
        rejected.add(row, error)
        refusals.add(row, error, str(row.cells.get(id_column) or ""))

    async def sent(lot: _Lot[M]) -> Sequence[status_pb2.Status]:
        if dry_run or not lot.messages:
            return ()
        statuses = (await patience.wait(partial(send, lot.messages))).statuses
        errors.check_answered(len(lot.messages), len(statuses))
        return statuses

    try:
        with progress.meter(words, table.total) as bar:
            async for lot, statuses in in_flight(_lots(table, make), sent, side_by_side):
                outcome.rows += len(lot.rows) + len(lot.bad)
                refused = list(lot.bad)
                refused += [
                    (lot.rows[place], errors.from_status(status))
                    for place, status in enumerate(statuses)
                    if status.code
                ]
                for row, error in sorted(refused, key=lambda item: item[0].number):
                    refuse(row, error)
                bar.at(lot.done, rows=outcome.rows, refused=outcome.refused)
    finally:
        rejected.close()
        refusals.say()
        if rejected.count:
            outcome.rejected = rejected.path
            outcome.reading = columns.options_of(path, table)
    columns.report(table)
    remembered.remember(table, scope, rows=outcome.rows, refused=outcome.refused)
    return outcome


async def _lots(table: RowTable, make: Callable[[Row], M]) -> AsyncIterator[_Lot[M]]:
    rows = accounted(table)
    while lot := await in_thread(_read, table, rows, make):
        yield lot


def _read(table: RowTable, rows: Iterator[Row], make: Callable[[Row], M]) -> _Lot[M] | None:
    """Read and convert the next rows in one call to a thread; None at the end."""
    good: list[Row] = []
    messages: list[M] = []
    bad: list[tuple[Row, SightlineError]] = []
    size = 0
    for row in rows:
        try:
            if row.error is not None:
                raise row.error
            message = make(row)
        except SightlineError as error:
            bad.append((row, error))
        else:
            good.append(row)
            messages.append(message)
            size += message.ByteSize()
        if len(good) + len(bad) == _ROWS or size > _BYTES:
            break
    return _Lot(good, messages, bad, table.done) if good or bad else None
