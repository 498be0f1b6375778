"""Column maps of former imports: each is kept for one catalog of one suite."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

from sightline_client.cli.base import running
from sightline_client.cli.base.suite import Suite
from sightline_client.cli.language import _
from sightline_client.files.forms import Formed, unformed
from sightline_client.files.mapping import ColumnMap, Mapped
from sightline_client.files.model import NOTE, FileRefused, RowTable
from sightline_client.files.notation import value_words, words_of, zone_of
from sightline_client.files.opening import Reading
from sightline_client.files.rejected import file_of


def scope_of(suite: Suite) -> str:
    """Return the suite and the catalog that a map is kept for."""
    return f"{suite.target} {suite.catalog}"


def remember(table: RowTable, scope: str, *, rows: int, refused: int) -> None:
    """Keep how a mapped table was read, if it worked: at least half of the rows were right."""
    mapped = unformed(table)
    if isinstance(mapped, Mapped) and mapped.by.columns and rows - refused >= max(refused, 1):
        by = {"columns": dict(mapped.by.columns), "constants": dict(mapped.by.constants)}
        kept = {"scope": scope, "names": _hash(mapped.theirs), **by, **_notation(table)}
        _write(_key(mapped.theirs, scope), kept)


def _notation(table: RowTable) -> dict[str, Any]:
    """Return what was said of a table's values, and what all its rows decided."""
    if not isinstance(table, Formed):
        return {}
    said = table.notation
    return {
        "values": [word.option for word in words_of(table)],
        "encoding": getattr(file_of(table), "named", ""),
        "decimal": said.decimal,
        "order": said.order,
        "zone": str(said.zone or ""),
        "forms": dict(table.forms().found),
    }


def recall(names: Sequence[str], scope: str) -> Reading:
    """Return how files with these columns were read, and say it. Say also what was kept for another
    catalog, which does not count."""
    kept = _kept()
    before = _reading(kept.get(_key(names, scope)))
    if before.map:
        hint = _("(--map none forgets them)")
        pairs = ", ".join(_options(before, map_option=""))
        running.tell(
            "Columns as in the last run: {pairs_then} {hint}.", pairs_then=pairs, hint=hint
        )
        return before
    others = (_reading(each) for each in kept.values() if _names_of(each) == _hash(names))
    if elsewhere := next((each for each in others if each.map), None):
        running.tell(
            "Not as in the last run, which was for another catalog: {options_then}.",
            options_then=" ".join(_options(elsewhere, map_option="--map ")),
        )
    return Reading()


def forget(names: Sequence[str], scope: str) -> None:
    """Remove the map kept for files with these columns."""
    _write(_key(names, scope), None)


def _options(before: Reading, *, map_option: str) -> list[str]:
    """Return the options that say how a file was read."""
    pairs = [f"{map_option}{theirs}={ours}" for theirs, ours in before.map.columns.items()]
    pairs += [f"--set {ours}={value}" for ours, value in before.map.constants.items()]
    pairs += [f"--value {shlex.quote(word.option)}" for word in before.values]
    said = {"encoding": before.encoding, "decimal": before.decimal, "date-order": before.order}
    said["time-zone"] = str(before.zone or "")
    pairs += [f"--{name} {value}" for name, value in said.items() if value]
    return pairs + [f"--form {name}={form}" for name, form in before.forms.items()]


def _reading(kept: Any) -> Reading:
    """Return a reading as it was kept; an empty one for anything else."""
    with suppress(LookupError, TypeError, ValueError, AttributeError, FileRefused):
        forms = {str(name): str(form) for name, form in kept.get("forms", {}).items()}
        return Reading(
            map=ColumnMap(dict(kept["columns"]), dict(kept["constants"])),
            encoding=str(kept.get("encoding", "")),
            decimal=str(kept.get("decimal", "")),
            order=str(kept.get("order", "")),
            zone=zone_of(kept["zone"]) if kept.get("zone") else None,
            values=value_words(kept.get("values", ())),
            forms=forms,
        )
    return Reading()


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
