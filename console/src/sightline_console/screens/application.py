"""The screens at their addresses."""

from os import PathLike, stat_result

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from sightline_client.cli.language import _
from sightline_console.pages.rendering import STATIC
from sightline_console.screens import (
    catalogs,
    changes,
    comparing,
    health,
    importing,
    model_comparing,
    models,
    pictures,
    provider,
    results,
    shelf,
    shopper,
    sign_in,
    synonyms,
    try_it,
    why,
)
from sightline_console.screens.visit import Console, Screen, Visit, served
from sightline_console.web.guard import LIVE, Guard, KnownHosts

SCREENS: tuple[tuple[str, str, Screen], ...] = (
    ("GET", try_it.PATH, try_it.show),
    ("POST", try_it.PATH, try_it.ask),
    ("GET", why.PATH, why.show),
    ("GET", results.PATH, results.show),
    ("GET", shopper.PATH, shopper.show),
    ("POST", shopper.PATH, shopper.act),
    ("GET", changes.PATH, models.show),
    ("GET", model_comparing.PATH, model_comparing.show),
    ("POST", model_comparing.PATH, model_comparing.ask),
    ("GET", changes.CHANGE, changes.show),
    ("POST", changes.CHANGE, changes.make),
    ("GET", health.PATH, health.show),
    ("GET", catalogs.PATH, catalogs.show),
    ("POST", catalogs.PATH, catalogs.choose),
    ("GET", shelf.PATH, shelf.show),
    ("POST", shelf.PATH, shelf.act),
    ("GET", synonyms.PATH, synonyms.show),
    ("POST", synonyms.PATH, synonyms.act),
    ("GET", comparing.PATH, comparing.show),
    ("POST", comparing.PATH, comparing.ask),
    ("GET", importing.PATH, importing.show),
    ("POST", importing.PATH, importing.act),
    ("GET", "/import/{task_id}", importing.follow),
    ("GET", "/import/{task_id}/rejected", importing.rejected),
    ("GET", "/sign-in", sign_in.show),
    ("POST", "/sign-in", sign_in.sign_in),
    ("GET", provider.BEGIN, sign_in.show),  # where the choice of a language leads
    ("POST", provider.BEGIN, provider.begin),
    ("GET", provider.CALLBACK, provider.callback),
    ("GET", provider.FINISH, provider.finish),
    ("POST", "/sign-out", sign_in.sign_out),
    ("POST", "/language", sign_in.choose_language),
    ("GET", "/photos/{image_id}", pictures.photo),
    ("GET", "/kept/{kind}/{file_id}", pictures.kept),
)
"""Method, path and screen. The menu of base.html.j2 names those that users open."""


def application(console: Console, hosts: KnownHosts) -> ASGIApp:
    """Return the ASGI application. `hosts`: those that requests may name."""
    routes = [
        Route(path, served(console, screen), methods=[method]) for method, path, screen in SCREENS
    ]
    made = Starlette(
        routes=[
            *routes,
            Route(LIVE, _live),
            Mount("/static", _Static(directory=STATIC)),
            Route("/{path:path}", served(console, _unknown), methods=["GET", "POST"]),
        ]
    )
    return Guard(made, hosts)


class _Static(StaticFiles):
    """Files of the package, which change with a release alone."""

    def file_response(
        self,
        full_path: str | PathLike[str],
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return a file."""
        made = super().file_response(full_path, stat_result, scope, status_code)
        made.headers["cache-control"] = "no-cache"  # asked for again, by its etag
        return made


async def _live(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _unknown(visit: Visit) -> Response:
    title, text = _("Not found"), _("The console has no page at this address.")
    return visit.page("problem", 404, title=title, reason="", text=text)
