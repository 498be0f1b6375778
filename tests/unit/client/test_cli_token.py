"""Commands authenticate by a token from the environment or a file."""

from pathlib import Path

import pytest

from sightline_client.cli.base.suite import Suite
from tests.fakes.gateway import FakeGateway
from tests.unit.client.command_line import Line, call, flat, line

__all__ = ["line"]  # fixtures

TOKEN = "slk_kept-from-all-eyes"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.token"
    path.write_text(f"  {TOKEN} \nand what nobody reads\n")
    return path


@pytest.mark.parametrize("command", [("status",), ("products", "list"), ("recommend",)])
def test_a_token_goes_with_what_a_command_asks(
    gateway: FakeGateway, line: Line, file: Path, command: tuple[str, ...]
) -> None:
    for given in (("--token", TOKEN), ("--token-file", str(file)), ()):
        gateway.authorizations.clear()
        result = line(*command, *given)
        assert result.exit_code == 0, result.output
        assert TOKEN not in result.output
        assert set(gateway.authorizations) == {f"Bearer {TOKEN}" if given else None}


def test_the_environment_may_hold_it(
    gateway: FakeGateway, line: Line, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SIGHTLINE_TOKEN", TOKEN), ("SIGHTLINE_TOKEN_FILE", str(file))):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert line("status").exit_code == 0
            assert gateway.authorizations.pop() == f"Bearer {TOKEN}"
            shown = call("--help")
        assert name in shown.output
        assert TOKEN not in shown.output


def test_a_command_that_is_done_in_steps_says_it_at_each(
    gateway: FakeGateway, line: Line, tmp_path: Path
) -> None:
    (tmp_path / "shop.csv").write_text("id,title\na,A\nb,B\n")
    result = line("products", "import", str(tmp_path / "shop.csv"), "--token", TOKEN)
    assert result.exit_code == 0, result.output
    assert len(gateway.authorizations) > 1
    assert set(gateway.authorizations) == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "No such file"), ("", "empty"), ("\nslk_x\n", "empty")]
)
def test_a_file_without_a_token_is_named(
    gateway: FakeGateway, line: Line, file: Path, content: str | None, problem: str
) -> None:
    file.unlink()
    if content is not None:
        file.write_text(content)
    result = line("status", "--token-file", str(file))
    assert result.exit_code == 2
    said = flat(result.stderr.replace("│", " "))
    assert problem in said
    assert "--token-file" in said
    assert "slk_x" not in result.stderr
    assert not gateway.authorizations


@pytest.mark.parametrize("given", ["", "two words", "ké"])
def test_what_is_no_token_is_wrong_usage_and_not_shown(
    gateway: FakeGateway, line: Line, file: Path, given: str
) -> None:
    file.write_text(f"{given}\n")
    for option, value in (("--token", given), ("--token-file", str(file))):
        result = line("status", option, value)
        assert result.exit_code == 2
        assert option in result.stderr
        assert not given or given not in result.stderr
    assert not gateway.authorizations


def test_both_are_one_too_many(gateway: FakeGateway, line: Line, file: Path) -> None:
    result = line("status", "--token", TOKEN, "--token-file", str(file))
    assert result.exit_code == 2
    assert "not both" in flat(result.stderr.replace("│", " "))
    assert TOKEN not in result.output
    assert not gateway.authorizations


def test_options_that_are_shown_do_not_show_it() -> None:
    assert TOKEN not in repr(Suite(token=TOKEN))
