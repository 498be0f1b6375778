"""Messages and actions of a compromised decoding process, in real processes."""

import errno
import os
from pathlib import Path

import pytest

from servicekit.decoding.confinement import LAYERS
from servicekit.decoding.decoders import Decoders, DecodingCrashed
from tests.fakes.hostile_asked import do, echo, made, processes_of
from tests.waiting import until

REFUSALS = {errno.EPERM, errno.EACCES}


@pytest.mark.parametrize("lie", ["answer_rubbish", "answer_too_short", "answer_too_long"])
async def test_an_answer_that_was_not_asked_for_costs_its_process_and_its_item(
    alone: Decoders, lie: str
) -> None:
    before = processes_of(alone)
    with pytest.raises(DecodingCrashed):
        await do(alone, lie)
    assert not before & processes_of(alone)
    assert await echo(alone) == b"1"


async def test_half_an_answer_and_a_process_that_leaves_are_crashes(patient: Decoders) -> None:
    for end in ("answer_half_a_header", "leave"):
        with pytest.raises(DecodingCrashed):
            await do(patient, end)
        assert await echo(patient) == b"1"


async def test_what_is_answered_ahead_is_not_taken_for_the_next_photo_s(alone: Decoders) -> None:
    assert await do(alone, "answer_twice") == 1
    await until(lambda: _has_more(alone))
    assert await do(alone, "where") != 666


def _has_more(decoders: Decoders) -> bool:
    """Return whether the process sent unexpected data."""
    link = decoders._pool.all[0]._link
    assert link is not None
    try:
        return bool(link._socket.recv(1, 0x2))  # MSG_PEEK
    except BlockingIOError:
        return False


async def test_every_layer_that_the_kernel_has_confines_a_process_and_the_log_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    decoders = made(1)
    await decoders.start()
    decoders.close()
    assert decoders._pool.all[0].held == LAYERS
    assert "decoders confined" in (said := capsys.readouterr().out)
    assert "lacking=[]" in said


@pytest.mark.parametrize(
    ("attempt", "given"),
    [
        ("open_internet_socket", ""),
        ("open_datagram_socket", ""),
        ("open_local_socket", ""),
        ("write_file", "FOLDER/mine"),
        ("write_file", "/dev/null"),
        ("remove_file", "FOLDER/theirs"),
        ("read_file", "FOLDER/theirs"),
        ("read_file", "/proc/SERVICE/environ"),
        ("read_file", "/proc/self/environ"),
        ("read_file", "/etc/passwd"),
        ("list_folder", "/proc"),
        ("open_memory_file", ""),
        ("fork", ""),
        ("start_program", ""),
        ("signal_process", "SERVICE"),
    ],
)
async def test_whoever_takes_a_process_over_reaches_nothing(
    alone: Decoders, attempt: str, given: str, tmp_path: Path
) -> None:
    (tmp_path / "theirs").write_text("theirs")
    given = given.replace("FOLDER", str(tmp_path)).replace("SERVICE", str(os.getpid()))
    assert await do(alone, attempt, given) in REFUSALS
    assert os.listdir(tmp_path) == ["theirs"]


async def test_a_process_can_not_lift_its_own_limit(alone: Decoders) -> None:
    assert await do(alone, "lift_own_limit") == 1


async def test_no_variable_of_the_service_is_in_any_process_and_no_secret_in_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RETRIEVER_DATABASE_URL", "postgresql://sightline:secret@db/retriever")
    decoders = made(1)
    await decoders.start()
    try:
        assert await do(decoders, "variables") == 0
        (process,) = processes_of(decoders)
        server = decoders._server._process
        assert server is not None
        for pid in (server.pid, process):
            assert variables_of(pid) <= {
                "LANG",
                "MALLOC_ARENA_MAX",
                "OPENBLAS_NUM_THREADS",
                "PYTHONDONTWRITEBYTECODE",
                "PYTHONPATH",
            }
    finally:
        decoders.close()


async def test_a_process_has_no_file_but_its_link(patient: Decoders) -> None:
    await patient.start()
    for pid in processes_of(patient):
        folder = f"/proc/{pid}/fd"
        files = [os.readlink(f"{folder}/{each}") for each in os.listdir(folder)]
        named = sorted(name.split(":")[0] for name in files)
        assert named == ["/dev/null"] * 3 + ["socket"]


def variables_of(pid: int) -> set[str]:
    environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return {each.partition(b"=")[0].decode() for each in environ if each}
