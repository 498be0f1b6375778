"""Processor time and memory are those that the kernel counted."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.harness import processes
from bench.harness.processes import CommandFailed, Stat
from tests.waiting import SECONDS

LINE = "7 (a (b) c) S 3 7 7 0 -1 0 0 0 0 0 100 20 30 4 20 0 1 0 9 0 0"


def test_a_name_with_parentheses_is_read_past() -> None:
    stat = processes.parse(LINE)
    assert stat.parent == 3
    assert stat.seconds * processes._TICKS == pytest.approx(154)


def test_what_descends_from_a_program_counts_as_its_own() -> None:
    stats = {10: Stat(1, 2.0), 11: Stat(10, 3.0), 12: Stat(11, 4.0), 20: Stat(1, 5.0)}
    assert processes.by_program(stats, {10: "triton"}) == {"triton": 9.0, "other": 5.0}


def test_a_process_that_is_gone_is_left_out() -> None:
    assert processes.read([2**22 + 1]) == {}


@pytest.mark.slow
def test_a_command_s_time_memory_and_output_are_measured() -> None:
    code = "import time\nx = b'1' * 2**26\ne = time.process_time() + .3\n"
    code += "while time.process_time() < e: pass\nprint('done')"
    since = time.perf_counter()
    ended = processes.run([sys.executable, "-c", code])
    assert ended.output == "done\n"
    assert 0.3 <= ended.cpu_seconds <= time.perf_counter() - since + 1
    assert ended.peak_bytes >= 2**26
    assert ended.beside_bytes == 0


def test_the_memory_of_a_process_beside_is_that_of_its_own() -> None:
    code = "import sys\nx = b'1' * 2**27\nprint(flush=True)\nsys.stdin.read()"
    python = [sys.executable, "-c", code]
    with subprocess.Popen(python, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        ended = processes.run([sys.executable, "-c", "pass"], beside=other.pid)
        other.communicate()
    assert 2**27 <= ended.beside_bytes < 2**28
    assert ended.peak_bytes < 2**27


def test_a_command_that_fails_is_an_error_with_its_words() -> None:
    with pytest.raises(CommandFailed, match="ended with 3: so it is"):
        processes.run([sys.executable, "-c", "import sys; print('so it is'); sys.exit(3)"])


def test_the_memory_of_a_tree_is_more_than_its_root_takes() -> None:
    hold = "import subprocess, sys; subprocess.run([sys.executable, '-c', %r])"
    child = "held = bytearray(b'x' * 2**26); print('ready', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold % child], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert processes.memory_of_tree(process.pid) > 2**26
        process.communicate(b"\n")
    assert processes.memory_of_tree(process.pid) == 0


def test_the_clock_of_a_process_counts_what_a_hundredth_of_a_second_hides() -> None:
    before = processes.clock(os.getpid())
    ended = time.process_time() + 0.002
    while time.process_time() < ended:
        pass
    assert 0.002 <= processes.clock(os.getpid()) - before < 1


def test_the_clock_of_a_process_that_is_gone_is_an_error() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        processes.clock(2**22 + 1)


def test_what_programs_spent_holds_their_children_and_nobody_else() -> None:
    code = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        until = time.monotonic() + SECONDS
        while not children.read_text() and time.monotonic() < until:
            time.sleep(0.01)
        child = int(children.read_text())
        spent = processes.spent({parent.pid: "theirs"})
        alone = processes.clock(parent.pid)
        assert spent["theirs"] > 0
        assert processes.spent({child: "child", parent.pid: "parent"})["child"] > 0
        assert processes.spent({parent.pid: "theirs"})["theirs"] > alone
        assert sum(spent.values()) == spent["theirs"]
        parent.communicate(b"\n")
