"""What the command shows, as texts and tables of a page."""

import pytest
from rich.console import Group
from rich.panel import Panel
from rich.table import Table as RichTable
from rich.text import Text

from sightline_client.cli.show import listings
from sightline_client.cli.show.grids import grid, phrase
from sightline_client.values.operations import Takedown
from sightline_console.pages.blocks import Line, Link, Table, blocks, listed


def test_texts_keep_their_importance() -> None:
    shown = Group(Text("result", style="bold green"), "plain", "", Text("why", style="dim"))
    assert blocks(shown) == [Line("result", "strong"), Line("plain"), Line("why", "soft")]
    assert blocks(phrase("broken", style="red")) == [Line("broken", "loss")]


def test_a_table_keeps_titles_figures_and_notes() -> None:
    shown = grid(
        ("name", "count"), [("a", "1")], right=("count",), title=Text("All"), notes={"count": "of"}
    )
    table, note = blocks(Group(shown))
    assert table == Table(["name", "count"], [["a", "1"]], frozenset({1}), "All")
    assert note == Line("of", "soft")
    (facts,) = blocks(grid(("", ""), [("a", "1")], show_header=False))
    assert isinstance(facts, Table)
    assert not facts.columns


def test_a_table_of_the_library_is_read_too() -> None:
    shown = RichTable("name", title="All")
    shown.add_column("count", justify="right")
    shown.add_row("a", "1")
    assert blocks(shown) == [Table(["name", "count"], [("a", "1")], frozenset({1}), "All")]


def test_what_has_no_place_on_a_page_is_an_error() -> None:
    with pytest.raises(TypeError, match="Panel"):
        blocks(Panel("x"))


def test_rows_have_links_and_no_rows_a_text() -> None:
    one = Takedown("a" * 64, "a face", None)
    link = Link("Lift", "/lift")
    (made,) = listed(listings.takedowns, [one], lambda _one: [link])
    assert isinstance(made, Table)
    assert made.links == [[link]]
    assert listed(listings.takedowns, [], lambda _one: [link]) == [
        Line("No photos were taken down.")
    ]
    (bare,) = listed(listings.takedowns, [one], lambda _one: [])
    assert isinstance(bare, Table)
    assert not bare.links
