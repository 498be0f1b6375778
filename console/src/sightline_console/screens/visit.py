"""A request of a browser, with all that a screen needs to answer it."""

import asyncio
import copy
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import grpc
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sightline_client import SightlineClient
from sightline_client.cli import language
from sightline_client.cli.language import _
from sightline_client.errors import Failure, SightlineError, Unauthenticated, make
from sightline_console.pages.rendering import Pages
from sightline_console.screens.product_files import Progress
from sightline_console.web import forms, key
from sightline_console.web.addresses import address, own
from sightline_console.web.away import SignIns
from sightline_console.web.oidc import Provider
from sightline_console.web.packed import Packed
from sightline_console.web.sessions import SIGNED_IN, Session, Sessions, new_id
from sightline_console.web.tasks import Tasks

LANGUAGE = "sightline-console-language"
"""Cookie of the language that the user chose."""
CATALOG = "sightline-console-catalog"
"""Cookie of the catalog that the user chose."""
CATALOG_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "中文"}
SIGN_IN = "/sign-in"
SHOPPER_FORBIDDEN = "SHOPPER_FORBIDDEN"
READ_AT_ONCE = 2
CALLS_OF_PAGE = 2
"""Calls, each as slow as may be, after which a page is not waited for any longer."""
_SECRET = ("csrf", "key")
"""Fields of forms that no page shows again."""
_PERSONAL = ("shopper", "kind")
"""Fields that are not taken from addresses, which are logged."""
_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""HTTP status of each gRPC code; 500 for the others."""


@dataclass(frozen=True)
class Console:
    """Objects that all screens share."""

    client: SightlineClient
    pages: Pages
    cookie: str = "sightline-console"
    """Name of the cookie with the session's id, without a prefix."""
    secure: bool = False
    """True if browsers send cookies by TLS alone."""
    sessions: Sessions = field(default_factory=Sessions)
    provider: Provider | None = None
    """The identity provider at which users sign in; None: they paste a key."""
    away: SignIns = field(default_factory=SignIns)
    uploads: forms.Uploads = field(default_factory=forms.Uploads)
    photo_uploads: forms.Uploads = field(
        default_factory=lambda: forms.Uploads(forms.PHOTOS_AT_ONCE)
    )
    imports: Tasks[Progress] = field(default_factory=Tasks)
    reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READ_AT_ONCE))
    """For files of products, which take memory and a processor while they are read."""

    @property
    def session_cookie(self) -> str:
        """Name of the cookie with the session's id. With the prefix, no other host can set it."""
        return f"{'__Host-' if self.secure else ''}{self.cookie}"

    @property
    def forms_cookie(self) -> str:
        """Name of the cookie that binds forms to a browser without a session. It is another: the
        session's may exist where a request comes without it, from a link of another site."""
        return f"{self.session_cookie}-forms"


