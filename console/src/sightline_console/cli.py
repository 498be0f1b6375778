"""The command `sightline-console`: it only wires."""

import asyncio

from sightline_client.cli.base.group import Commands
from sightline_console import serving
from sightline_console.pages.rendering import Pages
from sightline_console.screens import application
from sightline_console.screens.visit import Console
from sightline_console.settings import Gateway, Listening, SigningIn
from sightline_console.web import key, oidc
from sightline_console.web.guard import known_hosts

app = Commands(
    name="sightline-console",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Serve the web console of a Sightline suite.",
)


@app.command()
def serve(listening: Listening, gateway: Gateway, signing_in: SigningIn) -> None:
    """Serve the console until Ctrl-C or SIGTERM.

    It calls the gateway with the key or token that each user signs in with, and has no rights
    of its own.
    """
    listening.check()
    registration = signing_in.registration(listening.address)
    connect = gateway.connecting(key.current)

    async def serve() -> None:
        async with connect() as client, oidc.opened(registration) as provider:
            console = Console(
                client,
                Pages(gateway.http_address),
                cookie=f"sightline-console-{listening.port}",
                secure=listening.public_address is not None,
                provider=provider,
            )
            hosts = known_hosts(listening.public_address, listening.name or ())
            made = application.application(console, hosts)
            await serving.serve(made, listening.host, listening.port)

    asyncio.run(serve())
