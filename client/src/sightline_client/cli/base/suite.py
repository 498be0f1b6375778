"""Options of all commands that call the suite: target, catalog, deadline and output."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import Message
from grpc.aio import UnaryUnaryMultiCallable
from rich.console import RenderableType

from sightline_client.cli.base import access_token, certificates, options, running
from sightline_client.cli.base.option_groups import OptionGroup
from sightline_client.client import SightlineClient
from sightline_client.transport.calls import Calls

T = TypeVar("T")
Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


@dataclass(frozen=True)
class Suite(OptionGroup):
    """The options of one command."""

    target: options.Target = options.DEFAULT_TARGET
    token: options.Token = field(default=None, repr=False)
    token_file: options.TokenFile = None
    tls: options.Tls = False
    ca: options.Ca = None
    cert: options.Cert = None
    key: options.Key = None
    catalog: options.Catalog = options.DEFAULT_CATALOG
    timeout: options.Timeout = 10.0
    json: options.Json = False

    def run(self, work: Callable[[SightlineClient], Awaitable[T]], *, keeps: bool = False) -> T:
        """Run work with a client and return its answer; for errors see ``running.guarded``."""
        token = access_token.of(self.token, self.token_file)
        credentials = certificates.of(self.ca, self.cert, self.key, wanted=self.tls)

        async def connected() -> T:
            connection = SightlineClient(
                self.target,
                catalog=self.catalog,
                timeout=self.timeout,
                token=token,
                credentials=credentials,
            )
            async with connection as client:
                return await work(client)

        return running.guarded(lambda: asyncio.run(connected()), keeps=keeps)

    def answer(
        self,
        work: Callable[[SightlineClient], Awaitable[T]],
        for_people: Callable[[T], RenderableType],
    ) -> T:
        """Print the answer of the first call, as a table or as JSON, and return it. Further calls
        fetch what the table needs."""
        messages: list[Message] = []

        async def ask(client: SightlineClient) -> T:
            client.calls.report = messages.append
            return await work(client)

        value = self.run(ask)
        self.show(messages[0], lambda: for_people(value))
        return value

    def call(
        self,
        method: Callable[[Calls], UnaryUnaryMultiCallable[Q, A]],
        request: Q,
        for_people: Callable[[A], RenderableType],
    ) -> None:
        """Do the same for a call that the client lacks, such as one that reads a single page."""
        self.answer(
            lambda client: client.calls(method(client.calls), request, self.timeout), for_people
        )

    def show(self, message: Message, for_people: Callable[[], RenderableType]) -> None:
        """Print an answer as a table or as JSON."""
        if self.json:
            running.show_json(message)
        else:
            running.show(for_people())


QUICK = Suite(timeout=5.0)
"""Options of a command that makes one small call."""
PATIENT = Suite(timeout=30.0)
"""Options of a command that changes many products or events."""
LONG = Suite(timeout=60.0)
"""Options of a command that sends large batches."""