class Visit:
    """A request, its session, and the answers to it."""

    def __init__(self, console: Console, request: Request) -> None:
        self.console, self.request = console, request
        self.client = of_catalog(console.client, request.cookies.get(CATALOG, ""))
        came = request.cookies.get(console.session_cookie)
        self.session_id = came or request.cookies.get(console.forms_cookie) or new_id()
        self.session: Session | None = console.sessions.find(self.session_id)
        self.sent: dict[str, str] = {}
        """Typed fields, to be sent again if they were not taken; empty: that is no form."""
        self.limit = asyncio.timeout(None)
        """Ends the wait for a page."""
        self.marks = not self._linked
        """False: the answer leaves the cookie of the session as it is."""
        chosen = request.cookies.get(LANGUAGE, "")
        accepted = request.headers.get("accept-language", "")
        self.language = chosen if chosen in LANGUAGES else language.preferred(accepted)

    @property
    def _linked(self) -> bool:
        """True if another site led here: browsers then keep the cookies, which may exist."""
        came = self.request.cookies.get(self.console.session_cookie)
        return not came and self.request.headers.get("sec-fetch-site") == "cross-site"

    @property
    def here(self) -> str:
        """Address of the page, with its query."""
        return own(address(self.request.url.path, self.request.query_params.multi_items()))

    @property
    def _owner(self) -> str:
        """Whose forms are taken: those of pages of this browser, about the catalog in use."""
        return f"{self.session_id} {self.client.catalog}"

    @property
    def user(self) -> str:
        """The owner of the session, else the address of their machine: whose uploads are counted
        together."""
        client = self.request.client
        mine = self.session.owner if self.session else ""
        return mine or (client.host if client else "")

    async def form(
        self, most: int = forms.SMALL, *, seconds: float = forms.SECONDS, most_files: int = 1
    ) -> forms.Form:
        """Return a form that one of the console's pages sent. Raises FormRejected."""
        found = await forms.read(self.request, most, seconds, most_files=most_files)
        if not any(found.files.values()):
            self.sent = {name: each for name, each in found.fields.items() if name not in _SECRET}
        if not self.console.sessions.is_csrf(self._owner, found.fields.get("csrf", "")):
            text = _(
                "This page was open for too long, or it is of another catalog. What you send now"
                " is for the catalog {catalog}.",
                catalog=self.client.catalog,
            )
            raise forms.FormRejected(403, text)
        if most <= forms.TEXTS:
            self.wait()
        return found

    def wait(self, *, more: float = 0) -> None:
        """Wait for the page's calls from now on. `more`: seconds beside those of usual calls."""
        seconds = CALLS_OF_PAGE * self.client.timeout + more
        self.limit.reschedule(asyncio.get_running_loop().time() + seconds)

    def enter(self, session: Session) -> None:
        """Continue with a new session."""
        self.console.sessions.end(self.session_id)
        self.session, self.session_id = session, session.session_id

    def leave(self) -> None:
        """End the session. The browser's id stays, for the forms of its other pages."""
        self.console.sessions.end(self.session_id)
        self.session = None

    def lead(self, where: str) -> Response:
        """Return a page without anything of a session, which leads on to another as a page of the
        console's own: the cookies come with that."""
        self.marks = False
        return self.page("returning", to=own(where))

    def keep(self, kind: str, content: bytes) -> str:
        """Keep a file for the session, which begins if there is none. Return the file's id."""
        return self.console.sessions.keep(self._begun(), kind, content)

    def keep_packed(self, packed: Packed) -> str:
        """Keep photos for the session, which begins if there is none. Return their id."""
        return self.console.sessions.keep_packed(self._begun(), packed)

    def _begun(self) -> Session:
        session = self.session or self.console.sessions.begin()
        if self.session is None:
            self.enter(session)
        return session

    def kept(self, kind: str, file_id: str) -> bytes | None:
        """Return a file of the session; None: it is not kept, or not any more."""
        return self.console.sessions.kept(self.session, kind, file_id)

    def all_kept(self, kind: str) -> list[bytes]:
        """Return the session's files of a kind, oldest first."""
        return self.console.sessions.all_kept(self.session, kind)

    def packed(self, file_id: str) -> Packed | None:
        """Return photos of the session; None: they are not kept, or not any more."""
        return self.console.sessions.packed(self.session, file_id)

    def page(self, template: str, status: int = 200, **values: object) -> Response:
        """Return a page."""
        known = {
            "language": self.language,
            "languages": LANGUAGES,
            "csrf": self.console.sessions.csrf(self._owner),
            "here": self.here,
            "path": self.request.url.path,
            "signed_in": self.session is not None and bool(self.session.key),
            "catalog": self.client.catalog,
            "provider": self.console.provider.host if self.console.provider else "",
            "sent": self.sent,
        }
        return HTMLResponse(self.console.pages.render(template, **{**known, **values}), status)

    def go(self, where: str) -> Response:
        """Lead to another page of the console."""
        return RedirectResponse(own(where), 303)

    def problem(self, error: SightlineError) -> Response:
        """Return a page about a failed call."""
        status = status_of(error)
        wait = error.retry_after and math.ceil(error.retry_after.total_seconds())
        made = self.page(
            "problem", status, title=title_of(error), reason=reason_of(error), text=text_of(error)
        )
        if wait:
            made.headers["retry-after"] = str(wait)
        return made


