"""`python -m ranker.train`: trains a model, or evaluates one (extra `train`).

``--job ID`` is what the worker starts, a process of its own for each job. It says how far it is in
lines of JSON on standard output:

    {"done": 3, "total": 40}                                  after each epoch
    {"result": {"model_version": "lfm-…"}}                    at the end, or
    {"error": {"reason": "…", "message": "…"}}

``--catalog ID`` is for a timer such as a CronJob: it asks for a training, does it or waits for the
worker that took it, and ends with 0 when there is a new model. Nothing that serves is touched,
unless ``--promote`` is given and the evidence for the new model is enough.
"""

import argparse
import asyncio
import ctypes
import os
import signal
import sys

from ranker.wiring.training import ask, do
from servicekit.server import PRIVATE

PR_SET_PDEATHSIG = 1
"""https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html"""


def end_with(parent: int) -> None:
    """Have the kernel kill this process when `parent`, which started it, ends (Linux).

    Otherwise a training whose worker was killed would go on beside the one that takes its place.
    The signal follows the parent's thread: the worker starts processes from its main thread.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we came here
        sys.exit(f"process {parent}, which asked for this training, is gone")


def main() -> int:
    """Read the command line and do what it says; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ranker.train", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--job", help="id of the job row to train for")
    which.add_argument("--catalog", help="catalog to ask for a training of")
    parser.add_argument("--parent", type=int, help="with --job: id of the process to end with")
    parser.add_argument(
        "--incremental", action="store_true", help="with --catalog: go on from what serves"
    )
    parser.add_argument(
        "--promote",
        action="store_true",
        help="with --catalog: let the model serve if its evidence is enough",
    )
    given = parser.parse_args()
    os.umask(PRIVATE)
    if given.parent is not None:
        end_with(given.parent)
    if given.job:
        return asyncio.run(do(given.job))
    return asyncio.run(ask(given.catalog, incremental=given.incremental, promote=given.promote))


if __name__ == "__main__":
    sys.exit(main())
