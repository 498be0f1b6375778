"""Lines are written completely, in order, and none is lost at a normal stop."""

import asyncio
import io
import json
import subprocess
import sys
import threading

import pytest

from servicekit import log_writer
from servicekit.log_writer import LogWriter
from tests.waiting import SECONDS


class Stream(io.StringIO):
    """Stream that counts its writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


async def test_lines_of_a_loop_are_written_together_and_soon() -> None:
    stream = Stream()
    log = LogWriter(stream)
    for number in range(20):
        log.info(str(number))
    assert stream.getvalue() == ""
    await asyncio.sleep(log_writer.SECONDS * 4)
    assert stream.getvalue().split() == [str(number) for number in range(20)]
    assert stream.writes == 1
    log.info("later")
    await asyncio.sleep(log_writer.SECONDS * 4)
    assert stream.getvalue().endswith("later\n")


async def test_a_warning_is_written_at_once_after_what_came_before() -> None:
    stream = Stream()
    log = LogWriter(stream)
    log.info("first")
    log.debug("second")
    log.warning("third")
    assert stream.getvalue() == "first\nsecond\nthird\n"
    log.info("fourth")
    log.flush()
    assert stream.getvalue().endswith("third\nfourth\n")


async def test_more_lines_than_may_wait_are_written_and_not_dropped() -> None:
    stream = Stream()
    log = LogWriter(stream)
    for number in range(1000):
        log.info(str(number))
    assert 700 < len(stream.getvalue().split()) <= 1000
    log.flush()
    assert stream.getvalue().split() == [str(number) for number in range(1000)]


def test_where_no_loop_runs_a_line_is_written_at_once() -> None:
    stream = Stream()
    LogWriter(stream).info("now")
    assert stream.getvalue() == "now\n"


def test_what_a_loop_left_behind_is_written_by_the_next() -> None:
    stream = Stream()
    log = LogWriter(stream)

    async def leave() -> None:
        log.info("left")

    async def stay() -> None:
        log.info("stayed")
        await asyncio.sleep(log_writer.SECONDS * 4)

    asyncio.run(leave())
    assert stream.getvalue() == ""
    asyncio.run(stay())
    assert stream.getvalue() == "left\nstayed\n"


def test_threads_and_loops_write_whole_lines_in_their_own_order() -> None:
    stream = Stream()
    log = LogWriter(stream)

    def in_thread(name: str) -> None:
        for number in range(300):
            (log.warning if number % 7 == 0 else log.info)(f"{name}:{number}")

    async def in_loop(name: str) -> None:
        for number in range(300):
            log.info(f"{name}:{number}")
            await asyncio.sleep(0)

    threads = [
        threading.Thread(target=in_thread, args=("a",)),
        threading.Thread(target=in_thread, args=("b",)),
        threading.Thread(target=lambda: asyncio.run(in_loop("c"))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    log.flush()
    written = [line.split(":") for line in stream.getvalue().split()]
    for name in "abc":
        assert [number for who, number in written if who == name] == list(map(str, range(300)))


@pytest.mark.parametrize("kind", [OSError, ValueError])
async def test_a_log_that_can_not_be_written_fails_no_call(kind: type[Exception]) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise kind

    log = LogWriter(Broken())
    log.info("lost")
    log.error("lost")


PROGRAM = """
import asyncio
from servicekit import telemetry

telemetry.configure_logging("shop")

async def main():
    for number in range(100):
        telemetry.get_logger().info("sold", number=number)

asyncio.run(main())
END
"""


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "1 / 0"])
def test_nothing_is_lost_when_a_process_ends(end: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("END", end)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    printed = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    assert [line["number"] for line in printed] == list(range(100))
