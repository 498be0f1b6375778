"""Start of the HTTP face: `python -m gateway.http`."""

from gateway.http.serving import SERVICE, serve
from gateway.http.settings import HttpSettings
from gateway.http.tls import CallersTls
from servicekit import startup, telemetry
from servicekit.rpc import server

CHECKS = (CallersTls.of,)
"""Readers of the files that settings name, called at the start."""


async def main(settings: HttpSettings) -> None:
    """Serve until asked to stop."""
    await serve(settings, server.asked_to_end(SERVICE).wait)


def start() -> None:
    """Run the command `python -m gateway.http`."""
    settings = startup.load(HttpSettings, *CHECKS)
    telemetry.configure_logging(SERVICE, settings.log_level)
    server.run(main(settings))


if __name__ == "__main__":
    start()
