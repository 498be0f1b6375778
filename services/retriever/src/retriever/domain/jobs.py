"""Jobs: idempotent requests."""

import hashlib

from servicekit.jobs.queue import JobState

OPEN = (JobState.PENDING, JobState.RUNNING)
"""States of a job that has not ended."""


def request_key(request_id: str, what: str, *, hashed: bool = False) -> str:
    """Return the key that makes a job's creation idempotent. Empty: each call creates one.

    One request id may stand for several calls, as in logs: `what` distinguishes them, hashed if it
    is long.
    """
    if hashed:
        what = hashlib.sha256(what.encode()).hexdigest()[:16]
    return f"{request_id}/{what}" if request_id else ""
