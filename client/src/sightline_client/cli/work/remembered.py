"""Column maps of former imports: each is kept for one catalog of one suite."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from sightline_client.cli.base import running
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _
from sightline_client.cli.show.tables import plain
from sightline_client.files.forms import unformed
from sightline_client.files.mapping import ColumnMap, Mapped
from sightline_client.files.model import NOTE, RowTable


def scope_of(suite: Suite) -> str:
    """Return the suite and the catalog that a map is kept for."""
    return f"{suite.target} {suite.catalog}"


def remember(table: RowTable, scope: str, *, rows: int, refused: int) -> None:
    """Keep how a mapped table was read, if it worked: at least half of the rows were right."""
    table = unformed(table)
    if isinstance(table, Mapped) and table.by.columns and rows - refused >= max(refused, 1):
        by = {"columns": dict(table.by.columns), "constants": dict(table.by.constants)}
        _write(_key(table.theirs, scope), by | {"scope": scope, "names": _hash(table.theirs)})


def recall(names: Sequence[str], scope: str) -> ColumnMap:
    """Return the map kept for files with these columns, and say it. Say also one that was kept for
    another catalog, which does not count."""
    kept = _kept()
    before = _map(kept.get(_key(names, scope)))
    if before:
        hint = _("(--map none forgets them)")
        pairs = ", ".join(_options(before, map_option=""))
        text = _("Columns as in the last run: {pairs_then} {hint}.", pairs_then=pairs, hint=hint)
        running.say(Text(plain(text)))
        return before
    others = (_map(each) for each in kept.values() if _names_of(each) == _hash(names))
    if elsewhere := next(filter(None, others), None):
        text = _(
            "Not as in the last run, which was for another catalog: {options_then}.",
            options_then=" ".join(_options(elsewhere, map_option="--map ")),
        )
        running.say(Text(plain(text)))
    return ColumnMap()


def forget(names: Sequence[str], scope: str) -> None:
    """Remove the map kept for files with these columns."""
    _write(_key(names, scope), None)


def _options(by: ColumnMap, *, map_option: str) -> list[str]:
    pairs = [f"{map_option}{theirs}={ours}" for theirs, ours in by.columns.items()]
    return pairs + [f"--set {ours}={value}" for ours, value in by.constants.items()]


def _map(kept: Any) -> ColumnMap:
    """Return a map as it was kept; an empty one for anything else."""
    with suppress(LookupError, TypeError, ValueError):
        return ColumnMap(dict(kept["columns"]), dict(kept["constants"]))
    return ColumnMap()


def _names_of(kept: Any) -> object:
    return kept.get("names") if isinstance(kept, dict) else None


def _kept() -> dict[str, Any]:
    with suppress(OSError, ValueError, TypeError):
        return dict(json.loads(_memory().read_text(encoding="utf-8")))
    return {}


def _write(key: str, value: object) -> None:
    """Keep a value in the home folder, or remove it (None). Ignore errors of the file system."""
    kept = _kept()
    kept.pop(key, None)
    if value is not None:
        kept[key] = value
    path = _memory()
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def _memory() -> Path:
    return Path(typer.get_app_dir("sightline")) / "columns.json"


def _key(names: Iterable[str], scope: str) -> str:
    return f"{_hash(names)} {scope}"


def _hash(names: Iterable[str]) -> str:
    """Hash the names of columns, without notes, so that a file of rejected rows is one of them."""
    own = sorted(name for name in names if not name.startswith(NOTE))
    return hashlib.sha256("\n".join(own).encode(errors="surrogatepass")).hexdigest()[:16]
