"""A service of several processes that answers with its process id: `python -m
tests.fakes.kit_processes`.

Its settings come from SHOP_…; with SHOP_BROKEN its processes end at once, and SHOP_SOON is how soon
after its start that is.
"""

import asyncio
import os
import sys
from typing import Any

import grpc
from prometheus_client import Counter, Gauge
from pydantic_settings import SettingsConfigDict

from servicekit import config, telemetry
from servicekit.config import SharedServerSettings
from servicekit.processes import process_group
from servicekit.rpc import server

NAME = "test.Till"
SOLD = Counter("test_sold", "Calls of all processes.")
OPEN = Gauge("test_open", "Processes that are up.", multiprocess_mode="livesum")


class TillSettings(SharedServerSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_")


async def who(request: bytes, _context: Any) -> bytes:
    """Return the process's id, after the seconds in the request."""
    SOLD.inc()
    await asyncio.sleep(float(request or 0))
    return str(os.getpid()).encode()


def _add(_servicer: object, to: Any) -> None:
    handlers = {"Who": grpc.unary_unary_rpc_method_handler(who)}
    to.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))


async def main(settings: TillSettings) -> None:
    OPEN.set(1)
    await server.serve([server.Binding(_add, None, NAME)], settings, service="shop")


if __name__ == "__main__":
    if os.environ.get("SHOP_BROKEN") and os.environ.get("SIGHTLINE_PROCESS"):
        sys.exit(7)
    process_group.SOON = float(os.environ.get("SHOP_SOON", process_group.SOON))
    chosen = config.load(TillSettings)
    telemetry.configure_logging("shop", chosen.log_level)
    server.run(main(chosen), chosen)
