"""The ranker's jobs on the wire."""

from servicekit import job_service
from servicekit.jobs import Job
from sightline.common.v1 import job_pb2

OWNER = "ranker/"


def job_message(job: Job) -> job_pb2.Job:
    return job_service.job_message(job, OWNER)
