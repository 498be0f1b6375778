"""The draft of a text in the record, and its published versions: written, published, planned,
cancelled and undone, on the page of the text."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from starlette.responses import Response

from sightline_client import SightlineClient
from sightline_client.cli.language import _
from sightline_client.errors import Conflict, InvalidRequest, NotFound
from sightline_client.values.scenes import SceneDocument
from sightline_console.screens import merging
from sightline_console.screens.asked import Asked
from sightline_console.screens.sections import Told, told
from sightline_console.screens.shelf_changes import moment
from sightline_console.screens.visit import Visit


@dataclass(frozen=True, slots=True)
class Drafted:
    """A text of the record, with its draft and versions."""

    scene: str
    document: SceneDocument | None
    """None: the record does not have it."""

    @property
    def by_record(self) -> bool:
        """True if its versions are in use."""
        return True

    @property
    def in_use(self) -> int:
        """Number of the version in use; 0: none."""
        versions = self.document.versions if self.document else ()
        return versions[0].number if versions else 0

    @property
    def has_draft(self) -> bool:
        """True if there is a draft."""
        return self.document is not None and self.document.draft is not None

    @property
    def live_text(self) -> str:
        """The text in use; empty: none."""
        versions = self.document.versions if self.document else ()
        return versions[0].toml if versions else ""

    @property
    def text(self) -> str:
        """The text that changes start from: that of the draft, else that in use."""
        draft = self.document.draft if self.document else None
        return draft.toml if draft else self.live_text

    @property
    def etag(self) -> str:
        """Version of the document, for the next change."""
        return self.document.etag if self.document else "none"

    @property
    def comment(self) -> str:
        """The draft's comment."""
        draft = self.document.draft if self.document else None
        return draft.comment if draft else ""


class Page(Protocol):
    """Returns the page of a text, with what was told and typed."""

    def __call__(
        self,
        status: int = 200,
        *,
        told: Told | None = None,
        typed: Mapping[str, str] | None = None,
        **kept: str,
    ) -> Awaitable[Response]:
        """Return the page. `kept`: text, comment and etag of a draft that was not stored."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The page of a text of the record, for one request."""

    visit: Visit
    scene: str
    path: str
    """Of its forms."""
    address: str
    page: Page
    find: Callable[[], Awaitable[Drafted]]
    asked: Asked | None = None
    """The request of the page, which its forms repeat."""


async def document(client: SightlineClient, scene: str) -> SceneDocument | None:
    """Return a text of the record; None: it has none of that name."""
    try:
        return await client.get_scene_document(scene)
    except NotFound:
        return None


async def store(desk: Desk, sent: Mapping[str, str]) -> Response:
    """Store the text of the draft, or show what another person wrote meanwhile."""
    text, comment, etag = plain(sent.get("toml", "")), sent.get("comment", ""), sent.get("etag", "")
    if "theirs" in sent:
        choices = {
            int(name[5:]): value
            for name, value in sent.items()
            if name.startswith("hunk-") and name[5:].isdecimal()
        }
        theirs = plain(sent["theirs"])
        text = await asyncio.to_thread(merging.merged, theirs, text, choices)
    try:
        await desk.visit.client.write_scene_draft(desk.scene, text, comment=comment, etag=etag)
    except Conflict:
        return await _merge(desk, text, comment)
    except InvalidRequest as error:
        return await desk.page(400, told=told(error), text=text, comment=comment, etag=etag)
    return desk.visit.go(desk.address + "#text-title")


def plain(sent: str) -> str:
    """Return a text as it was before a browser ended its lines by two characters."""
    return sent.replace("\r\n", "\n").replace("\r", "\n")


async def _merge(desk: Desk, mine: str, comment: str) -> Response:
    """Show both texts, to take lines of either."""
    held = await desk.find()
    return desk.visit.page(
        "merge",
        409,
        asked=desk.asked,
        action=desk.path,
        held=held,
        mine=mine,
        comment=comment,
        hunks=await asyncio.to_thread(merging.hunks, held.text, mine),
    )


async def publish(desk: Desk, sent: Mapping[str, str]) -> Response:
    """Publish the draft, or an earlier version again, or plan it."""
    number = sent.get("number", "0")
    try:
        time = _future(sent.get("at", ""))
    except ValueError as error:
        refused = (_("The draft was not published"), "", str(error))
        return await desk.page(400, told=refused, typed=sent)
    try:
        await desk.visit.client.publish_scene(
            desk.scene,
            number=int(number) if re.fullmatch("[0-9]{1,18}", number) else -1,
            comment=sent.get("comment", ""),
            etag=sent.get("etag", ""),
            publish_time=time,
        )
    except Conflict:
        return await desk.page(409, told=_changed_meanwhile(), typed=sent)
    except InvalidRequest as error:
        return await desk.page(400, told=told(error), typed=sent)
    return desk.visit.go(desk.address + "#versions")


def _future(text: str) -> datetime | None:
    """Return the time of a planned publication; None: at once. Raises ValueError with the text to
    show for one that has passed, as this would publish at once, too."""
    time = moment(text)
    if time is not None and time <= datetime.now(UTC):
        said = _("This time (UTC) has passed. Leave the field empty to publish now.")
        raise ValueError(said)
    return time


async def cancel(desk: Desk, sent: Mapping[str, str]) -> Response:
    """Cancel the planned publication."""
    try:
        await desk.visit.client.cancel_planned_scene(desk.scene, etag=sent.get("etag", ""))
    except Conflict:
        return await desk.page(409, told=_changed_meanwhile())
    return desk.visit.go(desk.address + "#versions")


async def discard(desk: Desk, sent: Mapping[str, str]) -> Response:
    """Delete the draft."""
    try:
        etag = sent.get("etag", "")
        await desk.visit.client.delete_scene_document(desk.scene, draft_only=True, etag=etag)
    except Conflict:
        return await desk.page(409, told=_changed_meanwhile())
    return desk.visit.go(desk.address)


ACTS: Mapping[str, Callable[[Desk, Mapping[str, str]], Awaitable[Response]]] = {
    "draft": store,
    "publish": publish,
    "cancel": cancel,
    "discard": discard,
}
"""By the value of the field `act` of a form."""


def _changed_meanwhile() -> Told:
    text = _("Look at the draft as it is now, and do it again.")
    return _("Another person changed the draft meanwhile"), "ETAG_MISMATCH", text
