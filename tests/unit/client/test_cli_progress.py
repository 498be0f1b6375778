"""Long operations show their progress on a terminal, and nothing if standard error is a file."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.fakes.gateway import FakeGateway
from tests.fakes.gateway_messages import wine

PROGRAM = (sys.executable, "-c", "from sightline_client.cli import app; app()")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(*arguments: str) -> tuple[int, str, str]:
    """Return exit code, standard output, and the standard error of a terminal with 160 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "160"}
    with subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = bytearray()
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # the other end is closed
            pass
        assert process.stdout is not None
        printed = process.stdout.read().decode()
    os.close(ours)
    return process.returncode, printed, _CONTROL.sub("", shown.decode())


@pytest.mark.full
@pytest.mark.slow
def test_an_import_shows_rows_their_speed_and_the_time_that_is_left(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.delay = 0.2
    path = tmp_path / "wines.csv"
    rows = "".join(f"w{n},Wine,{'-1' if n == 5 else ''},EUR\n" for n in range(2000))
    path.write_text(f"id,title,price,currency\n{rows}")
    code, printed, shown = on_a_terminal(
        "products", "import", str(path), "--target", gateway.target
    )
    assert code == 1, shown
    assert "1,999 products stored" in printed
    assert "importing" in shown
    (*early, last) = re.findall(r"([\d,]+) rows, ([\d,]+)/s, 1 rejected", shown)
    assert last[0] == "2,000"
    assert any(0 < int(rows.replace(",", "")) < 2000 for rows, _ in early), "only the end was shown"
    assert any(int(speed.replace(",", "")) > 0 for _, speed in early)
    assert re.search(r"\d+%.*elapsed 0:00:\d\d left 0:00:\d\d", shown)
    assert "looking at wines.csv" in shown


@pytest.mark.full
@pytest.mark.slow
def test_standard_error_that_is_a_file_holds_no_meter(gateway: FakeGateway, tmp_path: Path) -> None:
    path = tmp_path / "wines.csv"
    path.write_text("id,title\nw1,Wine\n")
    done = subprocess.run(
        [*PROGRAM, "products", "import", str(path), "--target", gateway.target],
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("import", "--folder", "shop"), "looking for photos in shop"),
        (("import", "--folder", "shop", "--mode", "full"), "counting what is not in the file"),
        (("import", "--folder", "shop", "--mode", "full", "--dry-run"), "comparing with the cat"),
        (("list", "--top", "0"), "listing"),
        (("list", "--top", "2"), "listing"),
    ],
)
def test_work_that_asks_or_looks_long_is_not_silent(
    gateway: FakeGateway,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    gateway.delay = 0.15
    gateway.products |= {f"w{n}": wine(f"w{n}") for n in range(4)}
    (tmp_path / "shop").mkdir()
    for number in range(5):
        (tmp_path / "shop" / f"{number}.jpg").write_bytes(b"jpeg")
    code, printed, shown = on_a_terminal("products", *arguments, "--target", gateway.target)
    assert words in shown
    assert words not in printed
    assert code == 0, shown
