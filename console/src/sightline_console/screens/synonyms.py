"""The screen "Synonyms": words that mean the same to the catalog's shoppers, a rule a line: the
draft of the text, and its published versions."""

from collections.abc import Mapping
from functools import partial

from starlette.responses import Response

from sightline_client.cli.language import _
from sightline_console.screens import drafts
from sightline_console.screens.drafts import Desk, Drafted
from sightline_console.screens.sections import Told
from sightline_console.screens.visit import Visit
from sightline_console.web import forms

PATH = "/synonyms"
SYNONYMS = "_synonyms"
"""Name of the text among those of scenes."""


async def show(visit: Visit) -> Response:
    """Show the synonyms of the catalog."""
    return await _page(visit)


async def act(visit: Visit) -> Response:
    """Do what a form of the page asks for."""
    sent = (await visit.form(forms.TEXTS)).fields
    asked_for = drafts.ACTS.get(sent.get("act", ""))
    if asked_for is None:
        return visit.go(PATH)
    if "theirs" in sent:
        await _find(visit)  # texts are merged for callers that the suite admits
    desk = Desk(visit, SYNONYMS, PATH, PATH, partial(_page, visit), partial(_find, visit))
    return await asked_for(desk, sent)


async def _find(visit: Visit) -> Drafted:
    return Drafted(SYNONYMS, await drafts.document(visit.client, SYNONYMS))


async def _page(
    visit: Visit,
    status: int = 200,
    *,
    told: Told | None = None,
    typed: Mapping[str, str] | None = None,
    **kept: str,
) -> Response:
    held = await _find(visit)
    return visit.page(
        "synonyms",
        status,
        action=PATH,
        asked=None,
        held=held,
        told=told,
        typed=typed or {},
        text=kept.get("text", held.text),
        comment=kept.get("comment", held.comment),
        etag=kept.get("etag", held.etag),
        check=None,
        findings=[],
        heading=_("The synonyms in use"),
        label=_("A rule a line"),
    )
