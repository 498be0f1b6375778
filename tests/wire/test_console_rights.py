"""Screens of the console by role: what is seen and may be changed, by a real gateway and record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import httpx
import pytest

from servicekit.admission.access import Role
from sightline_client import SightlineClient
from sightline_client.values.catalogs import SteeredBy
from sightline_console.pages.rendering import Pages
from sightline_console.screens.application import application
from sightline_console.screens.changes import CHANGES as OF_MODELS
from sightline_console.screens.visit import Console
from sightline_console.web import key
from sightline_console.web.guard import known_hosts
from tests.console_pages import SCREENS, forms, texts
from tests.fakes.gateway_wire import running
from tests.unit.gateway.callers.conftest import entry
from tests.waiting import until
from tests.wire.retriever_shop import Shop, exact_rows, shop

__all__ = ["exact_rows", "shop"]  # fixtures

ADDRESS = "http://127.0.0.1:8695"
WHOLE, PART, NOTHING = "whole", "part", "-"
PAGE = (Path(__file__).parents[2] / "docs/operate/access.md").read_text("utf-8")
STEERS = "catalog operate merchandise"
MAY: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "Try it": {},
        "Why": {},
        "Shelf": {
            "/shelf change": STEERS,
            "/shelf draft": STEERS,
            "/shelf publish": STEERS,
            "/shelf cancel": STEERS,
            "/shelf discard": STEERS,
            "/shelf copy": STEERS,
            "/shelf steer": "operate",
        },
        "Synonyms": {
            "/synonyms draft": STEERS,
            "/synonyms publish": STEERS,
            "/synonyms cancel": STEERS,
            "/synonyms discard": STEERS,
        },
        "Import": {
            "/import import": "catalog",
            "/import/undecided different": "catalog merchandise",
            "/import/undecided again": "catalog merchandise",
        },
        "Results": {},
        "Shopper": {
            "/shopper consent": "privacy",
            "/shopper export": "privacy",
            "/shopper erase": "privacy",
        },
        "Models": {
            "/models/change train-model": "models",
            "/models/change evaluate-model": "models",
            "/models/change promote-model": "models",
            "/models/change roll-back-model": "models",
            "/models/change demote-model": "models",
            "/models/change promote-space": "models",
            "/models/change retire-space": "models",
            "/models/change activate-generation": "operate",
            "/models/change roll-back-generation": "operate",
            "/models/change cancel-job": "models",
        },
        "Health": {},
        "Catalogs": {},
    }
)
"""Screen → its changes, each with the roles that may make it."""
ASKS = {
    *("/", "/why", "/shelf show", "/shelf/compare", "/models/compare", "/shopper find"),
    *("/catalogs", "/import", "/language", "/sign-out"),
}
"""Forms that change nothing of the suite: the gateway decides what their answers may hold."""
AT = {
    **{screen: paths[0] for screen, paths in SCREENS.items()},
    "Why": "/why?why=p1",
    "Shelf": "/shelf?scene=home",
}
FIELDS: Mapping[str, Mapping[str, str]] = {
    "/shelf change": {"do": "pin", "subject": "p1", "place": "1"},
    "/shelf draft": {"toml": "views = 1\n"},
    "/shelf copy": {"scenes": "feed"},
    "/synonyms draft": {"toml": "vino => wine\n"},
    "/shopper consent": {"purpose": "personalization", "source": "a letter"},
    "/shopper erase": {"typed": "ann"},
    "/models/change cancel-job": {"of": "ranker/1"},
    **{
        f"/import/undecided {each}": {"list": "different", "of": "a\nb"}
        for each in ("different", "again")
    },
}
"""What a form has beside what is to be done."""
ALL = 1_000
DENIED = ("ROLE_MISSING", "Your key may not list them all")
FILE = b"id,title\nby-hand,By hand\n"


def table() -> dict[str, dict[str, str]]:
    """Return the parts of each screen that a key of one role sees, as the page of access says."""
    text = PAGE[PAGE.index("| screen |") :].partition("\n\n")[0]
    head, _rule, *rows = [
        [cell.strip("` ") for cell in line.strip("|").split("|")] for line in text.splitlines()
    ]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def test_each_screen_role_and_change_has_its_place() -> None:
    seen = table()
    assert seen.keys() == SCREENS.keys() == MAY.keys()
    assert all(list(row) == list(Role) for row in seen.values())
    done = {each.removeprefix("/models/change ") for each in MAY["Models"]}
    assert done == OF_MODELS.keys()


class User:
    """A browser whose user has signed in."""

    def __init__(self, web: httpx.AsyncClient) -> None:
        self.web = web

    async def open(self, path: str) -> httpx.Response:
        """Open a page, and those that it leads to."""
        return await self.web.get(path, follow_redirects=True)

    async def send(self, path: str, fields: Mapping[str, str], file: bytes = b"") -> httpx.Response:
        """Send a form as the console's own page does."""
        page = await self.open("/sign-in")
        csrf = next(each.fields["csrf"] for each in forms(page.text))
        files = {"file": ("by-hand.csv", file, "text/csv")} if file else None
        data, headers = {"csrf": csrf, **fields}, {"origin": ADDRESS}
        return await self.web.post(path, data=data, files=files, headers=headers)

    async def follow(
        self, path: str, fields: Mapping[str, str], file: bytes = b""
    ) -> httpx.Response:
        """Send a form, and open where its answer leads."""
        return await self.open((await self.send(path, fields, file)).headers["location"])

    async def find(self) -> httpx.Response:
        """Open the page of a shopper."""
        return await self.follow("/shopper", {"do": "find", "kind": "user", "shopper": "ann"})


