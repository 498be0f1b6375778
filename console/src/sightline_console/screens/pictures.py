"""Photos of the catalog, and files that a session keeps, as pictures of pages."""

import re

from starlette.responses import PlainTextResponse, Response

from sightline_client.cli.show.page import media_type
from sightline_console.screens.visit import Visit

_KIND = re.compile(r"image/(jpeg|png|gif|webp|avif|heic|tiff|bmp)")
"""Types that are served; none of them can hold a script."""
_ALONE = {"content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox"}


async def photo(visit: Visit) -> Response:
    """Send a photo of the catalog, which never changes under its id."""
    found = await visit.client.get_image(visit.request.path_params["image_id"])
    kind = found.media_type or media_type(found.content)
    return _picture(found.content, kind, "private, max-age=86400, immutable")


async def kept(visit: Visit) -> Response:
    """Send a file that the session keeps."""
    content = visit.kept(visit.request.path_params["kind"], visit.request.path_params["file_id"])
    if content is None:
        return PlainTextResponse("not kept any more\n", 404)
    return _picture(content, media_type(content), "private, max-age=3600")


def _picture(content: bytes, kind: str, cache: str) -> Response:
    kind = kind if _KIND.fullmatch(kind) else "application/octet-stream"
    return Response(content, 200, {**_ALONE, "cache-control": cache}, kind)
