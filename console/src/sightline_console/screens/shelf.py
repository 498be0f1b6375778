"""The screen "Shelf editor": a scene's shelf, the controls of its draft, and its versions."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from starlette.responses import Response

from sightline_client.cli.language import _
from sightline_client.errors import Conflict, InvalidRequest, SightlineError, Unauthenticated
from sightline_client.values.answers import Recommendations
from sightline_client.values.catalogs import SteeredBy
from sightline_client.values.requests import RecommendOptions
from sightline_client.values.scenes import SceneCheck
from sightline_console.screens import drafts, scene_text, steering
from sightline_console.screens.asked import Asked, AskedInvalid, placed
from sightline_console.screens.drafts import Desk
from sightline_console.screens.scene_text import Entries, TextUnreadable
from sightline_console.screens.sections import Told
from sightline_console.screens.sections import told as told_of
from sightline_console.screens.shelf_changes import change_of
from sightline_console.screens.shopper import admit_first, asked_by, kept_apart
from sightline_console.screens.steering import Preview, Steered, SteeredByFiles
from sightline_console.screens.try_it import PHOTO
from sightline_console.screens.visit import Visit
from sightline_console.web import forms

PATH = "/shelf"


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
    acts = {"show": _show, "change": _change, "copy": _copy, "steer": _steer}
    name = sent.get("act", "")
    if name in drafts.ACTS:
        return await _edit(visit, sent)
    return await acts[name](visit, sent) if name in acts else visit.go(PATH)


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


async def _edit(visit: Visit, sent: Mapping[str, str]) -> Response:
    """Change the scene's draft, or what is published."""
    asked, act = asked_of(visit, sent), sent["act"]
    find = partial(steering.steered, visit.client, asked.scene)
    page = partial(_page, visit, asked)
    desk = Desk(visit, asked.scene, PATH, asked.address(PATH), page, find, asked)
    if act == "draft" and (await visit.client.list_scenes()).steered_by is not SteeredBy.RECORD:
        text, comment = drafts.plain(sent.get("toml", "")), sent.get("comment", "")
        return await page(400, told=_by_files(), text=text, comment=comment)
    return await drafts.ACTS[act](desk, sent)


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
        action=PATH,
        heading=_("The text of the scene"),
        label=_("Text (TOML)"),
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
        return Shelves(None, None), None if placed(error) else told_of(error)
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
