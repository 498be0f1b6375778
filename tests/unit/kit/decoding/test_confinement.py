"""Each layer alone, in separate processes: a dropped right can't be regained."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from servicekit.decoding.confinement import LAYERS
from tests.engines import ROOT
from tests.waiting import SECONDS

PROGRAM = """
import json, os, resource, socket, sys
from servicekit.decoding.confinement import Confinement

class Some(Confinement):
    def _close_files(self):
        self._only("landlock")
        super()._close_files()
    def _close_calls(self):
        self._only("seccomp")
        super()._close_calls()
    def _only(self, layer):
        if layer not in sys.argv[1:]:
            raise OSError("not on this kernel")

def fails(tries):
    try:
        tries()
    except OSError as error:
        return type(error).__name__
    return ""

output = os.dup(1)
held = Some().enter()
found = {
    "read": fails(lambda: open("/proc/self/environ")),
    "write": fails(lambda: open(sys.prefix + "/mine", "w")),
    "remove": fails(lambda: os.unlink(sys.executable + "-none")),
    "list": fails(lambda: os.listdir("/")),
    "bind": fails(lambda: socket.socket().bind(("127.0.0.1", 0))),
    "socket": fails(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    "fork": fails(lambda: os.fork() or os._exit(0)),
}
os.write(output, json.dumps([held, found]).encode())
"""


def confined(*layers: str) -> tuple[list[str], dict[str, str]]:
    """Return the active layers if the kernel lacks some, and the attempts that fail."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *layers], capture_output=True, check=True, timeout=SECONDS
    )
    held, found = json.loads(done.stdout)
    return held, found


def test_what_is_lacking_is_said_and_what_is_left_holds() -> None:
    held, found = confined()
    assert held == ["limits", "no_new_privs"]
    assert found["read"] == ""


def test_landlock_closes_files_and_ports_by_itself() -> None:
    held, found = confined("landlock")
    assert held == [layer for layer in LAYERS if layer != "seccomp"]
    assert {found[each] for each in ("read", "write", "list", "bind")} == {"PermissionError"}


def test_seccomp_closes_files_sockets_and_processes_by_itself() -> None:
    held, found = confined("seccomp")
    assert held == [layer for layer in LAYERS if layer != "landlock"]
    assert set(found.values()) == {"PermissionError"}


OLD_KERNEL = """
import ctypes, os, struct, sys
library = ctypes.CDLL("libseccomp.so.2")
library.seccomp_init.restype = ctypes.c_void_p
rules = ctypes.c_void_p(library.seccomp_init(0x7FFF0000))  # all calls are allowed
first_is_set_seccomp = struct.pack("=IIQQ", 0, 4, 22, 0)
for call, condition in {calls}:
    no_such_call, conditions = 0x00050000 | 38, condition and first_is_set_seccomp
    count = bool(conditions)
    assert library.seccomp_rule_add_array(rules, no_such_call, call, count, conditions) == 0
assert library.seccomp_load(rules) == 0
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
KERNELS = {
    "landlock": OLD_KERNEL.format(calls="[(444, False)]"),  # landlock_create_ruleset
    "seccomp": OLD_KERNEL.format(calls="[(317, False), (157, True)]"),  # seccomp, prctl
}
"""Code that starts a program on a kernel without the layer, by layer."""
UNSAFE = """
from servicekit.decoding.limits import DecodingSettings
print(*DecodingSettings().unsafe())
"""


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("layer", KERNELS)
def test_what_a_kernel_lacks_is_refused_in_production_unless_it_is_accepted(layer: str) -> None:
    def said(*through: str, **settings: str) -> str:
        asked = [*through, "-c", UNSAFE]
        done = subprocess.run(
            [sys.executable, *asked], env=os.environ | settings, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    old = ("-c", KERNELS[layer])
    refused = said(*old)
    assert refused.startswith(f"decoders can't be confined by {layer} here")
    assert refused.endswith("DECODE_UNCONFINED=true")
    assert said(*old, DECODE_UNCONFINED="true") == ""
    assert said() == ""


STARTS = """
import asyncio
from servicekit.decoding.decoders import Decoders
from servicekit.telemetry import configure_logging

async def main():
    decoders = Decoders("tests.fakes.hostile", 2)
    await decoders.start()
    decoders.close()

configure_logging("embedder", "info")
asyncio.run(main())
"""


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize(
    ("through", "level", "lacking"),
    [
        *((["-c", kernel], "warning", [layer]) for layer, kernel in KERNELS.items()),
        ([], "info", []),
    ],
)
def test_what_a_kernel_lacks_stands_in_the_log_of_each_start(
    through: list[str], level: str, lacking: list[str]
) -> None:
    asked = [sys.executable, *through, "-c", STARTS]
    found = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(asked, capture_output=True, check=True, timeout=SECONDS, env=found)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    (said,) = [line for line in lines if line["event"] == "decoders confined"]
    assert (said["level"], said["lacking"], said["processes"]) == (level, lacking, 2)
    assert said["held"] == [layer for layer in LAYERS if layer not in lacking]


@pytest.mark.parametrize("layer", ["landlock", "seccomp"])
def test_this_kernel_has_it(layer: str) -> None:
    """Check that this kernel has the layer, else the tests above prove nothing."""
    assert layer in confined(layer)[0]
    assert Path("/proc/self/status").read_text().count("Seccomp:") == 1
