"""Tables of photos' categories and labels."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.language import _
from sightline_client.cli.show.grids import phrase, plain
from sightline_client.cli.show.tables import counted
from sightline_client.cli.show.value_tables import ValueTable
from sightline_client.values.catalog import CategoryGuess
from sightline_client.values.classifications import Classification, FilterProposal
from sightline_client.values.signals import LabelLine


class _Labeled(Protocol):
    """An answer or an explanation, with the labels that were read."""

    @property
    def labels(self) -> Mapping[int, tuple[LabelLine, ...]]: ...

    @property
    def unread_labels(self) -> tuple[int, ...]: ...

    @property
    def unsure_label_lines(self) -> Mapping[int, int]: ...


_guesses = ValueTable(
    CategoryGuess,
    {"category": lambda one: " > ".join(one.category_path), "chance": "probability:.1%"},
)
_proposals = ValueTable(
    FilterProposal, {"narrow with --filter": "text", "chance": "probability:.1%"}
)


def classification(value: Classification) -> RenderableType:
    """Show a photo's likely categories, then filters to search with."""
    guesses = _guesses.grid(value.guesses)
    guesses.add_row(_("none of these"), f"{value.unknown_probability:.1%}")
    found: list[RenderableType] = [guesses, _verdict(value)]
    return Group(*found, _proposals(value.proposals)) if value.proposals else Group(*found)


def _verdict(value: Classification) -> Text:
    if value.unknown:
        return phrase("The photo matches none of the catalog's categories.")
    if value.sure is None:
        return phrase("No category is likely.")
    path, chance = " > ".join(value.sure.category_path), value.sure.probability
    return phrase("Most likely category: {path} ({chance:.1%}).", path=path, chance=chance)


def label_lines(answer: _Labeled) -> list[str]:
    """Return what was read in photos, a line each, then the photos whose labels were left out."""
    read = [
        _read(place, lines, answer.unsure_label_lines.get(place, 0))
        for place, lines in sorted(answer.labels.items())
    ]
    left = [_("signals[{place}]: the label was left out", place=it) for it in answer.unread_labels]
    return [*read, *left]


def _read(place: int, lines: Sequence[LabelLine], unsure: int) -> str:
    """Return what was read in a photo, and how many lines were not."""
    text = " · ".join(plain(line.text) for line in lines)
    read = (
        _("signals[{place}] reads: {text}", place=place, text=text)
        if lines
        else _("signals[{place}]: no text was read", place=place)
    )
    if not unsure:
        return read
    more = counted(unsure, "line was not readable", "lines were not readable")
    return _("{read}; {more}", read=read, more=more)
