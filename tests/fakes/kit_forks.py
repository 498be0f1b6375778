"""A service that starts programs continuously: `python -m tests.fakes.kit_forks PORT`."""

import asyncio
import sys

from servicekit.config import ServerSettings
from servicekit.rpc import server
from tests.fakes.kit_echo import Echo, binding


async def start_programs() -> None:
    while True:
        program = await asyncio.create_subprocess_exec("true")
        await program.wait()


async def main(settings: ServerSettings) -> None:
    starting = asyncio.create_task(start_programs())
    await server.serve([binding(Echo())], settings, service="forks")
    starting.cancel()


if __name__ == "__main__":
    server.run(main(ServerSettings(port=int(sys.argv[1]))))
