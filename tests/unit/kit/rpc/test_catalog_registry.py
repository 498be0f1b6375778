"""The list of catalogs in one process: as the retriever lends it."""

import pytest

from servicekit.admission.memory_budget import ByteBudget
from servicekit.catalogs.known import CatalogList
from servicekit.errors import Unavailable
from servicekit.rpc import hosting
from servicekit.rpc.catalog_registry import RemoteRegistry, registry_of
from servicekit.rpc.channel import connect
from servicekit.rpc.hosting import Host


class Lent:
    """A retriever with one list."""

    async def catalog_list(self, known_revision: str) -> CatalogList | None:
        return None if known_revision == "1" else CatalogList("1")


async def test_the_list_is_read_while_the_retriever_of_the_process_serves() -> None:
    host = Host()
    hosting.running.set(host)
    registry = registry_of("local:retriever", connect("local:retriever"))
    with pytest.raises(Unavailable):
        await registry.read("")
    host.lend("retriever", Lent(), ByteBudget(0))
    assert await registry.read("") == CatalogList("1")
    assert await registry.read("1") is None
    await host.withdraw("retriever")
    with pytest.raises(Unavailable):
        await registry.read("1")


async def test_a_retriever_elsewhere_is_asked_over_its_channel() -> None:
    async with connect("127.0.0.1:1") as channel:
        assert isinstance(registry_of("127.0.0.1:1", channel), RemoteRegistry)
