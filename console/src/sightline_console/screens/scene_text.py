"""The text of a scene: its controls are changed, and all else stays as it is written."""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from itertools import count
from typing import Any, TypeAlias

from sightline_client.cli.language import _

Entries: TypeAlias = Mapping[str, Any]
"""Entries of a table, by name."""

MOST_BYTES = 64 * 1024
MOST_LINE = 400
MOST_DOTS = 100
"""Limits within which a text takes half a second to parse at most; the suite takes no other."""
LAST_PLACE = 200
_NAME_LENGTH = 60
_WIDTH = 100
_CONTROL = re.compile(r"\s*\[\[\s*controls\s*\]\]\s*(#.*)?")
_TABLE = re.compile(r"\s*\[\[?[^\[\],=]+\]\]?\s*(#.*)?")
_PART = re.compile(r"\s*\[\s*controls\s*\.")
_TOKEN = re.compile(
    r'''"""(?:\\.|[^\\])*?"""|"(?:\\.|[^"\\\n])*"|'''
    r"""'{3}.*?'{3}|'[^'\n]*'|#[^\n]*|[^"'#\[\]{}\n]+|.""",
    re.DOTALL,
)
"""A string, a comment, or text without either, up to a bracket or the end of its line."""
_PERIOD = ("start_time", "end_time", "when")
_ORDER = (
    "name", "kind", "product_ids", "filter", "place", "boost", "least_share", "by_merit",
    "start_time", "end_time", "daily_budget",
)  # fmt: skip


class TextUnreadable(Exception):
    """A text whose controls can't be changed here."""


def entries(text: str) -> dict[str, Any]:
    """Parse a scene's text. Raises TextUnreadable."""
    lines = text.split("\n")
    if (
        len(text.encode()) > MOST_BYTES
        or max(map(len, lines)) > MOST_LINE
        or max(line.count(".") for line in lines) > MOST_DOTS
    ):
        raise TextUnreadable(
            _("The text is too long: 64 KiB, in lines of 400 characters, are allowed.")
        )
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise TextUnreadable(_("The text is not TOML: {error}", error=error)) from None


def controls(text: str) -> list[Entries]:
    """Return the controls of a text. Raises TextUnreadable."""
    return _controls(entries(text))


