"""No text of a catalog, of a scene, of a file or of a form becomes markup on any screen."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from google.rpc import code_pb2

from sightline_client import SightlineClient
from sightline_console.pages.rendering import HERE, Pages
from sightline_console.screens.undecided_groups import LISTS
from sightline_console.screens.visit import Console
from sightline_console.web import key
from tests.console_pages import SCREENS, PageForm, faults, forms, texts, unknown_paths
from tests.fakes.gateway_messages import status
from tests.fakes.uniform_gateway import Make, UniformGateway, filled
from tests.unit.console.conftest import ADDRESS, HTTP, Browser, browser
from tests.waiting import until

HOSTILE = (
    "javascript:self.done=1//\"'></textarea></title></script></select>"
    "<pwned pwned onpwned=1><img src=x onerror=self.done=1>{{7*7}}&lt;\u202e🍷"
)
VARIANTS = range(3)
"""Which values of enumerations, flags and choices the answers have: templates branch by them."""
SHOPPER = {"do": "find", "kind": "user", "shopper": HOSTILE}
AT: Mapping[str, Sequence[str]] = {
    "Try it": ("/?text={0}&scene={0}&market={0}&filter={0}", "/?text=red", "/?sort=NEWEST"),
    "Why": ("/why?why={0}&text={0}&product={0}", "/why?why=a&filter=brand%20%3D%20{0}"),
    "Shelf": ("/shelf?scene={0}&text={0}&product={0}&market={0}", "/shelf/compare?scene={0}"),
    "Synonyms": ("/synonyms",),
    "Import": (
        "/import",
        "/import?file={0}&name={0}&c:{0}={0}&v:{0}={0}&currency={0}",
        "/import/undecided?list={0}",
        *(f"/import/undecided?list={each}" for each in LISTS),
    ),
    "Results": ("/results?days={0}",),
    "Shopper": ("/shopper", "/shopper?of={0}"),
    "Models": (
        "/models?model={0}&done={0}",
        "/models/compare?before={0}&after=x{0}&scene={0}",
        "/models/change?do=promote-model&of={0}",
    ),
    "Health": ("/health",),
    "Catalogs": ("/catalogs",),
}
"""Screen → addresses, with what a link of another site may have in them."""


def test_each_path_is_one_of_a_screen_and_each_screen_is_attacked() -> None:
    assert not unknown_paths(), "name them in tests/console_pages.py"
    assert AT.keys() == SCREENS.keys()


@asynccontextmanager
async def consoled(make: Make) -> AsyncIterator[Browser]:
    """Open a console in front of a gateway that makes its answers so."""
    with UniformGateway(make) as gateway:
        async with (
            SightlineClient(gateway.target, token=key.current, timeout=60) as client,
            browser(Console(client, Pages(HTTP))) as web,
        ):
            yield Browser(web)


@dataclass
class Answers:
    """Answers in which every string is hostile, or failures."""

    failure: Any = None
    variant: int = 0
    fails: bool = False

    def make(self, method: Any) -> Any:
        """Answer a call."""
        return self.failure if self.fails else filled(method.output_type, HOSTILE, self.variant)


async def addresses(web: Browser, screen: str) -> list[str]:
    """Return the addresses of a screen; that of a shopper is one that a form leads to."""
    found = [each.format(quote(HOSTILE, safe="")) for each in AT[screen]]
    if screen == "Shopper":
        found.append((await web.send("/shopper", SHOPPER)).headers["location"])
    return found


async def opened(web: Browser, answer: httpx.Response) -> httpx.Response:
    """Follow where an answer leads, on the console's own pages alone."""
    for _ in range(3):
        if answer.status_code != 303:
            break
        assert answer.headers["location"].startswith("/"), answer.headers
        answer = await web.open(answer.headers["location"])
    return answer


def harmless(answer: httpx.Response, what: str) -> str:
    """Return the text of a page, which has nothing that a browser would run."""
    assert not faults(answer.text), (what, faults(answer.text))
    assert not {"pwned", "onpwned"} & {*answer.headers}
    return answer.text


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("screen", SCREENS)
async def test_texts_of_the_suite_are_shown_as_they_are(screen: str, variant: int) -> None:
    async with consoled(Answers(variant=variant).make) as web:
        shown = list[str]()
        for at in await addresses(web, screen):
            answer = await opened(web, await web.open(at))
            assert answer.status_code < 500, (at, answer.text)
            shown += texts(harmless(answer, at))
    assert any(HOSTILE in each for each in shown)


