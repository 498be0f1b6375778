"""Picks the reader by the file's name and checks the columns."""

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path

from sightline_client.files.delimited import Delimited
from sightline_client.files.lines import JsonLines
from sightline_client.files.model import NOTE, FileRefused, Table, unread
from sightline_client.files.parquet import Parquet

DELIMITED = frozenset({".csv", ".tsv", ".txt"})
LINES = frozenset({".jsonl", ".ndjson"})
PARQUET = frozenset({".parquet"})
_PART = 8 * 1024 * 1024


def open_table(
    path: Path, *, columns: Collection[str], needed: Collection[str], ignore: Collection[str] = ()
) -> Table:
    """The file, open, its columns checked. FileRefused says what it lacks or has too much: a column
    that nobody reads would be lost without a word. In JSON Lines each row is checked as it is
    read."""
    table = _open(path, columns, ignore)
    if table.columns:
        try:
            _check(path, table.columns, columns, needed, ignore)
        except FileRefused:
            table.close()
            raise
    return table


def fingerprint(path: Path, told: Callable[[int], None] | None = None) -> str:
    """Hash of the file's content, 32 hexadecimal digits. ``told`` hears how many bytes are read."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while part := file.read(_PART):
            digest.update(part)
            done += len(part)
            if told is not None:
                told(done)
    return digest.hexdigest()[:32]


def _open(path: Path, columns: Collection[str], ignore: Collection[str]) -> Table:
    suffix = path.suffix.lower()
    if suffix in DELIMITED:
        return Delimited(path, columns)
    if suffix in LINES:
        return JsonLines(path, known=columns, ignore=ignore)
    if suffix in PARQUET:
        return Parquet(path)
    raise FileRefused(
        f"{path.name} is of no kind that can be read",
        "name it by what it holds: .csv, .tsv, .jsonl or .parquet",
    )


def _check(
    path: Path,
    found: Collection[str],
    known: Collection[str],
    needed: Collection[str],
    ignore: Collection[str],
) -> None:
    twice = sorted(name for name in set(found) if list(found).count(name) > 1)
    if twice:
        raise FileRefused(f"{path.name} names the column {twice[0]!r} twice", "give each one name")
    for name in found:
        if name not in known and name not in ignore and not name.startswith(NOTE):
            problem = f"{path.name} has a column {name!r} that nothing reads"
            raise FileRefused(problem, unread(name, known))
    missing = [name for name in needed if name not in found]
    if missing:
        raise FileRefused(
            f"{path.name} lacks the column {missing[0]!r}",
            f"its columns are read as {', '.join(found)}; known ones are {', '.join(known)}",
        )
