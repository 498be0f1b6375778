from pathlib import Path

import pytest
import typer

from embedder.settings import EmbedderSettings, Engine
from gateway.http.settings import HttpSettings
from gateway.settings import GatewaySettings
from local_suite.model import Program, SuiteError
from local_suite.programs import GRPC, PORTS, console, sightline
from ranker.settings import RankerSettings
from ranker.settings import WorkerSettings as RankerWorkerSettings
from retriever.settings import RetrieverSettings
from servicekit.config import ServiceSettings
from sightline_console.cli import app
from vision.settings import VisionServerSettings, VisionSettings

SEEING = {"vision", "vision-worker"}
"""The programs of the optional service."""


@pytest.fixture
def suite() -> dict[str, Program]:
    made = sightline(Path("/srv/data"), 9000, ("default", "wines"))
    return {program.name: program for program in made}


def test_every_process_of_the_design_is_there(suite: dict[str, Program]) -> None:
    assert set(suite) == set(PORTS) - SEEING == {
        "triton", "milvus", "embedder", "retriever", "retriever-worker", "ranker",
        "ranker-worker", "gateway", "gateway-http",
    }  # fmt: skip


def test_vision_is_there_where_it_is_asked_for_and_nothing_names_it_elsewhere(
    suite: dict[str, Program],
) -> None:
    assert not any("VISION" in key for each in suite.values() for key in each.environment)
    for target in ("apart", "all"):
        made = sightline(Path("/srv/data"), 9000, target=target, vision=True)
        programs = {each.name: each for each in made}
        without = sightline(Path("/srv/data"), 9000, target=target)
        assert set(programs) - {each.name for each in without} == SEEING
        gateway = programs.get("gateway") or programs["all"]
        assert gateway.environment["GATEWAY_VISION_TARGET"] == "127.0.0.1:9005"
        for name in SEEING:
            given = programs[name].environment
            assert given["VISION_RETRIEVER_TARGET"] == "127.0.0.1:9002"
            assert given["VISION_EMBEDDER_TARGET"] == "127.0.0.1:9001"
        assert programs["vision"].environment["VISION_RANKER_TARGET"] == "127.0.0.1:9003"
        (key,) = programs["vision"].keys
        assert key == Path("/srv/data/vision/webhooks.key")


def test_no_two_ports_are_the_same_and_are_within_eighteen_of_the_base_or_that_of_http(
    suite: dict[str, Program],
) -> None:
    every = sightline(Path("/srv/data"), 9000, vision=True)
    ports = [port for program in every for port in program.ports.values()]
    assert len(ports) == len(set(ports))
    assert set(ports) <= {*range(9000, 9018), 9080}
    assert suite["gateway"].ports["grpc"] == 9000


def test_the_gateways_tokens_have_a_key_of_the_suites_own(suite: dict[str, Program]) -> None:
    (path,) = suite["gateway"].keys
    assert suite["gateway"].environment["GATEWAY_TOKEN_KEYS_FILE"] == str(path)
    assert path.is_relative_to("/srv/data")


def test_the_key_of_tritons_control_is_there_before_either_that_reads_it() -> None:
    for target in ("apart", "all"):
        programs = sightline(Path("/srv/data"), 9000, target=target, inference="triton")
        made = {each.name: each for each in programs}
        embedder = made["all" if target == "all" else "embedder"]
        key = Path(embedder.environment["EMBEDDER_TRITON_KEY_FILE"])
        assert key in embedder.keys
        assert made["triton"].keys == (key,)


