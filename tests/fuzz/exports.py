"""Files of other systems' exports whose columns were changed, imported by `sightline products
import`: each record has to be stored or named among the rejected rows."""

from __future__ import annotations

import csv
import io
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from sightline_client.cli import app
from sightline_client.files.accounts import LOST
from sightline_client.files.shapes import PRODUCTS
from tests.fuzz.model import Outcome

MOST_ROWS = 8
SECONDS = 120.0
KEEP = "keep"
"""Product that is in no file: a full import with rejected rows leaves it."""
VALUES = (
    "",
    "n/a",
    "(not set)",
    "-",
    "NULL",
    "0",
    "-1",
    "1,5",
    "1.234,50",
    "yes",
    "NaN",
    "é",
    "=1",
)
SEPARATORS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-le", "gb18030")
_IDS = frozenset({"id", "handle", "sku", "variant sku"})
_TEXTS = frozenset({"title", "name", "description", "body (html)"})
_PRICES = frozenset({"price", "variant price", "regular price"})
_TYPES = {"type": "simple", "status": "active", "published": "1"}


@dataclass(slots=True)
class ExportFile:
    """A file of an export, before and after changes. Each record has a mark of its own in its id
    and its texts."""

    shape: str
    header: list[str]
    rows: list[list[object]]
    marks: list[str]
    separator: str = ","
    encoding: str = "utf-8"
    suffix: str = ".csv"
    stray: int = -1
    """Place of a stray quote among the text's letters; negative: none."""
    changes: list[str] = field(default_factory=list)

    def data(self) -> bytes:
        """Return the file's bytes."""
        text = self._lines() if self.suffix == ".jsonl" else self._table()
        if self.stray >= 0:
            at = text.index("\n") + 1 + self.stray % len(text)
            text = text[:at] + '"' + text[at:]
        return text.encode(self.encoding, "replace")

    def _table(self) -> str:
        into = io.StringIO()
        writer = csv.writer(into, delimiter=self.separator, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows(self.rows)
        return into.getvalue()

    def _lines(self) -> str:
        made = (dict(zip(self.header, row, strict=False)) for row in self.rows)
        return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in made)


def made(chance: random.Random, shape: str, run: int) -> ExportFile:
    """Return a file of an export with all documented columns that name no others. `run`: a number
    that no other file has."""
    columns = PRODUCTS[shape].columns
    names = [each.replace("{n}", "1") for each in (*columns.read, *columns.ignored)]
    names = [each for each in names if "{" not in each]
    suffix = ".jsonl" if shape == "google-retail" else ".csv"
    if suffix == ".jsonl":  # the names that Google writes
        names = [
            {"priceinfo": "priceInfo", "languagecode": "languageCode"}.get(n, n) for n in names
        ]
    marks = [f"m{run}x{number}z" for number in range(chance.randint(1, MOST_ROWS))]
    rows = [[_cell(name, mark) for name in names] for mark in marks]
    return ExportFile(shape, names, rows, marks, suffix=suffix)


def _cell(name: str, mark: str) -> object:
    if name in _IDS:
        return mark
    if name in _TEXTS:
        return f"Thing {mark}"
    if name == "priceInfo":
        return {"price": 9, "currencyCode": "EUR"}
    return "9 EUR" if name in _PRICES else _TYPES.get(name, "")


# Changes


def _remove(chance: random.Random, file: ExportFile) -> None:
    at = chance.randrange(len(file.header))
    for row in (file.header, *file.rows):
        del row[at]  # type: ignore[attr-defined]


def _rename(chance: random.Random, file: ExportFile) -> None:
    at = chance.randrange(len(file.header))
    file.header[at] = chance.choice((f"{file.header[at]} 2", file.header[at].upper(), "", "Neu"))


def _double(chance: random.Random, file: ExportFile) -> None:
    at, to = chance.randrange(len(file.header)), chance.randrange(len(file.header) + 1)
    for row in (file.header, *file.rows):
        row.insert(to, row[at])  # type: ignore[attr-defined]


def _reorder(chance: random.Random, file: ExportFile) -> None:
    order = chance.sample(range(len(file.header)), len(file.header))
    file.header[:] = [file.header[at] for at in order]
    for row in file.rows:
        row[:] = [row[at] for at in order]


def _retype(chance: random.Random, file: ExportFile) -> None:
    """Give a column other values, in all rows or in one."""
    at = chance.randrange(len(file.header))
    for row in chance.choice((file.rows, [chance.choice(file.rows)])):
        other = chance.choice(VALUES)
        row[at] = chance.choice((other, [other], 7)) if file.suffix == ".jsonl" else other


def _encode(chance: random.Random, file: ExportFile) -> None:
    file.encoding = chance.choice(ENCODINGS)


def _separate(chance: random.Random, file: ExportFile) -> None:
    file.separator = chance.choice(SEPARATORS)


def _ragged(chance: random.Random, file: ExportFile) -> None:
    """Cut a row off, or give it further cells."""
    row = chance.choice(file.rows)
    if chance.random() < 0.5:
        row.extend(["more"] * chance.randint(1, 3))
    else:
        del row[-chance.randint(1, 3) :]


