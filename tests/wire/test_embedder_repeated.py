"""Each call to the embedder that is declared idempotent has one effect when it is made again."""

from pathlib import Path
from typing import Any

import pytest

from embedder.servicer.spaces import SpaceServicer
from embedder.settings import EmbedderSettings
from tests.fakes.gateway_rest import scripted
from tests.unit.embedder.spaces.test_promote import Service, fitted, service
from tests.wire.cancelled_calls import Offered, filled
from tests.wire.repeated_calls import methods

__all__ = ["fitted", "service"]

pytestmark = [pytest.mark.slow, pytest.mark.full]
ORDER = (
    "AdminService/PromoteSpace",
    "AdminService/RetireSpace",
)
STREAM = {"SpaceService/FitSpace"}
"""Has a stream of photos: tests/unit/embedder/spaces/test_learn.py cancels it."""


def files(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def offered(service: Service) -> Offered:
    """Return the calls of an embedder that keep something."""
    spaces = SpaceServicer(None, service.promotion, ("default",))  # type: ignore[arg-type]
    found = Offered(scripted("embedder", (spaces,)), EmbedderSettings(port=0))
    for name in STREAM:
        del found.methods[name]
    return found


def given(service: Service) -> dict[str, dict[str, Any]]:
    """Return the fields of the calls."""
    version, _ = service.only()
    return {
        "AdminService/PromoteSpace": {"version": version.version},
        "AdminService/RetireSpace": {"version": version.version},
    }


def test_every_call_that_is_made_again_is_made_twice() -> None:
    assert methods("embedder").keys() == set(ORDER)


async def test_a_call_that_is_made_again_has_one_effect(
    offered: Offered, service: Service, tmp_path: Path
) -> None:
    for name in ORDER:
        request = filled(offered.methods[name], {}, given(service).get(name, {}))
        first = await offered.answer(name, request)
        after = files(tmp_path)
        assert not first.split(":")[0].isupper(), f"{name}: {first}"
        assert await offered.answer(name, request) == first, name
        assert files(tmp_path) == after, name
