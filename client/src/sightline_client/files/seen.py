"""The ids of a file so far. On disk, in a temporary database: a set of ten million ids would
take a gigabyte."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Self

from sightline_client.errors import SightlineError
from sightline_client.files.model import Row, bad

TWICE = "ID_TWICE"
_NAMED = 5
"""Most products without a photo that are named."""


class SeenIds:
    """Ids, each with the row that had it first. A context manager, for one thread at a time."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, row INTEGER) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._database.close()

    def first(self, key: str, row: int) -> int:
        """Return the first row with this id: ``row`` itself unless it was seen before."""
        added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, row))
        if added.rowcount:
            return row
        found = self._database.execute("SELECT row FROM seen WHERE id = ?", (key,)).fetchone()
        return int(found[0])

    def __contains__(self, key: str) -> bool:
        return (
            self._database.execute("SELECT 1 FROM seen WHERE id = ?", (key,)).fetchone() is not None
        )

    def __iter__(self) -> Iterator[str]:
        for (key,) in self._database.execute("SELECT id FROM seen"):
            yield str(key)


class SharedPhotos(SeenIds):
    """Photos that several products of a file have, by the name or address in the file. Variants of
    a product may share theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        """Number of products with a photo that an earlier product has."""
        self.example = ""
        self.lacking = 0
        """Number of products without a photo."""
        self.without: list[str] = []
        """The first ids of these, and … if there are more."""

    def lack(self, product_id: str) -> None:
        """Record a product without a photo."""
        self.lacking += 1
        if self.lacking <= _NAMED:
            self.without.append(product_id)
        elif self.lacking == _NAMED + 1:
            self.without.append("…")

    def look(self, number: int, photos: Sequence[str]) -> None:
        """Record a product's row and its photos."""
        before = [(name, self.first(name, number)) for name in photos]
        shared = [(name, row) for name, row in before if row != number]
        self.count += bool(shared)
        if shared and not self.example:
            self.example = f"row {number:,} has that of row {shared[0][1]:,}, {shared[0][0]}"


def twice(seen: SeenIds, row: Row, item_id: str) -> SightlineError | None:
    """Return the error for an id that an earlier row has; None = it is the first. An unchanged row
    of a file of rejected rows is rejected again, although no other row there has the id: otherwise
    it would replace the row that was accepted."""
    same = f"{item_id!r} is also the id of"
    first = seen.first(item_id, row.number)
    if first != row.number:
        return bad("id", f"{same} row {first}", reason=TWICE)
    note = str(row.cells.get("_problem") or "")
    if row.cells.get("_reason") == TWICE and note.startswith(f"id: {same} "):
        text = (
            f"{same} another row of the original file: change the id, or empty _reason to let this"
            " row replace the other one"
        )
        return bad("id", text, reason=TWICE)
    return None
