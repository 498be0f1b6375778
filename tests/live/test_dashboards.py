"""Every panel, rule and alert asks for something that a running suite has, by a real Prometheus."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.error import URLError

import pytest
import pytest_asyncio

from local_suite.suite import Suite
from sightline_client import (
    Event,
    EventType,
    NotFound,
    Recommendations,
    SightlineClient,
)
from tests import monitoring
from tests.engines import ROOT
from tests.live import hands
from tests.live.prometheus import Prometheus, prometheus
from tests.waiting import until

ABSENT = {
    r"sightline_certificate_expiry_timestamp_seconds": "connections of the suite are plain",
    r"nv_gpu_\w+": "there is no GPU",
    r"kube_\w+": "there is no Kubernetes",
    r"container_\w+": "there is no Kubernetes",
    r"milvus_\w+": "Milvus Lite has no metrics",
    "|".join(monitoring.COMING): "no service has it yet",
}
"""What this suite can't have, and why. Their names are held by docs/reference/metrics.md."""
TABLE = (ROOT / "docs/reference/metrics.md").read_text("utf-8")


@pytest_asyncio.fixture
async def watched(
    suite: Suite, client: SightlineClient, tmp_path: Path
) -> AsyncIterator[Prometheus]:
    """A Prometheus that saw the shop at work."""
    with prometheus(suite, tmp_path) as found:
        await until(lambda: _ready(found))
        await _shop(client)
        await until(lambda: _recall_is_known(found, client))
        await _shop(client)
        yield found


def _ready(found: Prometheus) -> bool:
    """Whether every process was scraped twice."""
    try:
        counts = found.samples("count_over_time(up[1h])")
        return len(found.samples("up == 1")) == 7 and all(
            float(one["value"][1]) >= 2 for one in counts
        )
    except (URLError, ConnectionError):
        return False


async def _shop(client: SightlineClient) -> None:
    """A shopper looks by photo, text and product, clicks and buys; a page that there is not is
    asked for."""
    wine = hands.WINES[0]
    answers: list[Recommendations] = [
        await client.recommend(visitor="watched", page_size=5, **asked)
        for asked in (
            {},
            {"image": wine.image},
            {"text": "barolo"},
            {"scene": "similar", "anchors": [wine.id]},
        )
    ]
    await client.search(image=wine.image)
    seen = answers[0].results[0].product.product_id
    for kind in (EventType.IMPRESSION, EventType.CLICK, EventType.PURCHASE):
        token = answers[0].attribution_token
        event = Event(f"watched-{kind}", kind, seen, visitor="watched", attribution_token=token)
        await client.write_events([event])
    with pytest.raises(NotFound):
        await client.get_product("never-was")


async def _recall_is_known(found: Prometheus, client: SightlineClient) -> bool:
    """A search in a hundred is looked at again."""
    names = [wine.id for wine in hands.WINES[:20]]
    await asyncio.gather(*(client.search(products=name, page_size=20) for name in names))
    return bool(await asyncio.to_thread(found.samples, "sightline_recall"))


def as_value(expr: str) -> str:
    """An alert's condition as a value, which there is also while all is well."""
    number = re.sub(r" ([<>]=?|[=!]=) (?!bool)", r" \1 bool ", expr)
    return re.sub(r"absent\((\w+)\)", r"\1", number)


def lacks(expr: str) -> bool:
    """Whether an expression asks for what this suite can't have."""
    return any(re.fullmatch(pattern, name) for name in monitoring.names(expr) for pattern in ABSENT)


async def test_each_panel_rule_and_alert_asks_for_what_there_is(watched: Prometheus) -> None:
    asked = {*monitoring.panels(), *monitoring.rules()}
    waiting = {(where, as_value(expr)) for where, expr in asked if not lacks(expr)}
    assert len(waiting) > 150

    def answered() -> bool:
        for one in sorted(waiting):
            if watched.samples(one[1]):
                waiting.discard(one)
        return not waiting

    try:
        await until(answered, 30)
    except AssertionError:
        assert sorted(waiting) == []
    # `or vector(0)` answers for metrics that there are not, too.
    recorded = set(watched.get("label/__name__/values"))
    named = {name for _, expr in asked if not lacks(expr) for name in monitoring.names(expr)}
    assert named <= {*watched.exposed(), *recorded, "up"}
    for pattern in ABSENT:
        if pattern not in monitoring.COMING:
            assert watched.samples(f'{{__name__=~"{pattern}"}}') == [], pattern


async def test_the_table_of_metrics_has_each_that_a_process_exposes(watched: Prometheus) -> None:
    exposed = watched.exposed()
    ours = {name for name in exposed if name.startswith("sightline_")}
    kept = {name for name in ours if not name.endswith("_created")}
    listed = set(re.findall(r"^\| `(sightline_\w+)`", TABLE, re.M))
    assert kept - listed == set()
    assert listed - kept == set()
    sections = re.split(r"^## ", TABLE, flags=re.M)
    for service in ("gateway", "embedder", "retriever", "ranker"):
        (text,) = [each for each in sections if each.lower().startswith(f"{service}\n")]
        for name in re.findall(r"^\| `(sightline_\w+)`", text, re.M):
            assert exposed[name] <= {service, f"{service}-worker"}, name