def _quote(chance: random.Random, file: ExportFile) -> None:
    file.stray = chance.randrange(10_000)


CHANGES: Sequence[Callable[[random.Random, ExportFile], None]] = (
    *(_remove, _rename, _double, _reorder, _retype, _encode, _separate, _ragged, _quote),
)
"""In the order in which they are made: a row is cut off at the end."""


def changed(chance: random.Random, shape: str, run: int) -> ExportFile:
    """Return a file of an export with one to three changes. A cell that loses the mark of its
    record leaves it in others: the changes of columns are of different ones mostly."""
    file = made(chance, shape, run)
    for change in sorted(chance.sample(CHANGES, chance.choice((1, 1, 2, 3))), key=CHANGES.index):
        if file.header:
            change(chance, file)
            file.changes.append(change.__name__[1:])
    _spare(file)
    return file


def _spare(file: ExportFile) -> None:
    """Keep only the marks that the file still has."""
    data = file.data()
    text = data.decode(file.encoding, "replace")
    file.marks = [mark for mark in file.marks if mark in text]


# What becomes of them


@dataclass(frozen=True, slots=True)
class Imported:
    """Result of an import."""

    code: int
    said: str
    facts: dict[str, Any]
    """Printed as JSON; empty if the file was rejected as a whole."""
    rejected: str
    """Text of the file of rejected rows."""
    crash: str = ""
    """Exception that the command did not handle."""


def faults(file: ExportFile, done: Imported, stored: str, *, kept: bool) -> list[str]:
    """Return the faults of an import; `stored`: ids and texts of all products after it, `kept`:
    whether the product is still there that no file has."""
    found = []
    if done.crash or "Traceback" in done.said:
        found.append(f"crashed: {done.crash or done.said[-300:]}")
    if LOST in done.said + done.rejected:
        found.append("records became no row")
    if not done.facts:
        if done.code != 1 or not done.said.strip():
            found.append(f"a rejected file has exit code {done.code}: {done.said[:200]}")
        return found
    refused = int(done.facts["rowsRefused"])
    if done.code != (1 if refused else 0):
        found.append(f"exit code {done.code} with {refused} rejected rows: {done.said[:200]}")
    lost = [mark for mark in file.marks if mark not in stored and mark not in done.rejected]
    if lost:
        found.append(f"{len(lost)} of {len(file.marks)} records neither stored nor rejected")
    if refused and not kept:
        found.append("a full import with rejected rows deleted a product")
    return found


class Importer:
    """Imports files by the command line into one catalog."""

    def __init__(self, target: str, token: str, catalog: str, home: Path) -> None:
        self._where = ("--target", target, "--catalog", catalog, "--timeout", "30")
        self._home = home
        self._environment = {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "SIGHTLINE_TOKEN": token or None,
            "LANG": "en_US.UTF-8",
            "LC_ALL": None,
        }

    def run(self, file: ExportFile, *options: str) -> Imported:
        """Import a file."""
        with tempfile.TemporaryDirectory(dir=self._home) as folder:
            path = Path(folder) / f"export{file.suffix}"
            path.write_bytes(file.data())
            done = self.call("products", "import", str(path), "--json", *options)
            rejected = [
                each.read_text("utf-8", "replace") for each in path.parent.glob("*.rejected*")
            ]
        crash = done.exception
        handled = crash is None or isinstance(crash, SystemExit)
        return Imported(
            done.exit_code, done.stderr, _facts(done.stdout), "".join(rejected),
            "" if handled else repr(crash),
        )  # fmt: skip

    def call(self, *arguments: str) -> Any:
        """Run a command of `sightline`."""
        return CliRunner().invoke(app, [*arguments, *self._where], env=self._environment)


def _facts(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and "rowsRefused" in found else {}


def check(
    importer: Importer, keep: Callable[[], None], stored: Callable[[], str], seed: int
) -> Outcome:
    """Import changed files until the time is up. `keep` writes the product KEEP again, `stored`
    returns all products' ids and texts."""
    chance, until = random.Random(seed), time.monotonic() + SECONDS
    files, codes, wrong = 0, Counter[int](), list[str]()
    whole = 0
    shapes = [name for name in PRODUCTS if name != "schema-org"]
    keep()
    while time.monotonic() < until:
        file = changed(chance, shapes[files % len(shapes)], files)
        mode = chance.choice(("incremental", "incremental", "full"))
        done = importer.run(file, "--mode", mode, *_given(chance))
        texts = stored()
        kept = f"{KEEP}\n" in texts
        wrong += [f"{file.shape}, {'+'.join(file.changes)}: {why}" for why in faults(
            file, done, texts, kept=kept)]  # fmt: skip
        files += 1
        whole += not done.facts
        codes[done.code] += 1
        if not kept:
            keep()
    said = ", ".join(f"{count} × {code}" for code, count in sorted(codes.items()))
    measured = f"{files} files, {whole} of them rejected as a whole; exit codes {said}"
    tried = codes[0] > 0 and files > whole + codes[0]
    return Outcome(not wrong and tried, "; ".join([measured, *wrong[:5]]))


def _given(chance: random.Random) -> list[str]:
    return ["--set", "currency=EUR"] if chance.random() < 0.7 else []
