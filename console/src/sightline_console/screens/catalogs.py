"""The screen "Catalogs", which chooses the catalog that all screens are about."""

from collections.abc import Sequence

from starlette.responses import Response

from sightline_client.cli.language import _
from sightline_client.errors import SightlineError
from sightline_client.values.catalogs import Catalog
from sightline_console.screens.sections import Section, section
from sightline_console.screens.visit import CATALOG, CATALOG_ID, Visit, of_catalog, text_of

PATH = "/catalogs"
HOME = "/"
_NO_IMAGE = "0" * 64


async def show(visit: Visit) -> Response:
    """Show the catalogs that the user's key may list."""
    return await _page(visit)


async def choose(visit: Visit) -> Response:
    """Continue with a catalog, if the gateway takes the user's calls for it."""
    chosen = (await visit.form()).fields.get("catalog", "").strip()
    if not CATALOG_ID.fullmatch(chosen):
        return await _page(visit, chosen, _("Type the id of a catalog: a-z, 0-9, _ and -."))
    try:
        await of_catalog(visit.client, chosen).get_image(_NO_IMAGE)
    except SightlineError as error:
        if error.reason.startswith("CATALOG_"):
            return await _page(visit, chosen, text_of(error))
        if error.reason not in ("IMAGE_NOT_FOUND", "ROLE_MISSING"):
            raise
    made = visit.go(HOME)
    made.set_cookie(
        CATALOG, chosen, httponly=True, samesite="strict", secure=visit.console.secure
    )  # it ends with the browser
    return made


async def _page(visit: Visit, typed: str = "", problem: str = "") -> Response:
    listed: Section[Sequence[Catalog]] = await section(visit.client.list_catalogs())
    problems = {"catalog": problem} if problem else {}
    return visit.page(
        "catalogs", 400 if problem else 200, listed=listed, typed=typed, problems=problems
    )
