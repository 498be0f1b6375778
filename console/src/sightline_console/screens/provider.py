"""Signing in at an identity provider.

The cookies of the console are `SameSite=Strict`, which browsers do not send when another site leads
to a page. The provider therefore leads to a page without anything of a session, which leads on to
`FINISH` as a page of the console's own; the page that leads to the provider needs no form, so that
forms lead to no other site.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.responses import Response

from sightline_client.cli.language import _
from sightline_client.errors import SightlineError, Unauthenticated
from sightline_console.screens import sign_in
from sightline_console.screens.visit import Visit, status_of, text_of, title_of
from sightline_console.web import forms, key
from sightline_console.web.addresses import address, own
from sightline_console.web.away import SECONDS, SignIn
from sightline_console.web.oidc import ANSWERED, Provider, SignedIn, SignInFailed
from sightline_console.web.sessions import new_id

BEGIN = "/sign-in/provider"
CALLBACK = "/sign-in/callback"
"""Path to which the provider leads back."""
FINISH = "/sign-in/finish"
_LONGEST = 4_096
"""Maximum characters of a parameter of the provider's answer."""
_STATUS = {"PROVIDER_UNREACHABLE": 503, "PROVIDER_SLOW": 504, "ACCESS_DENIED": 403}
"""HTTP status for each reason; 502 for the others."""


async def begin(visit: Visit) -> Response:
    """Lead to the provider. Fields of an unsent form wait for the return."""
    sent = (await visit.form(forms.TEXTS)).fields
    back, unsent = own(sent.get("next", "")), sign_in.unsent_of(sent)
    provider = visit.console.provider
    if provider is None:
        problem = _("This console has no sign-in service: paste a key.")
        return sign_in.form_page(visit, back, "", 404, unsent, trouble=problem)
    if visit.request.headers.get("host", "").lower() != urlsplit(provider.redirect).netloc.lower():
        home = provider.redirect.removesuffix(CALLBACK)
        problem = _("Signing in there works at {address} alone: open it.", address=home)
        return sign_in.form_page(visit, back, "", 400, unsent, trouble=problem)
    try:
        where, attempt = await provider.begin()
    except SignInFailed as failed:
        return _failed(visit, provider, failed, back, unsent)
    browser = visit.request.cookies.get(_cookie(visit), "")
    if not visit.console.away.knows(browser):
        browser = new_id()
    visit.console.away.keep(browser, attempt, back, unsent)
    made = visit.page("leaving", to=where, host=provider.host)
    made.set_cookie(
        _cookie(visit), browser, int(SECONDS), httponly=True, samesite="strict",
        secure=visit.console.secure,
    )  # fmt: skip
    return made


async def callback(visit: Visit) -> Response:
    """Lead on to `FINISH`, from the console's own page."""
    given = visit.request.query_params.multi_items()
    read = [(name, value) for name, value in given if name in ANSWERED and len(value) <= _LONGEST]
    once = len({name for name, _value in read}) == len(read)
    return visit.lead(address(FINISH, read if once else ()))


async def finish(visit: Visit) -> Response:
    """Begin a session with the access token that the provider gives for its answer."""
    answered, provider = dict(visit.request.query_params), visit.console.provider
    browser = visit.request.cookies.get(_cookie(visit), "")
    found = visit.console.away.take(browser, answered.get("state", ""))
    if provider is None or found is None:
        problem = _("This sign-in is not under way in this browser any more: begin again.")
        return sign_in.form_page(visit, "", "", 400, trouble=problem)
    try:
        user = await provider.finish(found.attempt, answered)
    except SignInFailed as failed:
        return _failed(visit, provider, failed, found.back, found.unsent)
    return await _entered(visit, provider, user, found)


async def _entered(visit: Visit, provider: Provider, user: SignedIn, found: SignIn) -> Response:
    """Begin a session, if the gateway takes the user's token."""
    try:
        with key.using(user.token):
            await sign_in.admitted(visit)
    except Unauthenticated:
        problem = _(
            "You are signed in at {host}, but the suite does not take its tokens. Ask the operator"
            " of the suite.",
            host=provider.host,
        )
        return sign_in.form_page(visit, found.back, "", 401, found.unsent, trouble=problem)
    except SightlineError as error:
        problem = f"{title_of(error)}. {text_of(error)}"
        return sign_in.form_page(
            visit, found.back, "", status_of(error), found.unsent, trouble=problem
        )
    visit.enter(visit.console.sessions.begin(user.token, user.owner))
    return sign_in.entered(visit, found.back, found.unsent)


def _failed(
    visit: Visit, provider: Provider, failed: SignInFailed, back: str, unsent: Mapping[str, str]
) -> Response:
    """Return the page of the sign-in, with what failed and what to do; typed fields stay."""
    problem = f"{_text(failed.reason, provider.host)} ({failed.reason})"
    return sign_in.form_page(
        visit, back, "", _STATUS.get(failed.reason, 502), unsent, trouble=problem
    )


def _text(reason: str, host: str) -> str:
    match reason:
        case "PROVIDER_UNREACHABLE":
            return _("{host} can't be reached now. Try again in a moment.", host=host)
        case "PROVIDER_SLOW":
            return _("{host} takes too long to answer. Try again in a moment.", host=host)
        case "ACCESS_DENIED":
            return _("{host} did not let you in. Sign in there as someone else.", host=host)
        case "CODE_REJECTED" | "ID_TOKEN_INVALID" | "ISSUER_OTHER":
            return _("The answer of {host} is not one to this sign-in. Begin again.", host=host)
        case "CLIENT_REJECTED" | "PROVIDER_REFUSED":
            return _("{host} does not know this console. Ask the operator of the suite.", host=host)
    return _("{host} answers what can't be understood. Ask the operator of the suite.", host=host)


def _cookie(visit: Visit) -> str:
    """Return the name of the cookie that binds sign-ins to their browser."""
    return f"{visit.console.session_cookie}-away"
