"""The screen "Products to decide on", where each is given a photo, a category or a family."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from starlette.responses import Response

from sightline_client import SightlineClient
from sightline_client.cli.language import _
from sightline_client.errors import SightlineError, Unauthenticated
from sightline_client.values.catalog import ProductImage
from sightline_client.values.photos import MAX_BYTES
from sightline_client.values.products import Product
from sightline_client.values.updates import ProductUpdate
from sightline_console.screens.sections import Told, section, told
from sightline_console.screens.sign_in import ROLE_MISSING, admitted_form
from sightline_console.screens.undecided_groups import LISTS, shown
from sightline_console.screens.visit import Visit, status_of
from sightline_console.web import forms
from sightline_console.web.addresses import address

PATH = "/import/undecided"
LEFT = "left"
"""Kind of kept files that each name a list and a group of it, which is left as it is."""
_FIRST = next(iter(LISTS))
_ABOUT_PAIRS: Mapping[str, Callable[[SightlineClient, Sequence[str]], Awaitable[object]]] = (
    MappingProxyType(
        {
            "different": SightlineClient.mark_distinct_products,
            "again": SightlineClient.unmark_distinct_products,
        }
    )
)
"""Decisions about each two products of a group, which the suite keeps."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A decision that was not carried out."""

    told: Told
    of: str = ""
    """Key of the group; empty: it is not known."""
    typed: str = ""


async def show(visit: Visit) -> Response:
    """Show a list of products to decide on."""
    query = visit.request.query_params
    return await _page(visit, query.get("list", ""), done=query.get("done") == "1")


async def _page(
    visit: Visit,
    name: str,
    status: int = 200,
    *,
    refused: Refused | None = None,
    done: bool = False,
) -> Response:
    chosen = name if name in LISTS else _FIRST
    kept = [each.decode().partition("\n") for each in visit.all_kept(LEFT)]
    left = {of for theirs, _newline, of in kept if theirs == chosen}
    listed = LISTS[chosen]
    found = await section(shown(listed.find(visit.client), left))
    return visit.page(
        "undecided",
        status,
        chosen=chosen,
        lists={name: _(each.name) for name, each in LISTS.items()},
        why=_(listed.why),
        then=_(listed.then),
        nothing=_(listed.none),
        found=found,
        refused=refused,
        gone=refused is not None and refused.of not in {each.key for each in found.found or ()},
        done=done,
    )


async def decide(visit: Visit) -> Response:
    """Carry out a decision about a group."""
    try:
        form = await admitted_form(visit, forms.LARGE, ROLE_MISSING)
    except forms.TooLarge:
        return await _page(visit, _FIRST, 413, refused=_too_large(""))
    name, of = form.fields.get("list", ""), _lines(form.fields.get("of", ""))
    if name not in LISTS or not of[0]:
        raise forms.FormRejected(400, _("The form can't be read."))
    group = "\n".join(of)
    if form.fields.get("do") == "leave":
        visit.keep(LEFT, f"{name}\n{group}".encode())
        return visit.go(address(PATH, [("list", name), ("done", "1")]))
    if any(len(each) > MAX_BYTES for each in form.files.values()):
        return await _page(visit, name, 413, refused=_too_large(group))
    decision = _decision(visit.client, name, form, of)
    if decision is None:
        missing = _("Choose a photo, or type its address.") if name == "photo" else ""
        missing = missing or _("Type a category.")
        return await _page(visit, name, 400, refused=Refused(("", "", missing), group))
    try:
        await decision
    except Unauthenticated:
        raise
    except SightlineError as error:
        refused = Refused(told(error), group, form.fields.get("typed", ""))
        return await _page(visit, name, status_of(error), refused=refused)
    return visit.go(address(PATH, [("list", name), ("done", "1")]))


def _decision(
    client: SightlineClient, name: str, form: forms.Form, of: Sequence[str]
) -> Awaitable[object] | None:
    """Return the call that carries a decision out; None: what it needs is missing."""
    if about_pairs := _ABOUT_PAIRS.get(form.fields.get("do", "")):
        return about_pairs(client, of)
    values = _values(name, form, of)
    etags = _lines(form.fields.get("etags", ""))
    return _update(client, of, etags, values) if values else None


def _too_large(of: str) -> Refused:
    return Refused(("", "", _("A photo may have 10 MiB: choose a smaller one.")), of)


def _lines(text: str) -> Sequence[str]:
    """Return the lines of a hidden field, which browsers end by two characters."""
    return text.replace("\r\n", "\n").split("\n")


def _values(name: str, form: forms.Form, of: Sequence[str]) -> Mapping[str, Any]:
    """Return the fields that a decision sets; none: what it needs is missing."""
    typed = form.fields.get("typed", "").strip()
    if name == "photo":
        photo = form.files.get("file", b"")
        image = ProductImage(content=photo) if photo else ProductImage(uri=typed)
        return {"images": (image,)} if photo or typed else {}
    if name == "category":
        accepted = form.fields.get("do") == "accept"
        path = form.fields.get("instead", "") if accepted else typed
        levels = tuple(each.strip() for each in path.split(">") if each.strip())
        return {"category_path": levels} if levels else {}
    return {"parent_id": form.fields.get("parent", "") or of[0]}


async def _update(
    client: SightlineClient, of: Sequence[str], etags: Sequence[str], values: Mapping[str, Any]
) -> None:
    """Set fields of products, unless they have changed since they were shown. Raises the first
    problem."""
    updates = [
        ProductUpdate(Product(product_id, "", etag=etag, **values), tuple(values))
        for product_id, etag in zip(of, [*etags, *[""] * len(of)], strict=False)
        if product_id != values.get("parent_id")
    ]
    for each in await client.update_products(updates):
        if each.error is not None:
            raise each.error
