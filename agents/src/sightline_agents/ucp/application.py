"""Addresses of UCP: the profile, the extension's schema, the operations, and photos."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sightline_agents.catalog import caller
from sightline_agents.catalog.photos import PhotoInvalid
from sightline_agents.ucp import profile
from sightline_agents.ucp.catalog import Answer, Catalog, RequestRejected
from sightline_agents.ucp.problems import of_error, problem
from sightline_agents.ucp.requests import LookupRequest, ProductRequest, Request, SearchRequest
from sightline_client import SightlineClient
from sightline_client.errors import SightlineError

R = TypeVar("R", bound=Request)
Endpoint = Callable[[HttpRequest], Awaitable[Response]]
_CACHED = {"cache-control": "public, max-age=300"}
_AGENT = re.compile(r'(?:^|[,;\s])profile="https://[^"\s]{1,2000}"')
"""The platform's profile in the header UCP-Agent, a dictionary of RFC 8941."""
_IMAGE = {"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif", "image/bmp"}
"""Types of photos that are served as themselves."""


def routes(client: SightlineClient, shop: profile.Shop) -> list[BaseRoute]:
    """Return the addresses of a shop."""
    catalog = Catalog(client, shop)
    extension = [] if shop.extension is None else [Route(profile.SCHEMA, _page(shop.schema()))]
    return [
        *extension,
        Route("/.well-known/ucp", _page(shop.profile())),
        Route("/ucp/catalog/search", _operation(SearchRequest, catalog.search), methods=["POST"]),
        Route("/ucp/catalog/lookup", _operation(LookupRequest, catalog.lookup), methods=["POST"]),
        Route(
            "/ucp/catalog/product", _operation(ProductRequest, catalog.product), methods=["POST"]
        ),
        Route("/ucp/photos/{image_id}", _photo(client)),
    ]


def _page(content: dict[str, Any]) -> Endpoint:
    async def page(_: HttpRequest) -> Response:
        return JSONResponse(content, headers=_CACHED)

    return page


def _operation(kind: type[R], answer: Callable[[R], Awaitable[Answer]]) -> Endpoint:
    async def endpoint(request: HttpRequest) -> Response:
        if not _AGENT.search(request.headers.get("ucp-agent", "")):
            return problem(
                400, "invalid_profile_url", 'UCP-Agent: write profile="https://…", your profile'
            )
        try:
            asked = kind.model_validate_json(await request.body())
        except ValidationError as error:
            return problem(400, "invalid_request", _invalid(error))
        return JSONResponse(await answer(asked))

    return _guarded(endpoint)


def _photo(client: SightlineClient) -> Endpoint:
    async def endpoint(request: HttpRequest) -> Response:
        image = await client.get_image(request.path_params["image_id"])
        kind = image.media_type if image.media_type in _IMAGE else "application/octet-stream"
        headers = {"x-content-type-options": "nosniff", "cache-control": "private, max-age=3600"}
        return Response(image.content, media_type=kind, headers=headers)

    return _guarded(endpoint)


def _guarded(endpoint: Endpoint) -> Endpoint:
    """Name the caller to the gateway, and answer errors in the protocol's form."""

    async def answered(request: HttpRequest) -> Response:
        try:
            with caller.named(request.headers.get("authorization")):
                return await endpoint(request)
        except caller.AuthorizationInvalid as error:
            return problem(401, "token_invalid", str(error))
        except RequestRejected as error:
            return problem(400, error.code, error.content)
        except PhotoInvalid as error:
            return problem(400, "photo_invalid", str(error))
        except SightlineError as error:
            return of_error(error)

    return answered


def _invalid(error: ValidationError) -> str:
    """Return the first invalid members, without their values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in found[:5]
    )
