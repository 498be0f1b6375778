"""Signing in with a key, signing out, and the language. provider.py has the other sign-in."""

from collections.abc import Mapping
from types import MappingProxyType

from starlette.responses import Response

from sightline_client.cli.language import _
from sightline_client.errors import NotFound, SightlineError, Unauthenticated
from sightline_client.transport.token import check
from sightline_console.screens.visit import LANGUAGE, LANGUAGES, Visit
from sightline_console.web import forms, key
from sightline_console.web.addresses import HOME, own
from sightline_console.web.oidc import owner_of
from sightline_console.web.sessions import new_id

UNSENT = "unsent-"
"""Prefix of fields of another form, which is sent once its user has signed in."""
ROLE_MISSING = "ROLE_MISSING"
"""Reason of a refusal of a key without the role `read`, which may have others."""
_NO_IMAGE = "0" * 64
"""Id of a photo that no catalog has: the digest of no bytes that are known."""


async def show(visit: Visit) -> Response:
    """Show the form for a key."""
    return form_page(visit, visit.request.query_params.get("next", HOME))


async def sign_in(visit: Visit) -> Response:
    """Begin a session with a key that the gateway takes."""
    sent = (await visit.form(forms.TEXTS)).fields
    back, given = sent.get("next", HOME), sent.get("key", "").strip()
    unsent = unsent_of(sent)
    try:
        check(given)
    except ValueError:
        return form_page(visit, back, _("Paste the whole key, without spaces."), 400, unsent)
    try:
        with key.using(given):
            await admitted(visit)
    except Unauthenticated:
        problem = _("The suite does not take this key: it may have expired.")
        return form_page(visit, back, problem, 401, unsent)
    visit.enter(visit.console.sessions.begin(given, owner_of(given)))
    return entered(visit, back, unsent)


def unsent_of(sent: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of another form among those of a sign-in."""
    return {
        name.removeprefix(UNSENT): value for name, value in sent.items() if name.startswith(UNSENT)
    }


def entered(visit: Visit, back: str, unsent: Mapping[str, str]) -> Response:
    """Lead a user who has signed in to their page, or to the form that they did not send."""
    return visit.page("unsent", back=own(back), sent=unsent) if unsent else visit.go(back)


async def sign_out(visit: Visit) -> Response:
    """End the session."""
    await visit.form()
    visit.leave()
    visit.session_id = new_id()
    return visit.go("/sign-in")


async def choose_language(visit: Visit) -> Response:
    """Remember the language of the pages."""
    sent = (await visit.form()).fields
    made, chosen = visit.go(sent.get("next", HOME)), sent.get("language", "")
    if chosen in LANGUAGES:
        made.set_cookie(
            LANGUAGE, chosen, 365 * 86_400, httponly=True, samesite="strict",
            secure=visit.console.secure,
        )  # fmt: skip
    return made


async def admit(visit: Visit, *passed: str) -> None:
    """Ask the gateway whether it takes calls of the user, before something large is read.
    `passed`: reasons of refusals that are none here, or how these begin. Raises SightlineError."""
    try:
        await visit.client.get_image(_NO_IMAGE)
    except NotFound:
        return
    except SightlineError as error:
        if not error.reason.startswith(passed):
            raise


async def admitted_form(visit: Visit, most: int, *passed: str) -> forms.Form:
    """Return a form: a small one is read before the gateway is asked, so that what its user typed
    outlives their session, and a large one after. `passed`: as for `admit`. Raises FormRejected,
    SightlineError."""
    size = visit.request.headers.get("content-length", "")
    if size.isdecimal() and len(size) < 10 and int(size) <= forms.TEXTS:
        form = await visit.form(forms.TEXTS)
        await admit(visit, *passed)
        return form
    await admit(visit, *passed)
    with visit.console.uploads.place(visit.user):
        return await visit.form(most)


async def admitted(visit: Visit) -> None:
    """Raise Unauthenticated, or Unavailable and the like, unless the gateway knows the key. A key
    without the role `read` is one, too, and one whose user chose a catalog that is away."""
    await admit(visit, ROLE_MISSING, "CATALOG_")


def form_page(
    visit: Visit,
    back: str,
    problem: str = "",
    status: int = 200,
    unsent: Mapping[str, str] = MappingProxyType({}),
    *,
    trouble: str = "",
) -> Response:
    """Return the page of the sign-in. `problem`: of a key; `trouble`: of the identity provider."""
    ended = bool(visit.request.query_params.get("ended"))
    return visit.page(
        "sign_in", status, back=back, problem=problem, trouble=trouble, ended=ended, unsent=unsent
    )
