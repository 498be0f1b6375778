"""What every command that asks the suite has: where, for which catalog, for how long, and how the
answer is shown."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message
from rich.console import RenderableType

from sightline_client.cli.base import options, running
from sightline_client.cli.base.option_groups import OptionGroup
from sightline_client.client import SightlineClient

T = TypeVar("T")


@dataclass(frozen=True)
class Suite(OptionGroup):
    """The options of one command."""

    target: options.Target = options.DEFAULT_TARGET
    catalog: options.Catalog = options.DEFAULT_CATALOG
    timeout: options.Timeout = 10.0
    json: options.Json = False

    def run(self, work: Callable[[SightlineClient], Awaitable[T]], *, keeps: bool = False) -> T:
        """The work's answer; see ``running.run``."""
        return running.run(
            work, target=self.target, catalog=self.catalog, timeout=self.timeout, keeps=keeps
        )

    def show(self, message: Message, for_people: Callable[[], RenderableType]) -> None:
        """Prints an answer as it was asked for."""
        if self.json:
            running.show_json(message)
        else:
            running.show(for_people())
