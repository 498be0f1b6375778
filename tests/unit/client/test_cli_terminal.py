"""The command line's output: on terminals, into files and pipes, and on interruption."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, status_pb2

from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import status
from tests.unit.client.command_line import PROGRAM, call
from tests.waiting import SECONDS

pytestmark = pytest.mark.slow


@pytest.mark.full
@pytest.mark.parametrize(
    "arguments",
    [
        ("recommend",),
        ("status", "--json"),
        ("products", "import", "wines.csv"),
        ("--version",),
        ("status", "--help"),
    ],
)
def test_standard_output_on_a_full_disk_is_1_with_a_word_and_no_traceback(
    gateway: FakeGateway, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "wines.csv").write_text("id,title\na,A\n")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "SIGHTLINE_TARGET": gateway.target},
        )
    printed = done.stderr.decode()
    assert done.returncode == 1, printed
    problem = "standard output can't be written: No space left on device"
    if "--json" in arguments:
        assert json.loads(printed) == {"reason": "FILE_UNUSABLE", "detail": problem}
    else:
        assert printed == f"FILE_UNUSABLE: {problem}\n"


@pytest.mark.full
def test_a_reader_that_goes_away_is_not_complained_of(gateway: FakeGateway) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*PROGRAM, "status", "--target", gateway.target],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_text_from_a_catalog_cannot_steer_the_terminal(gateway: FakeGateway) -> None:
    gateway.recommendation.results[0].product.title = "\x1b[31mred\x1b[0m [bold]x[/bold]\x07"
    output = call("recommend", "--target", gateway.target).output
    assert "\x1b" not in output
    assert "\x07" not in output
    assert "[bold]x[/bold]" in output


def test_figures_that_cannot_be_are_shown_and_not_died_of(gateway: FakeGateway) -> None:
    absurd = gateway.recommendation
    absurd.results[0].product.create_time.seconds = 2**60
    absurd.stage_timings[0].total.seconds = -(2**60)
    absurd.stage_timings[0].start.seconds = 2**60
    absurd.freshness.index_lag.seconds = 2**60
    absurd.freshness.index_time_micros = 2**62
    absurd.degradations[0].cause = 99  # type: ignore[assignment]
    absurd.results[0].ClearField("reasons")
    absurd.ClearField("versions")
    result = call("recommend", "--target", gateway.target)
    assert result.exit_code == 0, result.exception
    assert "Barolo" in result.stdout


@pytest.mark.parametrize("command", ["recommend", "status"])
def test_an_answer_that_json_cannot_hold_leaves_standard_output_empty(
    gateway: FakeGateway, command: str
) -> None:
    gateway.recommendation.results[0].product.create_time.seconds = 2**60
    newer = AnyMessage(type_url="type.googleapis.com/sightline.NotKnownYet", value=b"\xff")
    gateway.status.components[0].status.CopyFrom(status_pb2.Status(code=14, details=[newer]))
    result = call(command, "--target", gateway.target, "--json")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "JSON" in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_an_empty_answer_is_shown(gateway: FakeGateway) -> None:
    gateway.recommendation.Clear()
    result = call("recommend", "--target", gateway.target)
    assert result.exit_code == 0
    assert "No products match." in result.stdout


def test_with_json_a_failure_is_a_line_of_json_and_standard_output_is_empty(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    gateway.fail("Recommend", status(code_pb2.NOT_FOUND, "no", reason="SCENE_NOT_FOUND"))
    result = call("recommend", "--target", gateway.target, "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert json.loads(line) == {
        "reason": "SCENE_NOT_FOUND",
        "code": "NOT_FOUND",
        "detail": "no",
        "fix": "leave --scene out, or use one that `sightline status` lists",
        "metadata": {"by": "fake"},
    }


def test_with_json_each_invalid_field_is_named(gateway: FakeGateway) -> None:
    wrong = status(code_pb2.INVALID_ARGUMENT, "no", violations=(("page_size", "is 0"),))
    gateway.fail("Recommend", wrong)
    told = json.loads(call("recommend", "--target", gateway.target, "--json").stderr)
    assert told["fieldViolations"] == [{"field": "page_size", "description": "is 0"}]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("recommend", "--json", "--top", "many"), "--top"),
        (("search", "--json"), "--image"),
        (("nonsense", "--json"), "No such command"),
        (("products", "nonsense", "--json"), "No such command"),
        (("--json", "similar"), "Missing argument"),
        (("recommend", "--json", "--target", "nowhere"), "has no port"),
    ],
)
def test_with_json_wrong_usage_is_json_too(arguments: tuple[str, ...], problem: str) -> None:
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    told = json.loads(result.stderr)
    assert told["reason"] == "WRONG_USAGE"
    assert problem in told["detail"]


def test_with_json_a_file_that_cannot_be_used_is_named(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    (tmp_path / "wines.csv").write_bytes(b"")
    path = str(tmp_path / "wines.csv")
    result = call("products", "import", path, "--target", gateway.target, "--json")
    told = json.loads(result.stderr)
    assert (result.exit_code, told["reason"]) == (1, "FILE_REFUSED")
    assert told["fix"]


def test_only_programs_get_json(gateway: FakeGateway) -> None:
    gateway.fail("Recommend", status(code_pb2.NOT_FOUND, "no", reason="SCENE_NOT_FOUND"))
    result = call("recommend", "--target", gateway.target)
    assert result.stderr.startswith("SCENE_NOT_FOUND: no\n")


def test_an_error_cannot_steer_the_terminal(gateway: FakeGateway) -> None:
    gateway.fail("Recommend", status(code_pb2.NOT_FOUND, "\x1b[31m", reason="\x1b[31mX"))
    result = call("recommend", "--target", gateway.target)
    assert result.exit_code == 1
    assert "\x1b" not in result.output


@pytest.mark.full
def test_an_interrupt_ends_with_130_and_without_a_word(gateway: FakeGateway) -> None:
    gateway.delay = 10.0
    with subprocess.Popen(
        [*PROGRAM, "recommend", "--target", gateway.target],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        end = time.monotonic() + SECONDS
        while not gateway.requests["Recommend"] and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        printed = process.communicate(timeout=SECONDS)
    assert (process.returncode, printed) == (130, (b"", b""))


def test_an_interrupted_import_ends_with_130_and_says_what_is_kept(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.delay = 10.0
    table = tmp_path / "wines.csv"
    table.write_text("id,title\na,A\n")
    with subprocess.Popen(
        [*PROGRAM, "products", "import", str(table), "--target", gateway.target],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        end = time.monotonic() + SECONDS
        while not gateway.requests["OpenImport"] and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (130, b"")
    assert err.startswith(b"Interrupted. Acknowledged work is kept")
    assert b"Traceback" not in err


@pytest.mark.full
@pytest.mark.parametrize("arguments", [("--json",), ()])
def test_a_terminal_without_unicode_is_shown_a_product(
    gateway: FakeGateway, arguments: tuple[str, ...]
) -> None:
    gateway.products["wine-1"].title = "红酒"
    done = subprocess.run(
        [*PROGRAM, "products", "get", "wine-1", "--target", gateway.target, *arguments],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    if arguments:
        assert json.loads(done.stdout)["title"] == "红酒"


@pytest.mark.full
@pytest.mark.parametrize("command", ["recommend", "status"])
def test_a_terminal_without_unicode_is_shown_what_it_can(
    gateway: FakeGateway, command: str
) -> None:
    gateway.recommendation.results[0].product.title = "红酒"
    done = subprocess.run(
        [*PROGRAM, command, "--target", gateway.target],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (b"v1" if command == "status" else b"??") in done.stdout
