"""The tutorials about cameras are typed after the quickstart, as their pages show them."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engines import free_port
from tests.live.test_start import ACTIVATE, TUTORIALS, Desk, shown, transcript
from tests.receivers import PAGE as WEBHOOKS
from tests.waiting import until

pytestmark = [pytest.mark.full, pytest.mark.when("client", "docs", "protos")]
PIECES, BOTTLE = "inspect-pieces.md", "watch-a-bottle.md"
RECEIVER = "127.0.0.1:8700"
"""Address of the pages' receiver."""


class CameraDesk(Desk):
    """A checkout whose reader also runs a receiver of webhooks in a second terminal."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.receiver = free_port()
        self.received = folder / "received.txt"

    def here(self, text: str) -> str:
        """Return the commands with the ports of this suite and of the receiver."""
        return super().here(text).replace(RECEIVER, f"127.0.0.1:{self.receiver}")

    @contextmanager
    def second_terminal(self, command: str) -> Iterator[None]:
        """Run a command until the end of the block, then end it by Ctrl-C."""
        with self.received.open("w") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"{ACTIVATE}\n{command}"],
                cwd=self.folder,
                env={**self.environment, "PORT": str(self.receiver)},
                stdout=file,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraDesk]:
    """Return a checkout after the quickstart."""
    made = CameraDesk(tmp_path_factory.mktemp("camera") / "sightline")
    try:
        made.shell("make up WINES=1 VISION=1")
        yield made
    finally:
        made.shell("make down")


def test_a_good_and_a_damaged_piece_are_judged(desk: CameraDesk) -> None:
    printed = typed(desk, transcript(PIECES))
    assert (desk.folder / "pieces/map.png").read_bytes().startswith(b"\x89PNG")
    assert any('"verdict": "VERDICT_UNLIKE"' in each for each in printed)
    assert "fine keep\ndamaged sort out\n" in printed
    *_, first, second, rolled_back, second_verdict, deleted = printed
    assert ("candidate" in first, "serving" in first, "retired" in first) == (False, True, True)
    assert "serving" in second
    assert states(rolled_back) == states(first)[::-1]
    assert "cannot say" in second_verdict
    assert deleted.strip() == "2 deleted"


def typed(desk: Desk, commands: Sequence[tuple[str, list[str]]]) -> list[str]:
    """Run commands and snippets. Return the output of each. AssertionError if the page shows
    another output."""
    printed = []
    for command, expected in commands:
        run = desk.python if "\n" in command else desk.shell
        printed.append(run(command))
        wanted = "\n".join(expected)
        assert not expected or shown(expected, printed[-1]), (
            f"$ {command}\n{wanted}\n--- prints\n{printed[-1]}"
        )
    return printed


def accepts(port: int) -> bool:
    """Return whether a port of this machine accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def states(listed: str) -> list[str]:
    """Return the states of a list of references, in its order."""
    return re.findall(r"serving|retired", listed)


async def test_the_bottle_is_taken_and_put_back(desk: CameraDesk) -> None:
    page = (TUTORIALS / BOTTLE).read_text("utf-8")
    (watch,) = re.findall(r'^```json title="bottle.json"\n(.*?)^```$', page, re.M | re.S)
    (receiver,) = re.findall(r'^```python title="receiver.py"\n(.*?)^```$', WEBHOOKS, re.M | re.S)
    (listens,) = re.findall(r'^```console title="second terminal"\n\$ (.*?)\n```$', page, re.M)
    (desk.folder / "bottle.json").write_text(watch)
    (desk.folder / "receiver.py").write_text(receiver)
    commands = transcript(BOTTLE)
    tried, stopped = (
        next(at for at, (command, _) in enumerate(commands) if command.startswith(first))
        for first in ("sightline webhooks test", "mkdir back")
    )

    typed(desk, commands[:tried])
    with desk.second_terminal(listens):
        await until(lambda: accepts(desk.receiver))
        typed(desk, commands[tried:stopped])
        await until(lambda: "bottle taken started" in desk.received.read_text())
    assert (desk.folder / "empty.jpg").read_bytes().startswith(b"\xff\xd8")

    put_back, sent, listed, *rest = commands[stopped:]
    typed(desk, [put_back, sent])
    await until(lambda: "times, next at" in " ".join(desk.shell(listed[0]).split()))
    with desk.second_terminal(listens):
        await until(lambda: "bottle taken ended" in desk.received.read_text())
    found = typed(desk, rest)
    assert [each.strip() for each in found[-2:]] == ["deleted", "deleted"]
