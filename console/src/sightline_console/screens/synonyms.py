"""The screen "Synonyms": words that mean the same to the catalog's shoppers, a rule a line."""

import re
from collections.abc import Sequence
from dataclasses import replace

from starlette.responses import Response

from sightline_client.cli.language import _
from sightline_client.errors import Conflict, InvalidRequest
from sightline_client.values.synonym_text import synonym_rules
from sightline_client.values.synonyms import Synonyms
from sightline_console.screens.sections import Told, told
from sightline_console.screens.visit import Visit
from sightline_console.web import forms

PATH = "/synonyms"
_RULE = re.compile(r"rules\[(\d{1,9})\]")


async def show(visit: Visit) -> Response:
    """Show the synonyms of the catalog."""
    held = await visit.client.get_synonyms()
    return _page(visit, held, _text(held), stored="stored" in visit.request.query_params)


async def store(visit: Visit) -> Response:
    """Replace the synonyms by those of the form, unless another person changed them meanwhile."""
    sent = (await visit.form(forms.TEXTS)).fields
    typed = sent.get("rules", "").replace("\r\n", "\n")
    rules = synonym_rules(typed.split("\n"))
    try:
        await visit.client.set_synonyms([rule for _at, rule in rules], etag=sent.get("etag", ""))
    except Conflict:
        text = _("Compare yours with those that are stored now, and store them again.")
        title = _("Another person changed the synonyms meanwhile")
        held = await visit.client.get_synonyms()
        return _page(visit, held, typed, 409, told=(title, "ETAG_MISMATCH", text), theirs=True)
    except InvalidRequest as error:
        held = replace(await visit.client.get_synonyms(), etag=sent.get("etag", ""))
        return _page(
            visit, held, typed, 400, told=_by_line(told(error), [number for number, _rule in rules])
        )
    return visit.go(f"{PATH}?stored=1")


def _text(held: Synonyms) -> str:
    return "".join(f"{rule}\n" for rule in held.rules)


def _by_line(said: Told, numbers: Sequence[int]) -> Told:
    """Name lines of the form in place of the rules' indexes."""

    def line(match: re.Match[str]) -> str:
        place = int(match[1])
        return _("line {line}", line=numbers[place]) if place < len(numbers) else match[0]

    return said[0], said[1], _RULE.sub(line, said[2])


def _page(
    visit: Visit,
    held: Synonyms,
    text: str,
    status: int = 200,
    *,
    told: Told | None = None,
    theirs: bool = False,
    stored: bool = False,
) -> Response:
    return visit.page(
        "synonyms",
        status,
        held=held,
        text=text,
        told=told,
        theirs=_text(held) if theirs else None,
        stored=stored,
    )