SETTINGS: dict[str, type[ServiceSettings]] = {
    "gateway": GatewaySettings,
    "embedder": EmbedderSettings,
    "retriever": RetrieverSettings,
    "retriever-worker": RetrieverSettings,
    "ranker": RankerSettings,
    "ranker-worker": RankerWorkerSettings,
    "vision": VisionServerSettings,
    "vision-worker": VisionSettings,
}
CALLED = {"embedder": 9001, "retriever": 9002, "ranker": 9003, "vision": 9005}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_service_understands_every_setting_that_it_is_given(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    made = sightline(Path("/srv/data"), 9000, ("default", "wines"), vision=True)
    suite = {program.name: program for program in made}
    kind = SETTINGS[name]
    prefix = kind.model_config.get("env_prefix", "")
    assert GRPC.items() <= suite[name].environment.items()
    for variable, value in suite[name].environment.items():
        if variable in GRPC:
            continue
        assert variable.removeprefix(prefix).lower() in kind.model_fields, variable
        monkeypatch.setenv(variable, value)
    read = kind()
    assert read.model_dump()["catalogs"] == ("default", "wines")
    for other, target in CALLED.items():
        if f"{other}_target" in kind.model_fields:
            assert getattr(read, f"{other}_target") == f"127.0.0.1:{target}"


def test_http_is_answered_beside_the_gateway_or_in_its_process(
    suite: dict[str, Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = suite["gateway-http"]
    for variable, value in apart.environment.items():
        monkeypatch.setenv(variable, value)
    read = HttpSettings()
    socket = suite["gateway"].environment["GATEWAY_SOCKET"]
    assert (read.port, read.gateway_target) == (apart.ports["http"], f"unix:{socket}")
    made = {each.name: each for each in sightline(Path("/srv/data"), 9000, target="all")}
    assert made["all"].ports["http"] == 9080
    assert made["all"].environment["GATEWAY_HTTP_PORT"] == "9080"
    assert not {"GATEWAY_SOCKET", "GATEWAY_HTTP_GATEWAY_TARGET"} & set(made["all"].environment)


def test_the_console_calls_the_gateway_of_its_suite_at_a_port_of_its_own(
    suite: dict[str, Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = console(9000, "wines")
    taken = {port for program in suite.values() for port in program.ports.values()}
    assert set(made.ports.values()).isdisjoint(taken)
    for variable, value in made.environment.items():
        monkeypatch.setenv(variable, value)
    command = typer.main.get_command(app)
    read = command.make_context("x", list(made.command[3:])).params
    assert (read["target"], read["catalog"]) == ("127.0.0.1:9000", "wines")
    assert (read["host"], read["port"]) == ("127.0.0.1", made.ports["page"])
    assert read["http_address"] == f"http://127.0.0.1:{suite['gateway-http'].ports['http']}"


def test_gateways_of_one_folder_have_sockets_of_their_own() -> None:
    first, second = (
        next(
            each.environment["GATEWAY_SOCKET"]
            for each in sightline(Path("/srv/data"), base)
            if each.name == "gateway"
        )
        for base in (9000, 9100)
    )
    assert first == "/srv/data/run/gateway-9000.sock" != second


def test_everything_stored_lies_in_data(suite: dict[str, Program]) -> None:
    stored = [
        value
        for program in sightline(Path("/srv/data"), 9000, vision=True)
        for name, value in program.environment.items()
        if name.endswith(("_URL", "_STORE", "_FILE"))
    ]
    assert stored
    assert all("/srv/data/" in value for value in stored)
    assert "/srv/data/milvus" in suite["milvus"].command


@pytest.mark.parametrize("port_base", [0, 80, 65530, -1])
def test_a_port_base_that_leaves_no_room_is_refused(port_base: int) -> None:
    with pytest.raises(SuiteError, match="PORT_BASE"):
        sightline(Path("/srv/data"), port_base)


@pytest.mark.parametrize("name", ["My Shop", "a\"b'c", "../etc", "ä", ""])
def test_a_catalog_that_no_service_takes_is_refused_before_anything_starts(name: str) -> None:
    with pytest.raises(SuiteError, match="CATALOGS"):
        sightline(Path("/tmp/x"), 8600, ["default", name])  # noqa: S108


def test_the_real_server_can_take_the_place_of_milvus_lite() -> None:
    lite, server = (
        next(p for p in sightline(Path("/srv/data"), 9000, engine=engine) if p.name == "milvus")
        for engine in ("lite", "server")
    )
    assert "milvus_server_engine.serve" in server.command
    assert "/srv/data/milvus-server" in server.command
    assert lite.ports["grpc"] == server.ports["grpc"] == 9007
    assert server.ports["metrics"] == 9008


def test_an_engine_that_is_none_is_refused() -> None:
    with pytest.raises(SuiteError, match="ENGINE=faiss is not one of lite, server"):
        sightline(Path("/srv/data"), 9000, engine="faiss")


def test_every_process_sends_its_traces_to_the_collector_that_is_named() -> None:
    made = {p.name: p for p in sightline(Path("/srv/data"), 9000, traces="10.0.0.7")}
    given = {
        name: {v for v in p.environment.values() if "10.0.0.7" in v} for name, p in made.items()
    }
    assert given.pop("triton") == {"http://10.0.0.7:4318/v1/traces"}
    del given["milvus"]
    assert set(map(frozenset, given.values())) == {frozenset({"http://10.0.0.7:4317"})}
    assert not any("TRACES" in v for p in sightline(Path("/d"), 9000) for v in p.environment)


def test_some_services_run_in_one_process_and_the_others_are_called_by_their_ports() -> None:
    made = sightline(Path("/srv/data"), 9000, target="gateway,embedder,retriever")
    programs = {each.name: each for each in made}
    assert set(programs) == {
        "milvus", "ranker", "retriever-worker", "ranker-worker", "all",
    }  # fmt: skip
    given = programs["all"].environment
    targets = {key: value for key, value in given.items() if key.endswith("_TARGET")}
    assert targets == {"GATEWAY_RANKER_TARGET": "127.0.0.1:9003"}
    assert programs["all"].listens() == {
        "gateway": {"grpc": 9000, "metrics": 9010, "http": 9080},
        "embedder": {"grpc": 9001},
        "retriever": {"grpc": 9002},
    }


@pytest.mark.parametrize("target", ["apart", "all", "gateway,retriever,ranker"])
@pytest.mark.parametrize("inference", ["", "onnx", "triton"])
def test_triton_runs_where_the_embedder_has_a_process_of_its_own_or_it_is_named(
    monkeypatch: pytest.MonkeyPatch, target: str, inference: str
) -> None:
    made = sightline(Path("/srv/data"), 9000, target=target, inference=inference)
    programs = {each.name: each for each in made}
    assert ("triton" in programs) == ((inference or TRITON_BESIDE[target]) == "triton")
    embedder = programs.get("embedder") or programs["all"]
    for name, value in embedder.environment.items():
        monkeypatch.setenv(name, value)
    assert (EmbedderSettings().engine is Engine.TRITON) == ("triton" in programs)


TRITON_BESIDE = {"apart": "triton", "all": "onnx", "gateway,retriever,ranker": "triton"}


@pytest.mark.parametrize("target", ["", "some", "ranker", "gateway,shop"])
def test_a_target_that_is_none_is_refused(target: str) -> None:
    with pytest.raises(SuiteError, match=f"TARGET={target} is neither apart nor all"):
        sightline(Path("/srv/data"), 9000, target=target)


def test_the_photo_models_can_be_named() -> None:
    made = sightline(
        Path("/srv/data"),
        9000,
        target="apart",
        inference="triton",
        models=("efficientnet_lite0", "net"),
    )
    programs = {each.name: each for each in made}
    assert programs["embedder"].environment["EMBEDDER_MODELS"] == "efficientnet_lite0,net"
    arguments = programs["triton"].command
    assert arguments[arguments.index("--load") + 1 :][:2] == ("efficientnet_lite0", "net")