@asynccontextmanager
async def signed_in(console: Console, token: str) -> AsyncIterator[User]:
    app = application(console, known_hosts(None, []))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ADDRESS) as web:
        user = User(web)
        await user.send("/sign-in", {"key": token})
        assert "Sign out" in (await user.open("/import")).text
        yield user


@pytest.fixture
async def console(shop: Shop, tmp_path: Path) -> AsyncIterator[Console]:
    """Return a console whose gateway takes a key of each role, and one of all. The record steers
    the scenes."""
    keys = tmp_path / "keys.toml"
    every = str([role.value for role in Role])
    keys.write_text(
        "".join(entry(role, role, f'["{role}"]') for role in Role) + entry("all", "all", every)
    )
    async with running(whole=True, retriever_target=shop.target, keys_file=keys) as suite:
        target = f"127.0.0.1:{suite.port}"
        async with SightlineClient(target, token="all") as client:
            await client.update_catalog(steered_by=SteeredBy.RECORD)

            async def by_record() -> bool:
                return (await client.list_scenes()).steered_by is SteeredBy.RECORD

            await until(by_record)
            await client.write_scene_draft("home", "views = 2\n")
            await client.publish_scene("home")
            await client.write_scene_draft("home", "views = 3\n")
        async with SightlineClient(target, token=key.current, timeout=60) as client:
            yield Console(client, Pages("http://shop.example"))


async def denials(user: User, screen: str) -> int:
    """Return the number of parts of a screen that are denied; ALL: the whole is."""
    if screen == "Shopper":
        page = await user.find()
    else:
        page = await user.open(AT[screen])
    if page.status_code == httpx.codes.FORBIDDEN:
        return ALL
    assert page.status_code == httpx.codes.OK, (screen, page.text)
    return sum(each in text for text in texts(page.text) for each in DENIED)


async def test_each_role_sees_of_each_screen_what_it_may(console: Console) -> None:
    found: dict[str, dict[str, int]] = {screen: {} for screen in SCREENS}
    for role in Role:
        async with signed_in(console, role) as user:
            for screen in SCREENS:
                found[screen][role] = await denials(user, screen)
    assert {
        screen: {role: _part(count, row.values()) for role, count in row.items()}
        for screen, row in found.items()
    } == table()


def _part(denied: int, all_: Sequence[int]) -> str:
    """Say what is seen; nothing, if as much is denied as to the roles that may do least here."""
    if not denied:
        return WHOLE
    return NOTHING if denied == max(all_) else PART


async def makes(user: User, act: str) -> bool:
    """Make a change. Return whether it was permitted."""
    path, _, do = act.partition(" ")
    if act == "/import import":
        return await imports(user)
    fields = {"act" if path in ("/shelf", "/synonyms") else "do": do, "scene": "home", "of": "x"}
    if path == "/shopper":
        fields["of"] = (await user.find()).url.params["of"]
    page = await user.send(path, {**fields, **FIELDS.get(act, {})})
    denied = any(DENIED[0] in each for each in texts(page.text))
    assert denied == (page.status_code == httpx.codes.FORBIDDEN), (act, page.text)
    return not denied


async def imports(user: User) -> bool:
    """Import a product. Return whether it was stored."""
    columns = await user.follow("/import", {}, FILE)
    form = next(each for each in forms(columns.text) if each.fields.get("act") == "import")
    begun = await user.follow("/import", form.fields)

    async def ended() -> bool:
        return "has ended" in (await user.open(begun.url.path)).text

    await until(ended)
    return "1 products stored" in (await user.open(begun.url.path)).text


@pytest.mark.parametrize("screen", [screen for screen, acts in MAY.items() if acts])
async def test_each_change_is_made_by_its_roles_alone(console: Console, screen: str) -> None:
    permitted = {act: list[str]() for act in MAY[screen]}
    for role in Role:
        async with signed_in(console, role) as user:
            for act in MAY[screen]:
                if await makes(user, act):
                    permitted[act].append(role)
    wanted = {act: sorted(roles.split()) for act, roles in MAY[screen].items()}
    assert {act: sorted(roles) for act, roles in permitted.items()} == wanted


async def test_a_merchandiser_arranges_a_shelf_and_names_no_shopper(console: Console) -> None:
    told = "a key with the role read"
    ann = {"kind": "user", "shopper": "ann"}
    async with signed_in(console, Role.MERCHANDISE) as user:
        shelf = await user.open(AT["Shelf"])
        assert "No products match." in shelf.text, "the empty catalog is asked"
        assert told not in shelf.text
        named = await user.follow("/shelf", {"act": "show", "scene": "home", **ann})
        assert told in named.text
        assert 'id="shopper-says" class="wrong"' in named.text
        group = {"scene": "home", "shoppers": "ann ben", "kind": "user"}
        pairs = await user.follow("/shelf/compare", group)
        assert pairs.text.count(told) == 2, "a visitor is answered"
    async with signed_in(console, "all") as user:
        named = await user.follow("/shelf", {"act": "show", "scene": "home", **ann})
        assert told not in named.text


async def test_every_form_is_a_change_of_the_table_or_asks_only(console: Console) -> None:
    known = {*ASKS, *(act for acts in MAY.values() for act in acts)}
    found = set[str]()
    async with signed_in(console, "all") as user:
        for at in (*AT.values(), "/shelf/compare?scene=home", "/models/compare?after=m1"):
            found |= {form.act for form in forms((await user.open(at)).text)}
        found |= {form.act for form in forms((await user.find()).text)}
    assert found <= known, found - known
    assert {"/shelf publish", "/synonyms draft", "/shopper find", "/shopper export"} <= found
