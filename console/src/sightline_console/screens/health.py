"""The screen "Health": what is wrong with the suite and what mends it, its parts and its index."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from starlette.responses import Response

from sightline_client import SightlineClient
from sightline_client.cli.commands import doctor
from sightline_client.cli.commands.doctor import Finding
from sightline_client.cli.language import _, pgettext
from sightline_client.cli.show import tables
from sightline_client.cli.show.grids import grid
from sightline_client.cli.show.value_tables import written
from sightline_client.files.rejected import problem
from sightline_client.values.operations import Model, RejectedRow, Status
from sightline_client.version import VERSION
from sightline_console.pages.blocks import Block, Line, blocks
from sightline_console.screens.sections import section
from sightline_console.screens.visit import Visit

PATH = "/health"
REJECTED_ROWS = 50
"""Maximum number of rejected rows that are shown."""


async def show(visit: Visit) -> Response:
    """Show the state of the suite."""
    client = visit.client
    status, trained, tests, quota, rejected = await asyncio.gather(
        client.status(),
        section(_trained(client)),
        section(client.list_experiments()),
        section(_quota(client)),
        section(_rejected(client)),
    )
    invalid = tests.found.problem if tests.found else ""
    found = [
        *doctor.findings(status, ""),
        *_of_experiments(invalid),
        *(_of_models(*trained.found) if trained.found else ()),
    ]
    return visit.page(
        "health",
        head=_head(found),
        findings=found,
        parts=_parts(status),
        index=blocks(tables.catalog(status)),
        versions=_versions(status),
        quota=quota,
        rejected=rejected,
    )


async def _trained(client: SightlineClient) -> tuple[Sequence[Model], datetime | None]:
    return await client.list_models(), await client.next_training()


def _of_models(models: Sequence[Model], training: datetime | None) -> Iterator[Finding]:
    yield from doctor.of_model(models, training)
    yield from doctor.of_events(models)


def _of_experiments(invalid: str) -> Iterator[Finding]:
    if invalid:
        yield Finding(
            _("experiment file rejected: {problem}", problem=invalid),
            _("correct the file; the experiments before it stay in use"),
        )


def _head(found: Iterable[Finding]) -> str:
    wrong = sum(each.wrong for each in found)
    things = tables.counted(wrong, "problem found", "problems found")
    return _("{things}.", things=things) if wrong else _("No problem found.")


def _parts(status: Status) -> list[Block]:
    columns = (pgettext("component", "part"), _("state"), _("answered in ms"), _("version"))
    rows = (
        (
            one.component,
            pgettext("component", "answers") if one.error is None else str(one.error),
            written(one, "latency"),
            one.version or "–",
        )
        for one in status.components
    )
    return blocks(grid(columns, rows, right=(_("answered in ms"),)))


def _versions(status: Status) -> list[Block]:
    """Name the versions of what is no component."""
    space = status.visual_space
    rows = [
        (_("console"), VERSION),
        (_("ranking model"), status.model_version or _("none yet")),
        (_("visual space"), _("not known") if space is None else space.version),
        *((f"{one.space} {one.version}", one.model) for one in status.embedder_spaces),
    ]
    return blocks(grid(("", ""), rows, show_header=False))


async def _quota(client: SightlineClient) -> list[Block]:
    catalog = await client.get_catalog()
    text = _(
        "Each caller may use {share:g} times the quotas of the suite in this catalog.",
        share=catalog.quota_share or 1,
    )
    return [Line(text)]


async def _rejected(client: SightlineClient) -> list[Block]:
    """Return the newest rows that open imports rejected."""
    rows = await client.rejected_rows(top=REJECTED_ROWS)
    if not rows:
        return [Line(_("No open import has rejected a row."))]
    number = _("row")
    columns = (_("import"), number, _("product"), _("problem"))
    cells = (
        (each.import_id, f"{each.row_number:,}", each.product_id or "–", _problem(each))
        for each in rows
    )
    return blocks(grid(columns, cells, right=(number,)))


def _problem(row: RejectedRow) -> str:
    return problem(row.error) if row.error else "–"
