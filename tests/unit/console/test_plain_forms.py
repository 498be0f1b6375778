"""Every form of every screen, sent as a browser without scripts does, makes its call."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import httpx

from sightline_client import SightlineClient
from sightline_console.pages.rendering import Pages
from sightline_console.screens.changes import CHANGES
from sightline_console.screens.undecided_groups import LISTS
from sightline_console.screens.visit import Console
from sightline_console.web import key
from tests.console_pages import PageForm, forms
from tests.fakes.uniform_gateway import UniformGateway, filled
from tests.unit.console.conftest import ADDRESS, HTTP, JPEG, Browser, browser
from tests.unit.console.test_bad_suites import AT

DOES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("/", "/catalogs", "/language", "/shelf show"), "Recommend"),
        "/why": "ExplainRecommendation",
        **{f"/shelf {each}": "WriteSceneDraft" for each in ("pin", "down", "boost", "bury")},
        **{f"/shelf {each}": "WriteSceneDraft" for each in ("exclude", "change", "remove")},
        **{"/shelf copy": "PublishScene", "/shelf steer": "UpdateCatalog"},
        **{f"{at} draft": "WriteSceneDraft" for at in ("/shelf", "/synonyms")},
        **{f"{at} publish": "PublishScene" for at in ("/shelf", "/synonyms")},
        **{f"{at} cancel": "CancelPlannedScene" for at in ("/shelf", "/synonyms")},
        **{f"{at} discard": "DeleteSceneDocument" for at in ("/shelf", "/synonyms")},
        **dict.fromkeys(("/shelf/compare", "/models/compare"), "DiffScene"),
        **dict.fromkeys(("/import", "/import photos", "/import import"), "GetImage"),
        **{f"/import/undecided {each}": "UpdateProducts" for each in ("set", "accept")},
        "/import/undecided leave": "ListProducts",
        "/import/undecided again": "UnmarkDistinctProducts",
        **{"/shopper find": "GetShopperProfile", "/shopper consent": "SetConsent"},
        **{"/shopper export": "ExportUser", "/shopper erase": "EraseUser"},
        "/models/change train-model": "TrainModel",
        "/models/change evaluate-model": "EvaluateModel",
        "/models/change promote-model": "PromoteModel",
        "/models/change roll-back-model": "RollbackModel",
        "/models/change demote-model": "DemoteModel",
        "/models/change promote-space": "PromoteSpace",
        "/models/change retire-space": "RetireSpace",
        "/models/change activate-generation": "ActivateGeneration",
        "/models/change roll-back-generation": "RollbackGeneration",
        "/models/change cancel-job": "CancelJob",
    }
)
"""Form → a call that it makes, or that the page does to which it leads. An import asks whether the
user is admitted, and goes on afterwards."""
PATHS = (
    *AT.values(),
    *("/shelf/compare?scene=home", "/models/compare?after=wine"),
    *(f"/import/undecided?list={each}" for each in LISTS),
    *(f"/models/change?do={each}&of=wine" for each in CHANGES),
)
TYPED: Mapping[str, str] = MappingProxyType(
    {
        **{"place": "2", "boost": "0.5", "daily": "5", "size": "6", "currency": "EUR"},
        **{"start": "2030-01-01T08:00", "end": "2031-01-01T08:00", "at": "2099-01-01T08:00"},
        **{"left": "0", "top": "0", "right": "100", "bottom": "100", "filter": ""},
        "toml": "views = 1\n",
        "condition": 'brand = "wine"',
        "catalog": "default",
    }
)
"""Field → what a user types in it; "wine" in others."""
TABLE = b"id,title\nwine,Wine\nother,\n"
SKIPPED = ("/sign-out", "/sign-in")


def named(form: PageForm, button: tuple[str, str]) -> str:
    """Return a form's name in the table, with the button by which it is sent."""
    done = button[1] if button[0] == "do" else form.fields.get("act") or form.fields.get("do", "")
    return f"{urlsplit(form.action).path} {done}".strip()


async def sent(web: Browser, form: PageForm, button: tuple[str, str]) -> httpx.Response:
    """Fill a form in, send it by a button, and follow where that leads."""
    fields = {**form.fields, **{each: TYPED.get(each, "wine") for each in form.typed}}
    fields |= dict([button] if button[0] else [])
    if form.method != "post":
        return await web.web.get(form.action, params=fields)
    file = (
        ("wines.csv", TABLE)
        if form.file == "file" and form.action == "/import"
        else ("a.jpg", JPEG)
    )
    return await web.web.post(
        form.action,
        data=fields,
        files={form.file: file} if form.file else None,
        headers={"origin": ADDRESS},
        follow_redirects=True,
    )


class Walk:
    """All forms that pages lead to, each sent once."""

    def __init__(self, web: Browser, gateway: UniformGateway) -> None:
        self._web, self._gateway = web, gateway
        self.did: dict[str, set[str]] = {}
        """Form → the calls that followed."""

    async def pages(self, page: str) -> None:
        """Send the forms of a page, and those of the pages that they lead to."""
        for form in forms(page):
            for button in form.buttons:
                name = named(form, button)
                if form.action not in SKIPPED and name not in self.did:
                    before = self._gateway.calls.copy()
                    answer = await sent(self._web, form, button)
                    assert answer.status_code == 200, (name, answer.text)
                    self.did[name] = {*(self._gateway.calls - before)}
                    await self.pages(answer.text)


def answered(method: Any, variant: int) -> Any:
    """Answer a call: updates have one product, and models different names."""
    found = filled(method.output_type, "wine", variant)
    match method.name:
        case "UpdateProducts":
            del found.results[1:]
            found.results[0].ClearField("status")
        case "ListModels":
            found.models[0].model_version = "other"
    return found


async def walked(variant: int) -> dict[str, set[str]]:
    """Send all forms of a suite's console. Return the calls that followed each."""
    with UniformGateway(lambda each: answered(each, variant)) as gateway:
        async with (
            SightlineClient(gateway.target, token=key.current, timeout=60) as client,
            browser(Console(client, Pages(HTTP))) as made,
        ):
            web = Browser(made)
            walk = Walk(web, gateway)
            await web.send("/sign-in", {"key": "slk_mine"})
            shopper = await web.send("/shopper", {"do": "find", "kind": "user", "shopper": "wine"})
            for at in (*PATHS, shopper.headers["location"]):
                await walk.pages((await web.open(at)).text)
    return walk.did


async def test_every_form_makes_its_call_without_scripts() -> None:
    """Before a catalog that files steer, and before one that the record does."""
    found = {**await walked(0), **await walked(1)}
    assert found.keys() == DOES.keys(), "name what a new form does"
    assert {name: call for name, call in DOES.items() if call not in found[name]} == {}
