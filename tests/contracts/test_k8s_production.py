"""The component that runs all processes in production mode leaves no unsafe setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.certificates import named
from tests.contracts.k8s import (
    ARROWS,
    K8S,
    ONCE,
    OURS,
    OWN,
    PODS,
    SERVED,
    Document,
    main,
    of,
    overlay,
    pod,
    settings_of,
    with_components,
)
from tests.contracts.settings import loaded
from tests.peers import PAIRS

PRODUCTION = ["staging", "prod", "example", OWN]
NO_SECRETS = ("GATEWAY_SCENES_FOLDER", "GATEWAY_EXPERIMENTS_FOLDER")


@pytest.fixture(scope="module")
def made() -> list[Document]:
    """Return an overlay with the component."""
    return with_components("production")


@pytest.mark.parametrize("name", [*OURS, "ranker-train"])
def test_its_files_come_from_secrets_that_the_readme_lists(made: list[Document], name: str) -> None:
    mounts = {each["mountPath"]: each for each in main(made, name)["volumeMounts"]}
    volumes = {each["name"]: each for each in pod(made, name)["volumes"]}
    text = (K8S / "README.md").read_text()
    files = [
        value
        for key, value in settings_of(made, name).items()
        if key.endswith(("_FILE", "_FOLDER")) and key not in NO_SECRETS
    ]
    assert len(files) >= 2
    for value in files:
        place = next(each for each in (value, str(Path(value).parent)) if each in mounts)
        assert mounts[place]["readOnly"] is True
        secret = volumes[mounts[place]["name"]]["secret"]
        assert secret["defaultMode"] == 0o440
        assert f"`{secret['secretName']}`" in text


@pytest.mark.parametrize("name", [*OURS, "ranker-train"])
def test_a_pod_has_the_keys_and_the_certificate_of_its_own_name(
    made: list[Document], name: str
) -> None:
    """Check also that only the other end of a pair has them."""
    who = "ranker-worker" if name == "ranker-train" else name
    volumes = {each["name"]: each["secret"] for each in pod(made, name)["volumes"]
               if each["name"].startswith("peer-")}  # fmt: skip
    items = {each["key"]: each["path"] for each in volumes["peer-keys"]["items"]}
    calls = {f"{one}-{other}.key": f"{other}.key" for one, other in PAIRS if one == who}
    answers = {f"{one}-{other}.key": f"{one}.key" for one, other in PAIRS if other == who}
    assert items == calls | answers
    assert volumes["peer-tls"]["secretName"] == f"peer-tls-{who}"


@pytest.mark.parametrize("name", OURS)
def test_a_certificate_names_its_process_and_is_good_for_what_it_does(name: str) -> None:
    certificate = of(with_components("production", "certificates"), "Certificate")[
        f"peer-tls-{name}"
    ]["spec"]
    assert certificate["uris"] == [named(name)]
    serves = name in SERVED and name != "gateway"  # which has another one for its callers
    assert certificate.get("dnsNames", []) == ([name] if serves else [])
    # Every server also reads the list of catalogs, or finds faces.
    assert certificate["usages"] == [*(["server auth"] if serves else []), "client auth"]


def test_keys_are_of_the_pairs_whose_calls_the_network_allows() -> None:
    called = {(one, other) for one, other, port in ARROWS if port in range(8601, 8604)}
    # Retriever and embedder call each other, with one key.
    assert called - {("ranker-train", "retriever"), ("embedder", "retriever")} == set(PAIRS)


@pytest.mark.parametrize("name", PRODUCTION)
@pytest.mark.parametrize("process", OURS)
def test_nothing_that_production_asks_for_is_missing(
    name: str, process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loaded(process, settings_of(overlay(name), process), monkeypatch)
    assert settings.mode == "production"
    assert list(settings.unsafe()) == []


@pytest.mark.parametrize("name", SERVED)
def test_probes_ask_the_port_that_speaks_plain_text(made: list[Document], name: str) -> None:
    port = int(settings_of(made, name)[f"{name.upper()}_PROBE_PORT"])
    container = main(made, name)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["grpc"]["port"] == port
    assert not any("appProtocol" in each for each in of(made, "Service")[name]["spec"]["ports"])


def test_triton_is_as_it_was(base: list[Document], made: list[Document]) -> None:
    assert pod(made, "triton") == pod(base, "triton")
    assert set(PODS) == {*OURS, *ONCE, "triton", "ranker-train"}
