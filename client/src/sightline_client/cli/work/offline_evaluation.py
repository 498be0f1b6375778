"""Evaluation without a suite, by an installed package that trains and evaluates models.

The package registers a function under the entry point group ``sightline.evaluate``::

    evaluate(events, products, *, protocols, share, seed, progress) -> Evaluation

It takes lists of the contract's Event and Product, names of protocols ("global", "per-user-tail";
the first one decides), the share of events to hold out, the seed, and a function that is called
with the work done and the total. In a clone of the project, the ranker is such a package.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from sightline.common.v1 import event_pb2, product_pb2
from sightline.ranker.v1 import evaluation_pb2
from sightline_client.cli.language import _, later
from sightline_client.cli.work.entry_points import registered
from sightline_client.errors import SightlineError
from sightline_client.files import events as event_rows
from sightline_client.files import products as product_rows
from sightline_client.files.accounts import accounted
from sightline_client.files.cells import Cells
from sightline_client.files.model import FileRefused, bad
from sightline_client.files.opening import open_table
from sightline_client.files.photos import PhotoFolder

GROUP = "sightline.evaluate"

M = TypeVar("M", bound=Message)


class Evaluate(Protocol):
    """Interface of the package that evaluates."""

    def __call__(
        self,
        events: Sequence[event_pb2.Event],
        products: Sequence[product_pb2.Product],
        *,
        protocols: Sequence[str],
        share: float,
        seed: int,
        progress: Callable[[int, int], None],
    ) -> evaluation_pb2.Evaluation: ...


def evaluator() -> Evaluate:
    """Return the installed evaluator. FileRefused, with how to fix it, without one."""
    found: Evaluate = registered(
        GROUP,
        _("no package that trains and evaluates models is installed"),
        _(
            "use a clone of the project, where `make setup` installs it, or evaluate in a suite:"
            " sightline models evaluate --target HOST:PORT"
        ),
    )
    return found


def read_events(path: Path, ignore: Sequence[str]) -> list[event_pb2.Event]:
    """Read the file's events. FileRefused for a row that is invalid or has no time to split by."""

    def event(row: Cells) -> event_pb2.Event:
        made = event_rows.event(row)
        if not made.HasField("event_time"):
            raise bad("time", _("is missing: events are split by time"))
        return made

    return list(_read(path, event_rows.COLUMNS, event_rows.NEEDED, ignore, event))


def read_products(path: Path, ignore: Sequence[str]) -> list[product_pb2.Product]:
    """Read the file's products, without photos. FileRefused for an invalid row."""
    photos = PhotoFolder(path.parent)

    def product(row: Cells) -> product_pb2.Product:
        return product_rows.product({**row, "images": None}, photos, read=False)

    return list(_read(path, product_rows.COLUMNS, product_rows.NEEDED, ignore, product))


def _read(
    path: Path,
    columns: Sequence[str],
    needed: Sequence[str],
    ignore: Sequence[str],
    made: Callable[[Cells], M],
) -> Iterator[M]:
    """Yield all rows. Unlike in an import, an invalid row ends it, because figures of a part of the
    rows would be misleading."""
    table = open_table(path, columns=columns, needed=needed, ignore=ignore)
    try:
        for row in accounted(table):
            if row.error is not None:
                raise FileRefused(
                    _("{name}, row {number}: {error}", row, name=path.name),
                    _(_FIX),
                )
            try:
                yield made(row.cells)
            except SightlineError as error:
                raise FileRefused(
                    _("{name}, row {number}: {error}", path, number=row.number, error=error),
                    _(_FIX),
                ) from None
    finally:
        table.close()


_FIX = later("fix the row: `sightline events import` and `products import` list all invalid rows")
