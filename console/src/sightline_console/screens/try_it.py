"""The screen "Try it": a request, its answer as cards, and the same request as code."""

from collections.abc import Mapping
from dataclasses import replace

from starlette.responses import Response

from sightline_client.cli.language import _
from sightline_client.errors import SightlineError, Unauthenticated
from sightline_client.values.photos import MAX_BYTES
from sightline_client.values.products import Sort
from sightline_console.screens import answering, samples
from sightline_console.screens.asked import SORTS, Asked, AskedInvalid, placed
from sightline_console.screens.shopper import asked_by, kept_apart
from sightline_console.screens.sign_in import admitted_form
from sightline_console.screens.visit import Visit, reason_of, status_of, text_of, title_of
from sightline_console.web import forms

PATH = "/"
PHOTO = "photo"
"""Kind of kept files that are photos to search by."""


async def show(visit: Visit) -> Response:
    """Show the form, and the answer to the request of the address."""
    asked = asked_by(visit, visit.request.query_params)
    try:
        found = await answering.answer(
            visit.client, asked, visit.kept(PHOTO, asked.photo), visit.language
        )
    except AskedInvalid as error:
        return _page(visit, asked, status=400, problems=error.problems)
    except Unauthenticated:
        raise
    except SightlineError as error:
        return _failed(visit, asked, error)
    return _page(visit, asked, answer=found)


async def ask(visit: Visit) -> Response:
    """Keep the photo of a form, and lead to the answer."""
    try:
        form = await admitted_form(visit, forms.LARGE)
    except forms.TooLarge:
        return _page(visit, Asked(), status=413, problems={PHOTO: _too_large()})
    asked, content = Asked.of(form.fields), form.files.get("file", b"")
    if len(content) > MAX_BYTES:
        return _page(visit, asked, status=413, problems={PHOTO: _too_large()})
    if content:
        asked = replace(asked, photo=visit.keep(PHOTO, content))
    elif form.fields.get("no_photo"):
        asked = asked.without(PHOTO, "left", "top", "right", "bottom")
    return visit.go(kept_apart(visit, asked).address(PATH))


def _too_large() -> str:
    return _("A photo may have 10 MiB: choose a smaller one.")


def _failed(visit: Visit, asked: Asked, error: SightlineError) -> Response:
    """Show an error at its field, or above the form."""
    problems = placed(error)
    told = None if problems else (title_of(error), reason_of(error), text_of(error))
    return _page(visit, asked, status=status_of(error), problems=problems, told=told)


def _page(
    visit: Visit,
    asked: Asked,
    *,
    status: int = 200,
    problems: Mapping[str, str] | None = None,
    answer: answering.Answer | None = None,
    told: tuple[str, str, str] | None = None,
) -> Response:
    target = samples.Target(
        visit.client.calls.target,
        visit.console.pages.http_address,
        visit.client.catalog,
        keyed=bool(visit.session and visit.session.key),
    )
    return visit.page(
        "try_it",
        status,
        asked=asked,
        answer=answer,
        problems=problems or {},
        told=told,
        sorts=_sort_names(),
        samples=samples.samples(asked, target) if answer else (),
    )


def _sort_names() -> dict[str, str]:
    """Return the orders, in words."""
    words = {
        Sort.PRICE_RISING: _("cheapest first"),
        Sort.PRICE_FALLING: _("most expensive first"),
        Sort.NEWEST: _("newest first"),
        Sort.BRAND: _("by brand"),
        Sort.RATING: _("best rated first"),
    }
    return {"": _("as recommended"), **{each.value: words[each] for each in SORTS}}
