"""Freed memory is kept for later allocations."""

import resource
import subprocess
import sys

_TAKEN_AGAIN = """
import resource
from servicekit.processes.memory import keep_memory
if {keep}:
    keep_memory()
def take():
    return [bytearray(3 << 20) for _ in range(4)]
for _ in range(3):
    take()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    take()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(*, keep: bool) -> int:
    """Return the page faults of a process for memory that it had before."""
    code = _TAKEN_AGAIN.format(keep=keep)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_memory_that_was_freed_is_not_taken_from_the_kernel_again() -> None:
    pages = 5 * 4 * (3 << 20) // resource.getpagesize()
    assert _faults(keep=True) < pages / 20 < pages / 2 < _faults(keep=False)
