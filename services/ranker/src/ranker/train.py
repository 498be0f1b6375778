"""`python -m ranker.train`: trains a model, or evaluates one (extra `train`).

``--job ID`` is started by the worker, one process for each job. It reports progress as lines of
JSON on standard output:

    {"done": 3, "total": 40}                                  after each epoch
    {"result": {"model_version": "lfm-…"}}                    at the end (job.py: `run`), or
    {"error": {"reason": "…", "message": "…"}}

``--catalog ID`` is for a timer such as a CronJob: it requests a training, runs it or waits for the
worker that claimed it, and exits with 0 if there is a new model or nothing was new. The serving
model changes only if ``--promote`` is given and the evaluation of the model passes.
"""

import argparse
import asyncio
import os
import signal
import sys

from ranker.wiring.training import ask, do
from servicekit.processes.background import Priority, yield_to_answers
from servicekit.processes.process_group import receive_when_parent_dies
from servicekit.rpc.server import PRIVATE


def end_with(parent: int) -> None:
    """Have the kernel kill this process when `parent`, which started it, ends (Linux).

    Otherwise a training whose worker was killed would continue beside its replacement. The signal
    follows the parent's thread: the worker starts processes from its main thread.
    """
    receive_when_parent_dies(signal.SIGKILL)
    if os.getppid() != parent:  # the parent ended before the call
        sys.exit(f"process {parent}, which requested this training, has ended")


def main() -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ranker.train", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--job", help="id of the training job")
    which.add_argument("--catalog", help="catalog to train")
    parser.add_argument(
        "--parent", type=int, help="with --job: id of the process with which to end"
    )
    parser.add_argument(
        "--priority",
        type=Priority,
        choices=list(Priority),
        default=Priority.IDLE,
        help="with --job: priority beside processes that answer; default: idle",
    )
    parser.add_argument(
        "--incremental", action="store_true", help="with --catalog: continue from the serving model"
    )
    parser.add_argument(
        "--promote",
        action="store_true",
        help="with --catalog: promote the model if its evaluation passes",
    )
    given = parser.parse_args()
    os.umask(PRIVATE)
    if given.parent is not None:
        end_with(given.parent)
    if given.job:
        yield_to_answers(given.priority)
        return asyncio.run(do(given.job))
    return asyncio.run(ask(given.catalog, incremental=given.incremental, promote=given.promote))


if __name__ == "__main__":
    sys.exit(main())