def _controls(held: Entries) -> list[Entries]:
    found = held.get("controls", [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise TextUnreadable(_by_hand())
    return found


def new_name(kind: str, subject: str, taken: Iterable[str]) -> str:
    """Return a name for a control that no other one has."""
    base = re.sub(r"[^a-z0-9_-]+", "-", f"{kind}-{subject}".lower()).strip("-")[:_NAME_LENGTH]
    names = (base if number == 1 else f"{base}-{number}" for number in count(1))
    known = frozenset(taken)
    return next(name for name in names if name not in known)


def pinned(text: str, product_id: str, place: int) -> str:
    """Pin a product to a place. Its own pins move, also those with dates. Pins of other single
    products move down as far as they must. Raises TextUnreadable."""
    held = controls(text)
    pins = {
        each["place"]: each
        for each in held
        if _is_plain_pin(each) and each.get("product_ids") != [product_id]
    }
    made, at = text, place
    moved: list[Entries] = []
    while at in pins:
        moved.append({**pins[at], "place": at + 1})
        at += 1
    for each in moved:
        made = changed(made, str(each["name"]), each)
    for each in _own_pins(held, product_id) or [{"kind": "pin", "product_ids": [product_id]}]:
        entries_ = {name: value for name, value in each.items() if name != "name"}
        made = steered(made, {**entries_, "place": place})
    return made


def _own_pins(held: Iterable[Entries], product_id: str) -> list[Entries]:
    """Return the pin of a product, else those that have dates and are not over; without those for
    some requests only."""
    pins = [
        each
        for each in held
        if each.get("kind") == "pin"
        and each.get("product_ids") == [product_id]
        and "when" not in each
        and not is_over(each)
    ]
    return [each for each in pins if not _period(each)][:1] or pins


def is_over(control: Entries) -> bool:
    """Return whether a control has ended."""
    end = control.get("end_time")
    return isinstance(end, datetime) and end.tzinfo is not None and end <= datetime.now(UTC)


def _is_plain_pin(control: Entries) -> bool:
    ids = control.get("product_ids")
    alone = isinstance(ids, list) and len(ids) == 1 and isinstance(control.get("place"), int)
    return control.get("kind") == "pin" and alone and not _period(control)


def _period(control: Entries) -> dict[str, Any]:
    return {name: control[name] for name in _PERIOD if name in control}


def steered(text: str, control: Entries) -> str:
    """Add a control, in place of those of the same products or filter at the same time. It gets a
    name. Raises TextUnreadable."""
    held = controls(text)
    rivals = [each for each in held if _subject(each) == _subject(control)]
    same = [each for each in rivals if each.get("kind") == control["kind"]]
    named = {str(each.get("name")) for each in held}
    ids = control.get("product_ids") or ["filter"]
    name = same[0].get("name") if same else new_name(control["kind"], str(ids[0]), named)
    for each in rivals:
        if each is not (same[0] if same else None):
            text = changed(text, str(each.get("name")), None)
    kept = same[0] if same and control["kind"] == "pin" else {}
    return changed(text, str(name), {**kept, "name": name, **control})


def _subject(control: Entries) -> tuple[object, object, object]:
    return control.get("product_ids"), control.get("filter"), _period(control)


def changed(text: str, name: str, control: Entries | None) -> str:
    """Return the text with another control of that name, which is added if there is none; None:
    without it. Raises TextUnreadable."""
    before = entries(text)
    held = _controls(before)
    at = next((at for at, each in enumerate(held) if each.get("name") == name), None)
    lines = text.split("\n")
    blocks = _blocks(lines)
    if len(blocks) != len(held):
        raise TextUnreadable(_by_hand())
    if at is not None:
        wanted = [*held[:at], *([control] if control is not None else []), *held[at + 1 :]]
        block = blocks[at]
        start = block.start
        if control is None and start and not lines[start - 1].strip():
            start -= 1
        mine = lines[block.start : block.stop]
        lines[start : block.stop] = _rewritten(mine, control) if control is not None else []
    else:
        wanted = [*held, *([control] if control is not None else [])]
        written = [] if control is None else _table(control, _Block())
        lines = _appended(lines, blocks, written)
    made = "\n".join(lines)
    if _without_empty({**before, "controls": wanted}) != _without_empty(entries(made)):
        raise TextUnreadable(_by_hand())
    return made


def _without_empty(held: Entries) -> Entries:
    return {name: value for name, value in held.items() if name != "controls" or value}


def _appended(lines: list[str], blocks: Sequence[range], written: Sequence[str]) -> list[str]:
    """Add lines behind the last control, else at the end."""
    last = max((at + 1 for at, line in enumerate(lines) if line.strip()), default=0)
    at = blocks[-1].stop if blocks else last
    rest = lines[at:] or [""]
    return [*lines[:at], *([""] if at else []), *written, *rest]


def _by_hand() -> str:
    return _("The controls of this text are written in a way that only you can change: edit it.")


def _blocks(lines: Sequence[str]) -> list[range]:
    """Return the lines of each `[[controls]]`, without the comments before the next table."""
    found: list[range] = []
    begin = end = -1
    for at, line in enumerate(lines):
        if begin >= 0 and _TABLE.fullmatch(line) and not _PART.match(line):
            found.append(range(begin, end))
            begin = -1
        if _CONTROL.fullmatch(line):
            begin = at
        if line.strip() and not line.lstrip().startswith("#"):
            end = at + 1
    return [*found, range(begin, end)] if begin >= 0 else found


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of a control, as it is written."""

    value: object
    """The value, or the part of it that dotted keys give."""
    text: str
    comments: list[str]


@dataclass(frozen=True, slots=True)
class _Block:
    """A control as it is written. Its own entries are those of table ""."""

    comments: list[str] = field(default_factory=list)
    """Lines of their own."""
    heads: dict[str, list[str]] = field(default_factory=dict)
    """Comments behind the heads of tables."""
    entries: dict[tuple[str, str], _Entry] = field(default_factory=dict)
    """By table and name."""


def _rewritten(lines: Sequence[str], control: Entries) -> list[str]:
    """Write a control in place of these lines. Entries that stay are left as they are written, and
    comments of those that change are kept. Raises TextUnreadable."""
    try:
        block = _block("\n".join(lines))
    except (ValueError, AttributeError):
        raise TextUnreadable(_by_hand()) from None
    return [*block.comments, *_table(control, block)]


def _block(text: str) -> _Block:
    """Read a control. Raises ValueError, AttributeError."""
    found, table = _Block(), ""
    for piece, comments in _pieces(text):
        begin = piece.lstrip()[:1]
        if begin == "[":
            held = tomllib.loads(piece)["controls"]
            table = next(iter(held)) if isinstance(held, dict) else ""
            found.heads[table] = comments
        elif begin == "#":
            found.comments.append(piece)
        elif begin:
            ((name, value),) = tomllib.loads(piece).items()
            former = found.entries.get((table, name))
            said = [*former.comments, *comments] if former else comments
            found.entries[table, name] = _Entry(value, piece, said)
    return found


def _pieces(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the entries, heads and comments of a text, each with the comments in it."""
    piece, comments, depth = "", list[str](), 0
    for part in _TOKEN.findall(f"{text}\n"):
        if part == "\n" and depth == 0:
            yield piece, comments
            piece, comments = "", []
            continue
        piece += part
        depth += (part in ("[", "{")) - (part in ("]", "}"))
        if part.startswith("#"):
            comments.append(part.rstrip())


def _table(control: Entries, former: _Block) -> list[str]:
    """Write a control as TOML."""
    names = sorted(control, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))
    tables = {
        name: control[name]
        for name in names
        if isinstance(control[name], dict) and ("", name) not in former.entries
    }
    lines = _head("[[controls]]", former.heads.get("", []))
    for name in names:
        if name not in tables:
            lines += _entry(name, control[name], former.entries.get(("", name)))
    for name, held in tables.items():
        lines += ["", *_head(f"[controls.{_key(name)}]", former.heads.get(name, []))]
        for inner, value in held.items():
            lines += _entry(inner, value, former.entries.get((name, inner)))
    return lines


def _entry(name: str, value: object, former: _Entry | None) -> list[str]:
    if former is not None and former.value == value and type(former.value) is type(value):
        return former.text.split("\n")
    comments = former.comments if former is not None else []
    whole = f"{_key(name)} = {_value(value)}"
    if len(whole) <= _WIDTH or not isinstance(value, list):
        return _head(whole, comments)
    return [*comments, f"{_key(name)} = [", *(f"  {_value(each)}," for each in value), "]"]


def _head(line: str, comments: Sequence[str]) -> list[str]:
    """Return a line with its comments: behind it if there is one that fits, else above it."""
    with_them = "  ".join([line, *comments])
    return [with_them] if len(comments) < 2 and len(with_them) <= _WIDTH else [*comments, line]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case datetime() if value.tzinfo is not None:
            return _utc(value).isoformat().replace("+00:00", "Z")
        case datetime() | date() | time():
            return value.isoformat()
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            pairs = (f"{_key(name)} = {_value(each)}" for name, each in value.items())
            return f"{{ {', '.join(pairs)} }}"
    return repr(value)  # a number


def _utc(value: datetime) -> datetime:
    """Return a time in UTC, unless no calendar has that."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return value


def findings(path: str, said: str) -> Iterator[tuple[str, str]]:
    """Yield the problems of an entry, each with its path: those of controls come as one."""
    for part in re.split(r"; (?=\[\d+\]\.)", said.removeprefix("Value error, ")):
        found = re.match(r"(\[\d+\]\.\S+) (.+)", part, re.DOTALL)
        if path == "controls" and found:
            yield path + found[1], found[2]
        else:
            yield path, part


def line_of(text: str, path: str, said: str) -> int:
    """Return the line of an entry, from 1; 0: unknown."""
    if not path:
        told = re.search(r"\bline (\d+)", said)
        return int(told[1]) if told else 0
    lines = text.split("\n")
    first, _dot, rest = path.partition(".")
    if at := re.fullmatch(r"controls(?:\[(\d+)\])?", first):
        place, _dot, key = (at[1], "", rest) if at[1] else rest.partition(".")
        block, head = _block_of(text, lines, place), True
    else:
        block, head = _within(lines, first if rest else ""), bool(rest)
        key = rest or first
    key = key.rpartition(".")[2].partition("[")[0]
    named = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=") if key else None
    inside = next((at + 1 for at in block if named and named.match(lines[at])), 0)
    return inside or (block.start + 1 if block and head else 0)


def _block_of(text: str, lines: Sequence[str], place: str) -> range:
    """Return the lines of a control, by its number from 0 or its name."""
    blocks = _blocks(lines)
    if place.isdecimal():
        return blocks[int(place)] if int(place) < len(blocks) else range(0)
    try:
        names = [each.get("name") for each in controls(text)]
    except TextUnreadable:
        names = []
    found = (block for name, block in zip(names, blocks, strict=False) if name == place)
    return next(found, blocks[0] if blocks and not place else range(0))


def _within(lines: Sequence[str], table: str) -> range:
    """Return the lines of a table; "": those before the first one."""
    heads = [at for at, line in enumerate(lines) if _TABLE.fullmatch(line)]
    if not table:
        return range(heads[0] if heads else len(lines))
    begin = next((at for at in heads if lines[at].strip(" []\t") == table), None)
    if begin is None:
        return range(0)
    return range(begin, next((at for at in heads if at > begin), len(lines)))
