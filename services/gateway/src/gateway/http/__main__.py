"""Start of the HTTP face: `python -m gateway.http`."""

import asyncio
import signal

from gateway.http.serving import SERVICE, certificates_of, serve
from gateway.http.settings import HttpSettings
from servicekit import hosting, server, startup, telemetry

CHECKS = (certificates_of,)
"""Readers of the files that settings name, called at the start."""


async def main(settings: HttpSettings) -> None:
    """Serve until asked to stop."""
    host = hosting.running.get()
    stop = asyncio.Event() if host is None else host.end_of(SERVICE)
    if host is None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop.wait)


def start() -> None:
    """Run the command `python -m gateway.http`."""
    settings = startup.load(HttpSettings, *CHECKS)
    telemetry.configure_logging(SERVICE, settings.log_level)
    server.run(main(settings))


if __name__ == "__main__":
    start()
