"""Receipts of erasures as text for people."""

from rich.console import Group, RenderableType
from rich.text import Text

from sightline_client.cli.show.tables import grid, plain
from sightline_client.values.privacy import Erasure


def receipt(value: Erasure) -> RenderableType:
    """Show the receipt of an erasure."""
    asked = f"{value.request_time:%Y-%m-%d %H:%M:%S}Z"
    if value.complete_time is None:
        return Text(f"Requested {asked}; under way as job {plain(value.job_id)}.")
    rows = (
        (
            one.store,
            f"{one.erased_count:,}",
            f"{one.due_time:%Y-%m-%d}" if one.due_time else "",
            plain(one.text),
        )
        for one in value.stores
    )
    table = grid(("store", "erased", "until", "what is left"), rows, right=("erased",))
    done = f"{value.complete_time:%Y-%m-%d %H:%M:%S}Z"
    return Group(Text(f"Erased what was stored until {asked}; complete {done}."), table)
