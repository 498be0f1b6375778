"""The screen "Health": what is wrong with the suite and what mends it, its parts and its index.

Each section says what to do: at most a sentence, which is also there where nothing is wrong.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias

from starlette.responses import Response

from sightline_client import SightlineClient
from sightline_client.cli.commands import doctor
from sightline_client.cli.commands.doctor import Finding
from sightline_client.cli.language import _, pgettext
from sightline_client.cli.show import tables
from sightline_client.cli.show.grids import grid
from sightline_client.cli.show.value_tables import moment, written
from sightline_client.files.rejected import problem
from sightline_client.values.operations import Model, RejectedRow, Status
from sightline_client.version import VERSION
from sightline_console.pages.blocks import Block, Line, blocks
from sightline_console.screens import quotas
from sightline_console.screens.degraded import degraded
from sightline_console.screens.sections import section
from sightline_console.screens.visit import Visit

PATH = "/health"
REJECTED_ROWS = 50
"""Maximum number of rejected rows that are shown."""
Trained: TypeAlias = tuple[Sequence[Model], datetime | None]
"""Models, and when the next one is trained."""


async def show(visit: Visit) -> Response:
    """Show the state of the suite."""
    client = visit.client
    status, trained, tests, share, rejected, lost = await asyncio.gather(
        client.status(),
        section(_trained(client)),
        section(client.list_experiments()),
        section(quotas.share(client)),
        section(_rejected(client)),
        section(degraded(client)),
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
        degraded=lost,
        freshness=_freshness(status, trained.found),
        files=_files(status, invalid),
        rejected=rejected,
        parts=_parts(status),
        index=blocks(tables.catalog(replace(status, freshness=None))),
        versions=_versions(status),
        quotas=quotas.of_callers(status.quotas),
        share=share,
    )


async def _trained(client: SightlineClient) -> Trained:
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


def _freshness(status: Status, trained: Trained | None) -> list[Block]:
    """Say how far what answers are made of is behind what was written."""
    made = [Line(_("It is not known how far the index is behind the catalog."))]
    if status.freshness is not None:
        late = status.freshness.lag > doctor.MOST_LAG
        made = [Line(tables.index_line(status.freshness), "loss" if late else "")]
        if late:
            made.append(Line(_("Fix: ") + _(doctor.WAIT)))
    models = trained[0] if trained else ()
    serving = next((each for each in models if each.promoted), None)
    if serving is not None:
        known = moment(serving.last_event_time)
        made.append(Line(_("The ranking model knows events until {time}.", time=known)))
        made.append(Line(_("If that is too old, train one on the page Models."), "soft"))
    return list(made)


def _files(status: Status, experiments: str) -> list[Block]:
    """Say which files of scenes and experiments are rejected."""
    count = len(status.scene_problems) + bool(experiments)
    if not count:
        return [Line(_("No file of scenes or experiments is rejected."))]
    files = tables.counted(count, "file is rejected", "files are rejected")
    return [Line(_("{files}: see the problems above.", files=files), "loss")]


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
    silent = ", ".join(one.component for one in status.components if one.error is not None)
    said = (
        Line(_("Restart what does not answer, or read its log: {names}.", names=silent), "loss")
        if silent
        else Line(_("All parts answer."))
    )
    return [said, *blocks(grid(columns, rows, right=(_("answered in ms"),)))]


def _versions(status: Status) -> list[Block]:
    """Name the versions of what is no component."""
    space = status.visual_space
    rows = [
        (_("console"), VERSION),
        (_("ranking model"), status.model_version or _("none yet")),
        (_("visual space"), _("not known") if space is None else space.version),
        *((f"{one.space} {one.version}", one.model) for one in status.embedder_spaces),
    ]
    releases = {VERSION, *(one.version for one in status.components if one.version)}
    said = (
        Line(_("All parts are of one release."))
        if len(releases) == 1
        else Line(
            _(
                "The parts are of several releases, {names}: run one release of all.",
                names=", ".join(sorted(releases)),
            ),
            "loss",
        )
    )
    return [said, *blocks(grid(("", ""), rows, show_header=False))]


async def _rejected(client: SightlineClient) -> list[Block]:
    """Return the newest rows that open imports rejected."""
    rows = await client.rejected_rows(top=REJECTED_ROWS)
    if not rows:
        return [Line(_("No open import has rejected a row."))]
    text = _(
        "Correct these rows and send them again, by the import or on the page Import; they are"
        " listed until it is closed."
    )
    number = _("row")
    columns = (_("import"), number, _("product"), _("problem"))
    cells = (
        (each.import_id, f"{each.row_number:,}", each.product_id or "–", _problem(each))
        for each in rows
    )
    return [Line(text), *blocks(grid(columns, cells, right=(number,)))]


def _problem(row: RejectedRow) -> str:
    return problem(row.error) if row.error else "–"
