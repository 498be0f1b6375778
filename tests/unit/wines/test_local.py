"""A separate suite does not affect others and is always stopped."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.wines import local


class FakeSuite:
    """Suite that records its calls."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.calls: list[str] = []

    def up(self) -> None:
        self.calls.append("up")

    def down(self) -> None:
        self.calls.append("down")


def test_it_is_stopped_and_its_folder_is_gone_when_all_went_well() -> None:
    with local.own(FakeSuite) as suite:
        assert suite.data.is_dir()
    assert suite.calls == ["up", "down"]
    assert not suite.data.exists()


def test_it_is_stopped_after_an_error_which_then_names_its_logs() -> None:
    made: list[FakeSuite] = []
    with pytest.raises(LookupError) as caught, local.own(kept(made)):
        raise LookupError
    assert made[0].calls == ["up", "down"]
    assert str(made[0].data / "logs") in caught.value.__notes__[0]
    assert made[0].data.is_dir()
    made[0].data.rmdir()


def test_it_is_stopped_and_its_folder_is_gone_after_ctrl_c() -> None:
    made: list[FakeSuite] = []
    with pytest.raises(KeyboardInterrupt), local.own(kept(made)):
        raise KeyboardInterrupt
    assert made[0].calls == ["up", "down"]
    assert not made[0].data.exists()


def kept(made: list[FakeSuite]) -> Callable[[Path], FakeSuite]:
    """Return a factory that records the suites that it makes."""

    def make(data: Path) -> FakeSuite:
        made.append(FakeSuite(data))
        return made[0]

    return make


def test_sigterm_ends_it_like_ctrl_c() -> None:
    def end() -> None:
        with local.terminable():
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()

    with pytest.raises(KeyboardInterrupt):
        end()


def test_free_ports_are_free_and_outside_of_what_linux_hands_out() -> None:
    base = local.free_port_base()
    assert 12_000 <= base <= 30_000
    for port in range(base, base + 16):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
