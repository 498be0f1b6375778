"""The page on sizes agrees with the formulas, and the cluster's values suffice for it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymilvus import DataType

from bench import sizing
from bench.sizing import ShopSize
from retriever.adapters.milvus import index as milvus
from tests.contracts import scaling
from tests.contracts.k8s import added, main, overlay, settings_of
from tests.contracts.settings import loaded
from tests.contracts.test_memory import size

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operate" / "sizing.md").read_text(encoding="utf-8")
CLUSTER = ROOT / "deploy" / "milvus-cluster"
SIZES = {
    "values-1m.yaml": ShopSize(1_000_000, 1_280),
    "values-20m.yaml": ShopSize(20_000_000, 1_280),
}
UNITS = {"Mi": 2**20, "Gi": 2**30}
SAFE = (2, 6, 10)
"""Older versions of Milvus have published vulnerabilities."""


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CLUSTER / name).read_text(encoding="utf-8"))
    return found


def memory(part: dict[str, Any]) -> int:
    """Return the guaranteed bytes of one pod."""
    requests, limits = part["resources"]["requests"], part["resources"]["limits"]
    assert requests["memory"] == limits["memory"], "a node that is evicted serves nobody"
    number, unit = re.fullmatch(r"(\d+)([MG]i)", requests["memory"]).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


def test_the_page_holds_the_tables_as_they_are_computed() -> None:
    assert sizing.filled(PAGE) == PAGE, "run: python -m bench.sizing docs/operate/sizing.md"


@pytest.mark.when("deploy", "docs/operate")
@pytest.mark.slow
def test_autoscalers_and_memory_have_room_for_the_shops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check `prod` for the first shop, and with the page's additions for the second."""
    (block,) = re.findall(r"^```yaml\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL)
    number = r"([\d.]+) ?(?:\((\d+)\))?"
    shops = (
        (overlay("prod"), ShopSize(1_000_000, 80)),
        (added(tmp_path, block), ShopSize(20_000_000, 80)),
    )
    for place, (made, shop) in enumerate(shops):
        for name in scaling.SCALED:
            (row,) = re.findall(rf"^\| {name}, pods.+", PAGE, re.MULTILINE | re.IGNORECASE)
            needed = float(re.findall(rf"\| {number}", row)[place][1])
            assert scaling.scalers(made)[name]["maxReplicaCount"] >= 1.25 * needed, name
        models = sizing.OWN_BYTES + 3 * sizing.TASTE_BYTES * shop.rows
        held = {"retriever": sizing.retriever_bytes(shop.rows), "ranker": models}
        for name, least in held.items():
            assert size(main(made, name)["resources"]["limits"]["memory"]) > 1.25 * least, name
        retriever = loaded("retriever", settings_of(made, "retriever"), monkeypatch)
        assert retriever.columns_products >= shop.rows  # type: ignore[attr-defined]


def test_a_place_that_the_page_lost_is_an_error() -> None:
    with pytest.raises(KeyError, match="row"):
        sizing.filled("nothing here")


def test_a_row_is_its_vector_and_what_stands_beside_it() -> None:
    one, other = ShopSize(10, 100), ShopSize(10, 100, "int8")
    assert one.row_bytes - other.row_bytes == 300
    assert one.memory == pytest.approx(10 * one.row_bytes * 2 * 2 / 0.72)
    assert sizing.links(32) > sizing.links(16) > 8 * 16
    numbers = [each for each in milvus._schema(8).fields if each.dtype == DataType.INT64]
    assert len(numbers) == sizing.NUMBERS


@pytest.mark.parametrize("name", SIZES)
def test_the_cluster_has_the_memory_and_the_processors_that_the_page_asks_for(name: str) -> None:
    values, shop = read(name), SIZES[name]
    user = yaml.safe_load(values["extraConfigFiles"]["user.yaml"])
    shop = ShopSize(shop.rows, shop.dimension, segment=user["dataCoord"]["segment"]["maxSize"])
    node, groups = values["queryNode"], values["replicaResourceGroups"]
    nodes = len(groups) * node["replicas"]
    assert len(groups) == sizing.REPLICAS
    assert shop.memory <= nodes * memory(node) <= 1.5 * shop.memory
    assert nodes * float(node["resources"]["requests"]["cpu"]) >= shop.cores
    assert memory(values["dataNode"]) >= 3 * shop.segment * sizing.MEBIBYTE


@pytest.mark.parametrize("name", SIZES)
def test_the_cluster_is_safe_to_begin_with(name: str) -> None:
    values = read(name)
    user = yaml.safe_load(values["extraConfigFiles"]["user.yaml"])
    version = tuple(map(int, values["image"]["all"]["tag"].removeprefix("v").split(".")))
    assert version >= SAFE
    assert user["common"]["security"] == {"authorizationEnabled": True, "tlsMode": 1}
    certificates = values["proxy"]["volumeMounts"][0]["mountPath"]
    assert user["tls"]["serverPemPath"].startswith(certificates)
    assert not values["minio"]["enabled"], "it comes with a password that everybody knows"
    assert values["externalS3"]["useSSL"]
    assert values["etcd"]["replicaCount"] == 3
    assert not re.search(r"(?i)(password|secretKey|accessKey):", (CLUSTER / name).read_text())


def test_both_files_differ_in_sizes_only() -> None:
    def keys(value: Any, path: str = "") -> set[str]:
        if not isinstance(value, dict):
            return {path}
        return {found for name, part in value.items() for found in keys(part, f"{path}.{name}")}

    small, large = (keys(read(name)) for name in SIZES)
    assert small == large
