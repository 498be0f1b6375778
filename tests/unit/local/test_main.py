import contextlib
import json
import re
import sqlite3
from pathlib import Path

import pytest

from local_suite.__main__ import from_environment, main
from local_suite.model import Layout, SuiteError
from local_suite.programs import ONE_PROCESS_PRODUCTS


@pytest.mark.parametrize("arguments", [[], ["sideways"], ["up", "down"]])
def test_misuse_prints_how_to_use_it(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(arguments, {}) == 2
    assert "up | down | run | status" in capsys.readouterr().err


def test_the_status_of_nothing_is_a_table_and_code_three(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["status"], {"DATA": str(tmp_path / "none")}) == 3
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[1].split()[:4] == ["milvus", "STOPPED", "no", "-"]


def test_stopping_nothing_is_no_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["down"], {"DATA": str(tmp_path / "none")}) == 0
    assert "no suite runs in" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("command", ["stop", "start"])
@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("ranger", "no program 'ranger'; there are"),
        ("ranker", "ranker runs in the process all"),
        ("ranker-worker", "no suite runs"),
    ],
)
def test_a_program_that_is_not_there_is_neither_stopped_nor_started(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str, program: str, said: str
) -> None:
    environment = {"DATA": str(tmp_path / "none"), "PROGRAM": program}
    assert main([command], environment) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("port_base", ["many", "80", "99999"])
def test_a_bad_port_base_is_a_sentence_and_not_a_traceback(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, port_base: str
) -> None:
    environment = {"DATA": str(tmp_path / "none"), "PORT_BASE": port_base}
    assert main(["up"], environment) == 1
    assert capsys.readouterr().err.startswith(f"error: PORT_BASE={port_base}")


def test_a_later_command_uses_the_ports_of_the_start(tmp_path: Path) -> None:
    place = Layout(tmp_path)
    place.make()
    place.facts.write_text('{"port_base": "9300", "catalogs": "default,wines"}')
    environment = {"DATA": str(tmp_path), "PORT_BASE": "9400"}
    assert from_environment("status", environment).addresses()["gateway"] == "127.0.0.1:9300"
    assert from_environment("up", environment).addresses()["gateway"] == "127.0.0.1:9400"


def test_a_later_command_uses_the_engine_of_the_start(tmp_path: Path) -> None:
    place = Layout(tmp_path)
    place.make()
    place.facts.write_text('{"port_base": "9300", "catalogs": "default", "engine": "server"}')
    suite = from_environment("status", {"DATA": str(tmp_path), "ENGINE": "lite"})
    assert "milvus_server_engine.serve" in suite.programs["milvus"].command


def test_a_later_command_knows_that_the_suite_has_vision(tmp_path: Path) -> None:
    asked = {"DATA": str(tmp_path), "VISION": "1"}
    started = from_environment("up", asked)
    assert "vision" in started.programs
    started.layout.make()
    started.layout.facts.write_text(json.dumps(started._facts))
    assert "VISION=1" in str(started._facts["again"])
    for command in ("down", "status", "stop", "start"):
        found = from_environment(command, {"DATA": str(tmp_path)})
        assert {"vision", "vision-worker"} <= set(found.programs)
    assert "vision" not in from_environment("up", {"DATA": str(tmp_path)}).programs


def test_catalogs_reach_every_service(tmp_path: Path) -> None:
    asked = {"DATA": str(tmp_path), "CATALOGS": "default, wines", "TARGET": "apart"}
    suite = from_environment("up", asked | {"VISION": "1"})
    given = {
        name: program.environment.get(f"{name.split('-')[0].upper()}_CATALOGS")
        for name, program in suite.programs.items()
        if name not in ("triton", "milvus", "gateway-http", "console")
    }
    assert set(given.values()) == {"default,wines"}


def test_a_hostile_data_path_is_refused() -> None:
    with pytest.raises(SuiteError, match="can't be used"):
        from_environment("up", {"DATA": "/srv/a;b"})


def test_the_command_of_the_page_has_all_processes_send_their_traces(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/operate/tracing.md").read_text()
    (typed,) = re.findall(r"^make up (.+)$", page, re.MULTILINE)
    name, value = typed.split("=")
    suite = from_environment("up", {"DATA": str(tmp_path), name: value})
    given = suite.programs["ranker-worker"].environment
    assert given["RANKER_TRACES_ENDPOINT"] == f"http://{value}:4317"


def with_products(data: Path, count: int) -> None:
    (folder := data / "retriever").mkdir()
    with contextlib.closing(sqlite3.connect(folder / "record.db")) as record, record:
        record.execute("CREATE TABLE products (product_id)")
        record.executemany("INSERT INTO products VALUES (?)", [(n,) for n in range(count)])


@pytest.mark.parametrize(
    ("products", "given", "together"),
    [
        (None, {}, True),
        (ONE_PROCESS_PRODUCTS, {}, True),
        (ONE_PROCESS_PRODUCTS + 1, {}, False),
        (ONE_PROCESS_PRODUCTS + 1, {"TARGET": "all"}, True),
        (None, {"TARGET": "apart"}, False),
        (None, {"ENGINE": "server"}, False),
        (None, {"ENGINE": "server", "TARGET": "all"}, True),
    ],
)
def test_a_small_suite_runs_in_one_process_unless_told_otherwise(
    tmp_path: Path, products: int | None, given: dict[str, str], together: bool
) -> None:
    if products is not None:
        with_products(tmp_path, products)
    suite = from_environment("up", {"DATA": str(tmp_path), **given})
    assert ("all" in suite.programs) == together
    assert ("gateway" in suite.programs) != together
    assert suite.addresses().keys() >= {"gateway", "embedder", "retriever", "ranker"}


def test_the_models_are_run_by_what_is_named_and_by_it_again(tmp_path: Path) -> None:
    named = from_environment("up", {"DATA": str(tmp_path), "INFERENCE": "triton"})
    assert "triton" in named.programs
    place = Layout(tmp_path)
    place.make()
    place.facts.write_text('{"port_base": "9300", "target": "all", "inference": "triton"}')
    assert "triton" in from_environment("status", {"DATA": str(tmp_path)}).programs
    assert main(["up"], {"DATA": str(tmp_path), "INFERENCE": "cuda"}) == 1


def test_the_pages_say_up_to_which_size() -> None:
    root = Path(__file__).parents[3]
    for page in ("docs/operate/sizing.md", "docs/operate/one-process.md", "deploy/local/README.md"):
        assert f"{ONE_PROCESS_PRODUCTS:,} products" in (root / page).read_text(), page


def test_a_later_command_uses_the_target_of_the_start(tmp_path: Path) -> None:
    place = Layout(tmp_path)
    place.make()
    place.facts.write_text('{"port_base": "9300", "catalogs": "default", "target": "apart"}')
    assert "ranker" in from_environment("status", {"DATA": str(tmp_path)}).programs
