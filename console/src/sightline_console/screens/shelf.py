"""The screen "Shelf editor": a scene's shelf, the controls of its draft, and its versions."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from sightline_client.cli.language import _
from sightline_client.errors import Conflict, InvalidRequest, SightlineError, Unauthenticated
from sightline_client.values.answers import Recommendations
from sightline_client.values.catalogs import SteeredBy
from sightline_client.values.requests import RecommendOptions
from sightline_client.values.scenes import SceneCheck
from sightline_console.screens import merging, scene_text, steering
from sightline_console.screens.asked import Asked, AskedInvalid, placed
from sightline_console.screens.scene_text import Entries, TextUnreadable
from sightline_console.screens.shelf_changes import change_of, moment
from sightline_console.screens.shopper import admit_first, asked_by, kept_apart
from sightline_console.screens.steering import Preview, Steered, SteeredByFiles
from sightline_console.screens.try_it import PHOTO
from sightline_console.screens.visit import Visit, reason_of, text_of, title_of
from sightline_console.web import forms

PATH = "/shelf"

Told = tuple[str, str, str]
"""Title, reason and text of what went wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem or a warning of a text, at its line."""

    line: int
    """0: of the whole text."""
    path: str
    text: str
    source: str
    """The line as it is written."""


@dataclass(frozen=True, slots=True)
class Shelves:
    """The products of a request, now and with the draft."""

    live: Recommendations | None
    drafted: Recommendations | None
    """None: equal to the live ones, or unknown."""

    @property
    def shown(self) -> Recommendations | None:
        """The products that are arranged."""
        return self.drafted or self.live

    @property
    def live_places(self) -> dict[str, int]:
        """Product → its place now; empty if nothing else is shown."""
        if self.live is None or self.drafted is None:
            return {}
        return {each.product.product_id: each.rank for each in self.live.results}

    @property
    def gone(self) -> list[str]:
        """Products that are on the first page now, and not with the draft."""
        kept = {each.product.product_id for each in self.drafted.results} if self.drafted else set()
        return [each for each in self.live_places if each not in kept]


async def show(visit: Visit) -> Response:
    """Show the shelf of the address."""
    return await _page(visit, asked_of(visit, visit.request.query_params))


def asked_of(visit: Visit, given: Mapping[str, object]) -> Asked:
    """Return the request of a form or an address, which names a scene, with the shopper that it
    refers to."""
    asked = asked_by(visit, given).sorted_by("")
    return asked if asked.scene else replace(asked, scene=steering.USUAL)


async def act(visit: Visit) -> Response:
    """Do what a form of the page asks for."""
    sent = (await visit.form(forms.TEXTS)).fields
    acts = {
        "show": _show,
        "change": _change,
        "draft": _draft,
        "publish": _publish,
        "discard": _discard,
        "copy": _copy,
        "steer": _steer,
    }
    asked_for = acts.get(sent.get("act", ""))
    return await asked_for(visit, sent) if asked_for else visit.go(PATH)


async def _show(visit: Visit, sent: Mapping[str, str]) -> Response:
    """Lead to the shelf of a request, whose shopper is in no address."""
    asked = asked_of(visit, sent)
    if asked.shopper:
        await admit_first(visit)
    return visit.go(kept_apart(visit, asked).address(PATH))


async def _change(visit: Visit, sent: Mapping[str, str]) -> Response:
    """Change a control of the draft."""
    asked = asked_of(visit, sent)
    try:
        await steering.write(visit.client, asked.scene, change_of(sent))
    except AskedInvalid as error:
        said = "; ".join(error.problems.values())
        told = (_("The rule was not changed"), "", said)
        return await _page(visit, asked, 400, told=told, problems=error.problems, typed=sent)
    except TextUnreadable as error:
        told = (_("The rule was not changed"), "", str(error))
        return await _page(visit, asked, 400, told=told, typed=sent)
    except SteeredByFiles:
        return await _page(visit, asked, 400, told=_by_files())
    return visit.go(asked.address(PATH) + "#shelf")


async def _draft(visit: Visit, sent: Mapping[str, str]) -> Response:
    """Store the text of the draft, or show what another person wrote meanwhile."""
    asked, text = asked_of(visit, sent), _text(sent.get("toml", ""))
    comment, etag = sent.get("comment", ""), sent.get("etag", "")
    if (await visit.client.list_scenes()).steered_by is not SteeredBy.RECORD:
        return await _page(visit, asked, 400, told=_by_files(), text=text, comment=comment)
    if "theirs" in sent:
        choices = {
            int(name[5:]): value
            for name, value in sent.items()
            if name.startswith("hunk-") and name[5:].isdecimal()
        }
        theirs = _text(sent["theirs"])
        text = await asyncio.to_thread(merging.merged, theirs, text, choices)
    try:
        await visit.client.write_scene_draft(asked.scene, text, comment=comment, etag=etag)
    except Conflict:
        return await _merge(visit, asked, text, comment)
    except InvalidRequest as error:
        return await _page(
            visit, asked, 400, told=_told(error), text=text, comment=comment, etag=etag
        )
    return visit.go(asked.address(PATH) + "#text-title")


def _text(sent: str) -> str:
    """Return a text as it was before a browser ended its lines by two characters."""
    return sent.replace("\r\n", "\n").replace("\r", "\n")


async def _merge(visit: Visit, asked: Asked, mine: str, comment: str) -> Response:
    """Show both texts, to take lines of either."""
    held = await steering.steered(visit.client, asked.scene)
    return visit.page(
        "merge",
        409,
        asked=asked,
        held=held,
        mine=mine,
        comment=comment,
        hunks=await asyncio.to_thread(merging.hunks, held.text, mine),
    )


async def _publish(visit: Visit, sent: Mapping[str, str]) -> Response:
    """Publish the draft, or an earlier version again, or plan it."""
    asked = asked_of(visit, sent)
    number = sent.get("number", "0")
    try:
        time = _future(sent.get("at", ""))
    except ValueError as error:
        told = (_("The draft was not published"), "", str(error))
        return await _page(visit, asked, 400, told=told, typed=sent)
    try:
        await visit.client.publish_scene(
            asked.scene,
            number=int(number) if re.fullmatch("[0-9]{1,18}", number) else -1,
            comment=sent.get("comment", ""),
            etag=sent.get("etag", ""),
            publish_time=time,
        )
    except Conflict:
        return await _page(visit, asked, 409, told=_changed_meanwhile(), typed=sent)
    except InvalidRequest as error:
        return await _page(visit, asked, 400, told=_told(error), typed=sent)
    return visit.go(asked.address(PATH) + "#versions")


def _future(text: str) -> datetime | None:
    """Return the time of a planned publication; None: at once. Raises ValueError with the text to
    show for one that has passed, as this would publish at once, too."""
    time = moment(text)
    if time is not None and time <= datetime.now(UTC):
        said = _("This time (UTC) has passed. Leave the field empty to publish now.")
        raise ValueError(said)
    return time


async def _discard(visit: Visit, sent: Mapping[str, str]) -> Response:
    """Delete the draft."""
    asked = asked_of(visit, sent)
    try:
        etag = sent.get("etag", "")
        await visit.client.delete_scene_document(asked.scene, draft_only=True, etag=etag)
    except Conflict:
        return await _page(visit, asked, 409, told=_changed_meanwhile())
    return visit.go(asked.address(PATH))


async def _copy(visit: Visit, sent: Mapping[str, str]) -> Response:
    """Publish scenes of files in the record, in advance, as far as it does not have them."""
    asked = asked_of(visit, sent)
    for scene in dict.fromkeys(sent.get("scenes", "").split()):
        found = await visit.client.get_scene(scene)
        try:
            made = await visit.client.write_scene_draft(scene, found.toml, etag="none")
        except Conflict:
            continue
        await visit.client.publish_scene(scene, etag=made.etag, in_advance=True)
    return visit.go(asked.address(PATH))


async def _steer(visit: Visit, sent: Mapping[str, str]) -> Response:
    """Let the record steer the catalog."""
    asked = asked_of(visit, sent)
    await visit.client.update_catalog(steered_by=SteeredBy.RECORD)
    return visit.go(asked.address(PATH))


def _by_files() -> Told:
    text = _("Copy its scenes into the record, and let the record steer it.")
    return _("This catalog is steered by files"), "", text


def _changed_meanwhile() -> Told:
    text = _("Look at the draft as it is now, and do it again.")
    return _("Another person changed the draft meanwhile"), "ETAG_MISMATCH", text


def _told(error: SightlineError) -> Told:
    return title_of(error), reason_of(error), text_of(error)


async def _page(
    visit: Visit,
    asked: Asked,
    status: int = 200,
    *,
    told: Told | None = None,
    problems: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
    **kept: str,
) -> Response:
    """Return the page. `kept`: text, comment and etag of a draft that was not stored."""
    held = await steering.steered(visit.client, asked.scene)
    effect = await asyncio.to_thread(steering.effect, held)
    text = kept.get("text", held.text)
    wrong = dict(problems or {})
    shelves, check = await asyncio.gather(
        _shelves(visit, asked, held, effect, wrong), _check(visit, asked, text)
    )
    rules = await asyncio.to_thread(_rules, held.text)
    values: dict[str, Any] = {
        "etag": kept.get("etag", held.etag),
        "comment": kept.get("comment", held.comment),
        "told": told or shelves[1],
    }
    return visit.page(
        "shelf",
        status,
        asked=asked,
        held=held,
        effect=effect,
        shelves=shelves[0],
        text=text,
        check=check,
        findings=_findings(text, check),
        rules=rules,
        does=_does,
        problems=wrong,
        typed=typed or {},
        **values,
    )


async def _shelves(
    visit: Visit, asked: Asked, held: Steered, effect: Preview, problems: dict[str, str]
) -> tuple[Shelves, Told | None]:
    """Return the products, and why there are none. Adds to the problems of the request's fields."""
    if held.live is None:
        return Shelves(None, None), None
    try:
        options = asked.recommending(visit.kept(PHOTO, asked.photo), visit.language)
        live, drafted = await asyncio.gather(
            visit.client.recommend(**options), _drafted(visit, options.copy(), effect)
        )
    except AskedInvalid as error:
        problems.update(error.problems)
    except Unauthenticated:
        raise
    except SightlineError as error:
        problems.update(placed(error))
        return Shelves(None, None), None if placed(error) else _told(error)
    else:
        return Shelves(live, drafted), None
    return Shelves(None, None), None


