"""All services in one process, beside those of the suite: on the same record, engines and model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from examples.wines.local import free_port_base
from local_suite.model import HOST
from local_suite.programs import ALL, PORTS, sightline
from local_suite.suite import Suite
from sightline_client import SightlineClient
from tests.live.apart.conftest import CATALOGS
from tests.live.conftest import until_serving
from tests.live.parity import WINES, answers, differences, replay
from tests.waiting import SECONDS

pytestmark = pytest.mark.full

COUNT = 64
"""Requests for recommendations, and as many others; `make full` sends 1,000, to suites that follow
one another."""


@contextmanager
def one_process(suite: Suite, folder: Path) -> Iterator[str]:
    """Run the four services in one process during the block. Yield its gateway's address."""
    base = free_port_base()
    programs = sightline(suite.layout.data, base, CATALOGS, target=ALL)
    (program,) = [each for each in programs if each.name == ALL]
    given = dict(program.environment)
    for engine in ("triton", "milvus"):
        own = f"{HOST}:{base + PORTS[engine]['grpc']}"
        there = suite.addresses()[engine]
        given = {name: value.replace(own, there) for name, value in given.items()}
    given |= {
        "GATEWAY_SNAPSHOTS": str(folder / "snapshots"),
        "EMBEDDER_CATALOGS_FILE": str(folder / "embedder.json"),
        "RANKER_CATALOGS_FILE": str(folder / "ranker.json"),
    }
    with Suite(folder / "one", [replace(program, environment=given)]) as started:
        yield started.addresses()["gateway"]


@pytest.mark.usefixtures("shop_is_open")
async def test_one_process_answers_as_four_do(suite: Suite, gateway: str, tmp_path: Path) -> None:
    with one_process(suite, tmp_path) as one:
        async with (
            SightlineClient(gateway, timeout=SECONDS) as client,
            SightlineClient(one, timeout=SECONDS) as beside,
        ):
            version = (await client.status()).model_version
            assert version
            await until_serving(beside, version)
        expected, found = await answers(gateway, COUNT), await answers(one, COUNT)
    assert len(expected) > 2 * COUNT
    assert list(differences(found, expected)) == []


@pytest.mark.usefixtures("shop_is_open")
async def test_the_record_of_one_process_is_replayed_by_four_services(
    suite: Suite, gateway: str, tmp_path: Path
) -> None:
    with one_process(suite, tmp_path) as one:
        async with (
            SightlineClient(gateway, timeout=SECONDS) as client,
            SightlineClient(one, timeout=SECONDS) as beside,
        ):
            answer = await beside.recommend(products=WINES[0].id, user="ann", page_size=10)
            mine, theirs = [
                await replay(each, answer.attribution_token) for each in (beside, client)
            ]
    assert mine["equal"]
    assert [each["recorded"]["product_id"] for each in mine["places"][:10]] == [
        each.product.product_id for each in answer.results
    ]
    assert list(differences(theirs, mine)) == []
