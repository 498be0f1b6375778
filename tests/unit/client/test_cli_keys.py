"""Keys are created by a command, for the gateway to read."""

import hashlib
import os
import stat
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gateway.callers.keys import Keys
from servicekit.admission.access import Caller, Role
from sightline_client.cli.commands import keys
from tests.unit.client.command_line import call, flat

NEW = ("keys", "new", "--name", "shop", "--roles", "read,events")


def token_of(printed: str) -> str:
    return printed.splitlines()[0]


def test_a_new_key_is_printed_with_its_token_once() -> None:
    result = call(*NEW, "--catalogs", "default,shoes", "--expires", "2999-01-01")
    assert result.exit_code == 0, result.output
    token, _, entry = result.stdout.partition("\n")
    (key,) = tomllib.loads(entry)["keys"]
    assert key == {
        "name": "shop",
        "sha256": hashlib.sha256(token.encode()).hexdigest(),
        "roles": ["read", "events"],
        "catalogs": ["default", "shoes"],
        "expires": date(2999, 1, 1),
    }
    assert token.startswith("slk_")
    assert len(token) == len("slk_") + 43, "256 bits"
    assert result.output.count(token) == 1
    assert "shown only now" in flat(result.stderr)


def test_no_two_tokens_are_the_same() -> None:
    assert token_of(call(*NEW).stdout) != token_of(call(*NEW).stdout)


def test_a_key_in_a_file_is_one_to_the_gateway(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    shop = token_of(call(*NEW, "--file", str(path)).stdout)
    other = ("keys", "new", "--name", "öps", "--roles", "operate", "--catalogs", "*")
    made = call(*other, "--file", str(path))
    assert made.stdout.splitlines() == [token_of(made.stdout)]
    read = Keys(path)
    assert read.caller(shop) == Caller(
        "shop", frozenset({Role.READ, Role.EVENTS}), frozenset({"default"})
    )
    assert read.caller(token_of(made.stdout)) == Caller("öps", frozenset({Role.OPERATE}))
    assert shop not in path.read_text()


def test_a_new_file_is_its_owners_alone_and_another_stays_as_it_is(tmp_path: Path) -> None:
    new, old = tmp_path / "new.toml", tmp_path / "old.toml"
    old.write_text("# ours")
    old.chmod(0o640)
    before = os.umask(0)
    try:
        for path in (new, old):
            assert call(*NEW, "--file", str(path)).exit_code == 0
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (new, old)] == [0o600, 0o640]
    assert old.read_text().startswith("# ours\n\n[[keys]]\n")


def test_a_token_in_a_file_is_its_owners_alone_from_the_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, modes, opened = tmp_path / "shop.token", [], os.open

    def watched(*arguments: Any, **options: Any) -> int:
        made = opened(*arguments, **options)
        modes.append(stat.S_IMODE(os.fstat(made).st_mode))
        return made

    monkeypatch.setattr(os, "open", watched)
    before = os.umask(0)
    try:
        result = call(*NEW, "--file", str(tmp_path / "keys.toml"), "--out", str(out))
    finally:
        os.umask(before)
    assert (result.exit_code, result.stdout) == (0, "")
    assert modes == [0o600, 0o600]
    token = out.read_text().removesuffix("\n")
    assert Keys(tmp_path / "keys.toml").caller(token) is not None
    assert token not in result.output
    entry = call(*NEW, "--out", str(tmp_path / "other.token")).stdout
    assert tomllib.loads(entry)["keys"][0]["name"] == "shop"


def test_a_token_goes_to_no_file_that_exists_and_no_key_is_added_without_its_token(
    tmp_path: Path,
) -> None:
    there, keys_file = tmp_path / "shop.token", tmp_path / "keys.toml"
    there.write_text("mine")
    link = tmp_path / "link.token"
    link.symlink_to(tmp_path / "elsewhere")
    for out in (there, link):
        refused = call(*NEW, "--file", str(keys_file), "--out", str(out))
        assert refused.exit_code == 1
        assert "already exists" in flat(refused.stderr)
    assert (there.read_text(), keys_file.exists()) == ("mine", False)
    keys_file.write_text("this is no TOML")
    new = tmp_path / "new.token"
    assert call(*NEW, "--file", str(keys_file), "--out", str(new)).exit_code == 1
    assert not new.exists()


def test_a_name_that_the_file_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    call(*NEW, "--file", str(path))
    before = path.read_text()
    again = call(*NEW, "--file", str(path))
    assert again.exit_code == 1
    assert "already has a key shop" in flat(again.stderr)
    assert again.stdout == ""
    assert path.read_text() == before


@pytest.mark.parametrize("text", ["not toml", "keys = 1", "keys = []", "keys = [1]", "[keys]"])
def test_a_file_that_can_hold_no_keys_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    result = call(*NEW, "--file", str(path))
    assert result.exit_code == 1
    assert "invalid file of keys" in flat(result.stderr)
    assert (result.stdout, path.read_text()) == ("", text)


def test_a_file_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    result = call(*NEW, "--file", str(tmp_path / "nowhere" / "keys.toml"))
    assert result.exit_code == 1
    assert "FILE_UNUSABLE" in result.stderr
    assert result.stdout == ""


def test_roles_are_those_of_the_contract() -> None:
    assert set(keys.ROLES) == set(Role)


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        (("--roles", "read,root"), "unknown role 'root'. Roles are " + ", ".join(keys.ROLES)),
        (("--roles", ","), "must not be empty"),
        (("--roles", "unspecified"), "unknown role 'unspecified'"),
        (("--catalogs", "Shoes"), "invalid catalog 'Shoes'"),
        (("--catalogs", ""), "must not be empty"),
        (("--name", "a b"), "1 to 128"),
        (("--name", ""), "1 to 128"),
        (("--expires", "soon"), "'soon' is not a date"),
        (("--expires", "2020-01-01"), "2020-01-01 is not in the future"),
    ],
)
def test_wrong_usage_ends_with_2_and_names_the_culprit(
    options: tuple[str, ...], culprit: str
) -> None:
    result = call(*NEW, *options)
    assert result.exit_code == 2
    assert culprit in flat(result.stderr.replace("│", " "))
    assert result.stdout == ""