async def _drafted(
    visit: Visit, options: RecommendOptions, effect: Preview
) -> Recommendations | None:
    """Return the products with the draft; None: without a change, and for controls that contradict
    each other, which the check of the draft names."""
    if not effect:
        return None
    try:
        options["controls"] = effect.controls
        return await visit.client.recommend(**options)
    except InvalidRequest:
        return None


async def _check(visit: Visit, asked: Asked, text: str) -> SceneCheck | None:
    """Return the suite's check of a text; None: unknown."""
    try:
        return await visit.client.check_scene(text, scene=asked.scene)
    except Unauthenticated:
        raise
    except SightlineError:
        return None


def _findings(text: str, check: SceneCheck | None) -> list[Finding]:
    if check is None:
        return []
    lines = text.split("\n")
    found = [
        (path, said)
        for each in (*check.problems, *check.warnings)
        for path, said in scene_text.findings(each.path, each.text)
    ]
    placed_ = [(scene_text.line_of(text, path, said), path, said) for path, said in found]
    return [
        Finding(at, path, said, lines[at - 1] if 0 < at <= len(lines) else "")
        for at, path, said in placed_
    ]


def _rules(text: str) -> list[Entries]:
    try:
        return scene_text.controls(text)
    except TextUnreadable:
        return []


def _does(rule: Entries) -> str:
    """Say what a control does, and to what."""
    ids = rule.get("product_ids")
    what = ", ".join(map(str, ids)) if isinstance(ids, list) else str(rule.get("filter", ""))
    match rule.get("kind"):
        case "pin":
            return _("pins {what} to place {place}", what=what, place=rule.get("place", "?"))
        case "boost":
            by = rule.get("boost") or rule.get("least_share") or _("its merit")
            return _("moves up {what} by {boost}", what=what, boost=by)
        case "bury":
            return _("puts last {what}", what=what)
        case "exclude":
            return _("hides {what}", what=what)
    return what
