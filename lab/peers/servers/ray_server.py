"""Ray Serve: two replicas behind its HAProxy, its fastest front end."""

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response
from work import WORKERS, Work


@serve.deployment(
    num_replicas=WORKERS, max_ongoing_requests=32, ray_actor_options={"num_cpus": 0.5}
)
class Embedding:
    """A replica: processes one photo at a time in a thread, like the others."""

    def __init__(self) -> None:
        self.work = Work()
        self.pool = ThreadPoolExecutor(1)

    async def __call__(self, request: Request) -> Response:
        photo = await request.body()
        found = await asyncio.get_running_loop().run_in_executor(self.pool, self.work, photo)
        return Response(found)


if __name__ == "__main__":
    ray.init(
        num_cpus=2,
        _node_ip_address="127.0.0.1",  # nothing of it listens on the network
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
        object_store_memory=80 * 2**20,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Embedding.bind(), route_prefix="/embed")
    while True:
        time.sleep(3600)