@pytest.mark.parametrize("code", [code_pb2.INVALID_ARGUMENT, code_pb2.NOT_FOUND, code_pb2.INTERNAL])
@pytest.mark.parametrize("screen", SCREENS)
async def test_errors_of_the_suite_are_shown_as_they_are(screen: str, code: int) -> None:
    answers = Answers(status(code, HOSTILE, reason=HOSTILE, violations=((HOSTILE, HOSTILE),)))
    async with consoled(answers.make) as web:
        at = await addresses(web, screen)
        answers.fails = True
        for each in at:
            harmless(await opened(web, await web.open(each)), each)


async def submitted(
    web: Browser, form: PageForm, button: tuple[str, str], typed: Callable[[str], str]
) -> httpx.Response:
    """Send a form of a page, in which a user has typed texts."""
    name, value = button
    fields = {**form.fields, **{each: typed(each) for each in form.typed}}
    fields |= {name: value} if name else {}
    if form.method != "post":
        return await web.web.get(form.action, params=fields)
    files = {form.file: (f"{HOSTILE}.csv", table().encode(), "text/csv")} if form.file else None
    headers = {"origin": ADDRESS}
    return await web.web.post(form.action, data=fields, files=files, headers=headers)


def table() -> str:
    """Return a file of products whose columns and cells are hostile."""
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    return f"id,title,{quoted}\n{quoted},{quoted},{quoted}\n"


def sendable(page: str) -> Iterator[tuple[PageForm, tuple[str, str]]]:
    """Yield the forms of a page with each of their buttons."""
    for form in forms(page):
        if form.action not in ("/sign-out", "/language"):
            yield from ((form, button) for button in form.buttons)


@pytest.mark.parametrize("screen", SCREENS)
async def test_what_is_typed_is_shown_as_it_is(screen: str) -> None:
    """Send each form of each page by each button, to a suite that takes it, and to one that ends
    the session."""
    answers = Answers(status(code_pb2.UNAUTHENTICATED, HOSTILE, reason=HOSTILE))
    sent = set[str]()
    async with consoled(answers.make) as web:
        for at in await addresses(web, screen):
            page = (await opened(web, await web.open(at))).text
            for form, button in sendable(page):
                what = f"{form.act} {button}"
                if what in sent:
                    continue
                sent.add(what)
                answer = await submitted(web, form, button, lambda _name: HOSTILE)
                harmless(await opened(web, answer), what)
                answers.fails = True
                harmless(await submitted(web, form, button, lambda _name: HOSTILE), what)
                answers.fails = False
    assert sent or screen in {"Results", "Health"}, "nothing can be sent"


async def test_names_and_cells_of_a_file_are_shown_as_they_are() -> None:
    async with consoled(Answers().make) as web:
        page = await web.open("/import")
        shown = list[str]()
        for _ in range(2):  # the file, and its import
            form = next(each for each in forms(page.text) if each.action == "/import")
            form = next(
                (each for each in forms(page.text) if each.fields.get("act") == "import"), form
            )
            page = await opened(web, await submitted(web, form, ("", ""), lambda _name: ""))
            shown += texts(harmless(page, form.act))

        async def ended() -> bool:
            return "data-again" not in (await web.open(page.url.path)).text

        await until(ended)
        page = await web.open(page.url.path)
        shown += texts(harmless(page, "rejected rows"))
        saved = await web.open(f"{page.url.path}/rejected")
    assert sum(HOSTILE in each for each in shown) >= 3
    assert "pwned" not in saved.headers.get("content-disposition", "")


def test_templates_leave_no_text_unescaped_and_no_attribute_unquoted() -> None:
    templates = [*(HERE / "templates").glob("*.j2")]
    assert len(templates) > 20
    for each in templates:
        text = each.read_text("utf-8")
        assert not re.search(r"\bsafe\b|Markup|autoescape|\s[\w-]+=\{[{%]", text), each.name


@pytest.mark.parametrize(
    "markup",
    [
        "<pwned>",
        "<p onclick=x>",
        "<p style='color: red'>",
        "<a href='javascript:x'>",
        "<a href=' JavaScript:x'>",
        "<a href='//evil.example'>",
        "<img src='https://evil.example/a.png'>",
        "<form action='https://evil.example'>",
        "<button formaction='//evil.example'>",
        "<script>x</script>",
        "<script src='https://evil.example/a.js'></script>",
        "<meta http-equiv=refresh content='0;url=//evil.example'>",
        "<style>p{}</style>",
        "<base href=x>",
        "<iframe srcdoc=x>",
    ],
)
def test_what_is_to_be_found_is_found(markup: str) -> None:
    assert faults(f"<main>{markup}</main>")


def test_the_consoles_own_markup_is_none_of_it() -> None:
    page = '<script src="/static/console.js"></script><a href="https://shop.example/1">x</a>'
    assert not faults(f'{page}<form action="/why"><a href="/why?why=javascript:">')
