import os
import tempfile
from pathlib import Path

import pytest

from local_suite.model import SuiteError, layout, make_key


def test_the_control_socket_lies_in_data_when_its_path_is_short_enough() -> None:
    assert layout(Path("/srv/sightline")).socket == Path("/srv/sightline/run/supervisor.sock")


def test_a_long_data_path_gets_a_short_socket_path_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")  # noqa: S108
    long, other = tmp_path / ("x" * 120), tmp_path / ("y" * 120)
    sockets = {
        *(layout(long).socket, layout(long).socket_of("gateway-65535")),
        *(layout(other).socket, layout(other).socket_of("gateway-65535")),
    }
    assert len(sockets) == 4
    assert all(len(os.fsencode(path)) <= 100 for path in sockets)
    assert layout(long).socket == layout(long).socket


def test_length_is_counted_in_bytes() -> None:
    wide = layout(Path("/srv/" + "酒" * 32))
    assert len(os.fsencode(wide.socket)) <= 100


@pytest.mark.parametrize("name", ["a;b", "a#b", "a%b", "a'b", 'a"b', "a\\b", "a?b", "a\nb"])
def test_a_path_that_a_configuration_would_read_differently_is_refused(name: str) -> None:
    with pytest.raises(SuiteError, match="can't be used"):
        layout(Path("/srv") / name)


def test_one_folder_is_one_suite_whatever_way_leads_to_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert layout(tmp_path / "link") == layout(tmp_path / "real" / ".." / "real")


def test_a_socket_folder_of_someone_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"sightline-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SuiteError, match="another user"):
        layout(tmp_path / ("x" * 120)).make()


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "gateway" / "tokens.keys"
    make_key(path)
    first = path.read_text()
    make_key(path)
    assert path.read_text() == first
    assert len(bytes.fromhex(first)) == 32
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
