"""The commands `sightline-agents stdio` and `sightline-agents http`: they only wire."""

import asyncio
from functools import partial

from sightline_agents import measuring, serving
from sightline_agents.catalog import caller
from sightline_agents.catalog.photos import PhotoFolder
from sightline_agents.mcp.server import build
from sightline_agents.settings import Caller, Callers, Gateway, Listening, Offer
from sightline_client.cli.base.group import Commands

app = Commands(
    name="sightline-agents",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Serve a Sightline catalog to software agents, by the Model Context Protocol.",
)


@app.command()
def stdio(gateway: Gateway, only: Caller, offer: Offer) -> None:
    """Serve MCP on standard input and output, for an agent on this machine.

    All calls are those of the token that is given here.
    """
    connect = gateway.connecting(only.said())

    async def serve() -> None:
        async with connect() as client:
            server = build(client, PhotoFolder(offer.photos), writes=offer.writes)
            await server.run_stdio_async()

    asyncio.run(serve())


@app.command()
def http(listening: Listening, gateway: Gateway, callers: Callers, offer: Offer) -> None:
    """Serve MCP by streamable HTTP at /mcp.

    Each request is a call of the token in its header Authorization. --anonymous-token-file names
    one for requests without.
    """
    listening.check()
    connect = gateway.connecting(callers.token())
    measuring.expose(listening.host, listening.metrics_port)

    async def serve() -> None:
        async with connect() as client:
            server = build(client, PhotoFolder(offer.photos), writes=offer.writes)
            admit = partial(caller.admit, client)
            address, names = listening.public_address, listening.name or ()
            made = serving.application(server, address, names, admit=admit)
            await serving.serve(made, listening.host, listening.port)

    asyncio.run(serve())
