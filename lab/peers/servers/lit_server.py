"""LitServe: two workers, raw bytes in and out, its fast queue; no batches, which were slower."""

import sys
from typing import Annotated, Any

import litserve
from fastapi import Body
from starlette.responses import Response
from work import WORKERS, Work


class Embedding(litserve.LitAPI):
    """The service: workers decode and embed; the server's own process only forwards bytes."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load the model. `device` is the processor, used with one thread."""
        self.work = Work()

    def decode_request(self, request: Annotated[bytes, Body()]) -> bytes:
        return request

    def predict(self, photo: bytes) -> bytes:
        return self.work(photo)

    def encode_response(self, output: Any) -> Response:
        return Response(output)


if __name__ == "__main__":
    server = litserve.LitServer(
        Embedding(api_path="/embed"),
        accelerator="cpu",
        workers_per_device=WORKERS,
        timeout=60,
        fast_queue=True,
    )
    server.run(
        port=int(sys.argv[1]),
        host="127.0.0.1",
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
