"""Quotas of callers, as the gateway applies them to the user too."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sightline_client import SightlineClient
from sightline_client.cli.language import _, later
from sightline_client.cli.show.grids import grid
from sightline_client.values.operations import CallerQuota
from sightline_console.pages.blocks import Block, Line, blocks

QUOTAS: Mapping[str, str] = MappingProxyType(
    {
        "calls": later("calls"),
        "writes": later("calls that write"),
        "decode_seconds": later("seconds of decoding photos"),
        "processor_seconds": later("processor seconds"),
        "visitors": later("visitors that the key of a page creates"),
    }
)
"""Kind of quota → what it counts, in English."""


def of_callers(held: Sequence[CallerQuota]) -> list[Block]:
    """Show what each caller may use, and what the user has left."""
    if not held:
        text = _(
            "The gateway names none: each caller may use the whole suite. Set `GATEWAY_QUOTA_CALLS`"
            " and the others, if callers share it."
        )
        return [Line(text)]
    figures = (_("a second"), _("at once"), _("left to you"))
    rows = (
        (
            _(QUOTAS[one.kind]) if one.kind in QUOTAS else one.kind,
            *(f"{value:g}" for value in (one.rate, one.most, round(one.available, 2))),
        )
        for one in held
    )
    text = _(
        "Each process of the gateway allows each caller so much in this catalog, and refuses more"
        " with QUOTA_EXHAUSTED. If that happens, raise the `GATEWAY_QUOTA_` settings, or the"
        " catalog's share: `sightline catalogs update CATALOG --quota-share 2`."
    )
    return [Line(text), *blocks(grid((_("each caller"), *figures), rows, right=figures))]


async def share(client: SightlineClient) -> list[Block]:
    """Say which share of the quotas the catalog has."""
    catalog = await client.get_catalog()
    text = _(
        "Each caller may use {share:g} times the quotas of the suite in this catalog.",
        share=catalog.quota_share or 1,
    )
    return [Line(text)]
