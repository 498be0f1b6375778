"""The commands `sightline-agents stdio` and `sightline-agents http`: they only wire."""

import asyncio

from sightline_agents import serving
from sightline_agents.catalog import caller
from sightline_agents.catalog.photos import PhotoFolder
from sightline_agents.mcp.server import build
from sightline_agents.settings import Caller, Gateway, Listening, Offer
from sightline_agents.ucp import application
from sightline_client.cli.base.group import Commands

app = Commands(
    name="sightline-agents",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Serve a Sightline catalog to software agents, by MCP and UCP.",
)


@app.command()
def stdio(gateway: Gateway, caller: Caller, offer: Offer) -> None:
    """Serve MCP on standard input and output, for an agent on this machine.

    All calls are those of the token that is given here.
    """
    connect = gateway.connecting(caller.said())

    async def serve() -> None:
        async with connect() as client:
            server = build(client, PhotoFolder(offer.photos), writes=offer.writes)
            await server.run_stdio_async()

    asyncio.run(serve())


@app.command()
def http(listening: Listening, gateway: Gateway, offer: Offer) -> None:
    """Serve MCP by streamable HTTP at /mcp, and UCP at /.well-known/ucp and /ucp.

    It holds no token: each request is a call of the token in its header Authorization.
    """
    listening.check()
    connect, shop = gateway.connecting(caller.current), listening.public_address

    async def serve() -> None:
        async with connect() as client:
            server = build(client, PhotoFolder(offer.photos), writes=offer.writes)
            routes = [] if shop is None else application.routes(client, shop)
            made = serving.application(server, routes, None if shop is None else shop.address)
            await serving.serve(made, listening.host, listening.port)

    asyncio.run(serve())
