"""Titles, names and categories that are written from right to left, on every screen."""

from __future__ import annotations

import pytest

from tests.console_pages import SCREENS, directed
from tests.fakes.uniform_gateway import filled
from tests.unit.console.test_hostile_texts import VARIANTS, addresses, consoled, opened

TITLE = "نبيذ أحمر (2019)"


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("screen", SCREENS)
async def test_a_text_of_the_catalog_is_written_in_its_own_direction(
    screen: str, variant: int
) -> None:
    shown = list[tuple[str, bool]]()
    async with consoled(lambda method: filled(method.output_type, TITLE, variant)) as web:
        for at in await addresses(web, screen):
            page = (await opened(web, await web.open(at))).text
            found = [apart for text, apart in directed(page) if text == TITLE]
            assert all(found), (at, found)
            shown += directed(page)
    assert screen == "Import" or any(text == TITLE for text, _apart in shown)


def test_a_text_is_apart_in_an_element_of_its_own() -> None:
    page = "<main><p>a<b><bdi>b</bdi></b><input value=c dir=auto><input value=d><br>e</main>"
    assert directed(page) == [
        *(("a", False), ("b", True), ("c", True)),
        *(("d", False), ("e", False)),
    ]
