"""Files of products as the console's own pages send them."""

import html
import re
from collections.abc import Sequence
from typing import TypeAlias

import httpx

from tests.unit.console.conftest import ADDRESS, Browser
from tests.waiting import until

Photos: TypeAlias = Sequence[tuple[str, bytes]]
"""Names and contents."""
OURS = b"id,title,price,currency\nw1,Barolo,12.50,EUR\nw2,Nebbiolo,9,EUR\n"


async def upload(
    web: Browser, content: bytes, name: str = "products.csv", photos: Photos = ()
) -> httpx.Response:
    """Send a file as the console's own page does, with photos beside it."""
    return await web.web.post(
        "/import",
        data={"csrf": await web.csrf("/sign-in")},
        files=[
            ("file", (name, content, "text/csv")),
            *(("photos", (each, of, "image/jpeg")) for each, of in photos),
        ],
        headers={"origin": ADDRESS},
    )


async def looked_at(
    web: Browser, content: bytes, name: str = "products.csv", photos: Photos = ()
) -> httpx.Response:
    """Upload a file, and open the page of its columns."""
    return await web.follow(await upload(web, content, name, photos))


def hidden(page: str, act: str) -> dict[str, str]:
    """Return the hidden fields of a form of a page, without its token."""
    form = page.partition(f'name="act" value="{act}"')[2].partition("</form>")[0]
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form)
    return {"act": act, **{name: html.unescape(value) for name, value in found}}


async def imported(web: Browser, page: httpx.Response) -> httpx.Response:
    """Import the file of a page, and wait until that has ended."""
    main = page.text.partition('value="import"')[2]
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', main)
    fields = {name: html.unescape(value) for name, value in found if name != "csrf"}
    sent = await web.send("/import", {"act": "import", **fields})
    assert sent.status_code == 303, sent.text

    async def ended() -> bool:
        return "has ended" in (await web.follow(sent)).text

    await until(ended)
    return await web.follow(sent)