def of_catalog(client: SightlineClient, catalog: str) -> SightlineClient:
    """Return the client for another catalog, over the same connections. An id that no catalog has
    is left out; the gateway says which ones the user may read."""
    if not CATALOG_ID.fullmatch(catalog) or catalog == client.catalog:
        return client
    made = copy.copy(client)
    made.catalog = catalog
    return made


_SLOW = make(Failure(grpc.StatusCode.DEADLINE_EXCEEDED, ""))

Screen = Callable[[Visit], Awaitable[Response]]
"""Answers a request."""


def served(console: Console, screen: Screen) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that answers by a screen, in the user's language and with their key."""

    async def answer(request: Request) -> Response:
        visit = Visit(console, request)
        own_key = (visit.session and visit.session.key) or None
        with language.speaking(visit.language), key.using(own_key):
            made = await _answered(visit, screen)
        if visit.marks:
            _mark(made, visit)
        return made

    return answer


async def _answered(visit: Visit, screen: Screen) -> Response:
    given = visit.request.query_params.multi_items()
    if visit.request.method == "GET" and any(name == _PERSONAL[0] for name, _value in given):
        kept = [(name, value) for name, value in given if name not in _PERSONAL]
        return visit.go(address(visit.request.url.path, kept))
    if not visit.marks and visit.request.headers.get("sec-fetch-mode") == "navigate":
        return visit.lead(visit.here)
    try:
        async with visit.limit:
            if visit.request.method == "GET":
                visit.wait()
            return await screen(visit)
    except TimeoutError:
        return visit.problem(_SLOW)
    except Unauthenticated:
        ended = visit.session_id.startswith(SIGNED_IN)
        visit.leave()
        if visit.sent:
            back = visit.request.url.path
            return visit.page(
                "sign_in", 401, back=back, problem="", trouble="", ended=ended, unsent=visit.sent
            )
        back = visit.here if visit.request.method == "GET" else visit.request.url.path
        return visit.go(address(SIGN_IN, [("next", back), ("ended", "1" if ended else "")]))
    except SightlineError as error:
        return visit.problem(error)
    except forms.FormRejected as error:
        title = _("The form was not taken")
        return visit.page("problem", error.status, title=title, reason="", text=str(error))


def _mark(answer: Response, visit: Visit) -> None:
    """Set the browser's id in a cookie that scripts and other pages can't use."""
    console, came = visit.console, visit.request.cookies
    if visit.session_id in (came.get(console.session_cookie), came.get(console.forms_cookie)):
        return
    name = console.session_cookie if visit.session else console.forms_cookie
    answer.set_cookie(
        name, visit.session_id, httponly=True, samesite="strict", secure=console.secure
    )
    if not visit.session and console.session_cookie in came:
        answer.delete_cookie(
            console.session_cookie, httponly=True, samesite="strict", secure=console.secure
        )


def status_of(error: SightlineError) -> int:
    """Return the HTTP status for a failed call."""
    return _STATUS.get(error.code, 500)


def title_of(error: SightlineError) -> str:
    """Say what a failed call means for the user."""
    match error.code:
        case grpc.StatusCode.UNAVAILABLE:
            return _("The suite can't be reached now")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return _("The suite takes too long")
        case grpc.StatusCode.PERMISSION_DENIED:
            return _("Your key does not allow this")
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return _("Too much at once")
        case grpc.StatusCode.NOT_FOUND:
            return _("Not found")
        case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.FAILED_PRECONDITION:
            return _("The request was rejected")
    return _("The suite has a fault")


def reason_of(error: SightlineError) -> str:
    """Return the reason of an error, else the name of its code."""
    return error.reason or error.code.name


def text_of(error: SightlineError) -> str:
    """Return what is wrong, with the invalid fields; without the gateway's address."""
    if error.reason == "GATEWAY_UNREACHABLE":
        return _("No gateway answers the console. Try again in a moment.")
    if error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return _("It has not answered in time: try again in a moment.")
    if error.reason == SHOPPER_FORBIDDEN:
        return _(
            "Your key may not name this shopper: leave the field empty, or ask an operator for a"
            " key with the role read, for all shoppers."
        )
    fields = [f"{each.field}: {each.description}" for each in error.violations]
    return "; ".join(fields) or error.message
