"""Changes of a scene's controls, as the forms of the shelf send them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sightline_client import FilterSyntaxError, parse_filter
from sightline_client.cli.language import _
from sightline_console.pages.rendering import typed_moment
from sightline_console.screens import scene_text
from sightline_console.screens.asked import AskedInvalid
from sightline_console.screens.scene_text import LAST_PLACE, Entries, TextUnreadable

Change = Callable[[str], str]
"""Returns the text of a scene with a change. Raises TextUnreadable."""

MOST_BOOST = 10.0
MOST_DAILY = 10**12
_PERIOD = {"start_time": "start", "end_time": "end", "daily_budget": "daily"}
"""Entry of a control → field of the form."""
KINDS = ("pin", "boost", "bury", "exclude")


def moment(text: str) -> datetime | None:
    """Return the time that is typed in a field, in UTC if it has no zone; None: the field is empty.
    Raises ValueError with the text to show."""
    try:
        found = datetime.fromisoformat(text.strip()) if text.strip() else None
        return found and (found if found.tzinfo else found.replace(tzinfo=UTC))
    except ValueError:
        said = _("Write a date and a time, such as 2026-12-01T08:00.")
        raise ValueError(said) from None


def change_of(fields: Mapping[str, str]) -> Change:
    """Return the change that a form asks for. Raises AskedInvalid."""
    do, name = fields.get("do", ""), fields.get("name", "")
    if do == "remove":
        return lambda text: scene_text.changed(text, name, None)
    given = _Given(fields)
    if do == "change":
        made = given.period()
        place, boost = given.optional("place", LAST_PLACE), given.boost(needed=False)
        given.check()
        typed = {key: fields[each].strip() for key, each in _PERIOD.items() if each in fields}
        edit = _Edit(made, typed, place, boost)
        return lambda text: _edited(text, name, edit)
    if do in ("up", "down"):
        place = given.whole("rank", LAST_PLACE) + (1 if do == "down" else -1)
        given.check()
        return lambda text: scene_text.pinned(text, given.subject, max(1, place))
    if do not in KINDS:
        raise AskedInvalid({"do": _("Choose what the rule does.")})
    control = given.control(do)
    given.check()
    if do == "pin" and len(control) == 3:
        return lambda text: scene_text.pinned(text, given.subject, control["place"])
    return lambda text: scene_text.steered(text, control)


class _Given:
    """The fields of a form, and what is wrong with them."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields
        self.problems: dict[str, str] = {}
        self.subject = fields.get("subject", "")
        """Id of a product; empty: the rule has a filter."""

    def check(self) -> None:
        """Raise AskedInvalid if a field is invalid."""
        if self.problems:
            raise AskedInvalid(self.problems)

    def control(self, kind: str) -> dict[str, Any]:
        """Return the entries of a control without its name."""
        made: dict[str, Any] = {"kind": kind, **self._target()}
        if kind == "pin":
            made["place"] = self.whole("place", LAST_PLACE)
        if kind == "boost":
            made["boost"] = self.boost(needed=True)
        period = self.period()
        if kind not in ("pin", "boost"):
            period.pop("daily_budget", None)
        return {**made, **period}

    def _target(self) -> dict[str, Any]:
        if self.subject:
            return {"product_ids": [self.subject]}
        condition = self._fields.get("condition", "").strip()
        try:
            parse_filter(condition)
        except FilterSyntaxError as error:
            self.problems["condition"] = f"{error.message}\n{error.pointer}"
        return {"filter": condition}

    def period(self) -> dict[str, Any]:
        """Return the dates and the daily count."""
        found: dict[str, Any] = {
            "start_time": self._moment("start"),
            "end_time": self._moment("end"),
        }
        daily = self.optional("daily", MOST_DAILY)
        if daily:
            found["daily_budget"] = daily
        if found["start_time"] and found["end_time"] and found["end_time"] <= found["start_time"]:
            self.problems["end"] = _("The end must be after the start.")
        return {name: value for name, value in found.items() if value}

    def _moment(self, name: str) -> datetime | None:
        try:
            return moment(self._fields.get(name, ""))
        except ValueError as error:
            self.problems[name] = str(error)
            return None

    def whole(self, name: str, most: int) -> int:
        """Return a number from 1."""
        found = self.optional(name, most)
        if not found and name not in self.problems:
            self._number(name, most)
        return found or 1

    def optional(self, name: str, most: int) -> int:
        """Return a number from 1; 0: not given."""
        text = self._fields.get(name, "").strip()
        if not text:
            return 0
        found = int(text) if text.isascii() and text.isdecimal() and len(text) <= 13 else 0
        if not 1 <= found <= most:
            self._number(name, most)
        return found

    def _number(self, name: str, most: int) -> None:
        self.problems[name] = _("Write a number from 1 to {most}.", most=most)

    def boost(self, *, needed: bool) -> float:
        """Return a boost; 0: not given."""
        text = self._fields.get("boost", "").strip()
        if not text and not needed:
            return 0.0
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not 0 < found <= MOST_BOOST:
            self.problems["boost"] = _(
                "Write a number above 0, at most {most}.", most=int(MOST_BOOST)
            )
        return found


@dataclass(frozen=True, slots=True)
class _Edit:
    """A change of a control by a form."""

    period: Entries
    """Dates and the daily count."""
    typed: Mapping[str, str]
    """Dates and count that the form has, as text, by the entry's name."""
    place: int
    boost: float

    def drops(self, key: str, value: object) -> bool:
        """Return whether an entry of a control does not stay as it is: the form has it, and its
        user typed something else than the page showed."""
        if key not in self.typed:
            return False
        shown = str(value) if key == "daily_budget" else typed_moment(value)
        return self.typed[key] != shown


def _edited(text: str, name: str, edit: _Edit) -> str:
    """Return the text with other dates, another daily count, place or boost of a control."""
    found = next((each for each in scene_text.controls(text) if each.get("name") == name), None)
    if found is None:
        raise TextUnreadable(_("The draft has no rule {name} any more.", name=name))
    made = {key: value for key, value in found.items() if not edit.drops(key, value)}
    if edit.place and "place" in found:
        made["place"] = edit.place
    if edit.boost and "boost" in found:
        made["boost"] = edit.boost
    kept = [key for key in _PERIOD if key in made]
    period = {key: value for key, value in edit.period.items() if key not in kept}
    return scene_text.changed(text, name, {**made, **period})
