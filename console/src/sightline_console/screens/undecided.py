"""The screen "Products to decide on", where each is given a photo, a category or a family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from sightline_client.cli.language import _
from sightline_client.errors import SightlineError, Unauthenticated
from sightline_client.values.catalog import ProductImage
from sightline_client.values.photos import MAX_BYTES
from sightline_client.values.products import Product
from sightline_client.values.updates import ProductUpdate
from sightline_console.screens.sections import Told, section, told
from sightline_console.screens.sign_in import admitted_form
from sightline_console.screens.undecided_groups import LISTS, key
from sightline_console.screens.visit import Visit, status_of
from sightline_console.web import forms
from sightline_console.web.addresses import address

PATH = "/import/undecided"
LEFT = "left"
"""Kind of kept files that each name a list and a group of it, which is left as it is."""
_FIRST = next(iter(LISTS))


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
    found = await section(LISTS[chosen].find(visit.client, left))
    return visit.page(
        "undecided",
        status,
        chosen=chosen,
        lists={each: _(listed.name) for each, listed in LISTS.items()},
        why=_(LISTS[chosen].why),
        nothing=_(LISTS[chosen].none),
        found=found,
        key=key,
        refused=refused,
        gone=refused is not None and refused.of not in map(key, found.found or ()),
        done=done,
    )


async def decide(visit: Visit) -> Response:
    """Carry out a decision about a group."""
    try:
        form = await admitted_form(visit, forms.LARGE)
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
    values = _values(name, form, of)
    if not values:
        missing = _("Choose a photo, or type its address.") if name == "photo" else ""
        missing = missing or _("Type a category.")
        return await _page(visit, name, 400, refused=Refused(("", "", missing), group))
    problem = await _update(visit, of, _lines(form.fields.get("etags", "")), values)
    if problem is not None:
        typed = form.fields.get("typed", "")
        refused = Refused(told(problem), group, typed)
        return await _page(visit, name, status_of(problem), refused=refused)
    return visit.go(address(PATH, [("list", name), ("done", "1")]))


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
    visit: Visit, of: Sequence[str], etags: Sequence[str], values: Mapping[str, Any]
) -> SightlineError | None:
    """Set fields of products, unless they have changed since they were shown. Return the first
    problem."""
    updates = [
        ProductUpdate(Product(product_id, "", etag=etag, **values), tuple(values))
        for product_id, etag in zip(of, [*etags, *[""] * len(of)], strict=False)
        if product_id != values.get("parent_id")
    ]
    try:
        outcomes = await visit.client.update_products(updates)
    except Unauthenticated:
        raise
    except SightlineError as error:
        return error
    return next((each.error for each in outcomes if each.error is not None), None)
