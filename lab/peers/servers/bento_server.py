"""BentoML: its HTTP server and two workers of a raw ASGI route, its fastest front end.

Each worker processes one photo at a time in a thread, and its event loop continues to read
meanwhile.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from work import WORKERS, Work

pool = ThreadPoolExecutor(1)
work: list[Work] = []


async def embed(request: Request) -> Response:
    """Return the vector of a posted photo file."""
    photo = await request.body()
    if not work:
        work.append(Work())
    return Response(await asyncio.get_running_loop().run_in_executor(pool, work[0], photo))


app = Starlette(routes=[Route("/embed", embed, methods=["POST"])])


@bentoml.service(workers=WORKERS, traffic={"timeout": 60})
@bentoml.asgi_app(app)
class Embedding:
    """The service, which consists of the route."""
