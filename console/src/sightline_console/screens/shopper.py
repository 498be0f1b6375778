"""The screen "Shopper": what is stored on a shopper, their consent, a copy, and the erasure.

Ids of shoppers are in no address and in no log: the session keeps the one that is shown, and the
address has a reference to it.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, TypedDict

from starlette.responses import Response

from sightline_client import SightlineClient
from sightline_client.cli.language import _
from sightline_client.cli.show import privacy, profiles
from sightline_client.cli.show.grids import grid
from sightline_client.errors import NotFound
from sightline_client.values.privacy import Purpose
from sightline_console.pages.blocks import Block, Line, blocks
from sightline_console.screens.asked import Asked
from sightline_console.screens.sections import section
from sightline_console.screens.sign_in import admit
from sightline_console.screens.visit import Visit
from sightline_console.web.addresses import address

PATH = "/shopper"
KIND = "shopper"
"""Kind of kept files that name a shopper."""
EVENTS = 100
"""Number of the newest events that are shown."""


class Who(TypedDict):
    """Arguments that name a shopper."""

    user: str | None
    visitor: str | None


@dataclass(frozen=True, slots=True)
class Named:
    """A shopper that a form names."""

    shopper_id: str = ""
    is_user: bool = True

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Self:
        """Return the shopper of a form."""
        return cls(fields.get("shopper", "").strip(), fields.get("kind") == "user")

    @classmethod
    def kept(cls, visit: Visit, reference: str) -> Self | None:
        """Return the shopper that the session keeps; None: it does not, or not any more."""
        content = visit.kept(KIND, reference) if reference else None
        return None if content is None else cls(content[1:].decode(), content[:1] == b"u")

    def keep(self, visit: Visit) -> str:
        """Keep the shopper for the session. Return the reference."""
        kind = "u" if self.is_user else "v"
        return visit.keep(KIND, f"{kind}{self.shopper_id}".encode())

    @property
    def who(self) -> Who:
        """The shopper as arguments of a call."""
        mine = self.shopper_id
        return Who(user=mine if self.is_user else None, visitor=None if self.is_user else mine)


def asked_by(visit: Visit, given: Mapping[str, object]) -> Asked:
    """Return the request of a form or an address, with the shopper that it refers to."""
    asked = Asked.of(given)
    named = Named.kept(visit, asked.who)
    if named is None:
        return asked
    return replace(asked, shopper=named.shopper_id, kind="user" if named.is_user else "")


async def admit_first(visit: Visit) -> None:
    """Ask the gateway for callers without a session, before one begins for what they send. Raises
    SightlineError."""
    if visit.session is None:
        await admit(visit)


def kept_apart(visit: Visit, asked: Asked) -> Asked:
    """Keep the shopper of a request for the session, so that addresses only refer to it."""
    if not asked.shopper:
        return replace(asked, who="")
    return replace(asked, who=Named(asked.shopper, asked.kind == "user").keep(visit))


@dataclass(frozen=True, slots=True)
class Stored:
    """Stored data on a shopper."""

    events: Sequence[Block]
    stores: Sequence[Block]


async def show(visit: Visit) -> Response:
    """Show the form, and the shopper of the address."""
    reference = visit.request.query_params.get("of", "")
    named = Named.kept(visit, reference)
    if named is None:
        text = _("This shopper is not kept any more: type the id again.")
        return _form(visit, Named(), {"shopper": text} if reference else {})
    return await _page(visit, named, reference)


async def act(visit: Visit) -> Response:
    """Find a shopper, or do what a form of the page asks for."""
    sent = (await visit.form()).fields
    if sent.get("do", "find") == "find":
        named = Named.of(sent)
        if not named.shopper_id:
            return _form(visit, named, {"shopper": _("Type the id of a customer or visitor.")})
        await admit_first(visit)
        return visit.go(address(PATH, [("of", named.keep(visit))]))
    reference = sent.get("of", "")
    kept = Named.kept(visit, reference)
    if kept is None:
        text = _("This shopper is not kept any more: type the id again.")
        return _form(visit, Named(), {"shopper": text})
    return await _done(visit, kept, reference, sent)


async def _done(visit: Visit, named: Named, reference: str, sent: Mapping[str, str]) -> Response:
    match sent["do"]:
        case "export":
            return await _copy(visit, named)
        case "consent":
            purposes = [each for each in Purpose if each == sent.get("purpose")]
            source = sent.get("source", "").strip()
            if not source:
                problem = {"source": _("Write where the decision was made.")}
                return await _page(visit, named, reference, status=400, problems=problem)
            given = sent.get("granted") == "1"
            await visit.client.set_consent(
                source=source,
                given=purposes if given else (),
                withdrawn=() if given else purposes,
                **named.who,
            )
        case "erase":
            if sent.get("typed", "").strip() != named.shopper_id:
                problem = {"typed": _("This is not the id of the shopper above.")}
                return await _page(visit, named, reference, status=400, problems=problem)
            await visit.client.erase_user(**named.who)
    return visit.go(address(PATH, [("of", reference)]))


async def _copy(visit: Visit, named: Named) -> Response:
    """Send everything that is stored, as a file."""
    found = await visit.client.export_user(**named.who)
    text = json.dumps(found, indent=2, ensure_ascii=False)
    headers = {"content-disposition": 'attachment; filename="shopper.json"'}
    return Response(f"{text}\n", 200, headers, "application/json")


def _form(visit: Visit, named: Named, problems: Mapping[str, str]) -> Response:
    status = 400 if problems else 200
    return visit.page("shopper", status, named=named, reference="", problems=problems)


async def _page(
    visit: Visit,
    named: Named,
    reference: str,
    *,
    status: int = 200,
    problems: Mapping[str, str] | None = None,
) -> Response:
    client, who = visit.client, named.who
    profile, stored, consents, erased = await asyncio.gather(
        section(_profile(client, who)),
        section(_stored(client, who)),
        section(_consents(client, who)),
        section(_receipt(client, who)),
    )
    return visit.page(
        "shopper",
        status,
        named=named,
        reference=reference,
        problems=problems or {},
        profile=profile,
        stored=stored,
        consents=consents,
        erased=erased,
        purposes={each.value: each.lower() for each in Purpose},
    )


async def _profile(client: SightlineClient, who: Who) -> list[Block]:
    return blocks(profiles.shopper(await client.shopper_profile(**who)))


async def _consents(client: SightlineClient, who: Who) -> list[Block]:
    return blocks(privacy.consents(await client.get_consent(**who)))


async def _receipt(client: SightlineClient, who: Who) -> list[Block]:
    """Return the receipt of the newest erasure; empty: there was none."""
    try:
        return blocks(privacy.receipt(await client.get_erasure(**who)))
    except NotFound:
        return []


async def _stored(client: SightlineClient, who: Who) -> Stored:
    try:
        found = await client.export_user(**who)
    except NotFound:
        nothing = [Line(_("Nothing is stored on this shopper. Is the id that of the shop?"))]
        return Stored(nothing, ())
    counts = [(store, f"{len(records):,}") for store, records in found.items()]
    records = _("records")
    return Stored(
        _timeline(found.get("events", [])),
        blocks(grid((_("store"), records), counts, right=(records,))),
    )


def _timeline(events: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Show the newest events first."""
    if not events:
        return [Line(_("No events."))]
    newest = sorted(events, key=lambda one: str(one.get("time_micros") or ""), reverse=True)
    columns = (_("time"), _("event"), _("product"), _("scene"), _("search"))
    rows = (
        (
            str(one.get("time_micros") or "–").replace("T", " ")[:19],
            *(str(one.get(name) or "–") for name in ("type", "product_id", "scene", "query")),
        )
        for one in newest[:EVENTS]
    )
    made = blocks(grid(columns, rows))
    if len(events) > EVENTS:
        made.append(Line(_("The copy has all {count:,} events.", count=len(events)), "soft"))
    return made
