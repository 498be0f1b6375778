"""Every call and stream over a channel without pings has a deadline, which alone notices a peer
that hangs. The channel refuses others when they are made (kit, rpc/channel.py); this finds them
before."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import ranker.adapters.retriever
import ranker.wiring.backend
import retriever.adapters.embedder
import servicekit.catalogs.removal

ROOT = Path(__file__).parents[2]
MAKE = {retriever.adapters.embedder, ranker.wiring.backend}
"""Modules that make channels without pings."""
USE = [retriever.adapters.embedder, ranker.adapters.retriever, servicekit.catalogs.removal]
"""Modules that call over them."""
PINGED = {retriever.adapters.embedder: {"_spaces"}}
"""Stubs of these modules on channels with pings: fits take any time."""


def calls(module: ModuleType) -> Iterator[tuple[str, str, bool]]:
    """Yield attribute of the stub, method, and whether the call has a timeout."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            stub, method = node.func.value, node.func.attr
            if (
                isinstance(stub, ast.Attribute)
                and stub.attr.startswith("_")
                and method[0].isupper()
            ):
                yield stub.attr, method, any(each.arg == "timeout" for each in node.keywords)


def test_the_channels_without_pings_are_known() -> None:
    found = {
        path
        for part in ("kit", "services")
        for path in (ROOT / part).glob("**/src/**/*.py")
        if "patient=True" in path.read_text()
    }
    assert {str(each) for each in found} == {inspect.getsourcefile(each) for each in MAKE}


@pytest.mark.parametrize("module", USE)
def test_calls_over_a_channel_without_pings_have_deadlines(module: ModuleType) -> None:
    pinged, found = PINGED.get(module, set()), list(calls(module))
    assert found
    assert [each for each in found if each[0] not in pinged and not each[2]] == []
    assert pinged <= {stub for stub, _, _ in found}


def test_stubs_without_deadlines_are_on_a_channel_with_pings() -> None:
    source = inspect.getsource(retriever.adapters.embedder.EmbedderClient.__init__)
    (made,) = [line for line in source.splitlines() if "self._fits = " in line]
    assert "connect(" in made
    assert "patient" not in made
    for stub in PINGED[retriever.adapters.embedder]:
        (made,) = [line for line in source.splitlines() if f"self.{stub} = " in line]
        assert "Stub(self._fits)" in made
